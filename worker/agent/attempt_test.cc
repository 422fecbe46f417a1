#include "worker/agent/attempt.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/sha256.h"
#include "worker/agent/agent_test_support.h"

namespace canopy::agent {
namespace {

// Attempts with real processes of tests/testing/fake_trainer.
class AttemptTest : public testing::Test {
 protected:
  AttemptTest() {
    ::setenv("CANOPY_FAKE_TRAINER_CASES",
             R"([{"decisions":{"candidate":"abort"},"do":"abort"},
                 {"decisions":{"candidate":"segv"},"do":"segv"},
                 {"decisions":{"candidate":"kill"},"do":"kill"},
                 {"decisions":{"candidate":"exit"},"do":"exit"},
                 {"decisions":{"candidate":"garbage"},"do":"garbage"},
                 {"decisions":{"candidate":"hang"},"do":"hang"},
                 {"decisions":{"candidate":"deaf"},"do":"deaf"},
                 {"decisions":{"candidate":"diverge"},"do":"diverge"},
                 {"decisions":{"candidate":"out_of_memory"},"do":"out_of_memory"},
                 {"decisions":{"candidate":"invalid"},"do":"invalid"},
                 {"decisions":{"candidate":"disk_full"},"do":"disk_full"},
                 {"decisions":{"candidate":"data"},"do":"data"}])",
             1);
    ::setenv("CANOPY_FAKE_TRAINER_STEPS", "4", 1);
  }
  ~AttemptTest() override {
    ::unsetenv("CANOPY_FAKE_TRAINER_CASES");
    ::unsetenv("CANOPY_FAKE_TRAINER_STEPS");
  }

  v1::Outcome Run(const v1::Lease& lease) { return Run(lease, std::make_shared<AttemptControl>(lease)); }
  v1::Outcome Run(const v1::Lease& lease, std::shared_ptr<AttemptControl> control) {
    return RunAttempt(environment_, lease, control, [this, control](v1::ReportRungRequest request) {
      reports_.push_back(request);
      if (at_rungs_ != v1::RUNG_ACTION_UNSPECIFIED) control->SetRungAnswer({request.rung(), at_rungs_});
    });
  }
  // Reports after the first and the second of four epochs.
  static v1::Lease LeaseWithRungs(int64_t attempt_id) {
    v1::Lease lease = TestLease(attempt_id);
    lease.set_epochs(4);
    lease.add_rungs(1);
    lease.add_rungs(2);
    return lease;
  }

