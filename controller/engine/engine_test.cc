#include "controller/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <future>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "controller/core/strategy.h"
#include "controller/engine/engine_fixture.h"
#include "controller/engine/replay.h"
#include "storage/reader.h"
#include "storage/restore_backup.h"

namespace canopy::engine {
namespace {

using ::testing::HasSubstr;

TEST_F(EngineTest, ACampaignRunsFromLaunchToItsEnd) {
  Hello();
  ASSERT_EQ(*CallForUser("u1", "d", Campaign("c", 12)), "1");
  const std::vector<std::string> candidates = RunToTheEnd(12);
  EXPECT_EQ(std::set<std::string>(candidates.begin(), candidates.end()).size(), 12u);
  EXPECT_EQ(State(1), model::CampaignState::kCompleted);
}

TEST_F(EngineTest, RestartsInTheMiddleChangeNoProposal) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("whole", 20)).ok());
  const std::vector<std::string> whole = RunToTheEnd(20);
  ASSERT_TRUE(CallForUser("u2", "d", Campaign("broken", 20)).ok());
  std::vector<std::string> broken;
  for (int i = 0; i < 20; ++i) {
    const std::string request = "b" + std::to_string(i);
    controller::Lease lease = TakeLease(request);
    if (i % 3 == 0) {
      // Between lease and result: the same request is given the same lease again.
      Restart();
      controller::WorkerHello hello;
      const int64_t attempt_id = lease.attempt.id;
      lease = TakeLease(request);
      EXPECT_NE(lease.attempt.id, attempt_id) << "a Hello without claims gives the lease up";
    }
    broken.push_back(lease.trial.candidate.candidate_json);
    Report(lease);
    if (i % 4 == 0) Restart();
  }
  EXPECT_EQ(broken, whole);
  EXPECT_EQ(ReplayProposals(path_, 2)->proposals, ReplayProposals(path_, 1)->proposals);
}

TEST_F(EngineTest, AfterItsSpaceChangedACampaignGoesOnAsTheReplaySays) {
  Hello();
  const auto run = [&](int64_t id, const std::string& name, bool restarts) {
    EXPECT_TRUE(CallForUser("launch " + name, "d", Campaign(name, 30)).ok());
    std::vector<std::string> candidates = RunToTheEnd(9);
    const std::string wider = With(kSpace, "[1, 3, 5]", "[1, 3, 5, 7]");
    TakeLease("running " + name);
    EXPECT_GT(Revise(id, 2, With(wider, "int: [1, 64]", "int: [1, 40]")), 0);
    if (restarts) Restart();
    const controller::Lease running = TakeLease("running " + name);
    EXPECT_EQ(running.trial.space_version, 1);
    candidates.push_back(running.trial.candidate.candidate_json);
    Report(running);
    for (int i = 0; i < 10; ++i) {
      if (restarts && i % 3 == 0) Restart();
      candidates.push_back(RunToTheEnd(1)[0]);
    }
    EXPECT_EQ(Revise(id, 3, wider), 0) << "all that the launch's space had is there again";
    if (restarts) Restart();
    for (int i = 0; i < 10; ++i) candidates.push_back(RunToTheEnd(1)[0]);
    EXPECT_EQ(State(id), model::CampaignState::kCompleted);
    return candidates;
  };
  const std::vector<std::string> calm = run(1, "calm", false);
  EXPECT_EQ(run(2, "broken", true), calm);
  EXPECT_EQ(std::set<std::string>(calm.begin(), calm.end()).size(), 30u) << "nothing is evaluated twice";
  const StatusOr<ReplayedProposals> replayed = ReplayProposals(path_, 1);
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(ReplayProposals(path_, 2)->proposals, replayed->proposals);
  const auto reader = *storage::Reader::Open(path_);
  EXPECT_EQ(reader->SpaceVersions(1)->size(), 3u);
}

TEST_F(EngineTest, WhatRunsAndWaitsWhileTheSpaceChangesIsNotProposedAgain) {
  Hello();
  const std::string narrow = With(kSpace, "{int: [1, 64], name: width}", "8");
  for (int64_t id = 1; id <= 8; ++id) {
    controller::LaunchCampaign launch = Campaign("c" + std::to_string(id), 100);
    launch.campaign.space_text = narrow;
    launch.campaign.settings.strategy_kind = "random";
    launch.campaign.settings.strategy_json = "{}";
    launch.campaign.settings.seed = static_cast<uint64_t>(id);
    ASSERT_TRUE(CallForUser("u" + std::to_string(id), "d", launch).ok());
    const controller::Lease running = TakeLease("running " + std::to_string(id));
    EXPECT_EQ(Revise(id, 2, With(narrow, "[1, 3, 5]", "[1, 3, 5, 7]")), 0);
    Report(running);
    std::vector<std::string> candidates = {running.trial.candidate.candidate_json};
    // Until the space is exhausted.
    while (State(id) == model::CampaignState::kRunning) {
      const StatusOr<ReplyBody> reply = Call(Ask("r" + std::to_string(++requests_)));
      const auto lease = std::get<Exchanged>(*reply).lease;
      if (!lease) continue;
      candidates.push_back(lease->trial.candidate.candidate_json);
      Report(*lease);
    }
    EXPECT_EQ(std::set<std::string>(candidates.begin(), candidates.end()).size(), 4u);
    EXPECT_EQ(candidates.size(), 4u);
  }
}

