// Whose trial a free slot gets: projects by their shares, campaigns of a project by their priorities.
#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "controller/core/state.h"

namespace canopy::controller {
namespace {

// What one lease costs a campaign that is alone in a project of one share.
constexpr int64_t kLeaseCost = 1'000'000;

struct Turn {
  double project = 0;   // running attempts of the project for each of its shares
  double campaign = 0;  // running attempts of the campaign for each point of its priority
  int64_t start = 0;    // start-time fair queueing: ties are as fair over time as the rest is at once
  int64_t tag = 0, id = 0;
  auto Key() const { return std::tie(project, campaign, start, tag, id); }
};

}  // namespace

int64_t Core::Impl::ShareOf(const std::string& project) const {
  const auto share = limits.project_shares.find(project);
  return share == limits.project_shares.end() ? 1 : share->second;
}

std::vector<int64_t> Core::Impl::InOrderOfShares(const Places& places) const {
  std::vector<int64_t> order;
  if (places.size() == 1) order.push_back(places.begin()->second);
  if (places.size() <= 1) return order;
  std::vector<Turn> turns;
  for (const auto& [attempts, id] : places) {
    const Campaign& campaign = campaigns.at(id);
    const std::string& project = campaign.live.campaign.project;
    const auto ran = running.find(project);
    const int64_t tag = campaign.progress().share_tag;
    turns.push_back(
        {static_cast<double>(ran == running.end() ? 0 : ran->second) / static_cast<double>(ShareOf(project)),
         static_cast<double>(attempts) / static_cast<double>(campaign.settings().priority),
         std::max(counters.share_time, tag), tag, id});
  }
  std::sort(turns.begin(), turns.end(), [](const Turn& a, const Turn& b) { return a.Key() < b.Key(); });
  for (const Turn& turn : turns) order.push_back(turn.id);
  return order;
}

void Core::Impl::CountPriority(Campaign& campaign) {
  int64_t& sum = priorities[campaign.live.campaign.project];
  sum -= campaign.counted_priority;
  campaign.counted_priority = campaign.active() ? campaign.settings().priority : 0;
  sum += campaign.counted_priority;
}

void Core::Impl::ChargeShare(Campaign& campaign) {
  const std::string& project = campaign.live.campaign.project;
  int64_t& tag = campaign.progress().share_tag;
  counters.share_time = std::max(counters.share_time, tag);
  tag = counters.share_time +
        kLeaseCost * priorities[project] / (ShareOf(project) * campaign.settings().priority);
  counters_changed = true;
}

}  // namespace canopy::controller