  bool MeasureLockTaken() const {
    const int fd = ::open((folder_.path() + "/measure.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const bool taken = ::flock(fd, LOCK_SH | LOCK_NB) != 0;
    ::close(fd);
    return taken;
  }

  std::atomic<int> results_ = 0;
  std::vector<v1::ReportRungRequest> reports_;
  v1::RungAction at_rungs_ = v1::RUNG_ACTION_CONTINUE;  // unspecified: nobody answers
  TemporaryFolder folder_;
  SystemClock clock_;
  StateDirectory state_ = *StateDirectory::Open(folder_.path() + "/state", "");
  std::unique_ptr<TrainerLauncher> launcher_ = MakeProcessLauncher({CANOPY_FAKE_TRAINER});
  RunningTrainers running_{folder_.path(), clock_};
  AttemptEnvironment environment_{.state = state_,
                                  .launcher = *launcher_,
                                  .running = running_,
                                  .clock = clock_,
                                  .lock_folder = folder_.path(),
                                  .datasets = {{"images", {.folder = "/data", .digest = "d1-d2"}}},
                                  .trainer_build = "build",
                                  .libtorch_version = "torch",
                                  .device_model = "cpu model",
                                  .new_result_id = [this] { return "result" + std::to_string(++results_); },
                                  .oom_kills = [] { return int64_t{0}; }};
};

TEST_F(AttemptTest, ReportsAResultWithItsOrigin) {
  const v1::Lease lease = TestLease(1);
  const auto control = std::make_shared<AttemptControl>(lease);
  const v1::Outcome outcome = Run(lease, control);
  ASSERT_TRUE(outcome.has_result()) << outcome.DebugString();
  EXPECT_EQ(outcome.result_id(), "result1");
  EXPECT_EQ(outcome.attempt_id(), 1);
  EXPECT_EQ(outcome.trial_id(), 101);
  EXPECT_EQ(outcome.fence(), 1001);
  EXPECT_EQ(outcome.database_id(), "db");
  EXPECT_EQ(outcome.incarnation(), 1);
  const v1::AttemptResult& result = outcome.result();
  EXPECT_TRUE(result.metrics().contains("val_accuracy"));
  EXPECT_EQ(result.steps(), 4);
  EXPECT_EQ(result.epochs(), 1);
  EXPECT_EQ(result.total(), 100);
  EXPECT_EQ(result.dataset_digest(), "d1-d2");
  EXPECT_EQ(result.numeric_mode(), "fp32");
  EXPECT_EQ(result.seeds_json(), R"({"augmentation":"3","data_order":"2","initialization":"1"})");
  EXPECT_EQ(result.trainer_build(), "build");
  EXPECT_EQ(result.device_model(), "cpu model");
  EXPECT_GT(outcome.cost().peak_memory_bytes(), 0);
  EXPECT_GE(outcome.cost().allocated_ms(), outcome.cost().busy_ms());
  EXPECT_EQ(control->progress().step(), 4);
  EXPECT_EQ(control->TakeMeasurements().size(), 4u);
}

TEST_F(AttemptTest, ReportsAtItsRungsAndGoesOn) {
  const v1::Outcome outcome = Run(LeaseWithRungs(1));
  ASSERT_TRUE(outcome.has_result()) << outcome.DebugString();
  EXPECT_EQ(outcome.result().stopped_at_rung(), 0);
  EXPECT_EQ(outcome.result().epochs(), 4);
  ASSERT_EQ(reports_.size(), 2u);
  EXPECT_EQ(reports_[1].attempt_id(), 1);
  EXPECT_EQ(reports_[1].trial_id(), 101);
  EXPECT_EQ(reports_[1].fence(), 1001);
  EXPECT_EQ(reports_[1].database_id(), "db");
  EXPECT_EQ(reports_[1].rung(), 2);
  EXPECT_EQ(reports_[1].epoch(), 2);
  EXPECT_TRUE(reports_[1].metrics().contains("val_accuracy"));
}

TEST_F(AttemptTest, StoppedAtARungItsResultSaysSo) {
  at_rungs_ = v1::RUNG_ACTION_STOP;
  const v1::Outcome outcome = Run(LeaseWithRungs(1));
  ASSERT_TRUE(outcome.has_result()) << outcome.DebugString();
  EXPECT_EQ(outcome.result().stopped_at_rung(), 1);
  EXPECT_EQ(outcome.result().epochs(), 1);
  EXPECT_EQ(reports_.size(), 1u);
}

TEST_F(AttemptTest, PausedItGoesOnFromItsCheckpointPastTheRungsThatItReported) {
  at_rungs_ = v1::RUNG_ACTION_PAUSE;
  const v1::Outcome paused = Run(LeaseWithRungs(1));
  ASSERT_TRUE(paused.has_paused()) << paused.DebugString();
  EXPECT_EQ(paused.paused().rung(), 1);
  const v1::Checkpoint& checkpoint = paused.paused().checkpoint();
  EXPECT_EQ(checkpoint.epoch(), 1);
  EXPECT_EQ(checkpoint.path(), state_.Checkpoint(paused.result_id()));
  EXPECT_EQ(*Sha256HexOfFile(checkpoint.path()), checkpoint.sha256());

  at_rungs_ = v1::RUNG_ACTION_CONTINUE;
  v1::Lease lease = LeaseWithRungs(2);
  lease.set_rung(1);
  *lease.mutable_checkpoint() = checkpoint;
  reports_.clear();
  EXPECT_TRUE(Run(lease).has_result());
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].rung(), 2);

  // Damaged, it is as none: the training begins anew, and still passes what it reported.
  ASSERT_TRUE(WriteFileDurably(checkpoint.path(), "0").ok());
  reports_.clear();
  lease.set_attempt_id(3);
  EXPECT_TRUE(Run(lease).has_result());
  EXPECT_EQ(reports_.size(), 1u);
  state_.DropCheckpoint(checkpoint.path());
  EXPECT_FALSE(FileExists(checkpoint.path()));
}

