#include "worker/trainer/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "worker/trainer/loss.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/training_checkpoint.h"

namespace canopy::trainer {
namespace {

using trainer_protocol::Job;
using trainer_protocol::Measurement;
using trainer_protocol::Purpose;
using SteadyClock = std::chrono::steady_clock;

// How often a training that is between validations shows that it is alive.
constexpr auto kMeasurementInterval = std::chrono::seconds(2);

double Seconds(SteadyClock::duration duration) { return std::chrono::duration<double>(duration).count(); }

int64_t BatchSize(const Job& job, const TrainingData& data) {
  return std::min(job.recipe.batch_size, static_cast<int64_t>(data.split.train.size()));
}

// One training from its first step to its last.
class Run {
 public:
  Run(const Job& job, const TrainingData& data, GraphModule& network, JobMonitor& monitor)
      : job_(job),
        data_(data),
        network_(network),
        monitor_(monitor),
        loader_(data.images, data.normalization, network.store().compute_type()),
        optimizer_(MakeOptimizer(job.recipe, network.store())),
        total_steps_(TotalSteps(job, data)),
        dropout_(Rng::Derive(job.seeds.augmentation, "dropout")) {}

  StatusOr<TrainingSummary> Execute(std::optional<checkpoint::Checkpoint> from) {
    last_measurement_ = SteadyClock::now();
    int64_t epoch = 0;
    if (from) {
      CANOPY_ASSIGN_OR_RETURN(const TrainingState state,
                              LoadTraining(*std::move(from), network_, *optimizer_));
      epoch = state.epoch;
      summary_.steps = state.steps;
      summary_.best_accuracy = state.best_accuracy;
      dropout_ = state.dropout;
    }
    const int64_t steps_before = summary_.steps;
    for (; summary_.steps < total_steps_ && summary_.rung == 0; ++epoch) {
      CANOPY_RETURN_IF_ERROR(TrainEpoch(epoch));
      if (job_.purpose == Purpose::kProxy) continue;
      CANOPY_RETURN_IF_ERROR(Validate(epoch + 1));
      CANOPY_RETURN_IF_ERROR(PassRung(epoch + 1));
    }
    summary_.train_ms = std::chrono::duration_cast<std::chrono::milliseconds>(training_time_).count();
    summary_.images_per_second =
        static_cast<double>((summary_.steps - steps_before) * BatchSize(job_, data_)) /
        std::max(1e-9, Seconds(training_time_));
    return std::move(summary_);
  }

 private:
  Status TrainEpoch(int64_t epoch) {
    const std::string name = "epoch " + std::to_string(epoch);
    std::vector<int64_t> order = data_.split.train;
    Rng::Derive(job_.seeds.data_order, name).Shuffle(std::span(order));
    Rng augmentation = Rng::Derive(job_.seeds.augmentation, name);
    const auto batch_size = static_cast<size_t>(BatchSize(job_, data_));
    double loss_sum = 0;
    int64_t images = 0;
    const auto begin = SteadyClock::now();
    for (size_t at = 0; at + batch_size <= order.size() && summary_.steps < total_steps_; at += batch_size) {
      CANOPY_RETURN_IF_ERROR(monitor_.CheckStop());
      CANOPY_ASSIGN_OR_RETURN(const double loss,
                              Step(std::span(order).subspan(at, batch_size), augmentation));
      loss_sum += loss;
      images += static_cast<int64_t>(batch_size);
      summary_.train_loss = loss_sum / static_cast<double>(images);
      if (SteadyClock::now() - last_measurement_ >= kMeasurementInterval)
        CANOPY_RETURN_IF_ERROR(Measure(epoch, {{"train_loss", summary_.train_loss}}));
    }
    training_time_ += SteadyClock::now() - begin;
    return absl::OkStatus();
  }

  // The loss summed over the batch.
  StatusOr<double> Step(std::span<const int64_t> examples, Rng& augmentation) {
    const data::Augmentation augment = {.random_crop = job_.recipe.random_crop,
                                        .random_flip = job_.recipe.random_flip,
                                        .cutout = job_.recipe.cutout};
    const double learning_rate = LearningRateAt(job_.recipe, summary_.steps, total_steps_);
    LossValue loss;
    {
      const c10::InferenceMode no_autograd;
      loss = TrainBatch(network_, *optimizer_, loader_.Load(examples, augment, augmentation),
                        loader_.Labels(examples), job_.recipe.label_smoothing, learning_rate, dropout_);
    }
    if (!std::isfinite(loss.sum)) return Diverged("the training loss", loss.sum, learning_rate);
    ++summary_.steps;
    return loss.sum;
  }

