#include "worker/trainer/job_runner.h"

#include <exception>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "search_spaces/cost.h"
#include "search_spaces/graph.h"
#include "worker/checkpoint/safetensors.h"
#include "worker/data/split.h"
#include "worker/trainer/evaluation.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/latency.h"
#include "worker/trainer/process_memory.h"
#include "worker/trainer/training.h"
#include "worker/trainer/weights.h"
#include "worker/trainer/zygote_server.h"

namespace canopy::trainer {
namespace {

using search_space::NetworkGraph;
using trainer_protocol::CheckpointWritten;
using trainer_protocol::Failure;
using trainer_protocol::FailureClass;
using trainer_protocol::Job;
using trainer_protocol::Paused;
using trainer_protocol::Purpose;
using trainer_protocol::Result;
using trainer_protocol::Stop;
using trainer_protocol::StoredFile;
using trainer_protocol::TrainerMessage;

// In a checkpoint's metadata: what wrote it.
constexpr char kBuildKey[] = "build";

// A job's early end: why, and whose fault.
struct JobError {
  Status status;
  FailureClass failure_class = FailureClass::kTrainerCrash;
};

// Runs one job; each method returns false once `error` is set.
class JobExecution {
 public:
  JobExecution(const Job& job, JobMonitor& monitor, DatasetCache& datasets,
               const OperatorLibraries& libraries, Result& result)
      : job_(job), monitor_(monitor), datasets_(datasets), libraries_(libraries), result_(result) {}

  bool Execute() {
    const int64_t threads =
        job_.purpose == Purpose::kMeasure && job_.measure ? job_.measure->threads : job_.threads;
    if (threads != 1 && IsZygoteChild())
      return Fail(FailureClass::kTrainerCrash,
                  InvalidArgument("a zygote's child computes with one thread, the job asks for " +
                                  std::to_string(threads) + "; start the trainer without --zygote"));
    at::set_num_threads(static_cast<int>(threads));
    if (!BuildNetwork()) return false;
    switch (job_.purpose) {
      case Purpose::kSearch:
      case Purpose::kFinal:
      case Purpose::kProxy:
        return TrainNetwork();
      case Purpose::kTest:
        return LoadNetwork() && TestNetwork();
      case Purpose::kMeasure:
        return (!ReadsWeights() || LoadNetwork()) && MeasureNetwork();
    }
    return Fail(FailureClass::kTrainerCrash, Internal("unknown purpose"));
  }

  const JobError& error() const { return error_; }
  // How the job ended where it is to go on some day.
  std::optional<Paused> TakePaused() { return std::exchange(paused_, std::nullopt); }

 private:
  bool Fail(FailureClass failure_class, Status status) {
    error_ = {std::move(status), failure_class};
    return false;
  }

  // Keeps the value; on an error the job fails with that class.
  template <typename T>
  bool Take(StatusOr<T> value, FailureClass failure_class, T& to) {
    if (!value.ok()) return Fail(failure_class, value.status());
    to = *std::move(value);
    return true;
  }

  bool ReadsWeights() const {
    return job_.purpose == Purpose::kTest || (job_.purpose == Purpose::kMeasure && !job_.weights_in.empty());
  }

  std::optional<uint64_t> InitializationSeed() const {
    if (ReadsWeights()) return std::nullopt;
    return job_.seeds.initialization;
  }

  bool BuildNetwork() {
    constexpr FailureClass kClass = FailureClass::kInvalidCandidate;
    if (job_.graph.empty()) return Fail(kClass, InvalidArgument("the job has no network graph to build"));
    NetworkGraph graph;
    if (!Take(NetworkGraph::FromJson(job_.graph), kClass, graph)) return false;
    search_space::Costs costs;
    if (!Take(search_space::ComputeCosts(graph), kClass, costs)) return false;
    const auto& output = graph.nodes[static_cast<size_t>(graph.output)].shape;
    if (output != std::vector<int64_t>{job_.class_count})
      return Fail(kClass,
                  InvalidArgument("the network's output must be one value per class, of which the task has " +
                                  std::to_string(job_.class_count)));
    const auto type = job_.numeric_mode == trainer_protocol::NumericMode::kBf16 ? at::kBFloat16 : at::kFloat;
    if (!Take(GraphModule::Build(graph, type, InitializationSeed(), libraries_), kClass, network_))
      return false;
    result_.params = network_->store().count();
    result_.macs = costs.macs;
    return true;
  }

