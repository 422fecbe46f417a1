// What failed on one device and passed elsewhere speaks against the device; enough of it drains the device,
// and enough on several devices of a host drains the host.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/strings.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::DevicePlace;
using model::FailureClass;

constexpr size_t kBlamesThatDrain = 3;
// So many trials that pass forgive the oldest one that failed.
constexpr int64_t kPassesThatForgive = 50;

// The host's fault as well as the candidate's. DIVERGED and INVALID_CANDIDATE are the candidate's, memory is
// a matter of size, and who was interrupted did not fail.
bool MayBeTheDevices(FailureClass failure) {
  return failure == FailureClass::kTrainerCrash || failure == FailureClass::kTimeout ||
         failure == FailureClass::kData || failure == FailureClass::kWorkerLost;
}

bool IsOn(const model::WorkerRecord& worker, const DevicePlace& place) {
  return worker.host == place.host && (place.device_uuid.empty() || worker.device_uuid == place.device_uuid);
}

}  // namespace

void Core::Impl::NoteFailedOn(model::TrialRecord& trial, const model::AttemptRecord& attempt) {
  const DevicePlace place{attempt.host, attempt.device_uuid};
  if (!MayBeTheDevices(*attempt.failure) || !trial.required_worker_id.empty()) return;
  auto& places = trial.failed_on;
  if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
}

void Core::Impl::NotePassed(const Campaign& campaign, const model::TrialRecord& trial,
                            const model::AttemptRecord& attempt) {
  const DevicePlace here{attempt.host, attempt.device_uuid};
  if (const auto found = health.find(here); found != health.end()) {
    model::DeviceHealth& device = found->second;
    if (++device.passes >= kPassesThatForgive) {
      device.passes = 0;
      device.blames.erase(device.blames.begin());
    }
    Write(SaveHealth{device});
    if (device.blames.empty()) health.erase(found);
  }
  for (const DevicePlace& place : trial.failed_on) {
    if (place == here) continue;
    model::DeviceHealth& device = health[place];
    device.place = place;
    if (device.blames.empty()) device.passes = 0;
    device.blames.push_back({trial.id, campaign.live.campaign.name + "/" + std::to_string(trial.number),
                             place.host != here.host});
    Write(SaveHealth{device});
    DrainWhereSick(place);
  }
}

void Core::Impl::DrainWhereSick(const DevicePlace& place) {
  std::vector<std::string> on_device, on_host;
  std::set<std::string> devices;
  for (const auto& [other, device] : health) {
    if (other.host != place.host) continue;
    for (const model::Blame& blame : device.blames) {
      if (other == place) on_device.push_back(blame.trial);
      if (!blame.other_host) continue;
      on_host.push_back(blame.trial);
      devices.insert(other.device_uuid);
    }
  }
  const auto drain = [&](model::DrainScope scope, const DevicePlace& what, const std::string& name,
                         const std::vector<std::string>& trials) {
    if (drains.count({scope, name}) > 0 || IsLast(what)) return;
    SetDrain(
        {scope, name,
         std::to_string(trials.size()) + " trials failed there that passed elsewhere: " + Join(trials, ", "),
         "controller", now.wall_us},
        "");
    NoteDrains();
  };
  if (on_device.size() >= kBlamesThatDrain && !place.device_uuid.empty())
    drain(model::DrainScope::kDevice, place, place.device_uuid, on_device);
  // One bad device does not make a bad host, unless the host does not tell its devices apart.
  if (on_host.size() >= kBlamesThatDrain && (devices.size() >= 2 || place.device_uuid.empty()))
    drain(model::DrainScope::kHost, {place.host, ""}, place.host, on_host);
}

bool Core::Impl::IsLast(const DevicePlace& place) const {
  for (const auto& [id, campaign] : campaigns) {
    bool here = false, elsewhere = false;
    for (const auto& [worker_id, worker] : workers) {
      std::string ignored;
      if (!worker.drained.empty() || worker.Ended(now) || !FitsCampaign(worker, campaign, &ignored)) continue;
      (IsOn(worker.record, place) ? here : elsewhere) = true;
    }
    if (here && !elsewhere) return true;
    // Weights that lie there are needed there.
    const auto needs = [&](const std::string& worker_id) {
      const auto worker = workers.find(worker_id);
      return worker != workers.end() && IsOn(worker->second.record, place);
    };
    for (const LiveCampaign::Final& final : campaign.live.finals)
      if (needs(final.worker_id)) return true;
  }
  return false;
}

void Core::Impl::EndWaitsForMemory(Campaign& campaign) {
  if (!campaign.active()) return;
  std::vector<int64_t> too_long;
  std::map<WaitingTrials::Needs, bool> known;  // some worker can run what has them
  for (auto& [trial_id, since_ms] : campaign.waits_for_memory) {
    const model::TrialRecord& trial = campaign.trials.at(trial_id);
    WaitingTrials::Needs needs = WaitingTrials::NeedsOf(trial);
    needs.crash_hosts.clear();
    auto fits = known.find(needs);
    if (fits == known.end() || needs.resumes)
      fits = known.insert_or_assign(needs, AnyFits(campaign, trial)).first;
    if (fits->second) since_ms = now.monotonic_ms;
    if (now.monotonic_ms - since_ms >= limits.larger_worker_wait_ms) too_long.push_back(trial_id);
  }
  for (const int64_t trial_id : too_long) {
    model::TrialRecord& trial = campaign.trials.at(trial_id);
    trial.failure = FailureClass::kOutOfMemory;
    EndInfeasible(campaign, trial, trial.last_attempt_id, "controller",
                  "OUT_OF_MEMORY: for " + FormatDuration(limits.larger_worker_wait_ms) +
                      " no worker with more than " + FormatCount(trial.out_of_memory_bytes) +
                      " bytes was there to try it again");
  }
  if (!too_long.empty()) SaveProgress(campaign);
}

}  // namespace canopy::controller
