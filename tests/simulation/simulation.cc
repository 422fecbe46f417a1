#include "tests/simulation/simulation.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "controller/engine/replay.h"
#include "storage/restore_backup.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/fault_vfs.h"
#include "tests/simulation/agent.h"
#include "tests/simulation/chained_strategy.h"
#include "tests/simulation/controller_process.h"
#include "tests/simulation/network.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/scheduler.h"
#include "tests/simulation/user.h"

namespace canopy::simulation {
namespace {

using storage::testing::FaultVfs;
using Files = std::map<std::string, std::string>;
using Loss = ControllerProcess::Loss;

// The lock file and the guard's reserve alone lie on a real disk, in memory where there is one.
class LockFolder {
 public:
  LockFolder() {
    const std::filesystem::path memory = "/dev/shm";
    std::error_code error;
    const bool writable = ::access(memory.c_str(), W_OK) == 0;
    path_ = (writable ? memory : std::filesystem::temp_directory_path(error)) /
            ("canopy_simulation_" + std::to_string(::getpid()));
    std::filesystem::create_directories(path_, error);
  }
  ~LockFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

const std::string& Folder() {
  static const LockFolder folder;
  static const std::string path = folder.path();
  return path;
}

const std::string& DatabasePath() {
  static const std::string path = Folder() + "/canopy.db";
  return path;
}

constexpr int64_t kReserveBytes = 2 << 20, kLowBytes = 3 * kReserveBytes;

std::string ReservePath() { return Folder() + "/reserve"; }

int64_t ReservedBytes() {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(ReservePath(), error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

// A fresh database, made once in a process.
const Files& EmptyDatabase() {
  static const Files files = [] {
    FaultVfs::ConfigureProcess();
    FaultVfs vfs(1);
    { (void)storage::SqliteTrialStore::Open(DatabasePath()); }
    return vfs.Files();
  }();
  return files;
}

StatusOr<std::unique_ptr<controller::Strategy>> MakeChained(const search_space::SearchSpace& space,
                                                            const model::CampaignSettings& settings) {
  CANOPY_ASSIGN_OR_RETURN(auto strategy, engine::MakeNamedStrategy(space, settings));
  return std::make_unique<ChainedStrategy>(std::move(strategy));
}

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  SimulationReport Run();

 private:
  void MakeAgents();
  SimulatedAgent& AddAgent(SimulatedAgent::Options options);
  void LiveCalmly(const SimulationOptions::DiskFailure& failure);
  void LiveWithFaults();
  void LiveThroughOutage();
  void Replied(const Request& request, const Reply& reply);
  void Fault();
  SimulatedAgent& AnyAgent();
  void FaultOfAgents();
  void Crash();
  void FillDisk();
  void StepWallClock();
  void SleepAll();
  void RestoreOlderCopy();
  void UseCampaigns();
  void EndFaults();
  bool AllIsDone() const;
  // While `going` holds and something is left to do.
  template <typename Going>
  void RunWhile(Going going);
  void Replay();
  void Trace(const std::string& text) {
    if (options_.trace) options_.trace(std::to_string(scheduler_.now_ms()) + " " + text);
  }
  Rng Stream(const std::string& label) const { return Rng::Derive(options_.seed, label); }

  const SimulationOptions options_;
  Rng rng_;
  Scheduler scheduler_;
  MachineClock clock_;
  FaultVfs vfs_;
  Network network_;
  Oracle oracle_;
  SimulatedAgent::Observer agent_observer_;
  std::vector<std::unique_ptr<SimulatedAgent>> agents_;
  ControllerProcess::Observer controller_observer_;
  std::unique_ptr<ControllerProcess> controller_;
  SimulatedUser user_;
  bool power_was_lost_ = false, faults_are_on_ = true;
  bool reserve_is_gone_ = false;  // somebody has deleted it
  int64_t restores_ = 0, incarnation_ = 1, asleep_until_ms_ = 0;
  std::set<std::string> answered_;  // workers, since it was cleared

  struct Copy {
    Files files;
    Oracle::History history;
  };
  std::optional<Copy> copy_;
};

Simulation::Simulation(const SimulationOptions& options)
    : options_(options),
      rng_(Stream("faults")),
      clock_(scheduler_),
      vfs_((EmptyDatabase(), options.seed)),
      network_(scheduler_, Stream("network")),
      user_(scheduler_, network_, Stream("user")) {
  vfs_.SetFiles(EmptyDatabase());
  vfs_.wall_us = [this] { return clock_.WallUs(); };
  clock_.SetRate(1 + (rng_.Double() - 0.5) / 50);
  controller_observer_ = {
      .replied = [this](const Request& request, const Reply& reply) { Replied(request, reply); },
      .started =
          [this](const std::string& rebuilt, const std::vector<std::string>& expected) {
            const FaultVfs::Undisturbed undisturbed(vfs_);
            oracle_.Rebuilt(rebuilt, expected);
            oracle_.Verify(DatabasePath(), std::exchange(power_was_lost_, false));
          },
      .found_disk_full =
          [this] {
            if (ReservedBytes() > 0)
              oracle_.Violated("a batch found the disk full, and the reserve was held");
          },
      .trace = [this](const std::string& text) { Trace(text); },
  };
  std::error_code ignored;
  std::filesystem::remove(ReservePath(), ignored);
  vfs_.other_bytes = ReservedBytes;
  ControllerProcess::Options process;
  process.disk = {Folder(), kLowBytes, kReserveBytes, [this] { return StatusOr<int64_t>(vfs_.Free()); }};

  process.path = DatabasePath();
  process.make_strategy = MakeChained;
  process.slow_strategy = rng_.Below(5) == 0 ? 0.02 : 0;
  controller_ = std::make_unique<ControllerProcess>(process, scheduler_, vfs_, clock_, Stream("controller"),
                                                    controller_observer_);
  network_.SetServer(
      [this](const Request& request, ReplyDone reply) { controller_->Receive(request, std::move(reply)); });
  agent_observer_.outcome_made = [this](const std::string& worker_id, const controller::Lease& lease,
                                        const controller::AttemptOutcome& outcome) {
    oracle_.OutcomeMade(worker_id, lease, outcome);
  };
  agent_observer_.trace = [this](const std::string& text) { Trace(text); };
  MakeAgents();
}

SimulatedAgent& Simulation::AddAgent(SimulatedAgent::Options options) {
  const std::string number = std::to_string(agents_.size());
  options.id = "00000000-0000-4000-8000-" + std::string(12 - number.size(), '0') + number;
  options.host = "host" + std::to_string(agents_.size() / 2);
  const Rng rng = Stream(options.id);
  agents_.push_back(
      std::make_unique<SimulatedAgent>(std::move(options), scheduler_, network_, rng, agent_observer_));
  return *agents_.back();
}

void Simulation::Replied(const Request& request, const Reply& reply) {
  oracle_.Replied(request, reply, controller_->database(), scheduler_.now_ms());
  if (absl::IsResourceExhausted(reply.status()) && vfs_.Free() >= kLowBytes + kReserveBytes)
    oracle_.Violated("a call was refused for the disk, which has room: " +
                     std::string(reply.status().message()));
  if (!reply.ok()) return;
  const auto* const exchanged = std::get_if<ExchangeReply>(&*reply);
  const auto* const call = std::get_if<UserCall>(&request);
  const bool gives_work = exchanged != nullptr && exchanged->lease;
  const bool launches = call != nullptr && std::holds_alternative<controller::LaunchCampaign>(call->event);
  const bool bounded = vfs_.Free() < std::numeric_limits<int64_t>::max();
  if ((gives_work || launches) && bounded && !reserve_is_gone_ && ReservedBytes() == 0)
    oracle_.Violated("new work was taken while the reserve was given back");
  if (const auto* const exchange = std::get_if<ExchangeRequest>(&request))
    answered_.insert(exchange->worker_id);
  else if (const auto* const hello = std::get_if<HelloRequest>(&request))
    answered_.insert(hello->worker.id);
  else if (const auto* const heartbeat = std::get_if<HeartbeatRequest>(&request))
    answered_.insert(heartbeat->worker_id);
}

void Simulation::MakeAgents() {
  if (options_.outage) {
    for (int i = 0; i < 1'000; ++i)
      AddAgent({.slots = 1,
                .memory_bytes = int64_t{8} << 30,
                .clock_rate = 1 + (rng_.Double() - 0.5) / 20,
                .shortest_ms = 10 * 60'000,
                .longest_ms = 50 * 60'000});
    return;
  }
  if (options_.disk_failure) {
    for (int i = 0; i < 2; ++i) AddAgent({.memory_bytes = 1 << 30, .shortest_ms = 100, .longest_ms = 600});
    return;
  }
  const int64_t count = std::array<int64_t, 12>{1, 1, 2, 2, 3, 5, 8, 12, 20, 40, 80, 200}[rng_.Below(12)];
  const double hopeless = std::array<double, 4>{0, 0.1, 0.3, 0.6}[rng_.Below(4)];
  const double chance = std::array<double, 3>{0, 0.05, 0.2}[rng_.Below(3)];
  // Many workers are short-lived trials' only: otherwise a thousand events are heartbeats.
  const int64_t longest_ms = count > 10 ? rng_.Int(500, 5'000) : rng_.Int(2'000, 60'000);
  for (int64_t i = 0; i < count; ++i) {
    SimulatedAgent::Options agent;
    agent.slots = count > 40 ? 1 : rng_.Int(1, 3);
    agent.memory_bytes = (int64_t{8} << 30) * rng_.Int(1, 3);
    agent.rungs = i == 0 || rng_.Below(6) > 0;
    agent.clock_rate = 1 + (rng_.Double() - 0.5) / 20;
    agent.shortest_ms = longest_ms / 10;
    agent.longest_ms = longest_ms;
    AddAgent(std::move(agent)).SetFaults({hopeless, chance});
  }
}

template <typename Going>
void Simulation::RunWhile(Going going) {
  while (oracle_.violations().empty() && going())
    if (!scheduler_.RunNext()) return oracle_.Violated("nothing is left to happen");
}

SimulatedAgent& Simulation::AnyAgent() {
  size_t chosen = rng_.Below(agents_.size());
  for (int draw = 0; draw < 20 && agents_[chosen]->running() == 0; ++draw)
    chosen = rng_.Below(agents_.size());  // what trains has more to lose
  return *agents_[chosen];
}

void Simulation::FaultOfAgents() {
  SimulatedAgent& agent = AnyAgent();
  switch (rng_.Below(4)) {
    case 0: {
      if (!agent.alive()) return;
      Trace("agent " + agent.id().substr(30) + " killed");
      rng_.Below(3) == 0 ? agent.LosePower() : agent.Kill();
      scheduler_.After(rng_.Int(100, 60'000), [&agent] { agent.Start(); });
      return;
    }
    case 1: {
      const int64_t ms = rng_.Int(1'000, 180'000);
      Trace("agent " + agent.id().substr(30) + " cut off for " + std::to_string(ms) + " ms");
      network_.Partition(agent.id(), scheduler_.now_ms() + ms);
      return;
    }
    default:
      for (uint64_t hosts = 1 + rng_.Below(3); hosts > 0; --hosts) {
        const int64_t ms = rng_.Below(4) == 0 ? rng_.Int(60'000, 24 * 3'600'000) : rng_.Int(1'000, 120'000);
        SimulatedAgent& zombie = AnyAgent();
        Trace("agent " + zombie.id().substr(30) + " suspended for " + std::to_string(ms) + " ms");
        zombie.Suspend(scheduler_.now_ms() + ms);
      }
  }
}

void Simulation::Crash() {
  controller_->SetDownMs(rng_.Below(8) == 0 ? rng_.Int(30'000, 3'600'000) : rng_.Int(50, 20'000));
  const Loss loss = rng_.Below(3) == 0 ? Loss::kProcess : Loss::kMachine;
  power_was_lost_ |= loss == Loss::kMachine;
  if (rng_.Below(4) == 0) {
    controller_->Kill(loss);
    return;
  }
  const int64_t effects = 1 + static_cast<int64_t>(rng_.Below(rng_.Below(2) == 0 ? 8 : 60));
  Trace("the controller dies after " + std::to_string(effects) + " effects");
  controller_->KillAfter(effects, loss);
}

void Simulation::FillDisk() {
  if (rng_.Below(3) == 0) {
    std::error_code ignored;
    std::filesystem::remove(ReservePath(), ignored);
  }
  reserve_is_gone_ = ReservedBytes() == 0;
  const int64_t room = rng_.Int(0, rng_.Below(2) == 0 ? 100'000 : 2 * kLowBytes);
  const int64_t size = vfs_.Size() + ReservedBytes() + room;
  Trace("the disk is full at " + std::to_string(size) + " bytes, has " + std::to_string(room) + " left and " +
        (reserve_is_gone_ ? "no reserve" : "the reserve"));
  controller_->SetDiskIsSuspect(true);
  vfs_.SetCapacity(size);
  scheduler_.After(rng_.Int(1'000, 60'000), [this] {
    vfs_.SetCapacity(0);
    controller_->SetDiskIsSuspect(false);
    Trace("the disk has room");
  });
}

void Simulation::RestoreOlderCopy() {
  if (!copy_ || rng_.Below(2) == 0) {
    controller_->BackUp(Folder() + "/backup", [this](std::string bytes) {
      copy_ = Copy{{{DatabasePath(), std::move(bytes)}}, oracle_.history()};
    });
    return;
  }
  controller_->Kill(Loss::kProcess);
  vfs_.SetCapacity(0);  // a full disk is no place for it
  {
    const FaultVfs::Undisturbed undisturbed(vfs_);  // what is to fail next is the controller's
    // A disk that is lost says no more what was given out.
    std::optional<storage::GivenNumbers> given;
    if (rng_.Below(4) > 0) {
      const auto read = storage::ReadGivenNumbers(DatabasePath());
      if (!read.ok()) return oracle_.Violated("the database that is replaced cannot be read");
      given = *read;
    }
    vfs_.SetFiles(copy_->files);
    if (!storage::BeginIncarnation(DatabasePath(), ++incarnation_, given, "copy", clock_.WallUs()).ok())
      return oracle_.Violated("the older copy cannot be opened");
  }
  Trace("an older copy is put back");
  ++restores_;
  oracle_.Rewind(copy_->history, DatabasePath());
  controller_->ForgetExpected();
  copy_.reset();
}

void Simulation::StepWallClock() {
  const int64_t hours = rng_.Int(-30, 30);
  Trace("the wall clock is set by " + std::to_string(hours) + " hours");
  std::vector<std::string> workers;
  for (const auto& agent : agents_) workers.push_back(agent->id());
  // What was due before is done before, so that the clock alone may make a difference.
  controller_->TickAndLook(workers);
  const auto before = controller_->TickAndLook(workers);
  clock_.StepWall(hours * 3'600'000);
  if (!before) return;
  const auto after = controller_->TickAndLook(workers);
  if (after && *after != *before)
    oracle_.Violated("the wall clock was set by " + std::to_string(hours) +
                     " hours, and leases or campaigns are others");
}

void Simulation::SleepAll() {
  const int64_t ms = rng_.Int(60'000, 24 * 3'600'000);
  Trace("all hosts sleep for " + std::to_string(ms) + " ms");
  asleep_until_ms_ = scheduler_.now_ms() + ms;
  power_was_lost_ = true;
  controller_->SetDownMs(ms);
  controller_->Kill(Loss::kMachine);
  controller_->SetDownMs(1'000);
  for (const auto& agent : agents_) agent->Suspend(asleep_until_ms_ + rng_.Int(-30'000, 180'000));
}

void Simulation::Fault() {
  if (rng_.Below(5) == 0) return SleepAll();
  switch (rng_.Below(16)) {
    case 0:
    case 1:
    case 2:
      return Crash();
    case 3:
      Trace("the next sync fails");
      return controller_->FailNextSync();
    case 4:
      return FillDisk();
    case 5:
      return RestoreOlderCopy();
    case 6:
      Trace("the controller is stopped");
      return controller_->Stop();
    case 7:
      return StepWallClock();
    case 8: {
      Network::Faults faults;
      if (rng_.Below(3) > 0) faults = {rng_.Double() / 4, rng_.Double() / 4, rng_.Double() / 20, 0.1};
      return network_.SetFaults(faults);
    }
    default:
      return FaultOfAgents();
  }
}

void Simulation::UseCampaigns() {
  const auto live = controller_->up() ? controller_->LiveCampaigns() : std::vector<int64_t>{};
  for (const int64_t id : user_.campaigns())
    if (controller_->up() && std::find(live.begin(), live.end(), id) == live.end()) {
      user_.Forget(id);
      break;
    }
  if (!user_.waits() && user_.campaigns().size() < 3 && faults_are_on_) user_.Launch();
  // Who waits for answers asks for little more.
  constexpr int64_t kMostOpen = 4;
  if (user_.open() >= kMostOpen) return;
  // In the end people look at all that is there, also what a restore brought back.
  const std::vector<int64_t> known = faults_are_on_ ? user_.campaigns() : live;
  if (known.empty()) return;
  const int64_t campaign_id = known[rng_.Below(known.size())];
  const bool tinkers = faults_are_on_ && rng_.Below(6) == 0;
  const auto verb = !tinkers             ? controller::CampaignVerb::kResume
                    : rng_.Below(4) == 0 ? controller::CampaignVerb::kCancel
                                         : controller::CampaignVerb::kPause;
  user_.Command(campaign_id, verb);
}

void Simulation::EndFaults() {
  Trace("faults end");
  faults_are_on_ = false;
  network_.SetFaults({});
  network_.HealPartitions();
  vfs_.SetCapacity(0);
  controller_->SetDiskIsSuspect(false);
  controller_->SetDownMs(100);
  for (const auto& agent : agents_) {
    // What hangs for hours is restarted by people.
    constexpr int64_t kPatienceMs = 300'000;
    if (agent->suspended_until_ms() > scheduler_.now_ms() + kPatienceMs) agent->Kill();
    agent->SetFaults({0, 0});
    agent->Start();
  }
}

bool Simulation::AllIsDone() const {
  if (!controller_->up() || user_.waits() || !controller_->LiveCampaigns().empty()) return false;
  return std::all_of(agents_.begin(), agents_.end(), [&](const auto& agent) {
    return !agent->Owes(controller_->database()) && agent->running() == 0;
  });
}

void Simulation::Replay() {
  auto database = storage::Database::Open(DatabasePath(), storage::Database::Mode::kReadOnly);
  std::vector<int64_t> campaigns;
  auto rows = (*database)->Query("SELECT id FROM campaign");
  while (rows.ok() && rows->Next().value_or(false)) campaigns.push_back(rows->Int(0));
  for (const int64_t campaign_id : campaigns) {
    const auto replayed = engine::ReplayProposals(DatabasePath(), campaign_id);
    if (!replayed.ok())
      oracle_.Violated("campaign " + std::to_string(campaign_id) +
                       " does not replay: " + std::string(replayed.status().message()));
  }
}

void Simulation::LiveCalmly(const SimulationOptions::DiskFailure& failure) {
  controller_->SetDiskIsSuspect(true);
  vfs_.FailCall(failure.nth, failure.from_then_on);
  std::function<void()> heal = [&] {
    if (controller_->up())
      scheduler_.After(1'000, heal);
    else
      scheduler_.After(3'000, [&] { vfs_.FailCall(0, false); });
  };
  controller_->Start();
  heal();
  for (const auto& agent : agents_) agent->Start();
  user_.LaunchSmall();
  const int64_t end_ms = scheduler_.now_ms() + 24 * 3'600'000LL;
  const auto waits = [&] {
    return scheduler_.now_ms() < end_ms && (user_.campaigns().empty() || !AllIsDone());
  };
  RunWhile(waits);
  controller_->Stop();
  RunWhile(waits);
}

void Simulation::LiveThroughOutage() {
  controller_->Start();
  for (const auto& agent : agents_) agent->Start();
  user_.LaunchForAll(static_cast<int64_t>(agents_.size()));
  const auto until = [&](int64_t time_ms) {
    return [this, time_ms] { return scheduler_.now_ms() < time_ms; };
  };
  const auto trains = [](const auto& agent) { return agent->running() == 1; };
  RunWhile([&] { return !std::all_of(agents_.begin(), agents_.end(), trains); });

  Trace("the disk is full");
  vfs_.SetCapacity(vfs_.Size() + ReservedBytes() + 10'000);
  RunWhile(until(scheduler_.now_ms() + 15'000));
  if (ReservedBytes() > 0) oracle_.Violated("the disk is full, and the reserve is held");
  vfs_.SetCapacity(0);
  answered_.clear();
  constexpr int64_t kAtWorkAgainMs = 5'200;  // five seconds of the slowest agent's
  RunWhile(until(scheduler_.now_ms() + kAtWorkAgainMs));
  if (answered_.size() < agents_.size())
    oracle_.Violated("five seconds after the disk had room, " +
                     std::to_string(agents_.size() - answered_.size()) + " workers had no answer");

  constexpr int64_t kHourMs = 3'600'000, kLongerThanALeaseMs = 40'000;
  for (const int64_t hours : {24, -48}) {
    clock_.StepWall(hours * kHourMs);
    RunWhile(until(scheduler_.now_ms() + kLongerThanALeaseMs));
  }

  controller_->SetDownMs(kHourMs);
  power_was_lost_ = true;
  controller_->Kill(Loss::kMachine);
  network_.SetFaults({.drop = 0.02, .repeat = 0.2, .repeat_late = 0, .slow = 0.02});
  RunWhile(until(scheduler_.now_ms() + kHourMs - 1));
  for (const auto& agent : agents_)
    if (!agent->Owes({})) oracle_.Violated("worker " + agent->id() + " has kept no result in the outage");
  const int64_t end_ms = scheduler_.now_ms() + kHourMs;
  RunWhile([&] { return !AllIsDone() && scheduler_.now_ms() < end_ms; });
  controller_->Stop();
}

void Simulation::LiveWithFaults() {
  controller_->Start();
  for (const auto& agent : agents_) agent->Start();
  std::function<void()> use = [&] {
    UseCampaigns();
    scheduler_.At(std::max(scheduler_.now_ms(), asleep_until_ms_) + rng_.Int(500, 8'000), use);
  };
  use();
  // Faults come by the number of events, not by time: large clusters have as many as small ones.
  int64_t next_fault = 20;
  RunWhile([&] {
    if (controller_->events() >= next_fault || !controller_->up()) {
      if (controller_->events() >= next_fault) Fault();
      if (controller_->events() >= next_fault) next_fault = controller_->events() + rng_.Int(5, 40);
    }
    return controller_->events() < options_.events || controller_->crashes() < options_.crashes;
  });
  if (oracle_.violations().empty()) EndFaults();
  const int64_t end_ms = scheduler_.now_ms() + 4 * 24 * 3'600'000LL;
  RunWhile([&] { return !AllIsDone() && scheduler_.now_ms() < end_ms; });
}

SimulationReport Simulation::Run() {
  if (options_.disk_failure)
    LiveCalmly(*options_.disk_failure);
  else if (options_.outage)
    LiveThroughOutage();
  else
    LiveWithFaults();
  SimulationReport report;
  report.calls = vfs_.calls();
  const FaultVfs::Undisturbed undisturbed(vfs_);
  if (oracle_.violations().empty()) {
    oracle_.VerifyEnd(DatabasePath());
    std::vector<const KeptResults*> kept;
    for (const auto& agent : agents_) kept.push_back(&agent->kept());
    oracle_.VerifyKept(DatabasePath(), kept);
    Replay();
  }
  const auto workers = static_cast<int64_t>(agents_.size());
  if (options_.outage && oracle_.violations().empty() &&
      (oracle_.results() != workers || oracle_.attempts() != workers))
    oracle_.Violated(std::to_string(workers) + " trainings had " + std::to_string(oracle_.attempts()) +
                     " leases, and " + std::to_string(oracle_.results()) + " results count");
  report.violations = oracle_.violations();
  report.events = controller_->events();
  report.crashes = controller_->crashes();
  report.power_losses = controller_->power_losses();
  report.restores = restores_;
  for (const auto& agent : agents_) report.zombie_trials += agent->zombie_trials();
  report.trials = oracle_.trials();
  report.promises = oracle_.promises();
  report.adopted = oracle_.adopted();
  report.rung_reports = static_cast<int64_t>(oracle_.history().reports.size());
  report.syncs = vfs_.syncs();
  report.virtual_ms = scheduler_.now_ms();
  return report;
}

}  // namespace

SimulationReport Simulate(const SimulationOptions& options) {
  Simulation simulation(options);
  return simulation.Run();
}

}  // namespace canopy::simulation
