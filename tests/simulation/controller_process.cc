#include "tests/simulation/controller_process.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "controller/core/testing/halving_schedule.h"
#include "controller/engine/restore.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::simulation {
namespace {

using controller::Exchanged;
using controller::HeartbeatAnswered;
using controller::Welcomed;
using engine::ReplyBody;

std::string Encoded(const ReplyBody& body) {
  if (const auto* launched = std::get_if<controller::Launched>(&body))
    return "campaign " + std::to_string(launched->campaign_id);
  return "done";
}

void SetToken(controller::Event& event, uint64_t token) {
  std::visit(
      [&](auto& concrete) {
        if constexpr (requires { concrete.token; }) concrete.token = token;
      },
      event);
}

}  // namespace

// Proposes at once; the batch arrives after a while.
class ControllerProcess::InlineProposers final : public engine::Proposers {
 public:
  explicit InlineProposers(ControllerProcess& process) : process_(process) {}
  bool Has(int64_t campaign_id) const override { return lanes_.count(campaign_id) > 0; }
  void Add(std::shared_ptr<const model::CampaignRecord> campaign,
           storage::TrialStore::ProposerRows rows) override {
    lanes_.insert_or_assign(campaign->id,
                            Lane{++generation_, std::make_unique<engine::CampaignProposer>(
                                                    *campaign, rows, process_.options_.make_strategy)});
  }
  void Remove(int64_t campaign_id) override { lanes_.erase(campaign_id); }
  void Publish(controller::PublishResult result) override {
    const auto lane = lanes_.find(result.campaign_id);
    if (lane != lanes_.end()) lane->second.proposer->Publish(std::move(result.result));
  }
  void Request(controller::RequestProposals request) override {
    const auto lane = lanes_.find(request.campaign_id);
    if (lane == lanes_.end()) return;
    controller::ProposalsReady ready{request.campaign_id, request.seen_seq,
                                     lane->second.proposer->Propose(request), request.space_version};
    const bool late = process_.rng_.Double() < process_.options_.slow_strategy;
    process_.scheduler_.After(late ? 150'000 : process_.rng_.Int(0, 50),
                              [process = &process_, epoch = process_.epoch_,
                               generation = lane->second.generation, ready = std::move(ready)]() mutable {
                                if (epoch == process->epoch_)
                                  process->proposers_->Arrive(generation, std::move(ready));
                              });
  }

 private:
  struct Lane {
    uint64_t generation = 0;
    std::unique_ptr<engine::CampaignProposer> proposer;
  };
  void Arrive(uint64_t generation, controller::ProposalsReady ready) {
    const auto lane = lanes_.find(ready.campaign_id);
    if (lane == lanes_.end() || lane->second.generation != generation) return;
    if (!ready.batch.ok()) lanes_.erase(lane);
    process_.Post(engine::EventJob{.event = std::move(ready)});
  }

  ControllerProcess& process_;
  uint64_t generation_ = 0;
  std::map<int64_t, Lane> lanes_;
};

ControllerProcess::ControllerProcess(Options options, Scheduler& scheduler, storage::testing::FaultVfs& vfs,
                                     MachineClock& clock, Rng rng, const Observer& observer)
    : options_(std::move(options)),
      scheduler_(scheduler),
      vfs_(vfs),
      clock_(clock),
      rng_(rng),
      observer_(observer) {}

ControllerProcess::~ControllerProcess() { Kill(Loss::kProcess); }

Status ControllerProcess::Open() {
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<storage::TrialStore> store,
                          storage::SqliteTrialStore::Open(options_.path));
  CANOPY_ASSIGN_OR_RETURN(controller::CoreState state, engine::LoadCoreState(*store));
  database_ = {store->database_id(), store->incarnation()};
  proposers_ = std::make_unique<InlineProposers>(*this);
  engine::CommitLoopOptions loop_options;
  loop_options.limits = options_.limits;
  loop_options.make_schedule = controller::MakeTestSchedule;
  loop_options.max_wal_bytes = 4 << 20;  // checkpoints come in every life
  loop_ = std::make_unique<engine::CommitLoop>(std::move(loop_options), std::move(store), clock_,
                                               std::move(state), *proposers_);
  disk_.emplace(options_.disk);
  return absl::OkStatus();
}

void ControllerProcess::Start() {
  if (up()) return;
  ++epoch_;
  const Status opened = Open();
  if (vfs_.crashed() || !opened.ok()) {
    Died("while it started: " + std::string(opened.message()));
    return;
  }
  observer_.trace("controller up, incarnation " + std::to_string(database_.incarnation));
  observer_.started(core().DurableText(), std::exchange(expected_, {}));
  wake_ms_ = -1;
  WakeAt(scheduler_.now_ms());
}

std::vector<int64_t> ControllerProcess::LiveCampaigns() const {
  std::vector<int64_t> ids;
  for (const auto& glance : core().Campaigns({clock_.MonotonicMs(), clock_.WallUs()}))
    ids.push_back(glance.campaign_id);
  return ids;
}