  // Reports where that is a rung which was not passed before.
  Status PassRung(int64_t complete_epochs) {
    const auto found = std::find(job_.rungs.begin(), job_.rungs.end(), complete_epochs);
    const int64_t rung = found - job_.rungs.begin() + 1;
    if (found == job_.rungs.end() || rung <= job_.rung || summary_.steps >= total_steps_)
      return absl::OkStatus();
    CANOPY_ASSIGN_OR_RETURN(const trainer_protocol::RungAction action,
                            monitor_.ReportRung({.attempt_id = job_.attempt_id,
                                                 .fence = job_.fence,
                                                 .rung = rung,
                                                 .epoch = complete_epochs,
                                                 .metrics = {{"val_accuracy", summary_.validation.accuracy()},
                                                             {"val_loss", summary_.validation.loss},
                                                             {"best_val_accuracy", summary_.best_accuracy},
                                                             {"train_loss", summary_.train_loss}}}));
    if (action == trainer_protocol::RungAction::kContinue) return absl::OkStatus();
    summary_.rung = rung;
    if (action == trainer_protocol::RungAction::kPause)
      summary_.paused = SaveTraining({complete_epochs, summary_.steps, summary_.best_accuracy, dropout_},
                                     network_, *optimizer_, {data_.normalization, data_.split.hash});
    return absl::OkStatus();
  }

  Status Validate(int64_t complete_epochs) {
    CANOPY_ASSIGN_OR_RETURN(
        summary_.validation,
        EvaluateExamples(network_, data_.images, data_.split.validation, data_.normalization, monitor_));
    const Evaluation& validation = summary_.validation;
    if (!std::isfinite(validation.loss))
      return Diverged("the validation loss", validation.loss,
                      LearningRateAt(job_.recipe, summary_.steps - 1, total_steps_));
    summary_.best_accuracy = std::max(summary_.best_accuracy, validation.accuracy());
    return Measure(complete_epochs, {{"val_accuracy", validation.accuracy()},
                                     {"val_loss", validation.loss},
                                     {"train_loss", summary_.train_loss}});
  }

  Status Measure(int64_t complete_epochs, trainer_protocol::Metrics metrics) {
    last_measurement_ = SteadyClock::now();
    return monitor_.Send(Measurement{.attempt_id = job_.attempt_id,
                                     .fence = job_.fence,
                                     .step = summary_.steps,
                                     .epoch = complete_epochs,
                                     .metrics = std::move(metrics)});
  }

  Status Diverged(std::string_view what, double value, double learning_rate) const {
    return absl::OutOfRangeError(ToAbsl(std::string(what) + " became " + FormatDouble(value) +
                                        " after step " + std::to_string(summary_.steps) + " of " +
                                        std::to_string(total_steps_) + ", at learning rate " +
                                        FormatDouble(learning_rate)));
  }

  const Job& job_;
  const TrainingData& data_;
  GraphModule& network_;
  JobMonitor& monitor_;
  BatchLoader loader_;
  std::unique_ptr<Optimizer> optimizer_;
  int64_t total_steps_;
  Rng dropout_;
  TrainingSummary summary_;
  SteadyClock::duration training_time_{};
  SteadyClock::time_point last_measurement_;
};

}  // namespace

LossValue TrainBatch(GraphModule& network, Optimizer& optimizer, at::Tensor batch,
                     std::span<const uint8_t> labels, double label_smoothing, double learning_rate,
                     Rng& noise) {
  const c10::InferenceMode no_autograd;  // operations bring their own gradients
  const at::Tensor logits = network.ForwardTraining(batch, noise);
  batch.reset();  // kept by those operations alone that need it
  at::Tensor gradient;
  const LossValue loss = EvaluateWithGradient(logits, labels, label_smoothing, gradient);
  if (!std::isfinite(loss.sum)) return loss;
  network.Backward(gradient);
  optimizer.Step(learning_rate);
  network.store().RefreshCompute();
  return loss;
}

int64_t TotalSteps(const Job& job, const TrainingData& data) {
  const int64_t per_epoch = static_cast<int64_t>(data.split.train.size()) / BatchSize(job, data);
  const int64_t all = per_epoch * job.epochs;
  return job.max_steps > 0 ? std::min(all, job.max_steps) : all;
}

StatusOr<TrainingSummary> Train(const Job& job, const TrainingData& data, GraphModule& network,
                                JobMonitor& monitor, std::optional<checkpoint::Checkpoint> from) {
  return Run(job, data, network, monitor).Execute(std::move(from));
}

}  // namespace canopy::trainer