TEST_F(AttemptTest, WithoutAnAnswerItGoesOn) {
  at_rungs_ = v1::RUNG_ACTION_UNSPECIFIED;
  environment_.rung_answer_ms = 50;
  EXPECT_TRUE(Run(LeaseWithRungs(1)).has_result());
  EXPECT_EQ(reports_.size(), 2u);
}

TEST_F(AttemptTest, AStopThatComesAfterItsRungAppliesWhenItArrives) {
  v1::Lease lease = LeaseWithRungs(1);
  lease.set_decisions_json(R"({"candidate":"hang"})");  // once it is past its rungs
  at_rungs_ = v1::RUNG_ACTION_UNSPECIFIED;
  environment_.rung_answer_ms = 50;
  const auto control = std::make_shared<AttemptControl>(lease);
  v1::Outcome outcome;
  std::thread attempt([&] { outcome = Run(lease, control); });
  while (control->progress().step() < 1) std::this_thread::yield();
  control->SetRungAnswer({1, v1::RUNG_ACTION_PAUSE});  // too late to be of use
  control->SetRungAnswer({1, v1::RUNG_ACTION_STOP});
  attempt.join();
  EXPECT_TRUE(outcome.has_cancelled()) << outcome.DebugString();
}

TEST_F(AttemptTest, PreemptedItGoesOnFromTheStepThatItsCheckpointIsOf) {
  environment_.checkpoints = true;
  v1::Lease lease = TestLease(1, "hang");
  const auto control = std::make_shared<AttemptControl>(lease);
  v1::Outcome outcome;
  std::thread attempt([&] { outcome = Run(lease, control); });
  while (control->progress().step() < 1) std::this_thread::yield();
  control->RequestStop(StopReason::kPreempted);
  attempt.join();
  ASSERT_EQ(outcome.failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED) << outcome.DebugString();
  const v1::Checkpoint& checkpoint = outcome.failure().checkpoint();
  EXPECT_GE(checkpoint.step(), 1);
  EXPECT_EQ(checkpoint.path(), state_.Checkpoint(outcome.result_id()));
  EXPECT_EQ(*Sha256HexOfFile(checkpoint.path()), checkpoint.sha256());

  v1::Lease again = TestLease(2);
  *again.mutable_checkpoint() = checkpoint;
  const auto resumed = std::make_shared<AttemptControl>(again);
  ASSERT_TRUE(Run(again, resumed).has_result());
  const auto measured = resumed->TakeMeasurements();
  ASSERT_FALSE(measured.empty());
  EXPECT_EQ(measured[0].step(), checkpoint.step() + 1);
}

TEST_F(AttemptTest, WithoutACheckpointInTimeOrATrainerThatWritesOneItIsPreemptedAllTheSame) {
  environment_.stop_grace_ms = 50;
  int results = 0;
  const struct {
    std::string candidate;
    bool checkpoints, hurried;
  } cases[] = {{"deaf", true, false}, {"deaf", true, true}, {"hang", false, false}};
  for (const auto& c : cases) {
    // Who is in a hurry waits for nobody.
    environment_.checkpoint_ms = c.hurried ? 600'000 : 50;
    environment_.checkpoints = c.checkpoints;
    const v1::Lease lease = TestLease(1, c.candidate);
    const auto control = std::make_shared<AttemptControl>(lease);
    v1::Outcome outcome;
    std::thread attempt([&] { outcome = Run(lease, control); });
    const std::string log = state_.AttemptLog("result" + std::to_string(++results));
    while (ReadFile(log).value_or("").empty()) std::this_thread::yield();  // it listens no more
    control->RequestStop(StopReason::kPreempted);
    if (c.hurried) control->Hurry();
    attempt.join();
    EXPECT_EQ(outcome.failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED) << outcome.DebugString();
    EXPECT_FALSE(outcome.failure().has_checkpoint());
    EXPECT_FALSE(FileExists(state_.Checkpoint(outcome.result_id())));
  }
}