void ControllerProcess::Kill(Loss loss) {
  loss_ = loss;
  vfs_.Crash();
  Died("killed");
}

std::optional<std::string> ControllerProcess::TickAndLook(const std::vector<std::string>& workers) {
  if (!up()) return std::nullopt;
  std::deque<engine::Job> tick;
  tick.push_back(engine::EventJob{.event = controller::Tick{}});
  Commit(std::move(tick));
  if (!up()) return std::nullopt;
  const controller::Now now{clock_.MonotonicMs(), clock_.WallUs()};
  std::string text = core().DurableText();
  for (const auto& campaign : core().Campaigns(now))
    for (const int64_t value : {campaign.campaign_id, campaign.pending, campaign.leased, campaign.paused,
                                campaign.deadline_left_ms, campaign.waiting_without_worker_ms})
      text += " " + std::to_string(value);
  for (const auto& worker : core().Workers(now, workers)) {
    text += "\n" + worker.worker_id + " silent for " + std::to_string(worker.silent_ms);
    for (const auto& attempt : worker.attempts) text += " " + std::to_string(attempt.attempt_id);
  }
  return text;
}

void ControllerProcess::Stop() {
  if (!up()) return;
  Work();
  if (!up()) return;
  loop_->AnswerAllThatWaits(Unavailable("the controller is stopping"));
  expected_ = {core().DurableText()};
  loop_->FinalCheckpoint();
  if (vfs_.crashed()) return Died("while it stopped");
  loop_.reset();
  if (vfs_.crashed()) return Died("while it stopped");
  Died("stopped");
}

void ControllerProcess::BackUp(const std::string& path, std::function<void(std::string bytes)> done) {
  if (!up() || backup_) return;
  (void)::unlink(path.c_str());
  if (loop_->store().BeginCopy(path).ok()) backup_ = {path, std::move(done)};
}

void ControllerProcess::ContinueBackup() {
  const auto progress = loop_->store().ContinueCopy(1 + static_cast<int>(rng_.Below(16)));
  if (vfs_.crashed()) return Died("during a backup");
  if (progress.ok() && !progress->complete) return;
  const auto backup = *std::exchange(backup_, std::nullopt);
  loop_->store().EndCopy();
  if (auto bytes = ReadFile(backup.path); progress.ok() && bytes.ok()) backup.done(*std::move(bytes));
}

void ControllerProcess::Died(const std::string& why) {
  if (up()) {
    ++crashes_;
    expected_.push_back(core().DurableText());
  }
  observer_.trace("controller down: " + why + (loss_ == Loss::kMachine ? ", power lost" : ""));
  ++epoch_;
  vfs_.Crash();  // it ends where it stands: nothing is closed in order
  backup_.reset();
  loop_.reset();
  proposers_.reset();
  inbox_.clear();
  for (auto& [token, waiting] : std::exchange(waiting_, {}))
    if (rng_.Below(4) > 0) waiting.reply(Unavailable("connection reset"));
  if (loss_ == Loss::kMachine) {
    ++power_losses_;
    // Nobody syncs the reserve.
    if (rng_.Below(4) == 0) (void)::unlink((options_.disk.folder + "/reserve").c_str());
    vfs_.RestartMachine(rng_);
    clock_.Boot();
  } else {
    vfs_.RestartProcess();
  }
  loss_ = Loss::kProcess;
  armed_ = false;
  scheduler_.After(down_ms_, [this, epoch = epoch_] {
    if (epoch == epoch_) Start();
  });
}

void ControllerProcess::WakeAt(int64_t time_ms) {
  if (wake_ms_ >= 0 && wake_ms_ <= time_ms) return;
  wake_ms_ = time_ms;
  scheduler_.At(time_ms, [this, epoch = epoch_, time_ms] {
    if (epoch != epoch_ || wake_ms_ != time_ms) return;
    wake_ms_ = -1;
    Wake();
  });
}

void ControllerProcess::Wake() {
  Work();
  if (!up()) return;
  loop_->CheckpointWhenGrown();
  if (vfs_.crashed()) return Died("during a checkpoint");
  if (backup_) ContinueBackup();
  if (!up()) return;
  const int64_t rest_ms = std::max<int64_t>(1, loop_->WakeMs() - clock_.MonotonicMs());
  WakeAt(scheduler_.now_ms() + (inbox_.empty() ? rest_ms : 1));
}

void ControllerProcess::Work() {
  std::deque<engine::Job> batch;
  for (uint64_t room = 1 + rng_.Below(32); room > 0 && !inbox_.empty(); --room) {
    batch.push_back(std::move(inbox_.front()));
    inbox_.pop_front();
  }
  loop_->AddDue(batch);
  disk_->Look();
  if (disk_->low()) loop_->RefuseNewWork(batch, disk_->Refusal());
  if (!batch.empty()) return Commit(std::move(batch));
  if (vfs_.crashed()) Died("killed at work");
}

