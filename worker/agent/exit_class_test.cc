#include "worker/agent/exit_class.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace canopy::agent {
namespace {

// As waitpid encodes it.
int Exited(int status) { return status << 8; }

struct Case {
  TrainerExit exit;
  bool oom_killed;
  v1::FailureClass expected;
  std::string message_part;
};

TEST(ClassifyExit, NamesClassAndSignalOfEveryEnd) {
  const Case cases[] = {
      {{.wait_status = SIGKILL}, false, v1::FAILURE_CLASS_WORKER_LOST, "SIGKILL"},
      {{.wait_status = SIGKILL}, true, v1::FAILURE_CLASS_OUT_OF_MEMORY, "memory"},
      {{.wait_status = SIGTERM}, true, v1::FAILURE_CLASS_WORKER_LOST, "SIGTERM"},
      {{.wait_status = SIGINT}, false, v1::FAILURE_CLASS_WORKER_LOST, "SIGINT"},
      {{.wait_status = SIGSEGV}, false, v1::FAILURE_CLASS_TRAINER_CRASH, "SIGSEGV"},
      {{.wait_status = SIGABRT | 0x80}, false, v1::FAILURE_CLASS_TRAINER_CRASH, "SIGABRT"},
      {{.wait_status = SIGBUS}, true, v1::FAILURE_CLASS_TRAINER_CRASH, "SIGBUS"},
      {{.wait_status = Exited(3)}, false, v1::FAILURE_CLASS_TRAINER_CRASH, "status 3"},
      {{.wait_status = Exited(0)}, false, v1::FAILURE_CLASS_TRAINER_CRASH, "before it sent a result"},
      {{.wait_status = SIGKILL, .of_zygote = true}, false, v1::FAILURE_CLASS_WORKER_LOST, "zygote"},
      {{.wait_status = SIGKILL, .of_zygote = true}, true, v1::FAILURE_CLASS_WORKER_LOST, "zygote"},
      {{.wait_status = SIGSEGV, .of_zygote = true}, false, v1::FAILURE_CLASS_TRAINER_CRASH, "zygote"},
      {{.start_error = "no more processes"}, false, v1::FAILURE_CLASS_WORKER_LOST, "no more processes"},
  };
  for (const Case& c : cases) {
    const v1::AttemptFailure failure = ClassifyExit(c.exit, c.oom_killed);
    EXPECT_EQ(failure.failure_class(), c.expected) << failure.message();
    EXPECT_NE(failure.message().find(c.message_part), std::string::npos) << failure.message();
  }
}

}  // namespace
}  // namespace canopy::agent
