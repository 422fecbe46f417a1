#include "worker/trainer/optimizer.h"

#include <cmath>
#include <numbers>

#include "worker/trainer/kernels/optimizer.h"

namespace canopy::trainer {
namespace {

using trainer_protocol::Recipe;

constexpr float kAdamwBeta2 = 0.999F;
constexpr float kAdamwEpsilon = 1e-8F;

// Calls body(span, offset, decay) for the parameters that decay and for the rest.
template <typename Body>
void ForEachSpan(ParameterStore& store, const Recipe& recipe, const Body& body) {
  float* const values = store.values().data_ptr<float>();
  const float* const gradients = store.gradients().data_ptr<float>();
  const auto decay = static_cast<float>(recipe.weight_decay);
  const int64_t decayed = store.decayed_size();
  const int64_t rest = store.values().numel() - decayed;
  body(ParameterSpan{values, gradients, decayed}, int64_t{0}, decay);
  body(ParameterSpan{values + decayed, gradients + decayed, rest}, decayed, recipe.decay_all ? decay : 0.0F);
}

class Sgd final : public Optimizer {
 public:
  Sgd(const Recipe& recipe, ParameterStore& store)
      : recipe_(recipe), store_(store), velocity_(at::zeros_like(store.values())) {}

  std::vector<std::pair<std::string, at::Tensor*>> State() override { return {{"velocity", &velocity_}}; }
  int64_t steps() const override { return 0; }
  void SetSteps(int64_t /*steps*/) override {}
  void Step(double learning_rate) override {
    ForEachSpan(store_, recipe_, [&](const ParameterSpan& span, int64_t offset, float decay) {
      SgdStep(span, velocity_.data_ptr<float>() + offset, static_cast<float>(learning_rate),
              static_cast<float>(recipe_.momentum), decay);
    });
  }

 private:
  Recipe recipe_;
  ParameterStore& store_;
  at::Tensor velocity_;
};

class Adamw final : public Optimizer {
 public:
  Adamw(const Recipe& recipe, ParameterStore& store)
      : recipe_(recipe),
        store_(store),
        first_(at::zeros_like(store.values())),
        second_(at::zeros_like(store.values())) {}

  std::vector<std::pair<std::string, at::Tensor*>> State() override {
    return {{"first_moment", &first_}, {"second_moment", &second_}};
  }
  int64_t steps() const override { return step_; }
  void SetSteps(int64_t steps) override { step_ = steps; }
  void Step(double learning_rate) override {
    ++step_;
    ForEachSpan(store_, recipe_, [&](const ParameterSpan& span, int64_t offset, float decay) {
      AdamwStep(span, {first_.data_ptr<float>() + offset, second_.data_ptr<float>() + offset}, step_,
                static_cast<float>(learning_rate), static_cast<float>(recipe_.momentum), kAdamwBeta2,
                kAdamwEpsilon, decay);
    });
  }

 private:
  Recipe recipe_;
  ParameterStore& store_;
  at::Tensor first_;
  at::Tensor second_;
  int64_t step_ = 0;
};

// The part of the highest learning rate at `progress`, from 0 to 1, of the steps after the warm-up.
double RemainingRate(trainer_protocol::Schedule schedule, double progress) {
  switch (schedule) {
    case trainer_protocol::Schedule::kCosine:
      return 0.5 * (1 + std::cos(std::numbers::pi * progress));
    case trainer_protocol::Schedule::kLinear:
      return 1 - progress;
    case trainer_protocol::Schedule::kStep:
      return progress < 0.5 ? 1 : progress < 0.75 ? 0.1 : 0.01;
    case trainer_protocol::Schedule::kConstant:
      break;
  }
  return 1;
}

}  // namespace

std::unique_ptr<Optimizer> MakeOptimizer(const Recipe& recipe, ParameterStore& store) {
  if (recipe.optimizer == trainer_protocol::Optimizer::kAdamw) return std::make_unique<Adamw>(recipe, store);
  return std::make_unique<Sgd>(recipe, store);
}

double LearningRateAt(const Recipe& recipe, int64_t step, int64_t total_steps) {
  const auto total = static_cast<double>(total_steps);
  const double warmup = std::round(recipe.warmup_fraction * total);
  const auto now = static_cast<double>(step);
  if (now < warmup) return recipe.learning_rate * (now + 1) / warmup;
  const double progress = (now - warmup) / std::max(1.0, total - warmup);
  return recipe.learning_rate * RemainingRate(recipe.schedule, progress);
}

}  // namespace canopy::trainer
