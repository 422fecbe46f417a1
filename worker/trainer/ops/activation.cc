// Element-wise activations. Each keeps its input, or its output where that gives the gradient. Some go by way
// of fp32: LibTorch 1.13 has no bf16 of hardtanh_backward and mish.

#include "worker/trainer/ops/activation.h"

#include <memory>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "search_spaces/ops/operator.h"
#include "worker/trainer/kernels/elementwise.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

enum class Keeps { kInput, kOutput };

// F gives Apply(x) and Gradient(dy, kept).
template <typename F>
class Activation final : public Operation {
 public:
  explicit Activation(F function = {}) : function_(function) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    at::Tensor output = function_.Apply(inputs[0]);
    if (mode.training) kept_ = F::kKeeps == Keeps::kInput ? inputs[0] : output;
    return output;
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const at::Tensor kept = std::exchange(kept_, at::Tensor());
    if (!needs_input_gradient_) return {at::Tensor()};
    return {function_.Gradient(gradient, kept)};
  }

 private:
  F function_;
  at::Tensor kept_;
};

struct ReluFunction {
  static constexpr Keeps kKeeps = Keeps::kOutput;
  static at::Tensor Apply(const at::Tensor& x) {
    const at::Tensor input = Dense(x);
    at::Tensor y = at::empty_like(input);
    WithElements(y, [&](auto elements) { Relu(elements(input), y.numel(), elements(y)); });
    return y;
  }
  static at::Tensor Gradient(const at::Tensor& gradient, const at::Tensor& y) {
    const at::Tensor dy = Dense(gradient);
    at::Tensor dx = at::empty_like(y);
    WithElements(y, [&](auto elements) { ReluBackward(elements(y), elements(dy), y.numel(), elements(dx)); });
    return dx;
  }
};

struct Relu6 {
  static constexpr Keeps kKeeps = Keeps::kOutput;
  static at::Tensor Apply(const at::Tensor& x) { return at::hardtanh(x, 0, 6); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& y) {
    return at::hardtanh_backward(dy.to(at::kFloat), y.to(at::kFloat), 0, 6).to(dy.scalar_type());
  }
};

struct HardSwish {
  static constexpr Keeps kKeeps = Keeps::kInput;
  static at::Tensor Apply(const at::Tensor& x) { return at::hardswish(x); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& x) {
    return at::hardswish_backward(dy, x);
  }
};

struct Silu {
  static constexpr Keeps kKeeps = Keeps::kInput;
  static at::Tensor Apply(const at::Tensor& x) { return at::silu(x); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& x) { return at::silu_backward(dy, x); }
};

struct Gelu {
  static constexpr Keeps kKeeps = Keeps::kInput;
  static at::Tensor Apply(const at::Tensor& x) { return at::gelu(x); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& x) { return at::gelu_backward(dy, x); }
};

struct Sigmoid {
  static constexpr Keeps kKeeps = Keeps::kOutput;
  static at::Tensor Apply(const at::Tensor& x) { return at::sigmoid(x); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& y) {
    return at::sigmoid_backward(dy, y);
  }
};

struct Tanh {
  static constexpr Keeps kKeeps = Keeps::kOutput;
  static at::Tensor Apply(const at::Tensor& x) { return at::tanh(x); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& y) { return at::tanh_backward(dy, y); }
};

struct HardSigmoid {
  static constexpr Keeps kKeeps = Keeps::kInput;
  static at::Tensor Apply(const at::Tensor& x) { return at::hardsigmoid(x); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& x) {
    return at::hardsigmoid_backward(dy, x);
  }
};

struct Mish {
  static constexpr Keeps kKeeps = Keeps::kInput;
  static at::Tensor Apply(const at::Tensor& x) { return at::mish(x.to(at::kFloat)).to(x.scalar_type()); }
  static at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& x) {
    return at::mish_backward(dy.to(at::kFloat), x.to(at::kFloat)).to(dy.scalar_type());
  }
};

struct LeakyRelu {
  static constexpr Keeps kKeeps = Keeps::kInput;
  double slope = 0;
  at::Tensor Apply(const at::Tensor& x) const { return at::leaky_relu(x, slope); }
  at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& x) const {
    return at::leaky_relu_backward(dy, x, slope, /*self_is_result=*/false);
  }
};

struct Elu {
  static constexpr Keeps kKeeps = Keeps::kInput;
  double alpha = 1;
  at::Tensor Apply(const at::Tensor& x) const { return at::elu(x, alpha); }
  at::Tensor Gradient(const at::Tensor& dy, const at::Tensor& x) const {
    return at::elu_backward(dy, alpha, /*scale=*/1, /*input_scale=*/1, /*is_result=*/false, x);
  }
};

struct NamedFunction {
  std::string_view word;
  ActivationFunction function;
};

constexpr NamedFunction kFunctions[] = {
    {"relu", [](const at::Tensor& x) { return at::relu(x); }},
    {"relu6", [](const at::Tensor& x) { return at::hardtanh(x.to(at::kFloat), 0, 6).to(x.scalar_type()); }},
    {"hard_swish", HardSwish::Apply},
    {"hard_sigmoid", HardSigmoid::Apply},
    {"silu", Silu::Apply},
    {"gelu", Gelu::Apply},
    {"mish", Mish::Apply},
    {"sigmoid", Sigmoid::Apply},
    {"tanh", Tanh::Apply},
};

}  // namespace

ActivationFunction ActivationNamed(std::string_view word) {
  for (const auto& [name, function] : kFunctions)
    if (name == word) return function;
  CANOPY_CHECK(false, word);
  return nullptr;
}

BuiltOperation BuildRelu(const BuildContext&) { return std::make_unique<Activation<ReluFunction>>(); }
BuiltOperation BuildRelu6(const BuildContext&) { return std::make_unique<Activation<Relu6>>(); }
BuiltOperation BuildHardSwish(const BuildContext&) { return std::make_unique<Activation<HardSwish>>(); }
BuiltOperation BuildSilu(const BuildContext&) { return std::make_unique<Activation<Silu>>(); }
BuiltOperation BuildGelu(const BuildContext&) { return std::make_unique<Activation<Gelu>>(); }
BuiltOperation BuildSigmoid(const BuildContext&) { return std::make_unique<Activation<Sigmoid>>(); }
BuiltOperation BuildTanh(const BuildContext&) { return std::make_unique<Activation<Tanh>>(); }
BuiltOperation BuildHardSigmoid(const BuildContext&) { return std::make_unique<Activation<HardSigmoid>>(); }
BuiltOperation BuildMish(const BuildContext&) { return std::make_unique<Activation<Mish>>(); }
BuiltOperation BuildLeakyRelu(const BuildContext& context) {
  return std::make_unique<Activation<LeakyRelu>>(
      LeakyRelu{search_space::NumberOf(context.node.attributes, "slope")});
}
BuiltOperation BuildElu(const BuildContext& context) {
  return std::make_unique<Activation<Elu>>(Elu{search_space::NumberOf(context.node.attributes, "alpha")});
}

}  // namespace canopy::trainer
