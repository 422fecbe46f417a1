#include "controller/engine/proposer_pool.h"

#include <deque>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/random.h"
#include "controller/strategies/strategies.h"
#include "search_spaces/constraint.h"

namespace canopy::engine {
namespace {

using controller::ObservedResult;
using controller::ProposalBatch;
using controller::Proposer;
using storage::TrialStore;

StatusOr<std::unique_ptr<Proposer>> Continue(const model::CampaignRecord& campaign,
                                             const TrialStore::ProposerRows& rows,
                                             const StrategyFactory& make_strategy) {
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Proposer> proposer, MakeProposer(campaign, make_strategy));
  std::vector<Proposer::Known> known;
  for (const TrialStore::ProposerRows::Search& search : rows.searches) {
    const bool finished = search.result_seq > 0 && search.result_seq <= rows.seen_seq;
    known.push_back({search.candidate_hash, search.replicate, finished, search.feasible,
                     finished && search.feasible ? Score(campaign.settings, search.objective) : 0});
  }
  CANOPY_RETURN_IF_ERROR(proposer->Restore(rows.state, known));
  return proposer;
}

std::deque<ObservedResult> Unseen(const model::CampaignRecord& campaign,
                                  const TrialStore::ProposerRows& rows) {
  std::map<int64_t, ObservedResult> by_seq;
  for (const TrialStore::ProposerRows::Search& search : rows.searches)
    if (search.result_seq > rows.seen_seq)
      by_seq[search.result_seq] = {search.result_seq, search.candidate_json, search.candidate_hash,
                                   search.feasible,
                                   search.feasible ? Score(campaign.settings, search.objective) : 0};
  std::deque<ObservedResult> unseen;
  for (auto& [seq, result] : by_seq) unseen.push_back(std::move(result));
  return unseen;
}

}  // namespace

StatusOr<std::unique_ptr<controller::Strategy>> MakeNamedStrategy(const search_space::SearchSpace& space,
                                                                  const model::CampaignSettings& settings) {
  return strategies::MakeStrategy(settings.strategy_kind, settings.strategy_json, space,
                                  {settings.task.input_shape, settings.task.classes}, settings.seed);
}

double Score(const model::CampaignSettings& settings, double objective) {
  return settings.objective_goal == model::Goal::kMaximize ? objective : -objective;
}

StatusOr<std::unique_ptr<Proposer>> MakeProposer(const model::CampaignRecord& campaign,
                                                 const StrategyFactory& make_strategy) {
  CANOPY_ASSIGN_OR_RETURN(search_space::SearchSpace space,
                          search_space::SearchSpace::Parse(campaign.space_text, campaign.space_file_name));
  std::vector<search_space::Constraint> constraints;
  for (const std::string& text : campaign.settings.constraints) {
    CANOPY_ASSIGN_OR_RETURN(search_space::Constraint constraint,
                            search_space::Constraint::Parse(text, space));
    constraints.push_back(std::move(constraint));
  }
  model::CampaignSettings settings = campaign.settings;
  // The launch's strategy would propose the same again.
  if (campaign.space_version > 1)
    settings.seed = Rng::DeriveSeed(settings.seed, "space_version/" + std::to_string(campaign.space_version));
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<controller::Strategy> strategy, make_strategy(space, settings));
  return std::make_unique<Proposer>(campaign, std::move(space), std::move(constraints), std::move(strategy));
}

// One campaign's tasks, and its proposer.
struct ProposerPool::Lane {
  int64_t campaign_id = 0;
  // Guarded by the pool's mutex.
  std::deque<Task> tasks;
  bool scheduled = false;  // waits for a thread, or has one
  bool removed = false;
  // Of the thread that has the lane.
  StatusOr<std::unique_ptr<Proposer>> proposer = Internal("the proposer was not made");
  std::deque<ObservedResult> unseen;  // ascending seq

  void Do(const Addition& task, const StrategyFactory& make_strategy) {
    proposer = Continue(*task.campaign, task.rows, make_strategy);
    unseen = Unseen(*task.campaign, task.rows);
  }
  StatusOr<ProposalBatch> Do(const controller::RequestProposals& request) {
    CANOPY_RETURN_IF_ERROR(proposer.status());
    std::vector<ObservedResult> results;
    while (!unseen.empty() && unseen.front().seq <= request.seen_seq) {
      results.push_back(std::move(unseen.front()));
      unseen.pop_front();
    }
    return (*proposer)->Propose(results, request.seen_seq, request.count);
  }
};

struct ProposerPool::Shared {
  Shared(StrategyFactory factory, Ready deliver)
      : make_strategy(std::move(factory)), ready(std::move(deliver)) {}

