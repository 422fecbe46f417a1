#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/mutant.h"
#include "base/strings.h"
#include "controller/core/state.h"

namespace canopy::controller {

using model::CampaignSettings;
using model::Purpose;
using model::TrialState;

void Core::Impl::FollowWallClock() {
  constexpr int64_t kDriftMs = 2'000, kLastingMs = 60'000;
  const auto alike = [](int64_t a, int64_t b) { return std::abs(a - b) <= kDriftMs; };
  const int64_t offset_ms = now.wall_us / 1000 - now.monotonic_ms;
  if (!alike(offset_ms, stepped_offset_ms)) stepped_since_ms = now.monotonic_ms;
  stepped_offset_ms = offset_ms;
  if (alike(offset_ms, wall_offset_ms) || now.monotonic_ms - stepped_since_ms >= kLastingMs)
    wall_offset_ms = offset_ms;
}

int64_t Core::Impl::DurationLeftMs(const Campaign& campaign) const {
  const int64_t duration_ms = campaign.settings().budget_duration_ms;
  return duration_ms == 0 ? INT64_MAX : duration_ms - campaign.ActiveMs(now);
}

int64_t Core::Impl::DateLeftMs(const Campaign& campaign) const {
  const int64_t until_us = campaign.settings().budget_until_us;
  return until_us == 0 ? INT64_MAX : until_us / 1000 - now.monotonic_ms - wall_offset_ms;
}

int64_t Core::Impl::SpanMs(const Campaign& campaign) const {
  const CampaignSettings& settings = campaign.settings();
  int64_t span_ms = INT64_MAX;
  if (settings.budget_duration_ms > 0) span_ms = settings.budget_duration_ms;
  if (settings.budget_until_us > 0)
    span_ms = std::clamp<int64_t>((settings.budget_until_us - campaign.live.campaign.created_us) / 1000, 0,
                                  span_ms);
  return span_ms;
}

int64_t Core::Impl::DeviceRunningMs(const Campaign& campaign) const {
  const RunningDevices& running = campaign.running_devices;
  const double ms = running.share * static_cast<double>(now.monotonic_ms) - running.began + running.before;
  return std::max<int64_t>(0, std::llround(ms));
}

int64_t Core::Impl::DeviceLeftMs(const Campaign& campaign) const {
  return campaign.settings().budget_device_ms - campaign.live.device_ms - DeviceRunningMs(campaign);
}

void Core::Impl::CountRunning(Campaign& campaign, const LiveAttempt& attempt, int sign) {
  // Sums of fractions: what they lose never adds up.
  RunningDevices& running = campaign.running_devices;
  if (campaign.attempts.empty()) {
    running = {};
    return;
  }
  const double share = sign * attempt.record.device_share * static_cast<double>(attempt.record.device_count);
  if (attempt.heard) {
    running.share += share;
    running.began += share * static_cast<double>(attempt.granted_ms);
  } else {
    running.before += share * static_cast<double>(attempt.heard_ms - attempt.granted_ms);
  }
}

void Core::Impl::SetUnheard(Campaign& campaign, LiveAttempt& attempt, int64_t since_ms) {
  CountRunning(campaign, attempt, -1);
  if (attempt.heard) attempt.heard_ms = since_ms;
  attempt.heard = false;
  CountRunning(campaign, attempt, 1);
}

void Core::Impl::Heard(Campaign& campaign, LiveAttempt& attempt) {
  if (!attempt.heard) {
    CountRunning(campaign, attempt, -1);
    attempt.heard = true;
    CountRunning(campaign, attempt, 1);
  }
  attempt.heard_ms = now.monotonic_ms;
  attempt.expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
  if (attempt.check_ms <= attempt.expires_ms) return;
  // A restart had given it more time to be heard of.
  lease_checks.erase({attempt.check_ms, attempt.record.id});
  attempt.check_ms = attempt.expires_ms;
  lease_checks.emplace(attempt.check_ms, attempt.record.id);
}

void Core::Impl::EndAttempt(Campaign& campaign, LiveAttempt& attempt, model::AttemptState state,
                            const std::string& why) {
  attempt.record.state = state;
  attempt.record.message = why;
  attempt.record.ended_us = now.wall_us;
  // What happened to it while no controller ran, nobody knows.
  const int64_t until_ms =
      attempt.heard ? std::min(now.monotonic_ms, attempt.heard_ms + limits.lease_ttl_ms) : attempt.heard_ms;
  attempt.record.cost.allocated_ms = std::max<int64_t>(0, until_ms - attempt.granted_ms);
  campaign.live.device_ms += attempt.record.DeviceMs();
}

Core::Impl::Cost Core::Impl::MeanSearch(const Campaign& campaign) const {
  const LiveCampaign& live = campaign.live;
  if (live.search_completed == 0) return {};
  return {live.search_busy_ms / live.search_completed, live.search_device_ms / live.search_completed};
}

Core::Impl::Cost Core::Impl::NextSearch(const Campaign& campaign) const {
  // What comes next resembles what is good, which may be slower than most.
  Cost best;
  for (const LiveCampaign::Best& entry : campaign.live.best) {
    best.busy_ms += entry.busy_ms;
    best.device_ms += entry.device_ms;
  }
  const auto number = std::max<int64_t>(1, static_cast<int64_t>(campaign.live.best.size()));
  const Cost mean = MeanSearch(campaign);
  return {std::max(best.busy_ms / number, mean.busy_ms), std::max(best.device_ms / number, mean.device_ms)};
}

double Core::Impl::SlotSeconds(const Campaign& campaign, double share) const {
  double ms = 1e15;
  if (HasDeadline(campaign))
    ms = static_cast<double>(LeftMs(campaign)) *
         static_cast<double>(std::max<int64_t>(1, PlannedSlots(campaign)));
  if (HasDeviceBudget(campaign)) ms = std::min(ms, static_cast<double>(DeviceLeftMs(campaign)) / share);
  return std::max(0.0, ms / 1000);
}

bool Core::Impl::NoTimeForAnother(const Campaign& campaign) const {
  if (kMutant == Mutant::kIgnoreDuration || !HasDeadline(campaign)) return false;
  // A search that ends cannot be resumed. The wall clock may be wrong until the host has asked for the time.
  if (!SlotsAreKnown(campaign))
    return DurationLeftMs(campaign) <= 0 ||
           (now.monotonic_ms >= campaign.slots_known_ms && DateLeftMs(campaign) <= 0);
  return LeftMs(campaign) <= FinalsReserve(campaign).busy_ms + NextSearch(campaign).busy_ms;
}

bool Core::Impl::NoDeviceForAnother(const Campaign& campaign) const {
  if (kMutant == Mutant::kIgnoreDeviceBudget || !HasDeviceBudget(campaign)) return false;
  return DeviceLeftMs(campaign) <= FinalsReserve(campaign).device_ms + NextSearch(campaign).device_ms;
}

bool Core::Impl::RestIsTaken(const Campaign& campaign) const {
  if (kMutant == Mutant::kIgnoreDeviceBudget || !HasDeviceBudget(campaign) || !campaign.active() ||
      campaign.progress().finals_stage > 1)
    return false;
  // As a sum: what one takes more than expected, others may take less.
  const int64_t expected_ms =
      campaign.Count(Purpose::kSearch, TrialState::kLeased) * MeanSearch(campaign).device_ms;
  const int64_t to_come_ms = std::max<int64_t>(0, expected_ms - DeviceRunningMs(campaign));
  return DeviceLeftMs(campaign) - to_come_ms <=
         FinalsReserve(campaign).device_ms + NextSearch(campaign).device_ms;
}

bool Core::Impl::SearchIsClosed(const Campaign& campaign, std::string* why) const {
  const CampaignSettings& settings = campaign.settings();
  const bool none_pending =
      campaign.Count(Purpose::kSearch, TrialState::kPending) == 0 && campaign.progress().refill_count == 0;
  if (campaign.progress().strategy_exhausted && none_pending) {
    // A pause has taken its place since.
    *why = campaign.progress().reason.empty() ? "the strategy has no more candidates"
                                              : campaign.progress().reason;
    return true;
  }
  if (settings.budget_trials > 0 && campaign.live.search_trials >= settings.budget_trials && none_pending) {
    *why = "all " + std::to_string(settings.budget_trials) + " trials of the budget are given out";
    return true;
  }
  std::string budget;
  if (NoTimeForAnother(campaign))
    budget = DateLeftMs(campaign) < DurationLeftMs(campaign)
                 ? "time until " + FormatWallUs(settings.budget_until_us)
                 : FormatDuration(settings.budget_duration_ms);
  else if (NoDeviceForAnother(campaign))
    budget = FormatDuration(settings.budget_device_ms) + " of device time";
  if (budget.empty()) return false;
  *why = "the rest of the " + budget +
         (settings.finals_top > 0 ? " is kept for the finals" : " is too little for another trial");
  return true;
}

}  // namespace canopy::controller
