// A library with operators that are right and wrong, for operator_libraries_test.cc.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "worker/trainer/operator_plugin.h"

namespace {

using namespace canopy::operator_plugin;

// x * weight per channel, with noise in training; counts its training calls in a buffer.
class Scale final : public Module {
 public:
  explicit Scale(const Application& application)
      : channels_(application.input[0]), noise_(application.Number("noise")) {}
  std::vector<Parameter> parameters() const override {
    return {{"weight", {channels_}, Parameter::Start::kNormal, 1.0, true}};
  }
  std::vector<Buffer> buffers() const override { return {{"calls", 1, 5}}; }
  at::Tensor Forward(const Call& call) const override {
    at::Tensor output = call.input * call.parameters[0].view({1, channels_, 1, 1});
    if (!call.training) return output;
    {
      const c10::NoGradGuard no_gradient;
      call.buffers[0].add_(1);
    }
    return output + noise_ * static_cast<double>(call.seed % 1000);
  }

 private:
  const int64_t channels_;
  const double noise_;
};

// Another number of parameters, or another shape, than the rules of the test say.
class Wrong final : public Module {
 public:
  explicit Wrong(int64_t parameters) : parameters_(parameters) {}
  std::vector<Parameter> parameters() const override { return {{"weight", {parameters_}}}; }
  at::Tensor Forward(const Call& call) const override { return call.input.flatten(2); }

 private:
  const int64_t parameters_;
};

// x, or -x where the word says so.
class Sign final : public Module {
 public:
  explicit Sign(const Application& application) : factor_(application.Word("sign") == "minus" ? -1 : 1) {}
  at::Tensor Forward(const Call& call) const override { return call.input * factor_; }

 private:
  const int factor_;
};

std::unique_ptr<Module> MakeSign(const Application& a) { return std::make_unique<Sign>(a); }
std::unique_ptr<Module> MakeScale(const Application& a) { return std::make_unique<Scale>(a); }
std::unique_ptr<Module> MakeWrongCount(const Application&) { return std::make_unique<Wrong>(7); }
std::unique_ptr<Module> MakeWrongShape(const Application&) { return std::make_unique<Wrong>(3); }
std::unique_ptr<Module> MakeThrowing(const Application&) { throw std::runtime_error("no such luck\nstack"); }
std::unique_ptr<Module> MakeNothing(const Application&) { return nullptr; }

}  // namespace

CANOPY_OPERATORS({"test_scale", MakeScale}, {"test_sign", MakeSign}, {"test_wrong_count", MakeWrongCount},
                 {"test_wrong_shape", MakeWrongShape}, {"test_throwing", MakeThrowing},
                 {"test_nothing", MakeNothing})