TEST_F(EngineTest, ReplayFindsAProposalThatTheLogDoesNotExplain) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 12)).ok());
  RunToTheEnd(12);
  EXPECT_TRUE(ReplayProposals(path_, 1).ok());
  const StatusOr<ReplayedProposals> other = ReplayProposals(
      path_, 1, [](const search_space::SearchSpace& space, const model::CampaignSettings& settings) {
        model::CampaignSettings changed = settings;
        changed.seed += 1;
        return MakeNamedStrategy(space, changed);
      });
  EXPECT_EQ(other.status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EngineTest, ARepeatedExchangeIsGivenTheSameLease) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  const controller::Lease first = TakeLease("r1"), second = TakeLease("r1");
  EXPECT_EQ(first.attempt.id, second.attempt.id);
  EXPECT_EQ(first.attempt.fence, second.attempt.fence);
}

TEST_F(EngineTest, ARepeatedOutcomeCountsOnce) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  const controller::Lease lease = TakeLease("r1");
  EXPECT_EQ(Report(lease), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Report(lease), OutcomeVerdict::kDuplicate);
  const auto reader = *storage::Reader::Open(path_);
  EXPECT_EQ(reader->Campaign("c")->trials_done, 1);
}

TEST_F(EngineTest, AnOutcomeWithTheIdOfAnothersResultIsRefused) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  const controller::Lease first = TakeLease("r1");
  EXPECT_EQ(Report(first), OutcomeVerdict::kAccepted);
  const controller::Lease second = TakeLease("r2");
  controller::WorkerExchange reused;
  reused.worker_id = worker_id_;
  reused.outcome = Success(second);
  reused.outcome->result_id = Success(first).result_id;
  const Status refused = Call(reused).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(refused), HasSubstr("an id of its own"));
  EXPECT_EQ((*storage::Reader::Open(path_))->Campaign("c")->trials_done, 1);
  EXPECT_EQ(Report(second), OutcomeVerdict::kAccepted);
}

TEST_F(EngineTest, AResultThatWasKeptOverARestoreIsKnownWhenItComesAgainThoughItDiverged) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  const controller::Lease lease = TakeLease("r1");
  controller::WorkerExchange offer;
  offer.worker_id = worker_id_;
  offer.outcome = Success(lease);
  controller::AttemptOutcome& kept = *offer.outcome;
  kept.candidate_hash = lease.trial.candidate.candidate_hash;
  kept.result.numeric_mode = "fp32";
  kept.result.dataset_digest = "digest";
  kept.result.recipe_hash = lease.campaign.settings.recipe_hash;
  kept.result.seeds_json = R"({"initialization":")" + std::to_string(lease.initialization_seed) +
                           R"(","data_order":")" + std::to_string(lease.data_order_seed) +
                           R"(","augmentation":")" + std::to_string(lease.augmentation_seed) + "\"}";
  kept.result.metrics["val_accuracy"] = std::numeric_limits<double>::quiet_NaN();
  engine_.reset();
  ASSERT_TRUE(storage::BeginIncarnation(path_, 2, storage::GivenNumbers{}, "a copy", 0).ok());
  Restart();
  for (const OutcomeVerdict verdict : {OutcomeVerdict::kAccepted, OutcomeVerdict::kDuplicate}) {
    const StatusOr<ReplyBody> reply = Call(offer);
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(std::get<Exchanged>(*reply).verdict, verdict);
  }
}

TEST_F(EngineTest, ARepeatWithOtherMetricsIsRefused) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  controller::WorkerExchange report;
  report.worker_id = worker_id_;
  report.outcome = Success(TakeLease("r1"));
  report.outcome->result.metrics["val_loss"] = std::nan("");
  EXPECT_EQ(std::get<Exchanged>(*Call(report)).verdict, OutcomeVerdict::kAccepted);
  EXPECT_EQ(std::get<Exchanged>(*Call(report)).verdict, OutcomeVerdict::kDuplicate);
  report.outcome->result.metrics["val_accuracy"] += 0.25;
  const Status refused = Call(report).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(refused), HasSubstr("other metrics"));
}

