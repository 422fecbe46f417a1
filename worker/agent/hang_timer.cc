#include "worker/agent/hang_timer.h"

#include <algorithm>
#include <cstddef>

namespace canopy::agent {
namespace {

constexpr size_t kSamples = 101;
constexpr double kMedians = 10;

}  // namespace

void HangTimer::AtStep(int64_t step, int64_t now_ms) {
  if (step <= last_step_) return;
  const double sample = static_cast<double>(now_ms - last_ms_) / static_cast<double>(step - last_step_);
  if (step_ms_.size() < kSamples) {
    step_ms_.push_back(sample);
  } else {
    step_ms_[next_sample_++ % kSamples] = sample;
  }
  last_step_ = step;
  last_ms_ = now_ms;
}

int64_t HangTimer::LimitMs() const {
  if (step_ms_.empty()) return minimum_ms_;
  std::vector<double> samples = step_ms_;
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return std::max(minimum_ms_, static_cast<int64_t>(kMedians * *middle));
}

}  // namespace canopy::agent