  // Starts a thread where lanes wait and few run.
  static void Schedule(const std::shared_ptr<Shared>& shared) CANOPY_REQUIRES(shared->mutex) {
    if (shared->waiting.empty() || shared->threads >= kMaxThreads || shared->ending) return;
    ++shared->threads;
    std::thread([shared] { Run(shared); }).detach();
  }

  static constexpr int kMaxThreads = 32;
  const StrategyFactory make_strategy;
  const Ready ready;
  Mutex mutex;
  CondVar changed;
  std::map<int64_t, std::shared_ptr<Lane>> lanes CANOPY_GUARDED_BY(mutex);
  std::deque<std::shared_ptr<Lane>> waiting CANOPY_GUARDED_BY(mutex);
  int threads CANOPY_GUARDED_BY(mutex) = 0;  // those that were left with a removed lane aside
  bool ending CANOPY_GUARDED_BY(mutex) = false;
};

ProposerPool::ProposerPool(StrategyFactory make_strategy, Ready ready)
    : shared_(std::make_shared<Shared>(std::move(make_strategy), std::move(ready))) {}

ProposerPool::~ProposerPool() {
  constexpr int64_t kPatienceMs = 2'000, kStepMs = 100;
  MutexLock lock(shared_->mutex);
  shared_->ending = true;
  for (int64_t waited_ms = 0; shared_->threads > 0 && waited_ms < kPatienceMs; waited_ms += kStepMs)
    while (shared_->threads > 0 && shared_->changed.WaitFor(shared_->mutex, kStepMs)) {
    }
}

bool ProposerPool::Has(int64_t campaign_id) const {
  MutexLock lock(shared_->mutex);
  return shared_->lanes.count(campaign_id) > 0;
}

void ProposerPool::Add(std::shared_ptr<const model::CampaignRecord> campaign, TrialStore::ProposerRows rows) {
  const int64_t campaign_id = campaign->id;
  {
    MutexLock lock(shared_->mutex);
    auto lane = std::make_shared<Lane>();
    lane->campaign_id = campaign_id;
    shared_->lanes.insert_or_assign(campaign_id, std::move(lane));
  }
  Push(campaign_id, Addition{std::move(campaign), std::move(rows)});
}

void ProposerPool::Remove(int64_t campaign_id) {
  MutexLock lock(shared_->mutex);
  const auto found = shared_->lanes.find(campaign_id);
  if (found == shared_->lanes.end()) return;
  const std::shared_ptr<Lane> lane = std::move(found->second);
  shared_->lanes.erase(found);
  lane->removed = true;
  lane->tasks.clear();
  if (!lane->scheduled) return;
  // It waits, or a thread has it: that one ends when it comes back, and another takes its place.
  if (std::erase(shared_->waiting, lane) == 0) --shared_->threads;
  Shared::Schedule(shared_);
}

void ProposerPool::Publish(controller::PublishResult result) { Push(result.campaign_id, std::move(result)); }

void ProposerPool::Request(controller::RequestProposals request) { Push(request.campaign_id, request); }

void ProposerPool::Push(int64_t campaign_id, Task task) {
  MutexLock lock(shared_->mutex);
  const auto found = shared_->lanes.find(campaign_id);
  if (found == shared_->lanes.end()) return;
  const std::shared_ptr<Lane>& lane = found->second;
  lane->tasks.push_back(std::move(task));
  if (std::exchange(lane->scheduled, true)) return;
  shared_->waiting.push_back(lane);
  Shared::Schedule(shared_);
}

void ProposerPool::Run(const std::shared_ptr<Shared>& shared) {
  std::shared_ptr<Lane> lane;
  for (;;) {
    Task task;
    {
      MutexLock lock(shared->mutex);
      if (lane != nullptr && lane->removed) return;
      if (lane != nullptr && lane->tasks.empty()) {
        lane->scheduled = false;
        lane.reset();
      }
      if (lane == nullptr && !shared->waiting.empty()) {
        lane = std::move(shared->waiting.front());
        shared->waiting.pop_front();
      }
      if (lane == nullptr || shared->ending) {
        --shared->threads;
        shared->changed.NotifyAll();
        return;
      }
      task = std::move(lane->tasks.front());
      lane->tasks.pop_front();
    }
    if (auto* addition = std::get_if<Addition>(&task)) {
      lane->Do(*addition, shared->make_strategy);
    } else if (auto* published = std::get_if<controller::PublishResult>(&task)) {
      lane->unseen.push_back(std::move(published->result));
    } else {
      const auto& request = std::get<controller::RequestProposals>(task);
      controller::ProposalsReady ready{lane->campaign_id, request.seen_seq, lane->Do(request),
                                       request.space_version};
      MutexLock lock(shared->mutex);
      if (lane->removed || shared->ending) continue;
      if (!ready.batch.ok()) {
        shared->lanes.erase(lane->campaign_id);
        lane->tasks.clear();
      }
      shared->ready(std::move(ready));
    }
  }
}

}  // namespace canopy::engine
