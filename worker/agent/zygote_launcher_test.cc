// The zygote of the real canopy-trainer, where it was built: forks, kills, and a zygote that dies.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "base/file.h"
#include "worker/agent/agent_test_support.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/trainer_channel.h"
#include "worker/agent/trainer_launcher.h"

namespace canopy::agent {
namespace {

class ZygoteTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!FileExists(CANOPY_TRAINER_PROGRAM))
      GTEST_SKIP() << CANOPY_TRAINER_PROGRAM << " was not built; build the target canopy-trainer";
    launcher_ = MakeZygoteLauncher({CANOPY_TRAINER_PROGRAM}, folder_.path() + "/zygote.log");
  }

  struct Trainer {
    std::shared_ptr<AttemptControl> control;
    TrainerChannel channel;
    std::unique_ptr<TrainerProcess> process;
  };

  // A trainer that has said hello and waits for its job.
  Trainer Launch(int64_t attempt_id) {
    Trainer trainer = {std::make_shared<AttemptControl>(TestLease(attempt_id)), *TrainerChannel::Open(),
                       nullptr};
    auto process =
        launcher_->Launch({.attempt_id = std::to_string(attempt_id),
                           .socket = trainer.channel.trainer_end(),
                           .log = STDERR_FILENO},
                          [control = trainer.control](const TrainerExit& exit) { control->SetExit(exit); });
    CANOPY_CHECK(process.ok(), Message(process.status()));
    trainer.process = *std::move(process);
    trainer.channel.CloseTrainerEnd();
    CANOPY_CHECK(trainer.channel.Send(trainer_protocol::Hello{}).ok());
    for (;;) {
      const auto message = trainer.channel.Receive();
      CANOPY_CHECK(message.ok(), Message(message.status()));
      if (*message) return trainer;
      CANOPY_CHECK(!trainer.channel.closed(), "the trainer ended at once");
      std::this_thread::yield();
    }
  }

  static TrainerExit WaitForExit(const Trainer& trainer) {
    while (!trainer.control->exit()) std::this_thread::yield();
    return *trainer.control->exit();
  }

  TemporaryFolder folder_;
  std::unique_ptr<TrainerLauncher> launcher_;
};

// The child of this process that runs the zygote.
pid_t ChildProcess() {
  std::ifstream children("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  pid_t pid = 0;
  children >> pid;
  return pid;
}

TEST_F(ZygoteTest, ForksATrainerPerAttemptAndReportsItsEnd) {
  Trainer first = Launch(1);
  Trainer second = Launch(2);
  first.channel.FinishSending();
  EXPECT_EQ(WaitForExit(first).wait_status, 0);
  EXPECT_GT(WaitForExit(first).peak_memory_bytes, 0);
  EXPECT_FALSE(second.control->exit());
  second.process->Signal(SIGKILL);
  EXPECT_EQ(WaitForExit(second).wait_status, SIGKILL);
}

char StateOf(pid_t pid) {
  const std::string stat = *ReadFile("/proc/" + std::to_string(pid) + "/stat");
  return stat.at(stat.rfind(')') + 2);
}

TEST_F(ZygoteTest, ASuspendedTrainerHasStoppedWhenTheCallReturns) {
  const Trainer trainer = Launch(1);
  std::ifstream children("/proc/" + std::to_string(ChildProcess()) + "/task/" +
                         std::to_string(ChildProcess()) + "/children");
  pid_t pid = 0;
  ASSERT_TRUE(children >> pid);
  ASSERT_TRUE(trainer.process->Suspend());
  EXPECT_EQ(StateOf(pid), 'T');
  trainer.process->Signal(SIGCONT);
  while (StateOf(pid) == 'T') std::this_thread::yield();
}

TEST_F(ZygoteTest, AZygoteThatHangsSuspendsNothingAndSaysSo) {
  const Trainer trainer = Launch(1);
  const pid_t zygote = ChildProcess();
  ASSERT_EQ(::kill(zygote, SIGSTOP), 0);
  EXPECT_FALSE(trainer.process->Suspend());
  ASSERT_EQ(::kill(zygote, SIGKILL), 0);
}

TEST_F(ZygoteTest, ADeadZygoteTakesItsTrainersAlongAndIsReplaced) {
  const Trainer first = Launch(1);
  const pid_t zygote = ChildProcess();
  ASSERT_GT(zygote, 0);
  ASSERT_EQ(::kill(zygote, SIGKILL), 0);
  const TrainerExit exit = WaitForExit(first);
  EXPECT_TRUE(exit.of_zygote);
  EXPECT_EQ(exit.wait_status, SIGKILL);
  Trainer second = Launch(2);
  second.channel.FinishSending();
  EXPECT_EQ(WaitForExit(second).wait_status, 0);
}

}  // namespace
}  // namespace canopy::agent
