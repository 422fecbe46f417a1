#include "controller/engine/proposer_pool.h"

#include <string>
#include <utility>

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
  if (rows.state.empty()) return proposer;
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
  return strategies::MakeStrategy(settings.strategy_kind, settings.strategy_json, space, settings.seed);
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
                            search_space::Constraint::Parse(text, space.decisions()));
    constraints.push_back(std::move(constraint));
  }
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<controller::Strategy> strategy,
                          make_strategy(space, campaign.settings));
  return std::make_unique<Proposer>(campaign, std::move(space), std::move(constraints), std::move(strategy));
}

ProposerPool::ProposerPool(StrategyFactory make_strategy, Ready ready)
    : make_strategy_(std::move(make_strategy)), ready_(std::move(ready)), thread_([this] { Run(); }) {}

ProposerPool::~ProposerPool() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

bool ProposerPool::Has(int64_t campaign_id) const {
  MutexLock lock(mutex_);
  return known_.count(campaign_id) > 0;
}

void ProposerPool::Add(std::shared_ptr<const model::CampaignRecord> campaign, TrialStore::ProposerRows rows) {
  MutexLock lock(mutex_);
  known_.insert(campaign->id);
  Push(Addition{std::move(campaign), std::move(rows)});
}

void ProposerPool::Remove(int64_t campaign_id) {
  MutexLock lock(mutex_);
  if (known_.erase(campaign_id) > 0) Push(Removal{campaign_id});
}

void ProposerPool::Publish(controller::PublishResult result) {
  MutexLock lock(mutex_);
  if (known_.count(result.campaign_id) > 0) Push(std::move(result));
}

void ProposerPool::Request(controller::RequestProposals request) {
  MutexLock lock(mutex_);
  Push(request);
}

void ProposerPool::Push(Task task) {
  tasks_.push_back(std::move(task));
  changed_.NotifyAll();
}

void ProposerPool::Run() {
  for (;;) {
    Task task;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !ending_) changed_.Wait(mutex_);
      if (ending_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    std::visit([this](auto&& concrete) { Do(std::move(concrete)); }, std::move(task));
  }
}

void ProposerPool::Do(Addition task) {
  entries_.insert_or_assign(task.campaign->id, Entry{Continue(*task.campaign, task.rows, make_strategy_),
                                                     Unseen(*task.campaign, task.rows)});
}

void ProposerPool::Do(Removal task) { entries_.erase(task.campaign_id); }

void ProposerPool::Do(controller::PublishResult task) {
  if (const auto entry = entries_.find(task.campaign_id); entry != entries_.end())
    entry->second.unseen.push_back(std::move(task.result));
}

void ProposerPool::Do(controller::RequestProposals task) {
  const auto entry = entries_.find(task.campaign_id);
  if (entry == entries_.end()) return;  // the campaign has ended meanwhile
  controller::ProposalsReady ready{task.campaign_id, task.seen_seq, Propose(entry->second, task)};
  if (!ready.batch.ok()) {
    entries_.erase(entry);
    MutexLock lock(mutex_);
    known_.erase(task.campaign_id);
  }
  ready_(std::move(ready));
}

StatusOr<ProposalBatch> ProposerPool::Propose(Entry& entry, const controller::RequestProposals& request) {
  CANOPY_RETURN_IF_ERROR(entry.proposer.status());
  std::vector<ObservedResult> results;
  while (!entry.unseen.empty() && entry.unseen.front().seq <= request.seen_seq) {
    results.push_back(std::move(entry.unseen.front()));
    entry.unseen.pop_front();
  }
  return (*entry.proposer)->Propose(results, request.seen_seq, request.count);
}

}  // namespace canopy::engine
