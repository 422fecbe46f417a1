#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::CampaignState;
using model::Purpose;
using model::TrialState;

// Two slots that take so many seconds for each trial, and what came of it.
struct Course {
  std::map<Purpose, int> done;
  int64_t took_ms = 0;
};
using Seconds = std::function<int64_t(const model::TrialRecord&)>;
using Accuracy = std::function<double(const model::TrialRecord&)>;

Course RunToTheEnd(World& world, const Seconds& seconds, const Accuracy& accuracy, int64_t slots = 2) {
  world.AnswerRefills();
  world.Hello("w", slots);
  struct Slot {
    std::optional<Lease> lease;
    int64_t end_ms = 0;
  };
  std::vector<Slot> all(static_cast<size_t>(slots));
  Course run;
  const int64_t start_ms = world.now_.monotonic_ms;
  for (int second = 0; second < 5'000 && !model::IsTerminal(world.Progress().state); ++second) {
    std::vector<Lease> running;
    for (size_t i = 0; i < all.size(); ++i) {
      Slot& slot = all[i];
      if (slot.lease && world.now_.monotonic_ms >= slot.end_ms) {
        AttemptOutcome outcome = world.Success(*slot.lease, accuracy(slot.lease->trial));
        outcome.cost.busy_ms = seconds(slot.lease->trial) * 1000;
        if (world.Report("w", outcome) == OutcomeVerdict::kAccepted) ++run.done[slot.lease->trial.purpose];
        slot.lease.reset();
      }
      if (!slot.lease && (slot.lease = world.Poll("w", static_cast<int64_t>(i))))
        slot.end_ms = world.now_.monotonic_ms + seconds(slot.lease->trial) * 1000;
      if (slot.lease) running.push_back(*slot.lease);
    }
    const std::vector<int64_t> stop = world.Beat("w", running);
    for (Slot& slot : all)
      if (slot.lease && std::count(stop.begin(), stop.end(), slot.lease->attempt.id) > 0) slot.lease.reset();
    world.Pass(1'000);
  }
  run.took_ms = world.now_.monotonic_ms - start_ms;
  return run;
}

bool Trains(const model::TrialRecord& trial) {
  return trial.purpose == Purpose::kSearch || trial.purpose == Purpose::kFinal;
}
int64_t Number(const model::TrialRecord& trial) {
  const std::string& name = trial.candidate.candidate_hash;
  return name == "reference" ? 0 : std::stoll(name.substr(1));
}

LaunchCampaign TenMinutes() {
  LaunchCampaign launch = World::Campaign(0, 3);
  launch.campaign.settings.budget_duration_ms = 600'000;
  return launch;
}

TEST(Finals, TenMinutesAreTenMinutesWhereTheBestAreTheSlowest) {
  World world;
  world.Step(TenMinutes());
  // Every fifth candidate is good, and takes three times as long.
  const Course run = RunToTheEnd(
      world, [](const model::TrialRecord& t) { return !Trains(t)           ? 1
                                                      : Number(t) % 5 == 1 ? 45
                                                                           : 15; },
      [](const model::TrialRecord& t) { return Number(t) % 5 == 1 ? 0.9 : 0.8; });
  EXPECT_EQ(world.Progress().state, CampaignState::kCompleted);
  EXPECT_LE(run.took_ms, 605'000);
  EXPECT_EQ(run.done.at(Purpose::kTest), 4);
  EXPECT_EQ(run.done.at(Purpose::kFinal), 8) << "the reserve had room for all of them";
}

TEST(Finals, AsManyFinalistsAsTheTimeHasRoomFor) {
  World world;
  world.Step(TenMinutes());
  // Half of the time is the search's, and the rest does not hold three finalists.
  const Course run = RunToTheEnd(
      world, [](const model::TrialRecord& t) { return Trains(t) ? 100 : 1; },
      [](const model::TrialRecord& t) { return 0.5 + 0.01 * static_cast<double>(Number(t)); });
  EXPECT_EQ(world.Progress().state, CampaignState::kCompleted);
  EXPECT_EQ(world.Events("finalists_dropped").size(), 1u);
  EXPECT_LE(run.took_ms, 605'000);
  EXPECT_EQ(run.done.at(Purpose::kTest), 4);
}

TEST(Finals, TheFinalistThatIsWaitedForIsOneThatCanBeComplete) {
  World world;
  LaunchCampaign launch = World::Campaign(2, 2);
  launch.campaign.settings.budget_duration_ms = 100'000;
  launch.campaign.settings.finals_reference = false;
  world.Step(std::move(launch));
  world.AnswerRefills();
  world.Hello("w", 1);
  for (const double accuracy : {0.9, 0.8}) {
    AttemptOutcome outcome = world.Success(*world.Poll("w"), accuracy);
    outcome.cost.busy_ms = 1'000;
    world.Report("w", outcome);
  }
  // Of the better one's seeds the first diverges; when one trial of the other is left the time is over.
  for (int i = 0; i < 3; ++i) {
    const auto lease = world.Poll("w");
    ASSERT_TRUE(lease);
    ASSERT_EQ(lease->trial.purpose, Purpose::kFinal);
    if (i == 2) world.Pass(99'500);
    world.Beat("w", {*lease});
    world.Report("w", i == 0 ? world.Failed(*lease, model::FailureClass::kDiverged, "NaN")
                             : world.Success(*lease, 0.9));
  }
  const auto last = world.Poll("w");
  ASSERT_TRUE(last) << world.Progress().reason;
  EXPECT_EQ(last->trial.purpose, Purpose::kFinal);
  world.Report("w", world.Success(*last, 0.9));
  EXPECT_EQ(world.Progress().finals_stage, 3) << world.Progress().reason;
}

TEST(Finals, FinalsSlowerThanForeseenEndWithOneCompleteFinalistAndItsTest) {
  World world;
  world.Step(TenMinutes());
  const Course run = RunToTheEnd(
      world,
      [](const model::TrialRecord& t) {
        return t.purpose == Purpose::kFinal ? 40 : t.purpose == Purpose::kSearch ? 15 : 1;
      },
      [](const model::TrialRecord& t) { return 0.5 + 0.001 * static_cast<double>(Number(t)); });
  EXPECT_EQ(world.Progress().state, CampaignState::kCompleted);
  EXPECT_LE(run.took_ms, 610'000);
  EXPECT_LT(run.done.at(Purpose::kFinal), 8);
  EXPECT_EQ(run.done.at(Purpose::kTest), 4);
}

TEST(Finals, ReplicatesOfOneCandidateAreOneFinalistWithSeedsOfItsOwn) {
  World world;
  LaunchCampaign launch = World::Campaign(4, 2);
  launch.campaign.settings.duplicates = model::DuplicatePolicy::kEvaluate;
  world.planned_ = {{"c1", 0}, {"c1", 1}, {"c2", 0}, {"c3", 0}};
  world.Step(std::move(launch));
  world.AnswerRefills();
  world.Hello("w", 1);
  std::set<std::pair<std::string, int64_t>> finals;
  std::set<uint64_t> search_seeds, final_seeds;
  while (const auto lease = world.Poll("w")) {
    const model::TrialRecord& trial = lease->trial;
    if (trial.purpose == Purpose::kSearch) search_seeds.insert(lease->initialization_seed);
    if (trial.purpose == Purpose::kFinal) {
      final_seeds.insert(lease->initialization_seed);
      EXPECT_TRUE(finals.emplace(trial.candidate.candidate_hash, trial.replicate).second);
    }
    world.Report("w", world.Success(*lease, trial.candidate.candidate_hash == "c1" ? 0.9 : 0.8));
  }
  EXPECT_EQ(finals.size(), 6u) << "c1, c2 and the reference, twice each";
  EXPECT_EQ(final_seeds.size(), 2u);
  for (const uint64_t seed : final_seeds) EXPECT_EQ(search_seeds.count(seed), 0u);
}

TEST(Finals, ASearchedReferenceMayWinWhereItIsNoControl) {
  World world;
  LaunchCampaign launch = World::Campaign(2, 2);
  launch.campaign.settings.finals_reference = false;
  world.planned_ = {{"reference", 0}, {"c1", 0}};
  world.Step(std::move(launch));
  RunToTheEnd(
      world, [](const model::TrialRecord&) { return 1; },
      [](const model::TrialRecord& t) { return Number(t) == 0 ? 0.9 : 0.8; });
  EXPECT_EQ(world.Progress().state, CampaignState::kCompleted);
  EXPECT_EQ(world.Trial(world.Progress().winner_trial_id).candidate.candidate_hash, "reference");
  EXPECT_FALSE(world.Progress().winner_is_reference);
}

TEST(Finals, ASearchThatFindsTheReferenceAloneHasItForItsWinner) {
  World world;
  world.planned_ = {{"reference", 0}};
  world.Step(World::Campaign(1, 2));
  const Course run = RunToTheEnd(
      world, [](const model::TrialRecord&) { return 1; }, [](const model::TrialRecord&) { return 0.9; });
  EXPECT_EQ(world.Progress().state, CampaignState::kCompleted);
  EXPECT_TRUE(world.Progress().winner_is_reference);
  EXPECT_EQ(world.Trial(world.Progress().winner_trial_id).purpose, Purpose::kSearch);
  EXPECT_EQ(run.done.at(Purpose::kTest), 2);
}

TEST(Finals, ATrialThatIsGivenBackAfterTheSearchsEndIsNotGivenOutWithoutTimeForIt) {
  World world;
  LaunchCampaign launch = World::Campaign(3, 1);
  launch.campaign.settings.budget_duration_ms = 100'000;
  launch.campaign.settings.finals_reference = false;
  world.Step(std::move(launch));
  world.AnswerRefills();
  world.Hello("w", 2);
  const auto first = world.Poll("w", 0);
  world.Pass(5'000);
  AttemptOutcome outcome = world.Success(*first, 0.9);
  outcome.cost.busy_ms = 5'000;
  world.Report("w", outcome);
  const auto second = world.Poll("w", 0);
  const auto third = world.Poll("w", 1);
  ASSERT_TRUE(second && third);
  // The third is lost while there is time, and nobody is there to take it until there is none.
  world.Beat("w", {*second});
  for (int i = 0; i < 11; ++i) {
    world.Pass(7'000);
    world.Beat("w", {*second});
  }
  EXPECT_EQ(world.Trial(third->trial.id).state, TrialState::kCancelled);
}

}  // namespace
}  // namespace canopy::controller
