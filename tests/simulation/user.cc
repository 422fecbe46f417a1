#include "tests/simulation/user.h"

#include <algorithm>
#include <string>
#include <utility>

#include "controller/core/proposer.h"
#include "search_spaces/space.h"

namespace canopy::simulation {

const char kSimulatedSpace[] = R"(canopy: 1
name: tiny
input: {shape: [1, 8, 8], classes: 4}
network:
  - global_avg_pool
  - linear: {features: {int: [1, 64], name: width}}
  - relu
  - linear: {features: classes}
recipe:
  learning_rate: {choice: [0.1, 0.01, 0.001]}
reference: {width: 8, learning_rate: 0.1}
)";

namespace {

const model::CandidateFacts& Reference() {
  static const model::CandidateFacts facts = [] {
    const auto space = search_space::SearchSpace::Parse(kSimulatedSpace, "tiny.yaml");
    model::TaskSpec task;
    task.input_shape = {1, 8, 8};
    task.classes = 4;
    return *controller::LowerCandidate(*space, *space->reference(), task);
  }();
  return facts;
}

}  // namespace

SimulatedUser::SimulatedUser(Scheduler& scheduler, Network& network, Rng rng)
    : scheduler_(scheduler), network_(network), rng_(rng) {}

controller::LaunchCampaign SimulatedUser::NewCampaign() const {
  controller::LaunchCampaign launch;
  launch.principal = "local:ada";
  launch.reference = Reference();
  model::CampaignRecord& campaign = launch.campaign;
  campaign.project = "default";
  campaign.name = "c" + std::to_string(ids_ + 1);
  campaign.owner = "ada";
  campaign.labels_json = "{}";
  campaign.overrides_json = "[]";
  campaign.space_file_name = "tiny.yaml";
  campaign.space_text = kSimulatedSpace;
  campaign.space_name = "tiny";
  model::CampaignSettings& settings = campaign.settings;
  settings.task = {"toy", "digest", {1, 8, 8}, 4, 1, 10};
  settings.numeric_mode = "fp32";
  settings.recipe_json = "{}";
  settings.strategy_kind = "random";
  settings.strategy_json = "{}";
  settings.epochs = 1;
  return launch;
}

void SimulatedUser::LaunchSmall() {
  controller::LaunchCampaign launch = NewCampaign();
  model::CampaignSettings& settings = launch.campaign.settings;
  settings.seed = 3;
  settings.budget_trials = 3;
  settings.finals_top = settings.finals_seeds = 1;
  Send({"user" + std::to_string(++ids_), "launch", std::move(launch)});
}

void SimulatedUser::LaunchForAll(int64_t trials) {
  controller::LaunchCampaign launch = NewCampaign();
  model::CampaignSettings& settings = launch.campaign.settings;
  std::string& space = launch.campaign.space_text;
  space.replace(space.find("64"), 2, std::to_string(trials));
  settings.seed = 3;
  settings.budget_trials = trials;
  Send({"user" + std::to_string(++ids_), "launch", std::move(launch)});
}

void SimulatedUser::Launch() {
  controller::LaunchCampaign launch = NewCampaign();
  model::CampaignSettings& settings = launch.campaign.settings;
  settings.seed = rng_.Next();
  settings.budget_trials = rng_.Int(4, 60);
  const bool evolves = rng_.Below(3) > 0;
  if (evolves) {
    settings.strategy_kind = "regularized_evolution";
    settings.strategy_json = R"({"population":8,"sample":3})";
  }
  if (rng_.Below(2) == 0) settings.duplicates = model::DuplicatePolicy::kEvaluate;
  if (rng_.Below(3) == 0) {
    settings.finals_top = rng_.Int(1, 2);
    settings.finals_seeds = rng_.Int(1, 2);
    settings.finals_reference = rng_.Below(2) == 0;
  }
  if (rng_.Below(4) == 0) {
    settings.budget_duration_ms = rng_.Int(60'000, 1'800'000);
    if (rng_.Below(2) == 0) {  // it ends before the trials do
      settings.budget_duration_ms = rng_.Int(5'000, 60'000);
      settings.budget_trials = 100;
      settings.duplicates = model::DuplicatePolicy::kEvaluate;
    }
    if (rng_.Below(2) == 0) settings.epochs = 0;  // a PROXY trial settles it
  } else if (rng_.Below(3) == 0) {
    settings.budget_device_ms = rng_.Int(5'000, 60'000);
    settings.budget_trials = 200;
    settings.duplicates = model::DuplicatePolicy::kEvaluate;
  }
  if (rng_.Below(2) == 0) {
    settings.fidelity_kind = "halving";
    const auto number = [&](int64_t least, int64_t most) { return std::to_string(rng_.Int(least, most)); };
    settings.fidelity_json =
        R"({"rungs": [1, 2], "floor": 0.1, "group": )" + number(1, 5) + R"(, "keep": )" + number(0, 2) + "}";
    if (settings.epochs > 0) settings.epochs = 4;
  }
  Send({"user" + std::to_string(++ids_), "launch", std::move(launch)});
}

void SimulatedUser::Command(int64_t campaign_id, controller::CampaignVerb verb) {
  Send({"user" + std::to_string(++ids_), "command",
        controller::CommandCampaign{0, "local:ada", campaign_id, verb}});
}

void SimulatedUser::Send(UserCall call, int tries) {
  ++open_;
  const UserCall copy = call;
  network_.Call("user", std::move(call), 10'000, [this, copy, tries](Reply reply) {
    --open_;
    if (absl::IsUnavailable(reply.status()) || absl::IsDeadlineExceeded(reply.status()) ||
        absl::IsResourceExhausted(reply.status())) {
      ++open_;
      const int64_t longest_ms = int64_t{3'000} << std::min(tries, 8);
      scheduler_.After(rng_.Int(100, longest_ms), [this, copy, tries] {
        --open_;
        Send(copy, tries + 1);
      });
      return;
    }
    if (!reply.ok() || !std::holds_alternative<controller::LaunchCampaign>(copy.event)) return;
    campaigns_.push_back(std::stoll(std::get<UserReply>(*reply).answer.substr(9)));
  });
}

}  // namespace canopy::simulation