struct FailureCase {
  std::string candidate;
  v1::FailureClass expected;
  std::string message_part;
};

TEST_F(AttemptTest, GivesEveryEndItsClass) {
  const FailureCase cases[] = {
      {"abort", v1::FAILURE_CLASS_TRAINER_CRASH, "SIGABRT"},
      {"segv", v1::FAILURE_CLASS_TRAINER_CRASH, "SIGSEGV"},
      {"kill", v1::FAILURE_CLASS_WORKER_LOST, "SIGKILL"},
      {"exit", v1::FAILURE_CLASS_TRAINER_CRASH, "status 3"},
      {"garbage", v1::FAILURE_CLASS_TRAINER_CRASH, "trainer protocol"},
      {"hang", v1::FAILURE_CLASS_TIMEOUT, "no new step"},
      {"diverge", v1::FAILURE_CLASS_DIVERGED, "became nan"},
      {"out_of_memory", v1::FAILURE_CLASS_OUT_OF_MEMORY, "memory"},
      {"invalid", v1::FAILURE_CLASS_INVALID_CANDIDATE, "can't be built"},
      {"data", v1::FAILURE_CLASS_DATA, "damaged"},
      {"disk_full", v1::FAILURE_CLASS_WORKER_LOST, "No space left"},
  };
  int64_t attempt = 0;
  for (const FailureCase& c : cases) {
    environment_.hang_minimum_ms = c.candidate == "hang" ? 500 : 60'000;
    const v1::Outcome outcome = Run(TestLease(++attempt, c.candidate));
    EXPECT_EQ(outcome.failure().failure_class(), c.expected) << c.candidate << ": " << outcome.DebugString();
    EXPECT_NE(outcome.failure().message().find(c.message_part), std::string::npos) << outcome.DebugString();
    EXPECT_EQ(outcome.log_tail(), "fake trainer: " + c.candidate + "\n");
    EXPECT_TRUE(FileExists(state_.AttemptLog(outcome.result_id()))) << "a failure leaves its log";
  }
}

TEST_F(AttemptTest, AKillWhileTheKernelKillsForMemoryIsOutOfMemory) {
  int64_t kills = 7;
  environment_.oom_kills = [&kills] { return kills++; };
  EXPECT_EQ(Run(TestLease(1, "kill")).failure().failure_class(), v1::FAILURE_CLASS_OUT_OF_MEMORY);
}

TEST_F(AttemptTest, AnUnknownRecipeKeyIsAnInvalidCandidateThatNamesIt) {
  v1::Lease lease = TestLease(1);
  lease.set_recipe_json(R"({"learning_rate":0.1,"nesterov_momentum":1})");
  const v1::Outcome outcome = Run(lease);
  EXPECT_EQ(outcome.failure().failure_class(), v1::FAILURE_CLASS_INVALID_CANDIDATE);
  EXPECT_NE(outcome.failure().message().find("'nesterov_momentum'"), std::string::npos);
}

TEST_F(AttemptTest, ADatasetThatIsNotHereOrAnotherOneIsAboutData) {
  v1::Lease lease = TestLease(1);
  lease.set_dataset_digest("d1-d3");
  EXPECT_EQ(Run(lease).failure().failure_class(), v1::FAILURE_CLASS_DATA);
  lease.set_dataset("elsewhere");
  EXPECT_EQ(Run(lease).failure().failure_class(), v1::FAILURE_CLASS_DATA);
}

TEST_F(AttemptTest, TestReadsTheWeightsThatFinalWroteAndNoOthers) {
  v1::Lease final = TestLease(1);
  final.set_purpose(v1::PURPOSE_FINAL);
  const v1::Outcome trained = Run(final);
  ASSERT_TRUE(trained.has_result()) << trained.DebugString();
  EXPECT_EQ(trained.result().weights_path(), state_.Weights(trained.result_id()));
  v1::Lease test = TestLease(2);
  test.set_purpose(v1::PURPOSE_TEST);
  test.set_weights_path(trained.result().weights_path());
  test.set_weights_sha256(trained.result().weights_sha256());
  const v1::Outcome tested = Run(test);
  EXPECT_TRUE(tested.result().metrics().contains("test_accuracy")) << tested.DebugString();
  ASSERT_TRUE(WriteFileDurably(trained.result().weights_path(), "other weights").ok());
  EXPECT_EQ(Run(test).failure().failure_class(), v1::FAILURE_CLASS_DATA);
}

