#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "controller/engine/commit_loop.h"
#include "controller/engine/disk_guard.h"
#include "storage/testing/fault_vfs.h"
#include "tests/simulation/messages.h"
#include "tests/simulation/scheduler.h"

namespace canopy::simulation {

// The controller's two clocks: a monotonic one that begins anew with each boot, and a wall clock that people
// set.
class MachineClock final : public Clock {
 public:
  explicit MachineClock(const Scheduler& scheduler) : scheduler_(scheduler) {}
  int64_t MonotonicMs() const override {
    return 1'000 + static_cast<int64_t>(static_cast<double>(scheduler_.now_ms() - booted_ms_) * rate_);
  }
  int64_t WallUs() const override {
    return 1'700'000'000'000'000 + (scheduler_.now_ms() + stepped_ms_) * 1'000;
  }
  void Boot() { booted_ms_ = scheduler_.now_ms(); }
  void SetRate(double rate) { rate_ = rate; }
  void StepWall(int64_t ms) { stepped_ms_ += ms; }

 private:
  const Scheduler& scheduler_;
  double rate_ = 1;
  int64_t booted_ms_ = 0, stepped_ms_ = 0;
};

// The controller as one process on one machine: the real core, commit loop and store, with the threads
// replaced by what is scheduled, over a disk that fails.
class ControllerProcess {
 public:
  struct Options {
    controller::CoreLimits limits;
    std::string path;  // of the database
    engine::DiskGuard::Options disk;
    engine::StrategyFactory make_strategy;
    double slow_strategy = 0;  // share of the batches that come too late
  };
  struct Observer {
    // The reply has left the process.
    std::function<void(const Request& request, const Reply& reply)> replied;
    // It serves; what it rebuilt is no text of `expected` where that is not empty.
    std::function<void(const std::string& rebuilt, const std::vector<std::string>& expected)> started;
    // A batch ended the process, because the disk was full.
    std::function<void()> found_disk_full;
    std::function<void(const std::string& text)> trace;
  };
  enum class Loss { kProcess, kMachine };

  ControllerProcess(Options options, Scheduler& scheduler, storage::testing::FaultVfs& vfs,
                    MachineClock& clock, Rng rng, const Observer& observer);
  ~ControllerProcess();

  // Tries again, now and then, until it is up.
  void Start();
  bool up() const { return loop_ != nullptr; }
  const controller::Core& core() const { return loop_->core(); }
  const DatabaseName& database() const { return database_; }
  // REQUIRES up().
  std::vector<int64_t> LiveCampaigns() const;
  // What comes in; a reply may never come.
  void Receive(const Request& request, ReplyDone reply);

  // It dies now, or at its `effects`-th effect from now, and starts again after `down_ms`.
  void Kill(Loss loss);
  void KillAfter(int64_t effects, Loss loss) {
    loss_ = loss;
    armed_ = true;
    vfs_.CrashAfter(effects);
  }
  // What a tick leaves, leases and deadlines included; nothing where the process has died of it or was down.
  std::optional<std::string> TickAndLook(const std::vector<std::string>& workers);
  // An orderly end.
  void Stop();
  // Copies the database to the file `path` beside its work, and gives the bytes, unless it dies meanwhile.
  void BackUp(const std::string& path, std::function<void(std::string bytes)> done);
  void SetDownMs(int64_t down_ms) { down_ms_ = down_ms; }
  // What is on the disk is another database: nothing is expected of it.
  void ForgetExpected() { expected_.clear(); }
  void FailNextSync() { vfs_.FailNextSync(); }
  // An error of the disk may come at any time.
  void SetDiskIsSuspect(bool suspect) { disk_is_suspect_ = suspect; }

  int64_t events() const { return events_; }
  int64_t crashes() const { return crashes_; }
  int64_t power_losses() const { return power_losses_; }

 private:
  class InlineProposers;
  struct Waiting {
    Request request;
    ReplyDone reply;
  };

  Status Open();
  void Wake();
  void WakeAt(int64_t time_ms);
  // Commits what has come in.
  void Work();
  void Commit(std::deque<engine::Job> batch);
  void ContinueBackup();
  void Died(const std::string& why);
  void Post(engine::Job job);
  void Answer(uint64_t token, Reply reply);
  void Submit(const Request& request, ReplyDone reply, controller::Event event, int64_t wait_ms,
              std::function<Reply(StatusOr<engine::ReplyBody>)> convert);

  const Options options_;
  Scheduler& scheduler_;
  storage::testing::FaultVfs& vfs_;
  MachineClock& clock_;
  Rng rng_;
  const Observer& observer_;

  Loss loss_ = Loss::kProcess;
  int64_t down_ms_ = 1'000;
  bool disk_is_suspect_ = false, armed_ = false;
  int64_t events_ = 0, crashes_ = 0, power_losses_ = 0;
  std::vector<std::string> expected_;

  uint64_t epoch_ = 0;
  std::unique_ptr<InlineProposers> proposers_;
  std::unique_ptr<engine::CommitLoop> loop_;
  std::optional<engine::DiskGuard> disk_;
  struct Backup {
    std::string path;
    std::function<void(std::string bytes)> done;
  };
  std::optional<Backup> backup_;  // that is being made
  DatabaseName database_;
  std::deque<engine::Job> inbox_;
  std::map<uint64_t, Waiting> waiting_;
  uint64_t next_token_ = 1;
  int64_t wake_ms_ = -1;  // the earliest that is scheduled
};

}  // namespace canopy::simulation
