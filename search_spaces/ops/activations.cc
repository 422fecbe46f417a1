#include "search_spaces/ops/activations.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

constexpr std::string_view kWords[] = {"relu", "relu6", "hard_swish", "hard_sigmoid", "silu",
                                       "gelu", "mish",  "sigmoid",    "tanh"};
const AttributeSpec kEluAttributes[] = {{"alpha", Type::kNumber, 1.0, 0, 1000}};
const AttributeSpec kLeakyReluAttributes[] = {{"slope", Type::kNumber, 0.01, 0, 1}};

class Activation final : public Operator {
 public:
  // Which of its values gives the gradient.
  enum class Keeps { kInput, kOutput };
  Activation(std::string_view name, bool zero_at_zero, Keeps keeps,
             std::span<const AttributeSpec> attributes = {})
      : name_(name), zero_at_zero_(zero_at_zero), keeps_(keeps), attributes_(attributes) {}
  std::string_view name() const override { return name_; }
  std::span<const AttributeSpec> attributes() const override { return attributes_; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory{.keeps_inputs = keeps_ == Keeps::kInput, .keeps_output = keeps_ == Keeps::kOutput};
    // By way of fp32, see worker/trainer/ops/activation.cc.
    if (at.type == NumberType::kBf16 && (name_ == "mish" || name_ == "relu6")) {
      memory.forward = name_ == "mish" ? at.OutputBytes() * 4 : 0;
      memory.backward = at.OutputBytes() * 6;
    }
    return memory;
  }
  bool ZeroPreserving(const Attributes&) const override { return zero_at_zero_; }

 private:
  std::string_view name_;
  bool zero_at_zero_;
  Keeps keeps_;
  std::span<const AttributeSpec> attributes_;
};
using Keeps = Activation::Keeps;

}  // namespace

std::span<const std::string_view> ActivationWords() { return kWords; }

const Operator* Elu() {
  static const Activation instance("elu", true, Keeps::kInput, kEluAttributes);
  return &instance;
}
const Operator* Gelu() {
  static const Activation instance("gelu", true, Keeps::kInput);
  return &instance;
}
const Operator* HardSigmoid() {
  static const Activation instance("hard_sigmoid", false, Keeps::kInput);
  return &instance;
}
const Operator* HardSwish() {
  static const Activation instance("hard_swish", true, Keeps::kInput);
  return &instance;
}
const Operator* LeakyRelu() {
  static const Activation instance("leaky_relu", true, Keeps::kInput, kLeakyReluAttributes);
  return &instance;
}
const Operator* Mish() {
  static const Activation instance("mish", true, Keeps::kInput);
  return &instance;
}
const Operator* Relu() {
  static const Activation instance("relu", true, Keeps::kOutput);
  return &instance;
}
const Operator* Relu6() {
  static const Activation instance("relu6", true, Keeps::kOutput);
  return &instance;
}
const Operator* Sigmoid() {
  static const Activation instance("sigmoid", false, Keeps::kOutput);
  return &instance;
}
const Operator* Silu() {
  static const Activation instance("silu", true, Keeps::kInput);
  return &instance;
}
const Operator* Tanh() {
  static const Activation instance("tanh", true, Keeps::kOutput);
  return &instance;
}

}  // namespace canopy::search_space
