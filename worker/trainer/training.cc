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
  Run(const Job& job, const TrainingData& data, GraphModule& network, JobMonitor& monitor,
      TrainingCheckpoints checkpoints)
      : job_(job),
        data_(data),
        network_(network),
        monitor_(monitor),
        checkpoints_(std::move(checkpoints)),
        loader_(data.images, data.normalization, network.store().compute_type()),
        optimizer_(MakeOptimizer(job.recipe, network.store())),
        total_steps_(TotalSteps(job, data)),
        at_{.dropout = Rng::Derive(job.seeds.augmentation, "dropout")} {
    if (checkpoints_.store)
      monitor_.SetCheckpointWriter([this] { return checkpoints_.store(Save(at_), at_.steps, at_.epoch); });
  }
  ~Run() { monitor_.SetCheckpointWriter(nullptr); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  StatusOr<TrainingSummary> Execute() {
    last_measurement_ = SteadyClock::now();
    if (checkpoints_.from) {
      CANOPY_ASSIGN_OR_RETURN(
          at_, LoadTraining(*std::exchange(checkpoints_.from, std::nullopt), network_, *optimizer_));
    }
    const int64_t steps_before = at_.steps;
    // An epoch that was left after its last step is still to be validated.
    while ((at_.steps < total_steps_ || at_.images > 0) && summary_.rung == 0) {
      CANOPY_RETURN_IF_ERROR(TrainEpoch());
      if (job_.purpose != Purpose::kProxy) {
        CANOPY_RETURN_IF_ERROR(Validate(at_.epoch + 1));
        CANOPY_RETURN_IF_ERROR(PassRung(at_.epoch + 1));
      }
      at_ = NextEpoch();
    }
    summary_.steps = at_.steps;
    summary_.best_accuracy = at_.best_accuracy;
    summary_.train_ms = std::chrono::duration_cast<std::chrono::milliseconds>(training_time_).count();
    summary_.images_per_second = static_cast<double>((at_.steps - steps_before) * BatchSize(job_, data_)) /
                                 std::max(1e-9, Seconds(training_time_));
    return std::move(summary_);
  }

 private:
  checkpoint::Checkpoint Save(const TrainingState& state) {
    return SaveTraining(state, network_, *optimizer_, {data_.normalization, data_.split.hash});
  }

  TrainingState NextEpoch() const {
    TrainingState next = at_;
    ++next.epoch;
    next.images = 0;
    next.loss_sum = 0;
    return next;
  }

  // What is left of the epoch.
  Status TrainEpoch() {
    const std::string name = "epoch " + std::to_string(at_.epoch);
    std::vector<int64_t> order = data_.split.train;
    Rng::Derive(job_.seeds.data_order, name).Shuffle(std::span(order));
    if (at_.images == 0) at_.augmentation = Rng::Derive(job_.seeds.augmentation, name);
    const auto batch_size = static_cast<size_t>(BatchSize(job_, data_));
    const auto begin = SteadyClock::now();
    while (static_cast<size_t>(at_.images) + batch_size <= order.size() && at_.steps < total_steps_) {
      CANOPY_RETURN_IF_ERROR(monitor_.CheckStop());
      const auto batch = std::span(order).subspan(static_cast<size_t>(at_.images), batch_size);
      CANOPY_ASSIGN_OR_RETURN(const double loss, Step(batch));
      at_.loss_sum += loss;
      at_.images += static_cast<int64_t>(batch_size);
      if (SteadyClock::now() - last_measurement_ >= kMeasurementInterval)
        CANOPY_RETURN_IF_ERROR(Measure(at_.epoch, {{"train_loss", MeanLoss()}}));
    }
    summary_.train_loss = MeanLoss();
    training_time_ += SteadyClock::now() - begin;
    return absl::OkStatus();
  }

  double MeanLoss() const { return at_.loss_sum / static_cast<double>(at_.images); }

  // The loss summed over the batch.
  StatusOr<double> Step(std::span<const int64_t> examples) {
    const data::Augmentation augment = {.random_crop = job_.recipe.random_crop,
                                        .random_flip = job_.recipe.random_flip,
                                        .cutout = job_.recipe.cutout};
    const double learning_rate = LearningRateAt(job_.recipe, at_.steps, total_steps_);
    LossValue loss;
    {
      const c10::InferenceMode no_autograd;
      loss = TrainBatch(network_, *optimizer_, loader_.Load(examples, augment, at_.augmentation),
                        loader_.Labels(examples), job_.recipe.label_smoothing, learning_rate, at_.dropout);
    }
    if (!std::isfinite(loss.sum)) return Diverged("the training loss", loss.sum, learning_rate);
    ++at_.steps;
    return loss.sum;
  }

  // Reports where that is a rung which was not passed before.
  Status PassRung(int64_t complete_epochs) {
    const auto found = std::find(job_.rungs.begin(), job_.rungs.end(), complete_epochs);
    const int64_t rung = found - job_.rungs.begin() + 1;
    if (found == job_.rungs.end() || rung <= job_.rung || at_.steps >= total_steps_) return absl::OkStatus();
    CANOPY_ASSIGN_OR_RETURN(const trainer_protocol::RungAction action,
                            monitor_.ReportRung({.attempt_id = job_.attempt_id,
                                                 .fence = job_.fence,
                                                 .rung = rung,
                                                 .epoch = complete_epochs,
                                                 .metrics = {{"val_accuracy", summary_.validation.accuracy()},
                                                             {"val_loss", summary_.validation.loss},
                                                             {"best_val_accuracy", at_.best_accuracy},
                                                             {"train_loss", summary_.train_loss}}}));
    if (action == trainer_protocol::RungAction::kContinue) return absl::OkStatus();
    summary_.rung = rung;
    if (action == trainer_protocol::RungAction::kPause) summary_.paused = Save(NextEpoch());
    return absl::OkStatus();
  }

  Status Validate(int64_t complete_epochs) {
    CANOPY_ASSIGN_OR_RETURN(
        summary_.validation,
        EvaluateExamples(network_, data_.images, data_.split.validation, data_.normalization, monitor_));
    const Evaluation& validation = summary_.validation;
    if (!std::isfinite(validation.loss))
      return Diverged("the validation loss", validation.loss,
                      LearningRateAt(job_.recipe, at_.steps - 1, total_steps_));
    at_.best_accuracy = std::max(at_.best_accuracy, validation.accuracy());
    return Measure(complete_epochs, {{"val_accuracy", validation.accuracy()},
                                     {"val_loss", validation.loss},
                                     {"train_loss", summary_.train_loss}});
  }

  Status Measure(int64_t complete_epochs, trainer_protocol::Metrics metrics) {
    last_measurement_ = SteadyClock::now();
    return monitor_.Send(Measurement{.attempt_id = job_.attempt_id,
                                     .fence = job_.fence,
                                     .step = at_.steps,
                                     .epoch = complete_epochs,
                                     .metrics = std::move(metrics)});
  }

  Status Diverged(std::string_view what, double value, double learning_rate) const {
    return absl::OutOfRangeError(ToAbsl(
        std::string(what) + " became " + FormatDouble(value) + " after step " + std::to_string(at_.steps) +
        " of " + std::to_string(total_steps_) + ", at learning rate " + FormatDouble(learning_rate)));
  }

  const Job& job_;
  const TrainingData& data_;
  GraphModule& network_;
  JobMonitor& monitor_;
  TrainingCheckpoints checkpoints_;
  BatchLoader loader_;
  std::unique_ptr<Optimizer> optimizer_;
  int64_t total_steps_;
  TrainingState at_;
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
                                JobMonitor& monitor, TrainingCheckpoints checkpoints) {
  return Run(job, data, network, monitor, std::move(checkpoints)).Execute();
}

}  // namespace canopy::trainer
