#include "worker/trainer/evaluation.h"

#include <algorithm>
#include <cstddef>

#include "worker/trainer/loss.h"

namespace canopy::trainer {
namespace {

// Large enough to spread the cost of a call, small enough for activations to stay in the cache.
constexpr size_t kEvaluationBatch = 128;

}  // namespace

at::Tensor BatchLoader::Empty(std::span<const int64_t> examples) const {
  return EmptyImages(static_cast<int64_t>(examples.size()), images_.channels, images_.height, images_.width,
                     at::kFloat);
}

at::Tensor BatchLoader::Load(std::span<const int64_t> examples) const {
  at::Tensor batch = Empty(examples);
  data::FillBatch(images_, examples, normalization_, batch.data_ptr<float>());
  return batch.to(type_);
}

at::Tensor BatchLoader::Load(std::span<const int64_t> examples, const data::Augmentation& augmentation,
                             Rng& rng) const {
  at::Tensor batch = Empty(examples);
  data::FillBatch(images_, examples, normalization_, augmentation, rng, batch.data_ptr<float>());
  return batch.to(type_);
}

std::vector<uint8_t> BatchLoader::Labels(std::span<const int64_t> examples) const {
  std::vector<uint8_t> labels;
  for (const int64_t example : examples) labels.push_back(images_.labels[static_cast<size_t>(example)]);
  return labels;
}

StatusOr<Evaluation> EvaluateExamples(GraphModule& network, const data::ImageSet& images,
                                      std::span<const int64_t> examples,
                                      const data::Normalization& normalization, JobMonitor& monitor) {
  const c10::InferenceMode inference;
  const BatchLoader loader(images, normalization, network.store().compute_type());
  network.PrepareInference();
  Evaluation evaluation{.total = static_cast<int64_t>(examples.size())};
  double loss_sum = 0;
  for (size_t at = 0; at < examples.size(); at += kEvaluationBatch) {
    CANOPY_RETURN_IF_ERROR(monitor.CheckStop());
    const auto batch = examples.subspan(at, std::min(kEvaluationBatch, examples.size() - at));
    const LossValue loss = Evaluate(network.ForwardInference(loader.Load(batch)), loader.Labels(batch));
    evaluation.correct += loss.correct;
    loss_sum += loss.sum;
  }
  evaluation.loss = loss_sum / static_cast<double>(examples.size());
  return evaluation;
}

}  // namespace canopy::trainer