TEST_F(AttemptTest, AnAttemptOfTheSameNumberInAnotherDatabaseTouchesNoWeights) {
  v1::Lease final = TestLease(1);
  final.set_purpose(v1::PURPOSE_FINAL);
  const v1::Outcome trained = Run(final);
  ASSERT_TRUE(trained.has_result()) << trained.DebugString();
  v1::Lease other = TestLease(1, "b");
  other.set_database_id("another");
  other.set_purpose(v1::PURPOSE_FINAL);
  ASSERT_TRUE(Run(other).has_result());
  other.set_decisions_json(R"({"candidate":"abort"})");
  ASSERT_TRUE(Run(other).has_failure());
  const auto sha256 = Sha256HexOfFile(trained.result().weights_path());
  ASSERT_TRUE(sha256.ok()) << Message(sha256.status());
  EXPECT_EQ(*sha256, trained.result().weights_sha256());
}

TEST_F(AttemptTest, AFailedAttemptLeavesNoWeightsAndNoPartsOfThem) {
  const std::string part = state_.UnfinishedWeights("result1") + ".tmp.123";
  ASSERT_TRUE(WriteFileDurably(part, "half").ok());
  v1::Lease final = TestLease(1, "kill");
  final.set_purpose(v1::PURPOSE_FINAL);
  ASSERT_TRUE(Run(final).has_failure());
  EXPECT_FALSE(FileExists(part));
}

TEST_F(AttemptTest, TheNewestHundredLogsOfFailuresStay) {
  namespace fs = std::filesystem;
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(WriteFileDurably(state_.AttemptLog("old" + std::to_string(i)), "failed").ok());
  fs::last_write_time(state_.AttemptLog("old7"), fs::file_time_type::clock::now() - std::chrono::hours(1));
  ASSERT_TRUE(Run(TestLease(1, "abort")).has_failure());
  EXPECT_FALSE(FileExists(state_.AttemptLog("old7")));
  EXPECT_TRUE(FileExists(state_.AttemptLog("old99")));
  EXPECT_TRUE(FileExists(state_.AttemptLog("result1")));
}

TEST(StateDirectory, EmptiesWhatAKilledAgentsTrainersLeftUnfinished) {
  const TemporaryFolder folder;
  std::string unfinished, kept;
  {
    const auto state = StateDirectory::Open(folder.path(), "");
    unfinished = state->UnfinishedWeights("r");
    kept = state->Weights("r");
    for (const std::string& file : {unfinished, unfinished + ".tmp.1", kept})
      ASSERT_TRUE(WriteFileDurably(file, "weights").ok());
  }
  ASSERT_TRUE(StateDirectory::Open(folder.path(), "").ok());
  EXPECT_FALSE(FileExists(unfinished));
  EXPECT_FALSE(FileExists(unfinished + ".tmp.1"));
  EXPECT_TRUE(FileExists(kept));
}

TEST(StateDirectory, ForgetsCheckpointsThatNobodyAskedForInAMonth) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  std::string old, newer;
  {
    const auto state = StateDirectory::Open(folder.path(), "");
    old = state->Checkpoint("a");
    newer = state->Checkpoint("b");
    for (const std::string& file : {old, newer, state->Weights("a")})
      ASSERT_TRUE(WriteFileDurably(file, "weights").ok());
    const auto now = fs::file_time_type::clock::now();
    fs::last_write_time(old, now - std::chrono::hours(31 * 24));
    fs::last_write_time(newer, now - std::chrono::hours(29 * 24));
    fs::last_write_time(state->Weights("a"), now - std::chrono::hours(31 * 24));
  }
  const auto state = StateDirectory::Open(folder.path(), "");
  ASSERT_TRUE(state.ok());
  EXPECT_FALSE(FileExists(old));
  EXPECT_TRUE(FileExists(newer));
  EXPECT_TRUE(FileExists(state->Weights("a")));
}

