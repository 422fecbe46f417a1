// The canopy-trainer program as an agent meets it: as a persistent trainer and as a zygote.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "worker/protocol/codec.h"
#include "worker/protocol/descriptors.h"
#include "worker/protocol/line_reader.h"
#include "worker/protocol/zygote.h"
#include "worker/trainer/testing/jobs.h"

extern char** environ;

namespace canopy::trainer {
namespace {

using ::testing::HasSubstr;
using trainer_protocol::CheckpointNow;
using trainer_protocol::CheckpointWritten;
using trainer_protocol::Exited;
using trainer_protocol::Hello;
using trainer_protocol::Job;
using trainer_protocol::Measurement;
using trainer_protocol::Result;
using trainer_protocol::Spawned;
using trainer_protocol::Stop;
using trainer_protocol::TrainerMessage;
using trainer_protocol::ZygoteMessage;

// Far above what anything takes; a test that meets it has failed.
constexpr int kPatienceMs = 60000;

// This side of a connection; lines are read with patience.
class Peer {
 public:
  Peer() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    mine_ = ends[0];
    theirs_ = ends[1];
  }
  ~Peer() {
    Close();
    CloseTheirs();
  }
  int theirs() const { return theirs_; }
  void CloseTheirs() {
    if (theirs_ >= 0) ::close(theirs_);
    theirs_ = -1;
  }
  void Close() {
    if (mine_ >= 0) ::close(mine_);
    mine_ = -1;
  }
  void SendLine(const std::string& line, std::span<const int> descriptors = {}) {
    EXPECT_TRUE(trainer_protocol::SendBytes(mine_, line + "\n", descriptors).ok());
  }
  // nullopt: the other side has closed.
  std::optional<std::string> ReadLine() {
    for (;;) {
      auto line = reader_.Next();
      EXPECT_TRUE(line.ok()) << line.status();
      if (!line.ok()) return std::nullopt;
      if (*line) return **line;
      pollfd item{.fd = mine_, .events = POLLIN, .revents = 0};
      const int ready = ::poll(&item, 1, kPatienceMs);
      EXPECT_EQ(ready, 1) << "nothing arrived";
      if (ready != 1) return std::nullopt;
      const auto received = trainer_protocol::ReceiveBytes(mine_);
      if (!received.ok() || received->bytes.empty()) return std::nullopt;
      reader_.Append(received->bytes);
    }
  }

