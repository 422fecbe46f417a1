#include "search_spaces/ops/squeeze_excite.h"

#include "search_spaces/checked.h"
#include "search_spaces/ops/activations.h"
#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

constexpr std::string_view kGates[] = {"sigmoid", "hard_sigmoid"};
const AttributeSpec kAttributes[] = {
    {"squeeze", Type::kInteger, std::nullopt, 1},
    {"activation", Type::kWord, std::string("relu"), 0, 0, false, ActivationWords()},
    {"gate", Type::kWord, std::string("sigmoid"), 0, 0, false, kGates},
};

class SqueezeExciteOperator final : public Operator {
 public:
  std::string_view name() const override { return "squeeze_excite"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  int layers() const override { return 2; }
  bool pure() const override { return false; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    CANOPY_RETURN_IF_ERROR(RequireImage(*inputs[0]));
    return *inputs[0];
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    const int64_t squeeze = IntegerOf(a, "squeeze");
    const auto weights = CheckedProduct(Shape{2, squeeze, out[0]});
    const auto params = weights ? CheckedAdd(*weights, squeeze + out[0]) : std::nullopt;
    if (!params) return std::nullopt;
    return OperatorCost{*params, *weights};
  }
  // The input's gradient is the sum of two, and the gate's is one of the pixels before it is summed.
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = DifferentiatedMemory(at);
    memory.backward = at.InputBytes() * 2;
    return memory;
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* SqueezeExcite() {
  static const SqueezeExciteOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
