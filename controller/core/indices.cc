#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/check.h"
#include "controller/core/state.h"

namespace canopy::controller {

using model::Purpose;
using model::TrialState;

int WaitingTrials::Rank(Purpose purpose) {
  switch (purpose) {
    case Purpose::kProxy:
      return 0;
    case Purpose::kSearch:
      return 1;
    case Purpose::kFinal:
      return 2;
    case Purpose::kTest:
      return 3;
    case Purpose::kAudit:
      return 4;
    case Purpose::kMeasure:
      return 5;
  }
  return 6;
}

WaitingTrials::Needs WaitingTrials::NeedsOf(const model::TrialRecord& trial) {
  Needs needs;
  needs.worker = trial.required_worker_id.empty() ? trial.checkpoint.worker_id : trial.required_worker_id;
  needs.resumes = !trial.checkpoint.worker_id.empty();
  if (trial.out_of_memory > 0) needs.more_memory_than = trial.out_of_memory_bytes;
  needs.crash_hosts = trial.crash_hosts;
  return needs;
}

void WaitingTrials::Add(const model::TrialRecord& trial) {
  Needs needs = NeedsOf(trial);
  by_needs_[needs].emplace(Rank(trial.purpose), trial.id);
  if (needs == Needs()) return;
  for (const std::string& host : needs.crash_hosts) ++crash_hosts_[host];
  particular_.emplace(trial.id, std::move(needs));
}

void WaitingTrials::Remove(const model::TrialRecord& trial) {
  const auto known = particular_.find(trial.id);
  const auto alike = by_needs_.find(known == particular_.end() ? Needs() : known->second);
  if (alike != by_needs_.end()) {
    alike->second.erase({Rank(trial.purpose), trial.id});
    if (alike->second.empty()) by_needs_.erase(alike);
  }
  if (known == particular_.end()) return;
  for (const std::string& host : known->second.crash_hosts)
    if (--crash_hosts_[host] == 0) crash_hosts_.erase(host);
  particular_.erase(known);
}

std::pair<WaitingTrials::ByNeeds::const_iterator, WaitingTrials::ByNeeds::const_iterator> WaitingTrials::Of(
    const std::string& worker_id) const {
  return {by_needs_.lower_bound(Needs{worker_id}), by_needs_.lower_bound(Needs{worker_id + '\0'})};
}

void Campaign::MakeLeaseRecord() {
  lease_record = live.campaign;
  for (std::string* const text : {&lease_record.campaign_text, &lease_record.space_text}) text->clear();
}

int64_t Campaign::Count(Purpose purpose, std::optional<TrialState> state) const {
  int64_t count = 0;
  for (auto entry = counts.lower_bound({purpose, TrialState{}});
       entry != counts.end() && entry->first.first == purpose; ++entry)
    if (!state || entry->first.second == *state) count += entry->second;
  return count;
}

const ParkedPoll& ParkedPolls::Add(ParkedPoll poll) {
  poll.arrival = next_arrival_++;
  const bool added = by_slot_.emplace(std::pair(poll.worker_id, poll.slot), poll.arrival).second;
  CANOPY_CHECK(added, "the slot's earlier poll is still there");
  by_token_.insert_or_assign(poll.token, poll.arrival);
  const uint64_t arrival = poll.arrival;
  return by_arrival_.emplace(arrival, std::move(poll)).first->second;
}

std::optional<ParkedPoll> ParkedPolls::TakeOfSlot(const std::string& worker_id, int64_t slot) {
  const auto found = by_slot_.find({worker_id, slot});
  return found == by_slot_.end() ? std::nullopt : Take(found->second);
}

std::optional<ParkedPoll> ParkedPolls::TakeByToken(uint64_t token) {
  const auto found = by_token_.find(token);
  return found == by_token_.end() ? std::nullopt : Take(found->second);
}

std::optional<ParkedPoll> ParkedPolls::Take(uint64_t arrival) {
  const auto found = by_arrival_.find(arrival);
  ParkedPoll poll = std::move(found->second);
  by_arrival_.erase(found);
  by_token_.erase(poll.token);
  by_slot_.erase({poll.worker_id, poll.slot});
  return poll;
}

bool ParkedPolls::Has(const std::string& worker_id) const {
  const auto first = by_slot_.lower_bound({worker_id, INT64_MIN});
  return first != by_slot_.end() && first->first.first == worker_id;
}

std::vector<const ParkedPoll*> ParkedPolls::Of(const std::string& worker_id) const {
  std::vector<const ParkedPoll*> polls;
  for (auto slot = by_slot_.lower_bound({worker_id, INT64_MIN});
       slot != by_slot_.end() && slot->first.first == worker_id; ++slot)
    polls.push_back(&by_arrival_.at(slot->second));
  return polls;
}

const ParkedPoll* ParkedPolls::Find(uint64_t token) const {
  const auto found = by_token_.find(token);
  return found == by_token_.end() ? nullptr : &by_arrival_.at(found->second);
}

model::TrialRecord& Core::Impl::KeepTrial(Campaign& campaign, model::TrialRecord trial) {
  const int64_t id = trial.id;
  model::TrialRecord& kept = campaign.trials[id] = std::move(trial);
  campaign_by_trial[id] = &campaign;
  ++campaign.counts[{kept.purpose, kept.state}];
  if (kept.state == TrialState::kPending) {
    if (kept.out_of_memory > 0) campaign.waits_for_memory[id] = now.monotonic_ms;
    if (!kept.checkpoint.worker_id.empty()) campaign.resumable.emplace(id, now.monotonic_ms);
    campaign.waiting.Add(kept);
    Offer(campaign, kept);
  }
  if (kept.state == TrialState::kPaused) campaign.paused.emplace(kept.rung, id);
  Place(campaign);
  return kept;
}

void Core::Impl::SetTrialState(Campaign& campaign, model::TrialRecord& trial, TrialState state) {
  if (trial.state == TrialState::kPending) campaign.waiting.Remove(trial);
  --campaign.counts[{trial.purpose, trial.state}];
  ++campaign.counts[{trial.purpose, state}];
  if (trial.state == TrialState::kPaused) campaign.paused.erase({trial.rung, trial.id});
  trial.state = state;
  campaign.waits_for_memory.erase(trial.id);
  campaign.resumable.erase(trial.id);
  if (state == TrialState::kPaused) campaign.paused.emplace(trial.rung, trial.id);
  if (state == TrialState::kPending) {
    if (trial.out_of_memory > 0) campaign.waits_for_memory[trial.id] = now.monotonic_ms;
    if (!trial.checkpoint.worker_id.empty()) campaign.resumable.emplace(trial.id, now.monotonic_ms);
    campaign.waiting.Add(trial);
    Offer(campaign, trial);
  }
  Place(campaign);
}

void Core::Impl::ForgetTrial(Campaign& campaign, int64_t trial_id) {
  const model::TrialRecord& trial = campaign.trials.at(trial_id);
  if (trial.state == TrialState::kPending) campaign.waiting.Remove(trial);
  --campaign.counts[{trial.purpose, trial.state}];
  campaign_by_trial.erase(trial_id);
  campaign.waits_for_memory.erase(trial_id);
  campaign.resumable.erase(trial_id);
  campaign.paused.erase({trial.rung, trial_id});
  campaign.reports.erase(trial_id);
  ForgetExpired(campaign, trial_id);
  campaign.trials.erase(trial_id);
  Place(campaign);
}

LiveAttempt& Core::Impl::KeepAttempt(Campaign& campaign, LiveAttempt attempt) {
  const int64_t id = attempt.record.id;
  attempt.check_ms = attempt.expires_ms;
  LiveAttempt& kept = campaign.attempts[id] = std::move(attempt);
  campaign_by_attempt[id] = &campaign;
  attempts_by_worker[kept.record.worker_id].emplace(campaign.id(), id);
  lease_checks.emplace(kept.check_ms, id);
  CountRunning(campaign, kept, 1);
  ++running[campaign.live.campaign.project];
  Place(campaign);
  return kept;
}

LiveAttempt Core::Impl::ForgetAttempt(Campaign& campaign, int64_t attempt_id) {
  const auto found = campaign.attempts.find(attempt_id);
  LiveAttempt attempt = std::move(found->second);
  campaign.attempts.erase(found);
  campaign_by_attempt.erase(attempt_id);
  const auto of_worker = attempts_by_worker.find(attempt.record.worker_id);
  of_worker->second.erase({campaign.id(), attempt_id});
  if (of_worker->second.empty()) attempts_by_worker.erase(of_worker);
  lease_checks.erase({attempt.check_ms, attempt_id});
  CountRunning(campaign, attempt, -1);
  --running[campaign.live.campaign.project];
  // What it leaves of the budget may be enough for another.
  if (std::exchange(campaign.held_back, false)) Offer(campaign);
  Place(campaign);
  return attempt;
}

void Core::Impl::KeepExpired(Campaign& campaign, LiveAttempt attempt) {
  const int64_t trial_id = attempt.record.trial_id;
  ForgetExpired(campaign, trial_id);
  expired_by_attempt[attempt.record.id] = {&campaign, trial_id};
  campaign.expired[trial_id] = std::move(attempt);
}

void Core::Impl::ForgetExpired(Campaign& campaign, int64_t trial_id) {
  const auto found = campaign.expired.find(trial_id);
  if (found == campaign.expired.end()) return;
  expired_by_attempt.erase(found->second.record.id);
  campaign.expired.erase(found);
}

void Core::Impl::KeepWorkerIndices(Worker& worker) {
  CountSlots(worker);
  KeepKind(worker);
  workers_by_host[worker.record.host].insert(worker.record.id);
}

void Core::Impl::ForgetWorkerIndices(Worker& worker) {
  known_slots -= std::exchange(worker.counted_slots, 0);
  ForgetKind(worker);
  const auto host = workers_by_host.find(worker.record.host);
  if (host == workers_by_host.end()) return;
  host->second.erase(worker.record.id);
  if (host->second.empty()) workers_by_host.erase(host);
}

void Core::Impl::Place(Campaign& campaign) {
  const bool grants =
      campaign.active() && !campaign.waiting.empty() &&
      (campaign.progress().epochs > 0 || campaign.Count(Purpose::kProxy, TrialState::kPending) > 0);
  std::optional<std::pair<size_t, int64_t>> place;
  if (grants) place.emplace(campaign.attempts.size(), campaign.id());
  if (place == campaign.place) return;
  if (campaign.place) {
    grantable.erase(*campaign.place);
    offered.erase(*campaign.place);
  } else {
    Offer(campaign);
  }
  campaign.place = place;
  if (!place) return;
  grantable.insert(*place);
  if (campaign.offered) offered.insert(*place);
}

void Core::Impl::Offer(const Campaign& campaign) {
  changed.insert(campaign.id());
  const auto& by_needs = campaign.waiting.by_needs();
  for (auto bound = campaign.waiting.Of("").second; bound != by_needs.end(); ++bound)
    TryPollsOf(bound->first.worker);
}

void Core::Impl::Offer(const Campaign& campaign, const model::TrialRecord& trial) {
  const std::string worker = WaitingTrials::NeedsOf(trial).worker;
  worker.empty() ? void(changed.insert(campaign.id())) : TryPollsOf(worker);
}

void Core::Impl::OfferCrashed() {
  for (const auto& [id, campaign] : campaigns)
    if (!campaign.waiting.crash_hosts().empty()) changed.insert(id);
}

void Core::Impl::TryPollsOf(const std::string& worker_id) {
  for (const ParkedPoll* const poll : polls.Of(worker_id)) untried.push_back(poll->token);
}

void Core::Impl::Park(ParkedPoll poll) {
  const Worker& worker = workers.at(poll.worker_id);
  const ParkedPoll& parked = polls.Add(std::move(poll));
  worker.kind->polls.emplace(worker.order, parked.arrival);
  untried.push_back(parked.token);
}

std::optional<ParkedPoll> Core::Impl::UnparkSlot(const std::string& worker_id, int64_t slot) {
  return LeaveKind(polls.TakeOfSlot(worker_id, slot));
}

std::optional<ParkedPoll> Core::Impl::UnparkToken(uint64_t token) {
  return LeaveKind(polls.TakeByToken(token));
}

std::optional<ParkedPoll> Core::Impl::LeaveKind(std::optional<ParkedPoll> poll) {
  if (!poll) return poll;
  const Worker& worker = workers.at(poll->worker_id);
  worker.kind->polls.erase({worker.order, poll->arrival});
  return poll;
}

void Core::Impl::ForgetEndedCampaigns() {
  for (const int64_t id : std::exchange(ended, {})) {
    const auto found = campaigns.find(id);
    if (found == campaigns.end()) continue;
    Campaign& campaign = found->second;
    while (!campaign.attempts.empty()) ForgetAttempt(campaign, campaign.attempts.begin()->first);
    priorities[campaign.live.campaign.project] -= campaign.counted_priority;
    while (!campaign.trials.empty()) ForgetTrial(campaign, campaign.trials.begin()->first);
    changed.erase(id);
    campaigns.erase(found);
  }
}

std::string Core::Impl::IndexErrors() const {
  const int64_t checks = fit_checks;
  std::string errors;
  const auto expect = [&](bool right, const std::string& what) {
    if (!right) errors += what + "; ";
  };
  size_t trials = 0, attempts = 0, expired = 0, placed = 0;
  for (const auto& [id, campaign] : campaigns) {
    const std::string name = "campaign " + std::to_string(id) + ": ";
    WaitingTrials waiting;
    FidelitySchedule::Waiting paused;
    std::set<int64_t> resumable;
    std::map<std::pair<Purpose, TrialState>, int64_t> counts;
    for (const auto& [trial_id, trial] : campaign.trials) {
      ++trials;
      ++counts[{trial.purpose, trial.state}];
      if (trial.state == TrialState::kPending) waiting.Add(trial);
      if (trial.state == TrialState::kPaused) paused.emplace(trial.rung, trial_id);
      if (trial.state == TrialState::kPending && !trial.checkpoint.worker_id.empty())
        resumable.insert(trial_id);
      const auto report = campaign.reports.find(trial_id);
      expect((report == campaign.reports.end() ? 0 : report->second.rung) == trial.rung,
             name + "newest report of a trial");
      const auto by_trial = campaign_by_trial.find(trial_id);
      expect(by_trial != campaign_by_trial.end() && by_trial->second == &campaign, name + "trial's campaign");
    }
    auto kept = campaign.counts;
    std::erase_if(kept, [](const auto& entry) { return entry.second == 0; });
    expect(kept == counts, name + "counts");
    expect(waiting.by_needs() == campaign.waiting.by_needs() &&
               waiting.particular() == campaign.waiting.particular() &&
               waiting.crash_hosts() == campaign.waiting.crash_hosts(),
           name + "waiting trials");
    std::set<int64_t> kept_resumable;
    for (const auto& [trial_id, since_ms] : campaign.resumable) kept_resumable.insert(trial_id);
    expect(paused == campaign.paused && resumable == kept_resumable, name + "trials that paused");
    double device_ms = 0;
    for (const auto& [attempt_id, attempt] : campaign.attempts) {
      ++attempts;
      device_ms +=
          static_cast<double>((attempt.heard ? now.monotonic_ms : attempt.heard_ms) - attempt.granted_ms) *
          attempt.record.device_share * static_cast<double>(attempt.record.device_count);
      const auto by_attempt = campaign_by_attempt.find(attempt_id);
      expect(by_attempt != campaign_by_attempt.end() && by_attempt->second == &campaign,
             name + "attempt's campaign");
      const auto by_worker = attempts_by_worker.find(attempt.record.worker_id);
      expect(by_worker != attempts_by_worker.end() && by_worker->second.count({id, attempt_id}) == 1,
             name + "attempt's worker");
      expect(
          lease_checks.count({attempt.check_ms, attempt_id}) == 1 && attempt.check_ms <= attempt.expires_ms,
          name + "lease check");
      const auto trial = campaign.trials.find(attempt.record.trial_id);
      expect(trial != campaign.trials.end() && trial->second.last_attempt_id == attempt_id,
             name + "a live attempt is not its trial's newest");
    }
    expect(std::abs(device_ms - static_cast<double>(DeviceRunningMs(campaign))) < 2, name + "device time");
    for (const auto& [trial_id, attempt] : campaign.expired) {
      ++expired;
      const auto found = expired_by_attempt.find(attempt.record.id);
      expect(found != expired_by_attempt.end() && found->second.first == &campaign &&
                 found->second.second == trial_id,
             name + "expired attempt");
    }
    const bool runs = campaign.active() && std::any_of(campaign.trials.begin(), campaign.trials.end(),
                                                       [&campaign = campaign](const auto& entry) {
                                                         return entry.second.state == TrialState::kPending &&
                                                                (campaign.progress().epochs > 0 ||
                                                                 entry.second.purpose == Purpose::kProxy);
                                                       });
    expect(campaign.place.has_value() == runs, name + "place");
    expect(campaign.lease_record.space_hash == campaign.live.campaign.space_hash &&
               campaign.lease_record.settings.constraints == campaign.settings().constraints,
           name + "what leases carry of it");
    if (!campaign.place) continue;
    ++placed;
    for (const auto& [arrival, poll] : polls.by_arrival())
      if (const auto worker = workers.find(poll.worker_id); worker != workers.end())
        expect(!Choose(worker->second, campaign), name + "work that a parked poll was not given");
    expect(
        *campaign.place == std::pair(campaign.attempts.size(), id) && grantable.count(*campaign.place) == 1,
        name + "key of its place");
  }
  std::map<std::string, int64_t> active, attempts_of;
  for (const auto& [id, campaign] : campaigns) {
    active[campaign.live.campaign.project] += campaign.active() ? campaign.settings().priority : 0;
    attempts_of[campaign.live.campaign.project] += static_cast<int64_t>(campaign.attempts.size());
  }
  for (const auto& [project, sum] : active) {
    const auto counted = priorities.find(project), ran = running.find(project);
    expect((counted == priorities.end() ? 0 : counted->second) == sum, "priorities of project " + project);
    expect((ran == running.end() ? 0 : ran->second) == attempts_of[project],
           "attempts of project " + project);
  }
  size_t by_worker = 0;
  for (const auto& [worker_id, of_worker] : attempts_by_worker) by_worker += of_worker.size();
  int64_t slots = 0;
  size_t on_hosts = 0;
  for (const auto& [worker_id, worker] : workers) {
    slots += worker.counted_slots;
    const auto host = workers_by_host.find(worker.record.host);
    expect(host != workers_by_host.end() && host->second.count(worker_id) == 1,
           "host of worker " + worker_id);
    expect(worker.kind != nullptr && worker.kind->key == KindKey(worker) &&
               worker.kind->workers.count({worker.order, worker_id}) == 1 &&
               worker.order == -worker.ends_ms.value_or(INT64_MAX),
           "kind of worker " + worker_id);
  }
  for (const auto& [host, ids] : workers_by_host) on_hosts += ids.size();
  size_t of_kinds = 0, parked = 0;
  for (const auto& [key, kind] : kinds) {
    of_kinds += kind.workers.size();
    parked += kind.polls.size();
    expect(!kind.workers.empty(), "a kind without workers");
  }
  for (const auto& [arrival, poll] : polls.by_arrival()) {
    const Worker& worker = workers.at(poll.worker_id);
    expect(worker.kind->polls.count({worker.order, arrival}) == 1, "a parked poll's kind");
  }
  expect(of_kinds == workers.size() && parked == polls.by_arrival().size(), "kinds of workers");
  expect(campaign_by_trial.size() == trials, "trials that are gone");
  expect(campaign_by_attempt.size() == attempts && by_worker == attempts && lease_checks.size() == attempts,
         "attempts that are gone");
  expect(expired_by_attempt.size() == expired, "expired attempts that are gone");
  expect(grantable.size() == placed && offered.empty(), "places that are gone");
  expect(slots == known_slots && on_hosts == workers.size(), "workers that are gone");
  fit_checks = checks;
  return errors;
}

}  // namespace canopy::controller