 private:
  int mine_ = -1;
  int theirs_ = -1;
  trainer_protocol::LineReader reader_;
};

// A canopy-trainer process with its end of `peer` in CANOPY_TRAINER_FD.
class Process {
 public:
  Process(Peer& peer, std::vector<std::string> arguments) {
    std::vector<char*> argv;
    arguments.insert(arguments.begin(), CANOPY_TRAINER_PROGRAM);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::string variables[] = {"CANOPY_TRAINER_FD=7", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"};
    std::vector<char*> environment;
    for (std::string& variable : variables) environment.push_back(variable.data());
    for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
    environment.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, peer.theirs(), 7);
    EXPECT_EQ(
        ::posix_spawn(&pid_, CANOPY_TRAINER_PROGRAM, &actions, nullptr, argv.data(), environment.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    peer.CloseTheirs();
  }
  ~Process() {
    Kill();
    Wait();
  }
  void Kill() const { Signal(SIGKILL); }
  void Signal(int signal) const {
    if (pid_ > 0) ::kill(pid_, signal);
  }
  int Wait() {
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
};

std::string Line(const TrainerMessage& message) { return *trainer_protocol::Encode(message); }
std::string ControlLine(const ZygoteMessage& message) { return *trainer_protocol::EncodeZygote(message); }

// Skips measurements.
TrainerMessage NextEvent(Peer& peer) {
  for (;;) {
    const auto line = peer.ReadLine();
    if (!line) return Hello{.version = -1};
    auto message = *trainer_protocol::Decode(*line);
    if (!std::holds_alternative<Measurement>(message)) return message;
  }
}

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() : dataset_(::testing::TempDir()) {}

  Job ShortJob() const { return StripedJob(dataset_.folder()); }
  Job EndlessJob() const {
    Job job = ShortJob();
    job.epochs = 100000;
    return job;
  }

  StripedDataset dataset_;
};

TEST_F(ProgramTest, APersistentTrainerServesJobAfterJobUntilTheSocketCloses) {
  Peer peer;
  Process process(peer, {});
  EXPECT_TRUE(std::holds_alternative<Hello>(NextEvent(peer)));
  peer.SendLine(Line(Hello{}));
  trainer_protocol::Metrics first;
  for (int round = 0; round < 2; ++round) {
    peer.SendLine(Line(ShortJob()));
    EXPECT_TRUE(std::holds_alternative<trainer_protocol::Started>(NextEvent(peer)));
    const auto last = NextEvent(peer);
    ASSERT_TRUE(std::holds_alternative<Result>(last)) << Line(last);
    if (round == 0) first = std::get<Result>(last).metrics;
    EXPECT_EQ(std::get<Result>(last).metrics, first);
  }
  peer.Close();
  EXPECT_EQ(process.Wait(), 0);
}

TEST_F(ProgramTest, AStopEndsTheRunningJobAndTheTrainerTakesTheNext) {
  Peer peer;
  Process process(peer, {});
  peer.SendLine(Line(Hello{}));
  NextEvent(peer);
  const Job job = EndlessJob();
  peer.SendLine(Line(job));
  NextEvent(peer);
  peer.SendLine(Line(Stop{.attempt_id = "some other attempt", .fence = 1}));
  peer.SendLine(Line(Stop{.attempt_id = job.attempt_id, .fence = job.fence, .reason = "cancelled"}));
  const auto last = NextEvent(peer);
  ASSERT_TRUE(std::holds_alternative<Stop>(last)) << Line(last);
  EXPECT_EQ(std::get<Stop>(last).reason, "cancelled");
  peer.SendLine(Line(ShortJob()));
  NextEvent(peer);
  EXPECT_TRUE(std::holds_alternative<Result>(NextEvent(peer)));
}

TEST_F(ProgramTest, ASignalToAllProcessesOfAnAllocationLeavesTheTrainerTimeForItsCheckpoint) {
  Peer peer;
  Process process(peer, {});
  peer.SendLine(Line(Hello{}));
  NextEvent(peer);
  Job job = EndlessJob();
  job.checkpoint_out = dataset_.folder() + "/asked.safetensors";
  peer.SendLine(Line(job));
  NextEvent(peer);
  process.Signal(SIGTERM);
  peer.SendLine(Line(CheckpointNow{.attempt_id = "some other attempt", .fence = 1}));
  peer.SendLine(Line(CheckpointNow{.attempt_id = job.attempt_id, .fence = job.fence}));
  const auto written = NextEvent(peer);
  ASSERT_TRUE(std::holds_alternative<CheckpointWritten>(written)) << Line(written);
  EXPECT_EQ(std::get<CheckpointWritten>(written).checkpoint->path, job.checkpoint_out);
  peer.SendLine(Line(Stop{.attempt_id = job.attempt_id, .fence = job.fence}));
  EXPECT_TRUE(std::holds_alternative<Stop>(NextEvent(peer)));
}

TEST_F(ProgramTest, ATrainerEndsWhenItsSocketClosesMidTraining) {
  Peer peer;
  Process process(peer, {});
  peer.SendLine(Line(Hello{}));
  NextEvent(peer);
  peer.SendLine(Line(EndlessJob()));
  NextEvent(peer);
  peer.Close();
  EXPECT_TRUE(WIFEXITED(process.Wait()));
}

TEST_F(ProgramTest, AnAgentOfAnotherProtocolVersionIsRefused) {
  Peer peer;
  Process process(peer, {});
  peer.SendLine(Line(Hello{.version = 99}));
  const int status = process.Wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

// A zygote with one child spawned.
class ZygoteTest : public ProgramTest {
 protected:
  ZygoteTest() : process_(control_, {"--zygote"}) {
    log_path_ = dataset_.folder() + "/trainer.log";
    control_.SendLine(ControlLine(ZygoteMessage(Hello{})));
    EXPECT_TRUE(std::holds_alternative<Hello>(NextControl()));
  }

  ZygoteMessage NextControl() {
    const auto line = control_.ReadLine();
    if (!line) return Hello{.version = -1};
    return *trainer_protocol::DecodeZygote(*line);
  }
  // Spawns a child on `peer` and gives its pid.
  int64_t SpawnOn(Peer& peer, const std::string& attempt_id) {
    const int log = ::open(log_path_.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    const int descriptors[] = {peer.theirs(), log};
    control_.SendLine(
        ControlLine(ZygoteMessage(trainer_protocol::Spawn{
            .attempt_id = attempt_id, .dataset = {.name = "striped", .path = dataset_.folder()}})),
        descriptors);
    ::close(log);
    peer.CloseTheirs();
    const auto message = NextControl();
    EXPECT_TRUE(std::holds_alternative<Spawned>(message)) << ControlLine(message);
    if (!std::holds_alternative<Spawned>(message)) return 0;
    EXPECT_EQ(std::get<Spawned>(message).attempt_id, attempt_id);
    peer.SendLine(Line(TrainerMessage(Hello{})));
    EXPECT_TRUE(std::holds_alternative<Hello>(NextEvent(peer)));
    return std::get<Spawned>(message).pid;
  }
  Exited NextExited() {
    const auto message = NextControl();
    EXPECT_TRUE(std::holds_alternative<Exited>(message)) << ControlLine(message);
    return std::holds_alternative<Exited>(message) ? std::get<Exited>(message) : Exited{};
  }

  Peer control_;
  Process process_;
  std::string log_path_;
};

TEST_F(ZygoteTest, AChildServesOneJobAndItsEndIsReportedWithItsUsage) {
  Peer peer;
  const int64_t pid = SpawnOn(peer, "a1");
  EXPECT_EQ(::getpgid(static_cast<pid_t>(pid)), static_cast<pid_t>(pid));
  peer.SendLine(Line(ShortJob()));
  NextEvent(peer);
  EXPECT_TRUE(std::holds_alternative<Result>(NextEvent(peer)));
  const Exited exited = NextExited();
  EXPECT_EQ(exited.attempt_id, "a1");
  EXPECT_EQ(exited.pid, pid);
  EXPECT_EQ(exited.wait_status, 0);
  EXPECT_GT(exited.user_ms + exited.system_ms, 0);
  EXPECT_GT(exited.max_rss_bytes, 1 << 20);
  EXPECT_EQ(peer.ReadLine(), std::nullopt);
}

TEST_F(ZygoteTest, AChildRefusesAJobOfMoreThanOneThread) {
  Peer peer;
  SpawnOn(peer, "a1");
  Job job = ShortJob();
  job.threads = 2;
  peer.SendLine(Line(job));
  const auto last = NextEvent(peer);
  ASSERT_TRUE(std::holds_alternative<trainer_protocol::Failure>(last)) << Line(last);
  EXPECT_THAT(std::get<trainer_protocol::Failure>(last).message, HasSubstr("one thread"));
}

TEST_F(ZygoteTest, TheKernelKillsAChildForMemoryRatherThanTheZygote) {
  const auto score = [](int64_t pid) {
    return *ParseInt(Trim(*ReadFile("/proc/" + std::to_string(pid) + "/oom_score_adj")));
  };
  Peer peer;
  const int64_t pid = SpawnOn(peer, "a1");
  EXPECT_GT(score(pid), score(::getpid()));
}

TEST_F(ZygoteTest, ForkedAndPersistentTrainersGiveTheSameMetrics) {
  Peer forked;
  SpawnOn(forked, "a1");
  Peer direct;
  Process process(direct, {});
  direct.SendLine(Line(TrainerMessage(Hello{})));
  NextEvent(direct);
  Result results[2];
  for (Peer* peer : {&forked, &direct}) {
    peer->SendLine(Line(ShortJob()));
    NextEvent(*peer);
    const auto last = NextEvent(*peer);
    ASSERT_TRUE(std::holds_alternative<Result>(last)) << Line(last);
    results[peer == &direct] = std::get<Result>(last);
  }
  EXPECT_EQ(results[0].metrics, results[1].metrics);
  EXPECT_EQ(results[0].trainer_build, results[1].trainer_build);
}

// A child may use LibTorch's autograd although the zygote has used LibTorch before it forked.
TEST_F(ZygoteTest, AChildTrainsANetworkThatAutogradDifferentiates) {
  Job job = ShortJob();
  job.graph = SmallTransformer(1, StripedDataset::kSize, StripedDataset::kClasses).ToJson();
  Peer peer;
  SpawnOn(peer, "a1");
  peer.SendLine(Line(job));
  NextEvent(peer);
  const auto last = NextEvent(peer);
  EXPECT_TRUE(std::holds_alternative<Result>(last)) << Line(last);
}

TEST_F(ZygoteTest, AChildWhoseSocketClosesMidTrainingEnds) {
  Peer peer;
  SpawnOn(peer, "a1");
  peer.SendLine(Line(EndlessJob()));
  NextEvent(peer);
  peer.Close();
  EXPECT_TRUE(WIFEXITED(static_cast<int>(NextExited().wait_status)));
}

TEST_F(ZygoteTest, ASignalReachesTheAttemptItNamesAndNoOther) {
  Peer first;
  Peer second;
  SpawnOn(first, "a1");
  SpawnOn(second, "a2");
  for (Peer* peer : {&first, &second}) {
    peer->SendLine(Line(EndlessJob()));
    NextEvent(*peer);
  }
  control_.SendLine(
      ControlLine(ZygoteMessage(trainer_protocol::Signal{.attempt_id = "gone", .signal = SIGKILL})));
  control_.SendLine(
      ControlLine(ZygoteMessage(trainer_protocol::Signal{.attempt_id = "a2", .signal = SIGKILL})));
  const Exited exited = NextExited();
  EXPECT_EQ(exited.attempt_id, "a2");
  EXPECT_TRUE(WIFSIGNALED(static_cast<int>(exited.wait_status)));
  EXPECT_EQ(WTERMSIG(static_cast<int>(exited.wait_status)), SIGKILL);
  first.SendLine(Line(TrainerMessage(Stop{.attempt_id = "attempt-1", .fence = 7})));
  EXPECT_TRUE(std::holds_alternative<Stop>(NextEvent(first)));
}

TEST_F(ZygoteTest, ChildrenDieWithTheZygote) {
  Peer peer;
  SpawnOn(peer, "a1");
  peer.SendLine(Line(EndlessJob()));
  NextEvent(peer);
  process_.Kill();
  while (peer.ReadLine()) {
  }  // to the end of the stream: the child's end of the socket is closed
}

TEST_F(ZygoteTest, TheZygoteEndsWithItsControlSocketAndTakesItsChildrenAlong) {
  Peer peer;
  SpawnOn(peer, "a1");
  peer.SendLine(Line(EndlessJob()));
  NextEvent(peer);
  control_.Close();
  EXPECT_EQ(process_.Wait(), 0);
  while (peer.ReadLine()) {
  }
}

TEST_F(ZygoteTest, AChildsErrorsGoToTheLogOfItsAttempt) {
  Peer peer;
  SpawnOn(peer, "a1");
  peer.SendLine("this is no message");
  const Exited exited = NextExited();
  EXPECT_EQ(WEXITSTATUS(static_cast<int>(exited.wait_status)), 1);
  EXPECT_THAT(*ReadFile(log_path_), HasSubstr("expected a JSON object"));
}

TEST_F(ZygoteTest, ADatasetThatCannotBeLoadedIsTheJobsFailure) {
  Peer peer;
  std::filesystem::remove(dataset_.folder() + "/train-labels-idx1-ubyte");
  SpawnOn(peer, "a1");
  peer.SendLine(Line(ShortJob()));
  const auto last = NextEvent(peer);
  ASSERT_TRUE(std::holds_alternative<trainer_protocol::Failure>(last)) << Line(last);
  EXPECT_EQ(std::get<trainer_protocol::Failure>(last).failure_class, trainer_protocol::FailureClass::kData);
}

}  // namespace
}  // namespace canopy::trainer
