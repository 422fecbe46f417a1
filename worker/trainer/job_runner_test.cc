#include "worker/trainer/job_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "search_spaces/cost.h"
#include "worker/data/dataset.h"
#include "worker/protocol/codec.h"
#include "worker/trainer/process_memory.h"
#include "worker/trainer/testing/jobs.h"
#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {
namespace {

using ::testing::HasSubstr;
using trainer_protocol::Failure;
using trainer_protocol::FailureClass;
using trainer_protocol::Job;
using trainer_protocol::Measurement;
using trainer_protocol::NumericMode;
using trainer_protocol::Purpose;
using trainer_protocol::Result;
using trainer_protocol::Started;
using trainer_protocol::Stop;

class JobRunnerTest : public ::testing::Test {
 protected:
  JobRunnerTest() : dataset_(::testing::TempDir()), runner_("test-build", datasets_) {}

  Result MustSucceed(const Job& job) {
    const auto last = runner_.Run(job, monitor_);
    if (const Failure* failure = std::get_if<Failure>(&last)) ADD_FAILURE() << failure->message;
    const Result* result = std::get_if<Result>(&last);
    return result == nullptr ? Result{} : *result;
  }
  void MustFail(const Job& job, FailureClass failure_class, const std::string& text) {
    const auto last = runner_.Run(job, monitor_);
    const Failure* failure = std::get_if<Failure>(&last);
    ASSERT_NE(failure, nullptr);
    EXPECT_EQ(failure->failure_class, failure_class) << failure->message;
    EXPECT_THAT(failure->message, HasSubstr(text));
    EXPECT_EQ(failure->attempt_id, job.attempt_id);
    EXPECT_EQ(failure->fence, job.fence);
  }
  Job Example() const { return StripedJob(dataset_.folder()); }

