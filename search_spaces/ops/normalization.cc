#include "search_spaces/ops/normalization.h"

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"eps", Type::kNumber, 1e-5, 0, 1},
    {"momentum", Type::kNumber, 0.1, 0, 1},
    {"affine", Type::kSwitch, true},
};

class BatchNormOperator final : public Operator {
 public:
  std::string_view name() const override { return "batch_norm"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  bool pure() const override { return false; }

  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    const auto params = CheckedMultiply(SwitchOf(a, "affine") ? 2 : 0, out[0]);
    if (!params) return std::nullopt;
    return OperatorCost{*params, 0};
  }
};

}  // namespace

const Operator* BatchNorm() {
  static const BatchNormOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
