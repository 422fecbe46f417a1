#include <canopy/operator_plugin.h>

#include <cmath>
#include <memory>
#include <vector>

namespace {

using namespace canopy::operator_plugin;

// input * sigmoid(convolution over the channels of the means over the pixels).
class Eca final : public Module {
 public:
  explicit Eca(const Application& application) : kernel_(application.Integer("kernel")) {}

  std::vector<Parameter> parameters() const override {
    const double bound = 1 / std::sqrt(static_cast<double>(kernel_));
    return {{"weight", {1, 1, kernel_}, Parameter::Start::kUniform, bound, /*decays=*/true}};
  }

  at::Tensor Forward(const Call& call) const override {
    const at::Tensor means = call.input.mean({2, 3}).unsqueeze(1);  // [batch, 1, channels]
    const at::Tensor mixed = at::conv1d(means, call.parameters[0], {}, 1, kernel_ / 2);
    return call.input * at::sigmoid(mixed).squeeze(1).unsqueeze(2).unsqueeze(3);
  }

 private:
  const int64_t kernel_;
};

std::unique_ptr<Module> MakeEca(const Application& application) { return std::make_unique<Eca>(application); }

}  // namespace

CANOPY_OPERATORS({"eca", MakeEca})