TEST_F(EngineTest, AUsersCallIsAnsweredOnceAndRepeatedFromTheDatabase) {
  ASSERT_EQ(*CallForUser("u1", "d", Campaign("c", 5)), "1");
  EXPECT_EQ(*CallForUser("u1", "d", Campaign("c", 5)), "1");
  StartEngine();
  EXPECT_EQ(*CallForUser("u1", "d", Campaign("c", 5)), "1");
  EXPECT_EQ(**engine_->Recall("u1", "d"), "1");
  EXPECT_FALSE(engine_->Recall("u2", "d")->has_value());
  EXPECT_EQ(CallForUser("u1", "other", Campaign("other", 5)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ((*storage::Reader::Open(path_))->Campaigns(0, 10)->size(), 1u);
}

TEST_F(EngineTest, ATakenNameIsRefusedAndNothingChanges) {
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  const StatusOr<std::string> second = CallForUser("u2", "d", Campaign("c", 5));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Message(second.status()), HasSubstr("--name"));
  EXPECT_EQ(*CallForUser("u3", "d", Campaign("c2", 5)), "2");
}

TEST_F(EngineTest, ANameThatSqliteKeepsForItselfIsRefusedAndTheEngineGoesOn) {
  EXPECT_EQ(CallForUser("u1", "d", Campaign("sqlite-x", 5)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*CallForUser("u2", "d", Campaign("c", 5)), "1");
}

TEST_F(EngineTest, APollWithoutWorkEndsWithoutALease) {
  Hello();
  const StatusOr<ReplyBody> reply = Call(Ask("r1"), 0);
  ASSERT_TRUE(reply.ok());
  EXPECT_FALSE(std::get<Exchanged>(*reply).lease.has_value());
}

TEST_F(EngineTest, AWaitingPollIsGivenTheWorkThatArrives) {
  Hello();
  const auto reply = std::make_shared<std::promise<StatusOr<ReplyBody>>>();
  engine_->Submit(
      engine_->NewToken(), Ask("r1"),
      [reply](StatusOr<ReplyBody> body) { reply->set_value(std::move(body)); }, 60'000);
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  EXPECT_TRUE(std::get<Exchanged>(*reply->get_future().get()).lease.has_value());
}

TEST_F(EngineTest, StoppingAnswersWhatWaits) {
  Hello();
  const auto reply = std::make_shared<std::promise<StatusOr<ReplyBody>>>();
  engine_->Submit(
      engine_->NewToken(), Ask("r1"),
      [reply](StatusOr<ReplyBody> body) { reply->set_value(std::move(body)); }, 60'000);
  engine_->Stop();
  EXPECT_EQ(reply->get_future().get().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Call(Ask("r2")).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(engine_->Look({.fleet = true}).fleet.workers, 0);
}

TEST_F(EngineTest, AFailingStrategyPausesItsCampaignAndResumingAsksAgain) {
  const auto broken = std::make_shared<std::atomic<bool>>(true);
  EngineOptions options;
  options.make_strategy =
      [broken](const search_space::SearchSpace& space,
               const model::CampaignSettings& settings) -> StatusOr<std::unique_ptr<controller::Strategy>> {
    if (broken->load()) return Internal("no memory");
    return MakeNamedStrategy(space, settings);
  };
  StartEngine(std::move(options));
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  while (State(1) != model::CampaignState::kPaused) std::this_thread::yield();
  *broken = false;
  controller::CommandCampaign resume;
  resume.campaign_id = 1;
  resume.verb = controller::CampaignVerb::kResume;
  ASSERT_TRUE(CallForUser("u2", "d", resume).ok());
  EXPECT_GT(TakeLease("r1").attempt.id, 0);
}

// A strategy that comes back when the test says so.
class StuckStrategy final : public controller::Strategy {
 public:
  explicit StuckStrategy(std::shared_future<void> end) : end_(std::move(end)) {}
  StatusOr<search_space::Candidate> Propose() override {
    end_.wait();
    return Internal("it was stuck");
  }
  void Record(const controller::Observation&) override {}
  std::string Save() const override { return ""; }
  Status Restore(std::string_view) override { return absl::OkStatus(); }

 private:
  std::shared_future<void> end_;
};

EngineOptions WithStuckStrategy(const std::shared_future<void>& end) {
  EngineOptions options;
  options.make_strategy =
      [end](const search_space::SearchSpace& space,
            const model::CampaignSettings& settings) -> StatusOr<std::unique_ptr<controller::Strategy>> {
    if (settings.strategy_kind == "stuck") return std::make_unique<StuckStrategy>(end);
    return MakeNamedStrategy(space, settings);
  };
  return options;
}

TEST_F(EngineTest, AProcessThatStoodStillTakesNoStrategyForLate) {
  std::promise<void> end;
  StartEngine(WithStuckStrategy(end.get_future().share()));
  controller::LaunchCampaign stuck = Campaign("stuck", 5);
  stuck.campaign.settings.strategy_kind = "stuck";
  ASSERT_TRUE(CallForUser("u1", "d", stuck).ok());
  engine_->Look({});
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(3'600'000);
    engine_->Look({});
    EXPECT_EQ(State(1), model::CampaignState::kRunning) << "it had no time to propose meanwhile";
  }
  engine_.reset();
  end.set_value();
}

TEST_F(EngineTest, AFullQueueRefusesAndLosesNothing) {
  constexpr size_t kRoom = 8;
  EngineOptions options;
  options.max_queued_events = kRoom;
  StartEngine(std::move(options));
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  const controller::Lease lease = TakeLease("r1");
  std::promise<void> entered, go_on;
  controller::CommandCampaign resume;
  resume.campaign_id = 1;
  resume.verb = controller::CampaignVerb::kResume;
  std::promise<bool> unblocked;
  engine_->SubmitForUser({"block", "d",
                          [&](const ReplyBody&) {
                            entered.set_value();
                            go_on.get_future().wait();
                            return std::string("done");
                          }},
                         resume,
                         [&](const StatusOr<std::string>& answer) { unblocked.set_value(answer.ok()); });
  entered.get_future().wait();  // the writer's thread stands still
  std::vector<std::future<StatusOr<ReplyBody>>> answers;
  for (size_t i = 0; i < kRoom + 3; ++i) {
    controller::WorkerHeartbeat heartbeat;
    heartbeat.worker_id = worker_id_;
    const auto reply = std::make_shared<std::promise<StatusOr<ReplyBody>>>();
    answers.push_back(reply->get_future());
    engine_->Submit(engine_->NewToken(), heartbeat,
                    [reply](StatusOr<ReplyBody> body) { reply->set_value(std::move(body)); });
  }
  // Proposals may have taken a place.
  std::vector<std::future<StatusOr<ReplyBody>>> taken;
  for (auto& answer : answers) {
    if (answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready)
      EXPECT_TRUE(absl::IsResourceExhausted(answer.get().status()));
    else
      taken.push_back(std::move(answer));
  }
  EXPECT_GE(taken.size(), kRoom - 1);
  EXPECT_LE(taken.size(), kRoom);
  if (taken.size() > kRoom) go_on.set_value();
  ASSERT_FALSE(HasFailure());
  controller::WorkerExchange report;
  report.worker_id = worker_id_;
  report.outcome = Success(lease);
  EXPECT_TRUE(absl::IsResourceExhausted(Call(report).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(CallForUser("u2", "d", Campaign("later", 5)).status()));
  go_on.set_value();
  EXPECT_TRUE(unblocked.get_future().get());
  for (auto& answer : taken) EXPECT_TRUE(answer.get().ok());
  EXPECT_EQ(Report(lease), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Report(lease), OutcomeVerdict::kDuplicate);
  EXPECT_TRUE(CallForUser("u2", "d", Campaign("later", 5)).ok()) << "it was not there before";
}

TEST_F(EngineTest, AStrategyThatNeverComesBackPausesItsOwnCampaignAlone) {
  std::promise<void> end;
  StartEngine(WithStuckStrategy(end.get_future().share()));
  Hello();
  controller::LaunchCampaign stuck = Campaign("stuck", 5);
  stuck.campaign.settings.strategy_kind = "stuck";
  ASSERT_TRUE(CallForUser("u1", "d", stuck).ok());
  ASSERT_TRUE(CallForUser("u2", "d", Campaign("c", 2)).ok());
  EXPECT_EQ(TakeLease("r1").trial.campaign_id, 2);
  EXPECT_EQ(State(1), model::CampaignState::kRunning);
  for (int s = 0; s < 120; s += 4) {
    clock_.Advance(4'000);  // more at once would be a process that stood still
    engine_->Look({});
  }
  while (State(1) != model::CampaignState::kPaused) std::this_thread::yield();
  EXPECT_THAT((*storage::Reader::Open(path_))->Campaign("stuck")->progress.reason, HasSubstr("120 s"));
  engine_.reset();  // does not wait for it
  end.set_value();
}

TEST_F(EngineTest, CallersFromManyThreadsAreAllAnswered) {
  Hello();
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", 5)).ok());
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        controller::WorkerHeartbeat heartbeat;
        heartbeat.worker_id = worker_id_;
        if (Call(heartbeat).ok()) ++answered;
        if (t == 0) engine_->Look({});
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 200);
}

}  // namespace
}  // namespace canopy::engine