void ControllerProcess::Commit(std::deque<engine::Job> batch) {
  const auto size = static_cast<int64_t>(batch.size());
  std::string before;
  if (disk_is_suspect_ || armed_ || vfs_.next_sync_fails()) before = core().DurableText();
  const Status committed = loop_->Commit(std::move(batch));
  events_ += size;
  if (!vfs_.crashed() && committed.ok()) return;
  expected_ = {std::move(before)};
  if (!vfs_.crashed() && absl::IsResourceExhausted(committed)) observer_.found_disk_full();
  Died(vfs_.crashed() ? "killed at work" : "it ends itself: " + std::string(committed.message()));
}

void ControllerProcess::Post(engine::Job job) {
  inbox_.push_back(std::move(job));
  WakeAt(scheduler_.now_ms() + rng_.Int(0, 3));
}

void ControllerProcess::Answer(uint64_t token, Reply reply) {
  if (!vfs_.Effect()) return;  // the process died before
  auto entry = waiting_.extract(token);
  if (entry.empty()) return;
  observer_.replied(entry.mapped().request, reply);
  entry.mapped().reply(std::move(reply));
}

void ControllerProcess::Submit(const Request& request, ReplyDone reply, controller::Event event,
                               int64_t wait_ms, std::function<Reply(StatusOr<ReplyBody>)> convert) {
  const uint64_t token = next_token_++;
  SetToken(event, token);
  const bool polls = std::holds_alternative<controller::WorkerExchange>(event);
  waiting_[token] = {request, std::move(reply)};
  Post(engine::EventJob{std::move(event), token,
                        [this, token, convert = std::move(convert)](StatusOr<ReplyBody> body) {
                          Answer(token, convert(std::move(body)));
                        },
                        polls ? clock_.MonotonicMs() + wait_ms : -1});
}

void ControllerProcess::Receive(const Request& request, ReplyDone reply) {
  if (!up()) {
    if (rng_.Below(2) == 0) reply(Unavailable("connection refused"));
    return;
  }
  if (const auto* hello = std::get_if<HelloRequest>(&request)) {
    controller::WorkerHello event{0, hello->worker, {}};
    std::vector<int64_t> foreign;
    if (hello->database == database_)
      event.running = hello->running;
    else
      for (const auto& [attempt_id, fence] : hello->running) foreign.push_back(attempt_id);
    Submit(request, std::move(reply), std::move(event), 0,
           [this, foreign = std::move(foreign)](StatusOr<ReplyBody> body) -> Reply {
             CANOPY_RETURN_IF_ERROR(body.status());
             HelloReply welcome{database_, options_.limits.heartbeat_interval_ms,
                                std::get<Welcomed>(*body).attempts_to_stop};
             welcome.attempts_to_stop.insert(welcome.attempts_to_stop.end(), foreign.begin(), foreign.end());
             return welcome;
           });
  } else if (const auto* exchange = std::get_if<ExchangeRequest>(&request)) {
    controller::WorkerExchange event{0,
                                     exchange->worker_id,
                                     exchange->request_id,
                                     exchange->slot,
                                     exchange->outcome,
                                     exchange->wants_lease};
    Submit(request, std::move(reply), std::move(event), exchange->wait_ms,
           [this](StatusOr<ReplyBody> body) -> Reply {
             CANOPY_RETURN_IF_ERROR(body.status());
             auto& exchanged = std::get<Exchanged>(*body);
             return ExchangeReply{exchanged.verdict, std::move(exchanged.lease), database_};
           });
  } else if (const auto* rung = std::get_if<RungRequest>(&request)) {
    controller::RungReport event = rung->report;
    event.database_id = rung->database.id;
    event.incarnation = rung->database.incarnation;
    Submit(request, std::move(reply), std::move(event), 0, [](StatusOr<ReplyBody> body) -> Reply {
      CANOPY_RETURN_IF_ERROR(body.status());
      return RungReply{std::get<controller::RungAnswered>(*body).action};
    });
  } else if (const auto* heartbeat = std::get_if<HeartbeatRequest>(&request)) {
    if (heartbeat->database != database_) return reply(HeartbeatReply{true, 0, {}});
    Submit(request, std::move(reply),
           controller::WorkerHeartbeat{0, heartbeat->worker_id, heartbeat->attempts, heartbeat->measurements},
           0, [](StatusOr<ReplyBody> body) -> Reply {
             if (absl::IsNotFound(body.status())) return HeartbeatReply{true, 0, {}};
             CANOPY_RETURN_IF_ERROR(body.status());
             auto& answered = std::get<HeartbeatAnswered>(*body);
             return HeartbeatReply{false, answered.interval_ms, std::move(answered.attempts_to_stop)};
           });
  } else {
    const auto& call = std::get<UserCall>(request);
    const uint64_t token = next_token_++;
    controller::Event event = call.event;
    SetToken(event, token);
    waiting_[token] = {request, std::move(reply)};
    Post(engine::UserJob{std::move(event),
                         token,
                         {call.id, call.digest, Encoded},
                         [this, token](StatusOr<std::string> answer) {
                           if (!answer.ok()) return Answer(token, answer.status());
                           Answer(token, UserReply{*std::move(answer)});
                         }});
  }
}

}  // namespace canopy::simulation
