#include "search_spaces/ops/linear.h"

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"features", Type::kInteger, std::nullopt, 1},
    {"bias", Type::kSwitch, true},
};

class LinearOperator final : public Operator {
 public:
  std::string_view name() const override { return "linear"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  int layers() const override { return 1; }
  bool pure() const override { return false; }

  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    Shape shape = *inputs[0];
    if (shape.size() > 2) {
      return InvalidArgument("expected an input of shape {features} or {tokens, features}, found " +
                             ShapeText(shape) + ": put global_avg_pool or flatten before it");
    }
    shape.back() = IntegerOf(a, "features");
    return shape;
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const> inputs,
                                   const Shape& out) const override {
    const auto weights = CheckedMultiply(inputs[0]->back(), out.back());
    const auto places = PlacesOf(out);
    if (!weights || !places) return std::nullopt;
    const auto params = CheckedAdd(*weights, SwitchOf(a, "bias") ? out.back() : 0);
    const auto macs = CheckedMultiply(*weights, *places);
    if (!params || !macs) return std::nullopt;
    return OperatorCost{*params, *macs};
  }
  OperatorMemory Memory(const Application& at) const override {
    // In bf16 the gradient of the bias is a sum in fp32.
    const bool copy = at.type == NumberType::kBf16 && SwitchOf(at.attributes, "bias");
    return {.keeps_inputs = true,
            .backward = copy ? at.OutputBytes() : 0,
            .scratch_backward = Count(at.params) * BytesOf(at.type)};
  }
  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

}  // namespace

const Operator* Linear() {
  static const LinearOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
