#include "worker/agent/measurement_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "worker/agent/agent_test_support.h"

namespace canopy::agent {
namespace {

bool Never() { return false; }

// Bytes between two processes.
class Pipe {
 public:
  Pipe() { CANOPY_CHECK(::pipe(ends_) == 0); }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void Write(char byte) const { CANOPY_CHECK(::write(ends_[1], &byte, 1) == 1); }
  char Read() const {
    char byte = 0;
    CANOPY_CHECK(::read(ends_[0], &byte, 1) == 1);
    return byte;
  }

 private:
  int ends_[2];
};

// A process that measures when it is told to: answers 'm' while it measures, 'd' when it is done.
class Measurer {
 public:
  explicit Measurer(const std::string& folder) : pid_(::fork()) {
    if (pid_ != 0) return;
    to_.Read();
    {
      const auto lock = AcquireMeasurementLock(folder, Never);
      from_.Write(lock.ok() ? 'm' : 'e');
      to_.Read();
    }
    from_.Write('d');
    ::_exit(0);
  }
  ~Measurer() { Kill(); }
  void Go() const { to_.Write('g'); }
  char Answer() const { return from_.Read(); }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  Pipe to_, from_;
  pid_t pid_;
};

// A trainer that knows whether it runs.
class Switched {
 public:
  RunningTrainers::Switch control() {
    return {.stop =
                [this] {
                  Set(false);
                  return true;
                },
            .resume = [this] { Set(true); }};
  }
  void WaitFor(bool running) {
    const MutexLock lock(mutex_);
    while (running_ != running) changed_.Wait(mutex_);
  }
  bool running() {
    const MutexLock lock(mutex_);
    return running_;
  }

 private:
  void Set(bool running) {
    const MutexLock lock(mutex_);
    running_ = running;
    changed_.NotifyAll();
  }
  Mutex mutex_;
  CondVar changed_;
  bool running_ CANOPY_GUARDED_BY(mutex_) = true;
};

// Stands still until it is set.
class FakeClock final : public Clock {
 public:
  int64_t MonotonicMs() const override { return now_ms_; }
  int64_t WallUs() const override { return 0; }
  void Pass(int64_t ms) { now_ms_ += ms; }

 private:
  std::atomic<int64_t> now_ms_ = 1000;
};

TEST(MeasurementLock, StopsTrainersOfAnotherProcessForTheMeasurementAlone) {
  const TemporaryFolder folder;
  Measurer measurer(folder.path());
  FakeClock clock;
  RunningTrainers trainers(folder.path(), clock);
  Switched trainer;
  ASSERT_TRUE(trainers.Enter(1, Never).ok());
  trainers.SetSwitch(1, trainer.control());
  measurer.Go();
  ASSERT_EQ(measurer.Answer(), 'm');
  EXPECT_FALSE(trainer.running()) << "it measures while a trainer runs";
  clock.Pass(700);
  EXPECT_EQ(trainers.PausedMs(1), 700);
  measurer.Go();
  trainer.WaitFor(true);
  EXPECT_EQ(measurer.Answer(), 'd');
  while (trainers.paused()) std::this_thread::yield();
  clock.Pass(50);
  EXPECT_EQ(trainers.PausedMs(1), 700);
  trainers.Leave(1);
}

TEST(MeasurementLock, ATrainerThatCannotBeStoppedHoldsUpTheMeasurementAndNobodyElse) {
  const TemporaryFolder folder;
  const SystemClock clock;
  RunningTrainers trainers(folder.path(), clock);
  std::atomic<bool> stopping = false, go_on = false;
  const auto stop = [&] {
    stopping = true;
    while (!go_on) std::this_thread::yield();
    return false;
  };
  ASSERT_TRUE(trainers.Enter(1, Never).ok());
  trainers.SetSwitch(1, {.stop = stop, .resume = [] {}});
  ASSERT_TRUE(trainers.Enter(2, Never).ok());
  std::atomic<bool> cancelled = false;
  StatusOr<MeasurementLock> lock;
  std::thread measurer(
      [&] { lock = AcquireMeasurementLock(folder.path(), [&] { return cancelled.load(); }); });
  while (!stopping) std::this_thread::yield();
  EXPECT_EQ(trainers.PausedMs(1), 0) << "it waits for a stop that takes its time";
  trainers.Leave(2);
  go_on = true;
  stopping = false;
  while (!stopping) std::this_thread::yield();  // it is tried again
  EXPECT_FALSE(trainers.paused());
  cancelled = true;
  measurer.join();
  EXPECT_TRUE(absl::IsCancelled(lock.status())) << "it measures beside a trainer";
  trainers.Leave(1);
}

TEST(MeasurementLock, AKilledMeasurerHoldsNobodyUp) {
  const TemporaryFolder folder;
  Measurer measurer(folder.path());
  const SystemClock clock;
  RunningTrainers trainers(folder.path(), clock);
  Switched trainer;
  ASSERT_TRUE(trainers.Enter(1, Never).ok());
  trainers.SetSwitch(1, trainer.control());
  measurer.Go();
  ASSERT_EQ(measurer.Answer(), 'm');
  measurer.Kill();
  trainer.WaitFor(true);
  trainers.Leave(1);
}

TEST(MeasurementLock, NoTrainerStartsDuringAMeasurement) {
  const TemporaryFolder folder;
  Measurer measurer(folder.path());
  measurer.Go();
  ASSERT_EQ(measurer.Answer(), 'm');
  const SystemClock clock;
  RunningTrainers trainers(folder.path(), clock);
  int asked = 0;
  const Status entered = trainers.Enter(1, [&asked] { return ++asked > 3; });
  EXPECT_TRUE(absl::IsCancelled(entered)) << Message(entered);
  measurer.Go();
  ASSERT_EQ(measurer.Answer(), 'd');
  EXPECT_TRUE(trainers.Enter(2, Never).ok());
  trainers.Leave(2);
}

TEST(MeasurementLock, OneMeasuresAtATime) {
  const TemporaryFolder folder;
  Measurer measurer(folder.path());
  measurer.Go();
  ASSERT_EQ(measurer.Answer(), 'm');
  int asked = 0;
  const auto second = AcquireMeasurementLock(folder.path(), [&asked] { return ++asked > 3; });
  EXPECT_TRUE(absl::IsCancelled(second.status()));
  measurer.Kill();
  EXPECT_TRUE(AcquireMeasurementLock(folder.path(), Never).ok());
}

TEST(MeasurementLock, AMeasurementInTheSameProcessStopsItsOtherTrainers) {
  const TemporaryFolder folder;
  const SystemClock clock;
  RunningTrainers trainers(folder.path(), clock);
  Switched trainer;
  ASSERT_TRUE(trainers.Enter(1, Never).ok());
  trainers.SetSwitch(1, trainer.control());
  {
    const auto lock = AcquireMeasurementLock(folder.path(), Never);
    ASSERT_TRUE(lock.ok());
    EXPECT_FALSE(trainer.running());
  }
  trainer.WaitFor(true);
  trainers.Leave(1);
}

}  // namespace
}  // namespace canopy::agent