  // The images must be what the network takes, and the labels what it can say.
  bool CheckImages(const data::ImageSet& images) {
    const std::vector<int64_t> shape = {images.channels, images.height, images.width};
    if (network_->graph().nodes[0].shape != shape)
      return Fail(FailureClass::kInvalidCandidate,
                  InvalidArgument("the network's input has not the shape of the dataset's images, " +
                                  std::to_string(images.channels) + "x" + std::to_string(images.height) +
                                  "x" + std::to_string(images.width)));
    if (images.class_count > job_.class_count)
      return Fail(FailureClass::kData,
                  DataLoss("the dataset has a label " + std::to_string(images.class_count - 1) +
                           ", expected " + std::to_string(job_.class_count) + " classes, counted from 0"));
    return true;
  }

  bool TrainNetwork() {
    constexpr FailureClass kData = FailureClass::kData;
    std::shared_ptr<const data::ImageSet> images;
    if (!Take(datasets_.TrainingImages(job_.dataset), kData, images) || !CheckImages(*images)) return false;
    data::TrainValidationSplit split;
    if (!Take(data::SplitBySeed(images->count, job_.split.seed, job_.split.validation_count), kData, split))
      return false;
    const data::Normalization normalization = data::ComputeNormalization(*images, split.train);
    const TrainingData data = {*images, split, normalization};
    const int64_t total_steps = TotalSteps(job_, data);
    if (total_steps < 1)
      return Fail(FailureClass::kTrainerCrash, InvalidArgument("a job that trains has at least one epoch"));
    if (!Started(total_steps)) return false;
    TrainingCheckpoints checkpoints;
    if (!job_.checkpoint_in.empty()) {
      checkpoint::Checkpoint file;
      if (!Take(checkpoint::ReadCheckpoint(job_.checkpoint_in, job_.checkpoint_sha256),
                FailureClass::kTrainerCrash, file))
        return false;
      if (file.metadata[kBuildKey] == Build()) {
        checkpoints.from = std::move(file);
      } else {
        CANOPY_LOG(Warning, "the checkpoint is of another build: the training begins anew",
                   {{"path", job_.checkpoint_in}, {"build", file.metadata[kBuildKey]}, {"this", Build()}});
      }
    }
    if (!job_.checkpoint_out.empty())
      checkpoints.store = [this](checkpoint::Checkpoint file, int64_t step, int64_t epoch) {
        return StoreAsked(std::move(file), step, epoch);
      };
    auto summary = Train(job_, data, *network_, monitor_, std::move(checkpoints));
    if (!summary.ok())
      return Fail(
          absl::IsOutOfRange(summary.status()) ? FailureClass::kDiverged : FailureClass::kTrainerCrash,
          summary.status());
    if (summary->paused) return StorePaused(*std::move(summary));
    Report(*summary);
    result_.dataset_digest = job_.dataset.digest;
    result_.split_hash = split.hash;
    return job_.weights_out.empty() || StoreNetwork({normalization, split.hash});
  }

  // Figures of two builds may differ in their last bits.
  std::string Build() const { return result_.trainer_build + " libtorch " + result_.libtorch_version; }

  Status StoreAsked(checkpoint::Checkpoint file, int64_t step, int64_t epoch) {
    CheckpointWritten message{
        .attempt_id = job_.attempt_id, .fence = job_.fence, .step = step, .epoch = epoch};
    file.metadata[kBuildKey] = Build();
    const auto written = checkpoint::WriteCheckpoint(job_.checkpoint_out, file);
    if (written.ok())
      message.checkpoint = {.path = job_.checkpoint_out, .sha256 = written->sha256, .bytes = written->bytes};
    else
      CANOPY_LOG(Error, "the checkpoint could not be written: " + Message(written.status()));
    return monitor_.Send(message);
  }

  bool StorePaused(TrainingSummary summary) {
    Paused paused{.attempt_id = job_.attempt_id, .fence = job_.fence, .rung = summary.rung};
    paused.epoch = job_.rungs[static_cast<size_t>(summary.rung - 1)];
    StoredFile& stored = paused.checkpoint.emplace();
    summary.paused->metadata[kBuildKey] = Build();
    if (!Store(*summary.paused, job_.checkpoint_out, "store the checkpoint", stored)) return false;
    paused_ = std::move(paused);
    return true;
  }

  bool Store(const checkpoint::Checkpoint& file, const std::string& path, const char* what,
             StoredFile& stored) {
    const auto written = checkpoint::WriteCheckpoint(path, file);
    if (!written.ok())  // a full disk is no fault of the candidate's
      return Fail(
          absl::IsInvalidArgument(written.status()) ? FailureClass::kTrainerCrash : FailureClass::kWorkerLost,
          WithContext(written.status(), what));
    stored = {.path = path, .sha256 = written->sha256, .bytes = written->bytes};
    return true;
  }

