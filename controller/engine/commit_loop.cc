#include "controller/engine/commit_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "base/log.h"
#include "base/mutant.h"
#include "controller/engine/apply_write.h"
#include "controller/engine/restore.h"
#include "controller/engine/value_columns.h"
#include "storage/model/states.h"

namespace canopy::engine {
namespace {

constexpr int64_t kIdleMs = 500;
constexpr int64_t kStoodStillMs = 5'000;
constexpr int64_t kRestartIntervalMs = 1'000;

std::map<int64_t, std::shared_ptr<const model::CampaignRecord>> RecordsOf(
    const controller::CoreState& state) {
  std::map<int64_t, std::shared_ptr<const model::CampaignRecord>> records;
  for (const controller::LiveCampaign& live : state.campaigns)
    records[live.campaign.id] = std::make_shared<const model::CampaignRecord>(live.campaign);
  return records;
}

}  // namespace

CommitLoop::CommitLoop(CommitLoopOptions options, std::unique_ptr<storage::TrialStore> store,
                       const Clock& clock, controller::CoreState state, Proposers& proposers)
    : options_(std::move(options)),
      store_(std::move(store)),
      clock_(clock),
      proposers_(proposers),
      campaigns_(RecordsOf(state)),
      numbers_(NumbersOf(state)),
      core_(std::move(state), options_.limits, options_.make_schedule, Now()) {}

std::map<int64_t, CommitLoop::Numbers> CommitLoop::NumbersOf(const controller::CoreState& state) {
  std::map<int64_t, Numbers> numbers;
  for (const controller::LiveCampaign& live : state.campaigns)
    numbers[live.campaign.id] = {live.progress.last_result_seq, live.progress.next_trial_number};
  return numbers;
}

int64_t CommitLoop::WakeMs() const {
  const int64_t wake_ms = options_.ticks ? next_tick_ms_ : clock_.MonotonicMs() + kIdleMs;
  return poll_deadlines_.empty() ? wake_ms : std::min(wake_ms, poll_deadlines_.begin()->first);
}

void CommitLoop::AddDue(std::deque<Job>& batch) {
  const int64_t now_ms = clock_.MonotonicMs();
  while (!poll_deadlines_.empty() && poll_deadlines_.begin()->first <= now_ms) {
    batch.push_back(EventJob{.event = controller::PollEnded{poll_deadlines_.begin()->second}});
    poll_deadlines_.erase(poll_deadlines_.begin());
  }
  // Time in which the process stood still is not the strategies'.
  if (last_due_ms_ > 0 && now_ms - last_due_ms_ >= kStoodStillMs)
    for (auto& [id, proposing] : proposing_) proposing.deadline_ms += now_ms - last_due_ms_;
  last_due_ms_ = now_ms;
  AddLateStrategies(batch, now_ms);
  if (options_.ticks && now_ms >= next_tick_ms_) batch.push_back(EventJob{.event = controller::Tick{}});
}

void CommitLoop::RefuseNewWork(std::deque<Job>& batch, const Status& full) {
  const auto asks = [](const Job& job) {
    if (std::holds_alternative<UserJob>(job)) return true;
    const auto* event = std::get_if<EventJob>(&job);
    return event != nullptr && event->done != nullptr;
  };
  for (Job& job : batch)
    if (asks(job)) Refuse(job, full);
  std::erase_if(batch, asks);
  const auto ticks = [](const Job& job) {
    const auto* event = std::get_if<EventJob>(&job);
    return event != nullptr && std::holds_alternative<controller::Tick>(event->event);
  };
  if (std::erase_if(batch, ticks) > 0) next_tick_ms_ = clock_.MonotonicMs() + kIdleMs;
  for (const auto& [deadline_ms, token] : std::exchange(poll_deadlines_, {}))
    batch.push_front(EventJob{.event = controller::PollEnded{token}});
}

void CommitLoop::AddLateStrategies(std::deque<Job>& batch, int64_t now_ms) {
  // A batch that came just in time stands here already.
  for (const Job& job : batch)
    if (const auto* event = std::get_if<EventJob>(&job))
      if (const auto* ready = std::get_if<controller::ProposalsReady>(&event->event))
        std::erase_if(proposing_, [&](const auto& entry) {
          return entry.first == ready->campaign_id && entry.second.space_version == ready->space_version;
        });
  std::erase_if(proposing_, [&](const auto& entry) {
    const auto& [campaign_id, proposing] = entry;
    if (proposing.deadline_ms > now_ms) return false;
    proposers_.Remove(campaign_id);
    controller::ProposalsReady late{
        campaign_id, proposing.seen_seq,
        DeadlineExceeded("it took longer than " + std::to_string(options_.proposal_deadline_ms / 1000) +
                         " s to propose"),
        proposing.space_version};
    batch.push_back(EventJob{.event = std::move(late)});
    return true;
  });
}

Status CommitLoop::Commit(std::deque<Job> batch) {
  const auto start = std::chrono::steady_clock::now();
  Status status = store_->Transaction([&] {
    for (Job& job : batch) CANOPY_RETURN_IF_ERROR(Handle(job));
    if (kMutant == Mutant::kAcknowledgeBeforeCommit)
      for (const std::function<void()>& deliver : std::exchange(deliveries_, {})) deliver();
    return WriteNewest();
  });
  if (status.ok()) {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    statistics_.RecordCommit(static_cast<int64_t>(batch.size()), elapsed.count());
    status = ServeProposers();
  }
  if (!status.ok()) {
    deliveries_.clear();  // nothing of it is durable
    return status;
  }
  std::vector<std::function<void()>> answers = std::exchange(deliveries_, {});
  if (options_.answer)
    options_.answer(std::move(answers));
  else
    for (const std::function<void()>& answer : answers) answer();
  for (const int64_t campaign_id : std::exchange(ended_, {})) {
    proposers_.Remove(campaign_id);
    if (options_.on_campaign_ended) options_.on_campaign_ended(campaign_id);
  }
  return absl::OkStatus();
}

Status CommitLoop::Handle(Job& job) {
  if (auto* event = std::get_if<EventJob>(&job)) return HandleEvent(*event);
  if (auto* user = std::get_if<UserJob>(&job)) return HandleForUser(*user);
  if (auto* recall = std::get_if<RecallJob>(&job)) return HandleRecall(*recall);
  LookJob& look = std::get<LookJob>(job);
  deliveries_.push_back(
      [done = std::move(look.done), snapshot = Look(look.request)]() mutable { done(std::move(snapshot)); });
  return absl::OkStatus();
}

Snapshot CommitLoop::Look(const LookRequest& request) const {
  Snapshot snapshot;
  if (request.campaign_id != 0) snapshot.campaign = core_.Glance(Now(), request.campaign_id);
  snapshot.running = core_.Progress(request.attempts);
  snapshot.workers = core_.Workers(Now(), request.workers);
  if (request.fleet) snapshot.fleet = core_.Fleet();
  if (request.trial_id != 0) snapshot.outlook = core_.Explain(Now(), request.trial_id);
  return snapshot;
}

Status CommitLoop::HandleEvent(EventJob& job) {
  const bool tick = std::holds_alternative<controller::Tick>(job.event);
  if (HoldsBack(job)) return absl::OkStatus();
  if (job.done) {
    waiting_[job.token] = {std::move(job.done), job.poll_deadline_ms};
    if (job.poll_deadline_ms >= 0) poll_deadlines_.emplace(job.poll_deadline_ms, job.token);
  }
  auto* exchange = std::get_if<controller::WorkerExchange>(&job.event);
  if (exchange != nullptr && exchange->outcome) {
    controller::AttemptOutcome& outcome = *exchange->outcome;
    CANOPY_ASSIGN_OR_RETURN(outcome.known,
                            store_->FindOutcome(exchange->worker_id, outcome.attempt_id, outcome.result_id));
    if (outcome.known == model::KnownOutcome::kCounted && outcome.succeeded) {
      std::map<std::string, double> metrics = outcome.result.metrics;
      std::erase_if(metrics, [](const auto& metric) { return !std::isfinite(metric.second); });
      CANOPY_ASSIGN_OR_RETURN(const bool other,
                              store_->Contradicts(outcome.trial_id, outcome.result_id, metrics));
      if (other) {
        Deliver({job.token, InvalidArgument("result id " + outcome.result_id +
                                            " was reported with other metrics before, and those count")});
        return absl::OkStatus();
      }
    }
    if (outcome.known == model::KnownOutcome::kNone) {
      // What a worker kept over a restore has another attempt in the restored database.
      const bool kept =
          outcome.database_id == store_->database_id() && outcome.incarnation < store_->incarnation();
      CANOPY_ASSIGN_OR_RETURN(
          const bool counted,
          kept ? store_->HasOutcome(outcome.trial_id, exchange->worker_id, outcome.result_id)
               : store_->HasResult(outcome.result_id));
      if (counted && !kept) {
        Deliver(
            {job.token,
             InvalidArgument("result id " + outcome.result_id + " is that of another attempt's result than " +
                             std::to_string(outcome.attempt_id) + "'s: every outcome has an id of its own")});
        return absl::OkStatus();
      }
      if (counted) outcome.known = model::KnownOutcome::kCounted;
    }
  }
  if (auto* const report = std::get_if<controller::RungReport>(&job.event)) {
    CANOPY_ASSIGN_OR_RETURN(report->known, store_->FindRungReport(report->trial_id, report->rung));
  }
  CANOPY_ASSIGN_OR_RETURN(std::vector<controller::Reply> replies, Step(std::move(job.event)));
  for (controller::Reply& reply : replies) Deliver(std::move(reply));
  if (tick) next_tick_ms_ = core_.NextTickMs();
  return absl::OkStatus();
}

Status CommitLoop::HandleForUser(UserJob& job) {
  const auto deliver = [&](StatusOr<std::string> answer) {
    deliveries_.push_back([done = std::move(job.done), answer = std::move(answer)] { done(answer); });
    return absl::OkStatus();
  };
  const StatusOr<std::optional<std::string>> earlier =
      store_->FindRequest(job.request.id, job.request.digest);
  if (absl::IsFailedPrecondition(earlier.status())) return deliver(earlier.status());
  CANOPY_RETURN_IF_ERROR(earlier.status());
  if (*earlier) return deliver(**earlier);
  if (!held_back_.empty() && std::holds_alternative<controller::LaunchCampaign>(job.event))
    return deliver(ResourceExhausted(held_back_));
  const Status fine = Prepare(job.event);
  // A user's mistake is the answer of the call, not the database's failure.
  if (absl::IsAlreadyExists(fine) || absl::IsInvalidArgument(fine)) return deliver(fine);
  CANOPY_RETURN_IF_ERROR(fine);
  CANOPY_ASSIGN_OR_RETURN(std::vector<controller::Reply> replies, Step(std::move(job.event)));
  for (controller::Reply& reply : replies) {
    if (reply.token != job.token) {
      Deliver(std::move(reply));
    } else if (!reply.body.ok()) {
      CANOPY_RETURN_IF_ERROR(deliver(reply.body.status()));
    } else {
      const std::string answer = job.request.encode(*reply.body);
      CANOPY_RETURN_IF_ERROR(
          store_->SaveRequest(job.request.id, job.request.digest, answer, clock_.WallUs()));
      CANOPY_RETURN_IF_ERROR(deliver(answer));
    }
  }
  return absl::OkStatus();
}

Status CommitLoop::Prepare(controller::Event& event) {
  if (const auto* launch = std::get_if<controller::LaunchCampaign>(&event)) {
    CANOPY_RETURN_IF_ERROR(options_.make_schedule(launch->campaign.settings).status());
    return store_->CheckNewCampaign(launch->campaign.project, launch->campaign.name);
  }
  auto* revise = std::get_if<controller::ReviseCampaign>(&event);
  if (revise == nullptr) return absl::OkStatus();
  // One that the core will refuse, as trials were proposed since it was made: it comes again at once, and the
  // ranking would be read each time.
  if (revise->new_version && numbers_[revise->campaign.id].next_trial_number != revise->next_trial_number)
    return absl::OkStatus();
  CANOPY_ASSIGN_OR_RETURN(const ValueColumns columns, ColumnsOf(revise->campaign));
  CANOPY_RETURN_IF_ERROR(store_->CheckDecisions(revise->campaign.id, columns.decisions));
  CANOPY_ASSIGN_OR_RETURN(
      auto best,
      store_->LoadBest(revise->campaign, revise->new_version ? &revise->set_aside.trials() : nullptr));
  revise->best = RankedOf(std::move(best));
  return absl::OkStatus();
}

Status CommitLoop::HandleRecall(RecallJob& job) {
  StatusOr<std::optional<std::string>> earlier = store_->FindRequest(job.request_id, job.digest);
  if (!earlier.ok() && !absl::IsFailedPrecondition(earlier.status())) return earlier.status();
  deliveries_.push_back([done = std::move(job.done), earlier = std::move(earlier)] { done(earlier); });
  return absl::OkStatus();
}

StatusOr<std::vector<controller::Reply>> CommitLoop::Step(controller::Event event) {
  controller::Effects effects = core_.Step(Now(), std::move(event));
  for (const controller::Write& write : effects.writes) {
    NoteCampaign(write);
    if (const auto* update = std::get_if<controller::UpdateCampaign>(&write))
      newest_progress_.insert_or_assign(update->campaign_id, update->progress);
    else if (const auto* counters = std::get_if<controller::SaveCounters>(&write))
      newest_counters_ = *counters;
    else
      CANOPY_RETURN_IF_ERROR(ApplyWrite(write, *store_));
  }
  std::move(effects.published.begin(), effects.published.end(), std::back_inserter(published_));
  std::move(effects.requests.begin(), effects.requests.end(), std::back_inserter(requests_));
  return std::move(effects.replies);
}

Status CommitLoop::WriteNewest() {
  for (auto& [campaign_id, progress] : std::exchange(newest_progress_, {}))
    CANOPY_RETURN_IF_ERROR(ApplyWrite(controller::UpdateCampaign{campaign_id, std::move(progress)}, *store_));
  if (const auto counters = std::exchange(newest_counters_, std::nullopt))
    return ApplyWrite(*counters, *store_);
  return absl::OkStatus();
}

bool CommitLoop::HoldsBack(EventJob& job) {
  auto* const exchange = std::get_if<controller::WorkerExchange>(&job.event);
  if (held_back_.empty() || exchange == nullptr || !exchange->wants_lease) return false;
  exchange->wants_lease = false;
  if (exchange->outcome) return false;
  deliveries_.push_back([done = std::move(job.done), why = ResourceExhausted(held_back_)] {
    if (done) done(why);
  });
  return true;
}

void CommitLoop::Deliver(controller::Reply reply) {
  const auto waiting = waiting_.find(reply.token);
  if (waiting == waiting_.end()) return;
  deliveries_.push_back([done = std::move(waiting->second.done), body = std::move(reply.body)]() mutable {
    done(std::move(body));
  });
  poll_deadlines_.erase({waiting->second.poll_deadline_ms, reply.token});
  waiting_.erase(waiting);
}

void CommitLoop::NoteCampaign(const controller::Write& write) {
  if (const auto* insert = std::get_if<controller::InsertCampaign>(&write))
    campaigns_[insert->campaign.id] = std::make_shared<const model::CampaignRecord>(insert->campaign);
  if (const auto* change = std::get_if<controller::ChangeCampaign>(&write)) {
    auto& known = campaigns_[change->campaign.id];
    if (known->space_version != change->campaign.space_version) superseded_.push_back(change->campaign.id);
    known = std::make_shared<const model::CampaignRecord>(change->campaign);
  }
  const auto* update = std::get_if<controller::UpdateCampaign>(&write);
  if (update == nullptr) return;
  numbers_[update->campaign_id] = {update->progress.last_result_seq, update->progress.next_trial_number};
  if (!model::IsTerminal(update->progress.state)) return;
  numbers_.erase(update->campaign_id);
  if (campaigns_.erase(update->campaign_id) > 0) ended_.push_back(update->campaign_id);
}

Status CommitLoop::ServeProposers() {
  for (const int64_t campaign_id : std::exchange(superseded_, {})) {
    proposers_.Remove(campaign_id);
    proposing_.erase(campaign_id);
  }
  for (controller::PublishResult& result : std::exchange(published_, {}))
    proposers_.Publish(std::move(result));
  for (const controller::RequestProposals& request : std::exchange(requests_, {}))
    CANOPY_RETURN_IF_ERROR(HandOut(request));
  return absl::OkStatus();
}

Status CommitLoop::HandOut(const controller::RequestProposals& request) {
  const auto campaign = campaigns_.find(request.campaign_id);
  Proposing proposing{request.seen_seq, request.space_version,
                      clock_.MonotonicMs() + options_.proposal_deadline_ms};
  if (campaign == campaigns_.end()) return absl::OkStatus();
  if (const auto open = proposing_.find(request.campaign_id);
      open != proposing_.end() && open->second.seen_seq == proposing.seen_seq &&
      open->second.space_version == proposing.space_version)
    return absl::OkStatus();
  if (!proposers_.Has(request.campaign_id)) {
    // What is published from now on comes after this result.
    const int64_t last_seq = numbers_[request.campaign_id].last_result_seq;
    constexpr int64_t kResultsReadInAMs = 20;  // on a slow disk
    proposing.deadline_ms += last_seq / kResultsReadInAMs;
    if (!proposers_.AddLater(campaign->second, store_->LaterProposer(request.campaign_id, last_seq))) {
      CANOPY_ASSIGN_OR_RETURN(storage::TrialStore::ProposerRows rows,
                              store_->LoadProposer(request.campaign_id, last_seq));
      proposers_.Add(campaign->second, std::move(rows));
    }
  }
  proposing_.insert_or_assign(request.campaign_id, proposing);
  proposers_.Request(request);
  return absl::OkStatus();
}

void CommitLoop::AnswerAllThatWaits(const Status& why) {
  for (auto& [token, waiting] : std::exchange(waiting_, {})) waiting.done(why);
}

void CommitLoop::CheckpointWhenGrown() {
  const int64_t now_ms = clock_.MonotonicMs();
  const bool restarts = now_ms >= next_restart_ms_;
  const int64_t size = store_->WalBytes();
  if (size < std::exchange(last_wal_bytes_, size)) {
    ++wal_life_;
    checkpointed_wal_bytes_ = 0;
  }
  // Late, so that a page that many results change is moved once.
  const bool grown = size >= checkpointed_wal_bytes_ + options_.max_wal_bytes / 4;
  if (!grown && (held_back_.empty() || !restarts)) return;
  if (options_.checkpointed_ahead && !options_.checkpointed_ahead(wal_life_)) return;
  checkpointed_wal_bytes_ = size;
  // A log that readers keep from beginning anew is worth a wait, but not at every turn.
  const int64_t patient_from = restarts ? options_.max_wal_bytes / 2 : std::numeric_limits<int64_t>::max();
  const StatusOr<int64_t> wal_bytes = store_->Checkpoint(patient_from);
  if (!wal_bytes.ok()) {
    CANOPY_LOG(Warning, "A checkpoint failed and is tried again later",
               {{"error", Message(wal_bytes.status())}});
    return;
  }
  if (restarts && *wal_bytes > patient_from) next_restart_ms_ = now_ms + kRestartIntervalMs;
  NoteWalSize(*wal_bytes);
}

void CommitLoop::NoteWalSize(int64_t wal_bytes) {
  const bool was_held_back = !held_back_.empty();
  held_back_.clear();
  if (wal_bytes > options_.max_wal_bytes) {
    std::string readers;
    for (const std::string& process : store_->OtherProcesses())
      readers += (readers.empty() ? "" : ", ") + process;
    held_back_ =
        "the log of the database has grown to " + std::to_string(wal_bytes >> 20) +
        " MiB because a program reads the database for long: " +
        (readers.empty() ? "one of another user or of the controller's own" : readers) +
        ". No more work is given out until it ends; read a copy made by `canopy db snapshot` instead";
  }
  statistics_.RecordWal(wal_bytes, held_back_);
  if (was_held_back == held_back_.empty())
    CANOPY_LOG(Warning, held_back_.empty() ? "Work is given out again" : "No more work is given out",
               {{"why", held_back_}, {"wal_bytes", std::to_string(wal_bytes)}});
}

void CommitLoop::FinalCheckpoint() {
  if (const Status status = store_->FinalCheckpoint(); !status.ok())
    CANOPY_LOG(Warning, "The last checkpoint failed; the next start makes up for it",
               {{"error", Message(status)}});
}

}  // namespace canopy::engine