TEST_F(AttemptTest, ANewerReleasesPurposeOrNumericModeIsNotTheCandidatesFault) {
  v1::Lease lease = TestLease(1);
  lease.set_numeric_mode("fp8");
  EXPECT_EQ(Run(lease).failure().failure_class(), v1::FAILURE_CLASS_WORKER_LOST);
  lease = TestLease(2);
  lease.set_purpose(static_cast<v1::Purpose>(99));
  EXPECT_EQ(Run(lease).failure().failure_class(), v1::FAILURE_CLASS_WORKER_LOST);
}

TEST_F(AttemptTest, MeasureWaitsForTheMeasurementLock) {
  v1::Lease lease = TestLease(1);
  lease.set_purpose(v1::PURPOSE_MEASURE);
  // Everybody who holds running.lock shared is a host whose trainers run.
  const int running = ::open((folder_.path() + "/running.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(running, LOCK_SH), 0);
  v1::Outcome outcome;
  std::atomic<bool> ended = false;
  std::thread measurer([&] {
    outcome = Run(lease);
    ended = true;
  });
  // It has taken its turn, and now waits for the trainers.
  while (!MeasureLockTaken()) std::this_thread::yield();
  EXPECT_FALSE(FileExists(state_.AttemptLog("result1"))) << "it measures beside a trainer";
  EXPECT_FALSE(ended);
  ::close(running);
  measurer.join();
  EXPECT_TRUE(outcome.has_result()) << outcome.DebugString();
}

TEST_F(AttemptTest, AMeasurementThatIsCancelledWhileItWaitsStartsNoTrainer) {
  v1::Lease lease = TestLease(1);
  lease.set_purpose(v1::PURPOSE_MEASURE);
  const auto elsewhere = AcquireMeasurementLock(folder_.path(), [] { return false; });
  ASSERT_TRUE(elsewhere.ok());
  const auto control = std::make_shared<AttemptControl>(lease);
  control->RequestStop(StopReason::kCancelled);
  EXPECT_TRUE(Run(lease, control).has_cancelled());
  EXPECT_FALSE(FileExists(state_.AttemptLog("result1")));
}

TEST_F(AttemptTest, AStoppedTrainerEndsByItself) {
  const v1::Lease lease = TestLease(1, "hang");
  const auto control = std::make_shared<AttemptControl>(lease);
  std::thread stopper([&control] { control->RequestStop(StopReason::kCancelled); });
  const v1::Outcome outcome = Run(lease, control);
  stopper.join();
  EXPECT_TRUE(outcome.has_cancelled()) << outcome.DebugString();
}

TEST_F(AttemptTest, ATrainerThatDoesNotListenIsKilled) {
  environment_.stop_grace_ms = 50;
  const v1::Lease lease = TestLease(1, "deaf");
  const auto control = std::make_shared<AttemptControl>(lease);
  std::thread stopper([this, &control] {
    const auto deaf = [this] {
      const auto log = ReadFile(state_.AttemptLog("result1"));
      return log.ok() && !log->empty();
    };
    while (!deaf()) std::this_thread::yield();
    control->RequestStop(StopReason::kPreempted);
  });
  const v1::Outcome outcome = Run(lease, control);
  stopper.join();
  EXPECT_EQ(outcome.failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED) << outcome.DebugString();
}

TEST_F(AttemptTest, AMissingTrainerIsNamed) {
  const auto launcher = MakeProcessLauncher({folder_.path() + "/no-such-trainer"});
  const AttemptEnvironment environment{.state = state_,
                                       .launcher = *launcher,
                                       .running = running_,
                                       .clock = clock_,
                                       .lock_folder = folder_.path(),
                                       .datasets = environment_.datasets,
                                       .new_result_id = environment_.new_result_id,
                                       .oom_kills = environment_.oom_kills};
  const v1::Lease lease = TestLease(1);
  const v1::Outcome outcome =
      RunAttempt(environment, lease, std::make_shared<AttemptControl>(lease), [](v1::ReportRungRequest) {});
  EXPECT_NE(outcome.failure().message().find("no-such-trainer"), std::string::npos) << outcome.DebugString();
}

}  // namespace
}  // namespace canopy::agent
