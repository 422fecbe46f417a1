#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "worker/data/batch.h"
#include "worker/data/image_set.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/job_monitor.h"

namespace canopy::trainer {

struct Evaluation {
  int64_t correct = 0;
  int64_t total = 0;
  double loss = 0;  // mean cross-entropy in nats

  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(total); }
};

// Runs the network in inference over the examples, with batch norms folded, and checks for a stop between
// batches. REQUIRES at least one example and labels below the network's outputs.
StatusOr<Evaluation> EvaluateExamples(GraphModule& network, const data::ImageSet& images,
                                      std::span<const int64_t> examples,
                                      const data::Normalization& normalization, JobMonitor& monitor);

// The examples' images as a channels-last tensor in the network's compute type.
class BatchLoader {
 public:
  BatchLoader(const data::ImageSet& images, const data::Normalization& normalization, at::ScalarType type)
      : images_(images), normalization_(normalization), type_(type) {}

  at::Tensor Load(std::span<const int64_t> examples) const;
  at::Tensor Load(std::span<const int64_t> examples, const data::Augmentation& augmentation, Rng& rng) const;
  std::vector<uint8_t> Labels(std::span<const int64_t> examples) const;

 private:
  at::Tensor Empty(std::span<const int64_t> examples) const;

  const data::ImageSet& images_;
  const data::Normalization& normalization_;
  at::ScalarType type_;
};

}  // namespace canopy::trainer
