#include "search_spaces/ops/upsample.h"

#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"scale", Type::kInteger, int64_t{2}, 1, 65536},
    {"bilinear", Type::kSwitch, false},
};

class UpsampleOperator final : public Operator {
 public:
  std::string_view name() const override { return "upsample"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    Shape shape = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireImage(shape));
    shape[1] *= IntegerOf(a, "scale");
    shape[2] *= IntegerOf(a, "scale");
    return shape;
  }
  OperatorMemory Memory(const Application& at) const override { return ExactDifferentiatedMemory(at); }
  bool IsIdentity(const Attributes& a, const Shape&) const override { return IntegerOf(a, "scale") == 1; }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* Upsample() {
  static const UpsampleOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
