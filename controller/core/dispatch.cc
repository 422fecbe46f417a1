// Parked polls meet work: what each worker asks for is tried by its kind, so that an event costs about the
// same whatever number of workers waits.
#include <climits>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/state.h"

namespace canopy::controller {

void Core::Impl::Dispatch() {
  // A grant may change campaigns again: what it pins makes others wait for other workers.
  while (!polls.empty() && !(changed.empty() && untried.empty())) {
    const std::set<int64_t> now_offered = std::exchange(changed, {});
    const auto set_offered = [&](bool value) {
      for (const int64_t id : now_offered)
        if (const auto found = campaigns.find(id); found != campaigns.end()) {
          Campaign& campaign = found->second;
          campaign.offered = value;
          if (campaign.place && value) offered.insert(*campaign.place);
        }
      if (!value) offered.clear();
    };
    set_offered(true);
    TryKinds();
    set_offered(false);
    for (const uint64_t token : std::exchange(untried, {}))
      if (const ParkedPoll* const poll = polls.Find(token); poll != nullptr && TryGrant(*poll, grantable))
        UnparkToken(token);
  }
  changed.clear();
  untried.clear();
}

void Core::Impl::TryKinds() {
  struct Turn {
    WorkerKind* kind = nullptr;
    int64_t order = 0;
    std::set<std::string> hosts;  // whose polls found nothing because something crashed there
  };
  std::map<uint64_t, Turn> turns;  // by arrival: the older poll's kind comes first
  // The next poll of the kind has its turn.
  const auto add = [&](Turn turn, std::pair<int64_t, uint64_t> after) {
    for (auto next = turn.kind->polls.upper_bound(after); next != turn.kind->polls.end(); ++next) {
      const ParkedPoll& poll = polls.by_arrival().at(next->second);
      if (!turn.hosts.empty() && turn.hosts.count(workers.at(poll.worker_id).record.host) > 0) continue;
      turn.order = next->first;
      turns.emplace(next->second, std::move(turn));
      return;
    }
  };
  for (auto& [key, kind] : kinds)
    if (!kind.drained) add({&kind, 0, {}}, {INT64_MIN, 0});
  while (!turns.empty() && !offered.empty()) {
    auto [arrival, turn] = *turns.begin();
    turns.erase(turns.begin());
    const ParkedPoll& poll = polls.by_arrival().at(arrival);
    const std::pair<int64_t, uint64_t> place(turn.order, arrival);
    if (TryGrant(poll, offered)) {
      UnparkToken(poll.token);
      add(std::move(turn), place);
      continue;
    }
    const std::string& host = workers.at(poll.worker_id).record.host;
    for (const auto& [attempts, id] : offered) {
      if (campaigns.at(id).waiting.crash_hosts().count(host) == 0) continue;
      turn.hosts.insert(host);
      add(std::move(turn), place);
      break;
    }
  }
}

bool Core::Impl::TryGrant(const ParkedPoll& poll, const Places& places) {
  const auto worker = workers.find(poll.worker_id);
  if (worker == workers.end()) return false;
  if ((!worker->second.drained.empty() && !worker->second.sick) || worker->second.Ended(now)) return false;
  // A campaign that moves on may take another place or none.
  for (const int64_t id : InOrderOfShares(places)) {
    Campaign& campaign = campaigns.at(id);
    if (HasDeadline(campaign) || HasDeviceBudget(campaign)) Advance(campaign);  // it may be over since
    if (!campaign.place) continue;
    const std::optional<int64_t> chosen = Choose(worker->second, campaign);
    if (!chosen) {
      campaign.held_back = campaign.held_back || RestIsTaken(campaign);
      continue;
    }
    Grant(poll, worker->second, campaign, campaign.trials.at(*chosen));
    return true;
  }
  return false;
}

std::optional<int64_t> Core::Impl::Choose(const Worker& worker, const Campaign& campaign) const {
  // Until the fidelity is settled, probes alone run.
  const int last_rank =
      campaign.progress().epochs > 0 ? INT_MAX : WaitingTrials::Rank(model::Purpose::kProxy);
  const int search = WaitingTrials::Rank(model::Purpose::kSearch);
  const WaitingTrials::Key from(RestIsTaken(campaign) ? search + 1 : INT_MIN, INT64_MIN);
  std::optional<WaitingTrials::Key> first;
  std::string why;
  const auto consider = [&](const std::string& bound_to) {
    const auto [begin, end] = campaign.waiting.Of(bound_to);
    for (auto alike = begin; alike != end; ++alike)
      for (auto next = alike->second.lower_bound(from); next != alike->second.end(); ++next) {
        const WaitingTrials::Key& key = *next;
        if (key.first > last_rank || (first && key > *first)) break;
        if (Eligible(worker, campaign, campaign.trials.at(key.second), &why)) first = key;
        if (first == key || !alike->first.resumes) break;
      }
  };
  consider("");
  consider(worker.record.id);
  return first ? std::optional(first->second) : std::nullopt;
}

}  // namespace canopy::controller
