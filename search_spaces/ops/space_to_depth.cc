#include "search_spaces/ops/space_to_depth.h"

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

const AttributeSpec kAttributes[] = {{"block", AttributeSpec::Type::kInteger, int64_t{2}, 1, 65536}};

class SpaceToDepthOperator final : public Operator {
 public:
  std::string_view name() const override { return "space_to_depth"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireImage(in));
    const int64_t block = IntegerOf(a, "block");
    if (in[1] % block != 0 || in[2] % block != 0) {
      return InvalidArgument("expected a block that divides height and width of " + ShapeText(in) +
                             ", found " + std::to_string(block));
    }
    // Sizes and blocks are small enough for 64 bits.
    return Shape{in[0] * block * block, in[1] / block, in[2] / block};
  }
  bool IsIdentity(const Attributes& a, const Shape&) const override { return IntegerOf(a, "block") == 1; }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* SpaceToDepth() {
  static const SpaceToDepthOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
