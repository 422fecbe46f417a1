#include "search_spaces/ops/mlp.h"

#include <algorithm>
#include <cmath>

#include "search_spaces/checked.h"
#include "search_spaces/ops/activations.h"
#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"ratio", Type::kNumber, 4.0, 1.0 / 1024, 1024},
    {"activation", Type::kWord, std::string("gelu"), 0, 0, false, ActivationWords()},
    {"bias", Type::kSwitch, true},
};

class MlpOperator final : public Operator {
 public:
  std::string_view name() const override { return "mlp"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  int layers() const override { return 2; }
  bool pure() const override { return false; }

  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    if (inputs[0]->size() > 2) {
      return InvalidArgument("expected an input of shape {features} or {tokens, features}, found " +
                             ShapeText(*inputs[0]));
    }
    return *inputs[0];
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    const int64_t features = out.back(), hidden = HiddenFeatures(a, features);
    const auto weights = CheckedProduct(Shape{2, features, hidden});
    const auto places = PlacesOf(out);
    if (!weights || !places) return std::nullopt;
    const auto params = CheckedAdd(*weights, SwitchOf(a, "bias") ? features + hidden : 0);
    const auto macs = CheckedMultiply(*weights, *places);
    if (!params || !macs) return std::nullopt;
    return OperatorCost{*params, *macs};
  }
  // The hidden values before and behind the activation; their gradients are there in turn.
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = DifferentiatedMemory(at);
    const Count hidden =
        Count(PlacesOf(at.output)) * HiddenFeatures(at.attributes, at.output.back()) * BytesOf(at.type);
    memory.kept = hidden * 2;
    memory.backward = hidden;
    return memory;
  }
  bool ZeroPreserving(const Attributes& a) const override {
    return !SwitchOf(a, "bias") && FindOperator(WordOf(a, "activation"))->ZeroPreserving({});
  }
};

}  // namespace

// Sizes are at most 2^31 and ratios 2^10, so that the product is exact enough and fits.
int64_t HiddenFeatures(const Attributes& mlp, int64_t features) {
  return std::max<int64_t>(1, std::llround(NumberOf(mlp, "ratio") * static_cast<double>(features)));
}

const Operator* Mlp() {
  static const MlpOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
