#include "search_spaces/ops/attention.h"

#include <algorithm>

#include "search_spaces/checked.h"
#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"heads", Type::kInteger, std::nullopt, 1},
    {"head_features", Type::kInteger, int64_t{0}, 0},
    {"causal", Type::kSwitch, false},
    {"bias", Type::kSwitch, true},
};

Count Larger(const Count& a, const Count& b) {
  if (!a.value() || !b.value()) return Count(std::nullopt);
  return std::max(*a.value(), *b.value());
}

class AttentionOperator final : public Operator {
 public:
  std::string_view name() const override { return "attention"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  int layers() const override { return 2; }
  bool pure() const override { return false; }

  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireTokens(in));
    const int64_t heads = IntegerOf(a, "heads");
    if (IntegerOf(a, "head_features") == 0 && in[1] % heads != 0) {
      return InvalidArgument("expected heads that divide " + std::to_string(in[1]) + " features, found " +
                             std::to_string(heads) + ": give head_features, or other heads");
    }
    return in;
  }

  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    const int64_t tokens = out[0], features = out[1];
    const int64_t inner = IntegerOf(a, "heads") * HeadFeatures(a, features);
    const auto weights = CheckedProduct(Shape{4, inner, features});
    const auto biases = CheckedMultiply(3, inner);
    const auto all_biases = biases ? CheckedAdd(*biases, features) : std::nullopt;
    const auto projections = weights ? CheckedMultiply(*weights, tokens) : std::nullopt;
    const auto products = CheckedProduct(Shape{2, inner, tokens, tokens});
    if (!all_biases || !projections || !products) return std::nullopt;
    const auto params = CheckedAdd(*weights, SwitchOf(a, "bias") ? *all_biases : 0);
    const auto macs = CheckedAdd(*projections, *products);
    if (!params || !macs) return std::nullopt;
    return OperatorCost{*params, *macs};
  }
  // Queries, keys, values and what is attended, and the weights of tokens, which are made in fp32. Backward
  // has most either with two gradients of the weights, when two of the vectors are gone, or with all
  // gradients of the projection, when the weights are.
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = DifferentiatedMemory(at);
    const int64_t tokens = at.output[0], heads = IntegerOf(at.attributes, "heads");
    const Count vectors =
        Count(tokens) * heads * HeadFeatures(at.attributes, at.output[1]) * BytesOf(at.type);
    const Count weights = Count(heads) * tokens * tokens * 4;
    const Count rounded = at.type == NumberType::kFp32 ? Count(0) : Count(heads) * tokens * tokens * 2;
    memory.kept = vectors * 4 + weights + rounded;
    memory.forward = Larger(weights + vectors, vectors * 4);
    memory.backward = Larger(weights * 2 + vectors * -2, vectors * 5 + weights * -1);
    return memory;
  }
  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

}  // namespace

int64_t HeadFeatures(const Attributes& attention, int64_t features) {
  const int64_t given = IntegerOf(attention, "head_features");
  return given > 0 ? given : features / IntegerOf(attention, "heads");
}

const Operator* Attention() {
  static const AttentionOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
