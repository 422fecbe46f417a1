#include "worker/trainer/loss.h"

#include <gtest/gtest.h>

#include <cmath>

namespace canopy::trainer {
namespace {

const std::vector<uint8_t> kLabels = {2, 0, 1};

at::Tensor Logits() {
  at::manual_seed(4);
  return at::randn({3, 4}) * 3;
}

TEST(Loss, AgreesWithLibTorchsCrossEntropy) {
  const at::Tensor logits = Logits();
  const at::Tensor targets = at::tensor({2, 0, 1}, at::kLong);
  EXPECT_NEAR(Evaluate(logits, kLabels).sum, at::cross_entropy_loss(logits, targets, {}, 2).item<double>(),
              1e-5);

  at::Tensor reference = logits.clone().requires_grad_();
  const at::Tensor loss = at::cross_entropy_loss(reference, targets, {}, 1, -100, 0.1);
  loss.backward();
  at::Tensor gradient;
  EXPECT_NEAR(EvaluateWithGradient(logits, kLabels, 0.1, gradient).sum / 3, loss.item<double>(), 1e-5);
  EXPECT_TRUE(at::allclose(gradient, reference.grad(), 1e-4, 1e-6));
}

TEST(Loss, CountsTheExamplesWhoseLabelIsTheLargestLogit) {
  const at::Tensor logits =
      at::tensor({0.0, 1.0, 9.0, 0.0, 5.0, 1.0, 0.0, 0.0, 0.0, 3.0, 3.0, 0.0}).view({3, 4});
  EXPECT_EQ(Evaluate(logits.to(at::kFloat), kLabels).correct, 3);
  EXPECT_EQ(Evaluate(logits.to(at::kFloat), std::vector<uint8_t>{0, 0, 2}).correct, 1);  // 3 = 3: the first
}

TEST(Loss, StaysFiniteForHugeLogitsAndShowsWhatIsNot) {
  EXPECT_TRUE(std::isfinite(Evaluate(at::full({1, 4}, 1e30, at::kFloat), std::vector<uint8_t>{0}).sum));
  EXPECT_FALSE(std::isfinite(Evaluate(at::full({1, 4}, NAN, at::kFloat), std::vector<uint8_t>{0}).sum));
}

}  // namespace
}  // namespace canopy::trainer
