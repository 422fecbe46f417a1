#include "search_spaces/ops/layer_scale.h"

#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

const AttributeSpec kAttributes[] = {{"init", AttributeSpec::Type::kNumber, 1e-6, 0, 1000}};

class LayerScaleOperator final : public Operator {
 public:
  std::string_view name() const override { return "layer_scale"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  bool pure() const override { return false; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  std::optional<OperatorCost> Cost(const Attributes&, std::span<const Shape* const>,
                                   const Shape& out) const override {
    return OperatorCost{ChannelsOf(out), 0};
  }
  // The gradient of the numbers is one of each place before it is summed.
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = DifferentiatedMemory(at);
    memory.backward = at.InputBytes();
    return memory;
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* LayerScale() {
  static const LayerScaleOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
