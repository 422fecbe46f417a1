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
  bool layer() const override { return true; }
  bool pure() const override { return false; }

  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    if (inputs[0]->size() != 1) {
      return InvalidArgument("expected an input of shape {features}, found " + ShapeText(*inputs[0]) +
                             ": put global_avg_pool or flatten before it");
    }
    return Shape{IntegerOf(a, "features")};
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const> inputs,
                                   const Shape& out) const override {
    const auto weights = CheckedMultiply((*inputs[0])[0], out[0]);
    if (!weights) return std::nullopt;
    const auto params = CheckedAdd(*weights, SwitchOf(a, "bias") ? out[0] : 0);
    if (!params) return std::nullopt;
    return OperatorCost{*params, *weights};
  }
  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

}  // namespace

const Operator* Linear() {
  static const LinearOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