  StripedDataset dataset_;
  DatasetCache datasets_;
  JobRunner runner_;
  RecordingMonitor monitor_;
};

TEST_F(JobRunnerTest, ASearchJobLearnsAndReportsWhatMakesItComparable) {
  Job job = Example();
  job.dataset.digest = data::DescribeDataset(dataset_.folder())->digest;
  const Result result = MustSucceed(job);
  EXPECT_EQ(result.attempt_id, job.attempt_id);
  EXPECT_EQ(result.fence, job.fence);
  EXPECT_GT(result.metrics.at("val_accuracy"), 0.9);
  EXPECT_GE(result.metrics.at("best_val_accuracy"), result.metrics.at("val_accuracy"));
  EXPECT_LT(result.metrics.at("val_loss"), 0.5);
  EXPECT_EQ(result.total, 128);
  EXPECT_DOUBLE_EQ(result.metrics.at("val_accuracy"), static_cast<double>(result.correct) / 128);
  EXPECT_EQ(result.steps, 3 * (512 / 32));
  const auto costs = *search_space::ComputeCosts(*search_space::NetworkGraph::FromJson(job.graph));
  EXPECT_EQ(result.params, costs.params);
  EXPECT_EQ(result.macs, costs.macs);
  EXPECT_GT(result.peak_memory_bytes, 1 << 20);
  EXPECT_GT(result.images_per_second, 0);
  EXPECT_EQ(result.dataset_digest, job.dataset.digest);
  EXPECT_EQ(result.split_hash.size(), 64u);
  EXPECT_EQ(result.trainer_build, "test-build");
  EXPECT_EQ(result.libtorch_version, LibtorchVersion());
  EXPECT_FALSE(result.weights.has_value());
}

TEST_F(JobRunnerTest, SendsStartedAndAMeasurementPerEpoch) {
  MustSucceed(Example());
  ASSERT_GE(monitor_.messages.size(), 4u);
  EXPECT_EQ(std::get<Started>(monitor_.messages[0]).total_steps, 48);
  int64_t epochs = 0;
  for (const auto& message : monitor_.messages) {
    const Measurement* measurement = std::get_if<Measurement>(&message);
    if (measurement == nullptr || measurement->metrics.count("val_accuracy") == 0) continue;
    EXPECT_EQ(measurement->epoch, ++epochs);
    EXPECT_EQ(measurement->step, epochs * 16);
  }
  EXPECT_EQ(epochs, 3);
}

TEST_F(JobRunnerTest, TheSameJobGivesTheSameMetricsBitForBit) {
  for (const NumericMode mode : {NumericMode::kFp32, NumericMode::kBf16}) {
    Job job = Example();
    job.numeric_mode = mode;
    job.recipe.random_crop = 1;
    const Result first = MustSucceed(job);
    job.attempt_id = "another attempt";
    job.fence = 99;
    const Result second = MustSucceed(job);
    EXPECT_EQ(first.metrics, second.metrics);
    EXPECT_EQ(first.correct, second.correct);
    job.seeds.data_order = 77;
    EXPECT_NE(MustSucceed(job).metrics, first.metrics);
  }
}

TEST_F(JobRunnerTest, Bf16LearnsAsFp32Does) {
  Job job = Example();
  const double exact = MustSucceed(job).metrics.at("val_loss");
  job.numeric_mode = NumericMode::kBf16;
  EXPECT_NEAR(MustSucceed(job).metrics.at("val_loss"), exact, 0.1);
}

TEST_F(JobRunnerTest, ATransformerLearnsInBothNumericModes) {
  Job job = Example();
  job.graph = SmallTransformer(1, StripedDataset::kSize, StripedDataset::kClasses).ToJson();
  job.recipe.optimizer = trainer_protocol::Optimizer::kAdamw;
  job.recipe.learning_rate = 0.01;
  job.epochs = 6;
  for (const NumericMode mode : {NumericMode::kFp32, NumericMode::kBf16}) {
    job.numeric_mode = mode;
    EXPECT_GT(MustSucceed(job).metrics.at("val_accuracy"), 0.9);
  }
}

TEST_F(JobRunnerTest, AdamwLearnsToo) {
  Job job = Example();
  job.recipe.optimizer = trainer_protocol::Optimizer::kAdamw;
  job.recipe.learning_rate = 0.01;
  EXPECT_GT(MustSucceed(job).metrics.at("val_accuracy"), 0.9);
}

TEST_F(JobRunnerTest, AFinalJobsWeightsGiveATestJobTheSameNetwork) {
  Job job = Example();
  job.purpose = Purpose::kFinal;
  job.weights_out = dataset_.folder() + "/weights.safetensors";
  const Result trained = MustSucceed(job);
  ASSERT_TRUE(trained.weights.has_value());
  EXPECT_EQ(trained.weights->sha256, *Sha256HexOfFile(job.weights_out));

  job.purpose = Purpose::kTest;
  job.weights_in = job.weights_out;
  job.weights_out.clear();
  job.seeds = {};  // nothing is drawn
  const Result tested = MustSucceed(job);
  EXPECT_GT(tested.metrics.at("test_accuracy"), 0.9);
  EXPECT_EQ(tested.total, 100);
  EXPECT_EQ(tested.split_hash, trained.split_hash);
  EXPECT_EQ(tested.metrics.count("val_accuracy"), 0u);
  EXPECT_EQ(MustSucceed(job).metrics, tested.metrics);
}

// A job that draws from every random stream and stores its weights.
Job InterruptibleJob(const StripedDataset& dataset, trainer_protocol::Optimizer optimizer) {
  Job job = StripedJob(dataset.folder());
  GraphBuilder builder({1, StripedDataset::kSize, StripedDataset::kSize});
  builder.Add("flatten");
  builder.Linear(16);
  builder.Add("batch_norm");
  builder.Add("relu");
  builder.Add("dropout", {{"rate", 0.25}});
  builder.Linear(StripedDataset::kClasses);
  job.graph = builder.graph().ToJson();
  job.recipe.optimizer = optimizer;
  job.recipe.learning_rate = 0.01;
  job.recipe.random_crop = 1;
  job.recipe.cutout = 2;
  job.purpose = Purpose::kFinal;
  job.epochs = 4;
  job.weights_out = dataset.folder() + "/whole.safetensors";
  return job;
}

TEST_F(JobRunnerTest, PausedAndResumedATrainingEndsWithTheWeightsOfOneThatNeverWas) {
  for (const auto optimizer : {trainer_protocol::Optimizer::kSgd, trainer_protocol::Optimizer::kAdamw}) {
    Job job = InterruptibleJob(dataset_, optimizer);
    const Result whole = MustSucceed(job);

    job.rungs = {1, 2, 3};
    job.checkpoint_out = dataset_.folder() + "/checkpoint.safetensors";
    job.weights_out = dataset_.folder() + "/resumed.safetensors";
    monitor_.ends_at = 2;
    monitor_.ends_with = trainer_protocol::RungAction::kPause;
    const auto end = runner_.Run(job, monitor_);
    const auto* paused = std::get_if<trainer_protocol::Paused>(&end);
    ASSERT_NE(paused, nullptr);
    EXPECT_EQ(paused->rung, 2);
    EXPECT_EQ(paused->epoch, 2);
    ASSERT_TRUE(paused->checkpoint);
    job.rung = 2;
    job.checkpoint_in = paused->checkpoint->path;
    job.checkpoint_sha256 = paused->checkpoint->sha256;
    monitor_.messages.clear();
    const Result resumed = MustSucceed(job);
    EXPECT_EQ(resumed.weights->sha256, whole.weights->sha256);
    EXPECT_EQ(resumed.metrics, whole.metrics);
    EXPECT_EQ(resumed.steps, whole.steps);
    int64_t reports = 0;
    for (const auto& message : monitor_.messages)
      if (const auto* report = std::get_if<trainer_protocol::RungReport>(&message)) {
        EXPECT_EQ(report->rung, 3);
        ++reports;
      }
    EXPECT_EQ(reports, 1);
    job.checkpoint_sha256[0] ^= 1;
    MustFail(job, FailureClass::kTrainerCrash, "checkpoint.safetensors");
  }
}

// What was measured after each epoch but the first few.
std::vector<Measurement> ValidationsAfter(int64_t epochs, const RecordingMonitor& monitor) {
  std::vector<Measurement> found;
  for (const auto& message : monitor.messages)
    if (const auto* measurement = std::get_if<Measurement>(&message);
        measurement != nullptr && measurement->epoch > epochs && measurement->metrics.contains("val_loss"))
      found.push_back(*measurement);
  return found;
}

TEST_F(JobRunnerTest, PreemptedAfterAnyStepAndResumedATrainingEndsWithTheWeightsOfOneThatNeverWas) {
  constexpr int kEpoch = 16;  // steps, after which comes one batch of validation
  for (const auto optimizer : {trainer_protocol::Optimizer::kSgd, trainer_protocol::Optimizer::kAdamw}) {
    Job job = InterruptibleJob(dataset_, optimizer);
    RecordingMonitor uninterrupted;
    const auto end = runner_.Run(job, uninterrupted);
    const Result whole = std::get<Result>(end);
    job.checkpoint_out = dataset_.folder() + "/asked.safetensors";
    job.weights_out = dataset_.folder() + "/resumed.safetensors";
    const struct {
      int after, steps, epochs;
    } cases[] = {{0, 0, 0},
                 {1, 1, 0},
                 {5, 5, 0},
                 {kEpoch - 1, kEpoch - 1, 0},
                 {kEpoch, kEpoch, 0},  // the epoch is not validated
                 {kEpoch + 1, kEpoch, 1},
                 {2 * kEpoch + 9, 2 * kEpoch + 7, 2},
                 {4 * kEpoch + 3, 4 * kEpoch, 3}};
    for (const auto& c : cases) {
      SCOPED_TRACE(c.after);
      RecordingMonitor preempting;
      preempting.checkpoint_after = preempting.stop_after = c.after;
      Job first = job;
      const auto stopped = runner_.Run(first, preempting);
      ASSERT_TRUE(std::holds_alternative<Stop>(stopped));
      const auto* written = std::get_if<trainer_protocol::CheckpointWritten>(&preempting.messages.back());
      ASSERT_NE(written, nullptr);
      EXPECT_EQ(written->step, c.steps);
      EXPECT_EQ(written->epoch, c.epochs);
      ASSERT_TRUE(written->checkpoint);

      Job second = job;
      second.checkpoint_in = written->checkpoint->path;
      second.checkpoint_sha256 = written->checkpoint->sha256;
      monitor_.messages.clear();
      const Result resumed = MustSucceed(second);
      EXPECT_EQ(resumed.weights->sha256, whole.weights->sha256);
      EXPECT_EQ(resumed.metrics, whole.metrics);
      EXPECT_EQ(resumed.steps, whole.steps);
      EXPECT_EQ(ValidationsAfter(0, monitor_), ValidationsAfter(c.epochs, uninterrupted));
    }
  }
}

TEST_F(JobRunnerTest, AskedForACheckpointATrainingGoesOn) {
  Job job = InterruptibleJob(dataset_, trainer_protocol::Optimizer::kSgd);
  const Result whole = MustSucceed(job);
  job.checkpoint_out = dataset_.folder() + "/asked.safetensors";
  monitor_.checkpoint_after = 7;
  EXPECT_EQ(MustSucceed(job).weights->sha256, whole.weights->sha256);
  job.checkpoint_out = dataset_.folder() + "/no-such-folder/asked.safetensors";
  monitor_.checkpoint_after = 7;
  monitor_.messages.clear();
  EXPECT_EQ(MustSucceed(job).weights->sha256, whole.weights->sha256);
  const auto& says =
      std::find_if(monitor_.messages.begin(), monitor_.messages.end(), [](const auto& message) {
        return std::holds_alternative<trainer_protocol::CheckpointWritten>(message);
      });
  ASSERT_NE(says, monitor_.messages.end());
  EXPECT_FALSE(std::get<trainer_protocol::CheckpointWritten>(*says).checkpoint);
}

// Its report may have been accepted or not: the job that goes on says which.
TEST_F(JobRunnerTest, PreemptedWhileItWaitsAtARungATrainingReportsItOnceMoreOrNot) {
  Job job = InterruptibleJob(dataset_, trainer_protocol::Optimizer::kSgd);
  const Result whole = MustSucceed(job);
  job.rungs = {2};
  job.checkpoint_out = dataset_.folder() + "/asked.safetensors";
  monitor_.checkpoint_at = 1;
  monitor_.messages.clear();
  MustSucceed(job);
  const auto written =
      std::find_if(monitor_.messages.begin(), monitor_.messages.end(), [](const auto& message) {
        return std::holds_alternative<trainer_protocol::CheckpointWritten>(message);
      });
  ASSERT_NE(written, monitor_.messages.end());
  job.checkpoint_in = job.checkpoint_out;
  job.checkpoint_sha256 = std::get<trainer_protocol::CheckpointWritten>(*written).checkpoint->sha256;
  monitor_.checkpoint_at = 0;
  for (const int64_t passed : {0, 1}) {
    job.rung = passed;
    monitor_.messages.clear();
    const Result resumed = MustSucceed(job);
    EXPECT_EQ(resumed.weights->sha256, whole.weights->sha256);
    EXPECT_EQ(resumed.metrics, whole.metrics);
    const auto reports = std::count_if(
        monitor_.messages.begin(), monitor_.messages.end(),
        [](const auto& message) { return std::holds_alternative<trainer_protocol::RungReport>(message); });
    EXPECT_EQ(reports, 1 - passed);
  }
}

TEST_F(JobRunnerTest, ACheckpointOfAnotherBuildIsNotGoneOnFrom) {
  Job job = InterruptibleJob(dataset_, trainer_protocol::Optimizer::kSgd);
  job.checkpoint_out = dataset_.folder() + "/asked.safetensors";
  monitor_.checkpoint_after = monitor_.stop_after = 9;
  runner_.Run(job, monitor_);
  job.checkpoint_in = job.checkpoint_out;
  job.checkpoint_sha256 = *Sha256HexOfFile(job.checkpoint_in);
  for (const char* build : {"test-build", "another-build"}) {
    JobRunner runner(build, datasets_);
    RecordingMonitor monitor;
    monitor.checkpoint_after = 0;  // which says where it begins
    runner.Run(job, monitor);
    ASSERT_GE(monitor.messages.size(), 2u);
    EXPECT_EQ(std::get<trainer_protocol::CheckpointWritten>(monitor.messages[1]).step,
              build == std::string("test-build") ? 9 : 0);
    job.checkpoint_sha256 = *Sha256HexOfFile(job.checkpoint_in);
  }
}

TEST_F(JobRunnerTest, StoppedAtARungATrainingsResultIsThatOfTheRung) {
  Job job = Example();
  job.rungs = {1};
  monitor_.ends_at = 1;
  monitor_.ends_with = trainer_protocol::RungAction::kStop;
  const Result stopped = MustSucceed(job);
  const auto report = std::find_if(
      monitor_.messages.begin(), monitor_.messages.end(),
      [](const auto& message) { return std::holds_alternative<trainer_protocol::RungReport>(message); });
  ASSERT_NE(report, monitor_.messages.end());
  EXPECT_EQ(stopped.metrics.at("val_accuracy"),
            std::get<trainer_protocol::RungReport>(*report).metrics.at("val_accuracy"));
  EXPECT_GT(stopped.steps, 0);
}

TEST_F(JobRunnerTest, OnlyATestJobReadsTheTestFiles) {
  Job job = Example();
  job.purpose = Purpose::kFinal;
  job.weights_out = dataset_.folder() + "/weights.safetensors";
  dataset_.RemoveTestFiles();
  MustSucceed(job);
  job.purpose = Purpose::kTest;
  job.weights_in = job.weights_out;
  MustFail(job, FailureClass::kData, "t10k-images");
}

TEST_F(JobRunnerTest, AProxyJobTrainsItsStepsAndDoesNotValidate) {
  Job job = Example();
  job.purpose = Purpose::kProxy;
  job.max_steps = 5;
  const Result result = MustSucceed(job);
  EXPECT_EQ(result.steps, 5);
  EXPECT_EQ(result.total, 0);
  EXPECT_EQ(result.metrics.count("val_accuracy"), 0u);
  EXPECT_GT(result.images_per_second, 0);
}

TEST_F(JobRunnerTest, AMeasureJobNamesRuntimePrecisionBatchThreadsAndDevice) {
  Job job = Example();
  job.purpose = Purpose::kMeasure;
  job.numeric_mode = NumericMode::kBf16;
  job.measure = trainer_protocol::Measure{.batch = 2, .threads = 1, .warmup = 1, .iterations = 9};
  const Result result = MustSucceed(job);
  ASSERT_EQ(result.metrics.size(), 3u);
  EXPECT_GT(result.metrics.at("latency_libtorch_bf16_b2_t1_cpu_p50_ms"), 0);
  EXPECT_LE(result.metrics.at("latency_libtorch_bf16_b2_t1_cpu_p50_ms"),
            result.metrics.at("latency_libtorch_bf16_b2_t1_cpu_p95_ms"));
  EXPECT_LE(result.metrics.at("latency_libtorch_bf16_b2_t1_cpu_p95_ms"),
            result.metrics.at("latency_libtorch_bf16_b2_t1_cpu_p99_ms"));
}

TEST_F(JobRunnerTest, NetworksOfTokensAreMeasuredToo) {
  Job job = Example();
  job.purpose = Purpose::kMeasure;
  job.measure = trainer_protocol::Measure{.warmup = 1, .iterations = 1};
  GraphBuilder numbers({6});
  numbers.Add("embedding", {{"vocabulary", int64_t{9}}, {"features", int64_t{4}}});
  GraphBuilder vectors({6, 4});
  for (GraphBuilder* builder : {&numbers, &vectors}) {
    builder->Add("attention", {{"heads", int64_t{2}}, {"causal", true}});
    builder->Add("global_avg_pool");
    builder->Linear(job.class_count);
    job.graph = builder->graph().ToJson();
    MustSucceed(job);
  }
}

TEST_F(JobRunnerTest, AFastNetworkIsMeasuredForASecondAndNotForAFewRunsAlone) {
  Job job = Example();
  job.purpose = Purpose::kMeasure;
  job.measure = trainer_protocol::Measure{.warmup = 1, .iterations = 1};
  monitor_.stop_after = -1;
  MustSucceed(job);
  const int runs = -1 - monitor_.stop_after;
  EXPECT_GT(runs, 20);
}

TEST_F(JobRunnerTest, WeightsThatTheHostCannotStoreAreNotTheCandidatesFault) {
  Job job = Example();
  job.purpose = Purpose::kFinal;
  job.weights_out = dataset_.folder() + "/no-such-folder/weights.safetensors";
  MustFail(job, FailureClass::kWorkerLost, "no-such-folder");
}

TEST_F(JobRunnerTest, ADivergedTrainingEndsAtOnceWithItsClass) {
  Job job = Example();
  GraphBuilder builder({1, StripedDataset::kSize, StripedDataset::kSize});
  builder.Add("flatten");
  builder.Linear(16);
  builder.Add("relu");
  builder.Linear(StripedDataset::kClasses);
  job.graph = builder.graph().ToJson();
  job.recipe.learning_rate = 1e9;
  job.recipe.warmup_fraction = 0;
  MustFail(job, FailureClass::kDiverged, "loss became");
  for (const auto& message : monitor_.messages) EXPECT_FALSE(std::holds_alternative<Result>(message));
}

TEST_F(JobRunnerTest, ANetworkTooLargeForMemoryIsOutOfMemory) {
  Job job = Example();
  GraphBuilder builder({1, StripedDataset::kSize, StripedDataset::kSize});
  builder.Add("flatten");
  builder.Linear(int64_t{1} << 30);
  builder.Linear(int64_t{1} << 20);  // 2^50 weights
  builder.Linear(StripedDataset::kClasses);
  job.graph = builder.graph().ToJson();
  MustFail(job, FailureClass::kOutOfMemory, "");
}

TEST_F(JobRunnerTest, ANetworkThatDoesNotFitTheTaskIsInvalid) {
  Job job = Example();
  job.graph = "";
  MustFail(job, FailureClass::kInvalidCandidate, "no network graph");
  job.graph = R"({"nodes":[]})";
  MustFail(job, FailureClass::kInvalidCandidate, "");
  job = Example();
  job.class_count = 10;
  MustFail(job, FailureClass::kInvalidCandidate, "one value per class");
  job = Example();
  job.graph = SmallNetwork(1, 9, StripedDataset::kClasses).ToJson();
  MustFail(job, FailureClass::kInvalidCandidate, "1x8x8");
}

TEST_F(JobRunnerTest, AJobWithoutAStepIsRefused) {
  Job job = Example();
  job.epochs = 0;
  MustFail(job, FailureClass::kTrainerCrash, "at least one epoch");
}

TEST_F(JobRunnerTest, ADatasetThatIsMissingOrAnotherIsADataFailure) {
  Job job = Example();
  job.dataset.path = "/nowhere";
  MustFail(job, FailureClass::kData, "/nowhere/train-images");
  job = Example();
  job.dataset.digest = std::string(64, '0') + "-" + std::string(64, '0');
  MustFail(job, FailureClass::kData, "content digest");
  job = Example();
  job.split.validation_count = 640;
  MustFail(job, FailureClass::kData, "validation count");
}

TEST_F(JobRunnerTest, WeightsOfAnotherNetworkAreRefused) {
  Job job = Example();
  job.purpose = Purpose::kFinal;
  job.weights_out = dataset_.folder() + "/weights.safetensors";
  MustSucceed(job);
  job.purpose = Purpose::kTest;
  job.weights_in = job.weights_out;
  GraphBuilder other({1, 8, 8});
  other.Add("flatten");
  other.Linear(StripedDataset::kClasses);
  job.graph = other.graph().ToJson();
  MustFail(job, FailureClass::kData, "another network graph");
  job.weights_in = "/nowhere/weights.safetensors";
  MustFail(job, FailureClass::kData, "/nowhere/weights.safetensors");
}

TEST_F(JobRunnerTest, AStopEndsTheJobBetweenTwoSteps) {
  monitor_.stop_after = 5;
  const auto last = runner_.Run(Example(), monitor_);
  const Stop* stop = std::get_if<Stop>(&last);
  ASSERT_NE(stop, nullptr);
  EXPECT_EQ(stop->reason, "enough");
  EXPECT_EQ(stop->attempt_id, "attempt-1");
}

}  // namespace
}  // namespace canopy::trainer
