#include "worker/trainer/loss.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/check.h"

namespace canopy::trainer {
namespace {

// `row_gradient` may be null.
void AddRow(const float* logits, int64_t classes, uint8_t label, double smoothing, double scale,
            LossValue& total, float* row_gradient) {
  const float* const largest = std::max_element(logits, logits + classes);
  double sum = 0;
  double sum_of_logits = 0;
  for (int64_t c = 0; c < classes; ++c) {
    sum += std::exp(static_cast<double>(logits[c] - *largest));
    sum_of_logits += static_cast<double>(logits[c]);
  }
  const double log_sum = static_cast<double>(*largest) + std::log(sum);
  const double label_loss = log_sum - static_cast<double>(logits[label]);
  const double uniform_loss = log_sum - sum_of_logits / static_cast<double>(classes);
  total.sum += (1 - smoothing) * label_loss + (smoothing == 0 ? 0.0 : smoothing * uniform_loss);
  total.correct += largest - logits == label ? 1 : 0;
  if (row_gradient == nullptr) return;
  for (int64_t c = 0; c < classes; ++c) {
    const double probability = std::exp(static_cast<double>(logits[c]) - log_sum);
    const double target = (c == label ? 1 - smoothing : 0.0) + smoothing / static_cast<double>(classes);
    row_gradient[c] = static_cast<float>((probability - target) * scale);
  }
}

LossValue Total(const at::Tensor& logits, std::span<const uint8_t> labels, double smoothing,
                float* gradient) {
  CANOPY_CHECK(logits.dim() == 2 && logits.size(0) == static_cast<int64_t>(labels.size()));
  const at::Tensor values = logits.to(at::kFloat).contiguous();
  const int64_t classes = values.size(1);
  const double scale = 1.0 / static_cast<double>(labels.size());
  const float* row = values.data_ptr<float>();
  LossValue total;
  for (const uint8_t label : labels) {
    CANOPY_CHECK(label < classes);
    AddRow(row, classes, label, smoothing, scale, total, gradient);
    row += classes;
    if (gradient != nullptr) gradient += classes;
  }
  return total;
}

}  // namespace

LossValue Evaluate(const at::Tensor& logits, std::span<const uint8_t> labels) {
  return Total(logits, labels, 0, nullptr);
}

LossValue EvaluateWithGradient(const at::Tensor& logits, std::span<const uint8_t> labels, double smoothing,
                               at::Tensor& gradient) {
  at::Tensor rows = at::empty(logits.sizes(), at::kFloat);
  const LossValue total = Total(logits, labels, smoothing, rows.data_ptr<float>());
  gradient = rows.to(logits.scalar_type());
  return total;
}

}  // namespace canopy::trainer