  void Report(const TrainingSummary& summary) {
    result_.steps = summary.steps;
    result_.train_ms = summary.train_ms;
    result_.images_per_second = summary.images_per_second;
    result_.metrics["train_loss"] = summary.train_loss;
    if (job_.purpose == Purpose::kProxy) return;
    result_.correct = summary.validation.correct;
    result_.total = summary.validation.total;
    result_.metrics["val_accuracy"] = summary.validation.accuracy();
    result_.metrics["val_loss"] = summary.validation.loss;
    result_.metrics["best_val_accuracy"] = summary.best_accuracy;
  }

  bool StoreNetwork(const NetworkWeights& weights) {
    return Store(SaveWeights(*network_, weights), job_.weights_out, "store the trained weights",
                 result_.weights.emplace());
  }

  bool LoadNetwork() {
    checkpoint::Checkpoint file;
    return Take(checkpoint::ReadCheckpoint(job_.weights_in), FailureClass::kData, file) &&
           Take(LoadWeights(file, *network_), FailureClass::kData, weights_);
  }

  bool TestNetwork() {
    std::string folder;
    data::ImageSet images;
    if (!Take(data::DatasetFolder(job_.dataset.name, job_.dataset.path), FailureClass::kData, folder) ||
        !Take(data::LoadPart(folder, data::Part::kTest), FailureClass::kData, images) || !CheckImages(images))
      return false;
    const Status verified =
        data::VerifyPart(data::ContentDigest(images), data::Part::kTest, job_.dataset.digest);
    if (!verified.ok()) return Fail(FailureClass::kData, verified);
    if (!Started(0)) return false;
    std::vector<int64_t> all(static_cast<size_t>(images.count));
    std::iota(all.begin(), all.end(), int64_t{0});
    Evaluation evaluation;
    if (!Take(EvaluateExamples(*network_, images, all, weights_.normalization, monitor_),
              FailureClass::kTrainerCrash, evaluation))
      return false;
    result_.metrics["test_accuracy"] = evaluation.accuracy();
    result_.metrics["test_loss"] = evaluation.loss;
    result_.correct = evaluation.correct;
    result_.total = evaluation.total;
    result_.dataset_digest = job_.dataset.digest;
    result_.split_hash = weights_.split_hash;
    return true;
  }

  bool MeasureNetwork() {
    return Started(0) &&
           Take(MeasureLatency(*network_, job_.measure.value_or(trainer_protocol::Measure{}), monitor_),
                FailureClass::kTrainerCrash, result_.metrics);
  }

  bool Started(int64_t total_steps) {
    const Status sent = monitor_.Send(trainer_protocol::Started{
        .attempt_id = job_.attempt_id, .fence = job_.fence, .total_steps = total_steps});
    return sent.ok() || Fail(FailureClass::kTrainerCrash, sent);
  }

  const Job& job_;
  JobMonitor& monitor_;
  DatasetCache& datasets_;
  const OperatorLibraries& libraries_;
  Result& result_;
  std::unique_ptr<GraphModule> network_;
  NetworkWeights weights_;
  std::optional<Paused> paused_;
  JobError error_;
};

// LibTorch's CPU allocator reports a failure as a plain error.
bool IsOutOfMemory(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
         std::string_view(error.what()).find("can't allocate memory") != std::string_view::npos;
}

// The first line: what LibTorch appends is a stack trace.
std::string FirstLine(const std::exception& error) { return Split(error.what(), '\n')[0]; }

}  // namespace

TrainerMessage JobRunner::Run(const Job& job, JobMonitor& monitor) {
  Result result{.attempt_id = job.attempt_id, .fence = job.fence};
  result.trainer_build = trainer_build_;
  result.libtorch_version = LibtorchVersion();
  Failure failure{.attempt_id = job.attempt_id, .fence = job.fence};
  ResetPeakMemory();
  try {
    JobExecution execution(job, monitor, datasets_, libraries_, result);
    if (execution.Execute()) {
      if (auto paused = execution.TakePaused()) {
        paused->peak_memory_bytes = PeakMemoryBytes();
        return *std::move(paused);
      }
      result.peak_memory_bytes = PeakMemoryBytes();
      return result;
    }
    const JobError& error = execution.error();
    if (absl::IsCancelled(error.status))
      return Stop{.attempt_id = job.attempt_id, .fence = job.fence, .reason = Message(error.status)};
    failure.failure_class = error.failure_class;
    failure.message = Message(error.status);
  } catch (const std::exception& error) {
    failure.failure_class = IsOutOfMemory(error) ? FailureClass::kOutOfMemory : FailureClass::kTrainerCrash;
    failure.message = FirstLine(error);
  }
  return failure;
}

}  // namespace canopy::trainer
