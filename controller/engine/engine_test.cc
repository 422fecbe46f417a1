#include "controller/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "controller/core/space_mapping.h"
#include "controller/core/strategy.h"
#include "controller/engine/replay.h"
#include "storage/database.h"
#include "storage/reader.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::engine {
namespace {

using controller::Exchanged;
using controller::OutcomeVerdict;
using ::testing::HasSubstr;

constexpr char kSpace[] = R"(canopy: 1
name: tiny
input: {shape: [1, 8, 8], classes: 4}
network:
  - conv2d: {out_channels: {int: [1, 64], name: width}, kernel: {choice: [1, 3, 5], name: kernel}}
  - global_avg_pool
  - linear: {features: classes}
)";

class ManualClock final : public Clock {
 public:
  int64_t MonotonicMs() const override { return now_ms_.load(); }
  int64_t WallUs() const override { return 1'700'000'000'000'000 + now_ms_.load() * 1000; }
  void Advance(int64_t ms) { now_ms_ += ms; }

 private:
  std::atomic<int64_t> now_ms_{1000};
};

// An engine over a database file, and one worker with its slots.
class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    StartEngine();
  }
  void TearDown() override {
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }

  void StartEngine(EngineOptions options = {}, int64_t max_pages = 0) {
    engine_.reset();
    auto store = storage::SqliteTrialStore::Open(path_, {.backup_directory = "", .max_pages = max_pages});
    ASSERT_TRUE(store.ok()) << store.status();
    database_id_ = (*store)->database_id();
    incarnation_ = (*store)->incarnation();
    auto engine = Engine::Start(std::move(options), *std::move(store), clock_);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  void Restart() {
    StartEngine();
    Hello();
  }

  StatusOr<ReplyBody> Call(controller::Event event, int64_t wait_ms = 0) {
    const auto reply = std::make_shared<std::promise<StatusOr<ReplyBody>>>();
    engine_->Submit(
        engine_->NewToken(), std::move(event),
        [reply](StatusOr<ReplyBody> body) { reply->set_value(std::move(body)); }, wait_ms);
    return reply->get_future().get();
  }
  StatusOr<std::string> CallForUser(const std::string& request_id, const std::string& digest,
                                    controller::Event event) {
    auto answer = std::make_shared<std::promise<StatusOr<std::string>>>();
    std::future<StatusOr<std::string>> future = answer->get_future();
    const auto encode = [](const ReplyBody& body) {
      const auto* launched = std::get_if<controller::Launched>(&body);
      return launched != nullptr ? std::to_string(launched->campaign_id) : "commanded";
    };
    // The callback alone holds the promise: a call that is dropped unanswered breaks it.
    engine_->SubmitForUser(
        {request_id, digest, encode}, std::move(event),
        [answer = std::move(answer)](StatusOr<std::string> text) { answer->set_value(std::move(text)); });
    return future.get();
  }

  static controller::LaunchCampaign Campaign(const std::string& name, int64_t trials) {
    controller::LaunchCampaign launch;
    launch.principal = "local:ada";
    model::CampaignRecord& campaign = launch.campaign;
    campaign.project = "default";
    campaign.name = name;
    campaign.owner = "ada";
    campaign.labels_json = "{}";
    campaign.overrides_json = "[]";
    campaign.space_file_name = "tiny.yaml";
    campaign.space_text = kSpace;
    campaign.space_name = "tiny";
    model::CampaignSettings& settings = campaign.settings;
    settings.task = {"toy", "digest", {1, 8, 8}, 4, 1, 10};
    settings.numeric_mode = "fp32";
    settings.recipe_json = "{}";
    settings.strategy_kind = "regularized_evolution";
    settings.strategy_json = R"({"population":8,"sample":3})";
    settings.epochs = 1;
    settings.budget_trials = trials;
    settings.seed = 7;
    return launch;
  }

  void Hello() {
    controller::WorkerHello hello;
    hello.worker.id = worker_id_;
    hello.worker.host = "h1";
    hello.worker.labels_json = "{}";
    hello.worker.slots = 1;
    hello.worker.cores = 1;
    hello.worker.numeric_modes = {"fp32"};
    hello.worker.datasets = {{"toy", "digest", {1, 8, 8}, 4, 100}};
    ASSERT_TRUE(Call(hello).ok());
  }

  controller::WorkerExchange Ask(const std::string& request_id) const {
    controller::WorkerExchange exchange;
    exchange.worker_id = worker_id_;
    exchange.request_id = request_id;
    exchange.wants_lease = true;
    return exchange;
  }
  controller::AttemptOutcome Success(const controller::Lease& lease) const {
    controller::AttemptOutcome outcome;
    outcome.result_id = Rng(static_cast<uint64_t>(lease.attempt.id)).Save().substr(0, 32);
    outcome.database_id = database_id_;
    outcome.incarnation = incarnation_;
    outcome.attempt_id = lease.attempt.id;
    outcome.trial_id = lease.trial.id;
    outcome.fence = lease.attempt.fence;
    outcome.succeeded = true;
    outcome.cost.busy_ms = 10;
    const double accuracy =
        static_cast<double>(Rng::DeriveSeed(1, lease.trial.candidate.candidate_hash) % 1000) / 1000;
    outcome.result.metrics = {{"val_accuracy", accuracy}};
    outcome.result.epochs = 1;
    outcome.result.seeds_json = "{}";
    return outcome;
  }

  // Waits until the worker's slot is given a lease.
  controller::Lease TakeLease(const std::string& request_id) {
    for (;;) {
      const StatusOr<ReplyBody> reply = Call(Ask(request_id), 60'000);
      EXPECT_TRUE(reply.ok()) << reply.status();
      if (const auto& lease = std::get<Exchanged>(*reply).lease) return *lease;
    }
  }
  // Runs leases until the campaign has ended; gives the candidates in order.
  std::vector<std::string> RunToTheEnd(int64_t trials) {
    std::vector<std::string> candidates;
    for (int64_t i = 0; i < trials; ++i) {
      const controller::Lease lease = TakeLease("r" + std::to_string(++requests_));
      candidates.push_back(lease.trial.candidate.candidate_json);
      Report(lease);
    }
    return candidates;
  }
  OutcomeVerdict Report(const controller::Lease& lease) {
    controller::WorkerExchange exchange;
    exchange.worker_id = worker_id_;
    exchange.outcome = Success(lease);
    const StatusOr<ReplyBody> reply = Call(exchange);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? std::get<Exchanged>(*reply).verdict : OutcomeVerdict::kNone;
  }
  static std::string With(std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  }
  // Gives the campaign the space `text` as that version, once it waits for no proposal; gives how many
  // trials it sets aside.
  int64_t Revise(int64_t id, int64_t version, const std::string& text) {
    const auto reader = *storage::Reader::Open(path_);
    while (reader->Campaign(std::to_string(id))->progress.refill_count > 0) std::this_thread::yield();
    controller::ReviseCampaign revise;
    revise.principal = "local:ada";
    revise.campaign = reader->Campaign(std::to_string(id))->campaign;
    revise.campaign.space_text = text;
    const auto space = search_space::SearchSpace::Parse(text, "tiny.yaml");
    EXPECT_TRUE(space.ok()) << space.status();
    revise.campaign.space_hash = space->content_hash();
    revise.changes_json = "[]";
    revise.new_version = true;
    const controller::SpaceMapping mapping(*space, {}, revise.campaign.settings);
    const storage::TrialPage page = *reader->Trials(id, {}, 0, 1000);
    for (const storage::TrialRow& row : page.trials) {
      revise.next_trial_number = row.trial.number + 1;
      const std::string reason = mapping.WhySetAside(row.trial.candidate);
      if (!reason.empty()) revise.set_aside.push_back({row.trial.id, reason});
    }
    const auto set_aside = static_cast<int64_t>(revise.set_aside.size());
    const auto answer = CallForUser("v" + std::to_string(version) + " of " + std::to_string(id), "d", revise);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return set_aside;
  }
  model::CampaignState State(int64_t id) {
    return (*storage::Reader::Open(path_))->Campaign(std::to_string(id))->progress.state;
  }

  const std::string folder_ = ::testing::TempDir() + "engine-" + NewUuid();
  const std::string path_ = folder_ + "/canopy.db";
  const std::string worker_id_ = NewUuid();
  ManualClock clock_;
  std::string database_id_;
  int64_t incarnation_ = 0;
  int requests_ = 0;
  std::unique_ptr<Engine> engine_;
};

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
  EXPECT_TRUE(engine_->Look().workers.empty());
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

TEST_F(EngineTest, AStrategyThatNeverComesBackPausesItsOwnCampaignAlone) {
  const auto end = std::make_shared<std::promise<void>>();
  EngineOptions options;
  options.make_strategy =
      [future = end->get_future().share()](
          const search_space::SearchSpace& space,
          const model::CampaignSettings& settings) -> StatusOr<std::unique_ptr<controller::Strategy>> {
    if (settings.strategy_kind == "stuck") return std::make_unique<StuckStrategy>(future);
    return MakeNamedStrategy(space, settings);
  };
  StartEngine(std::move(options));
  Hello();
  controller::LaunchCampaign stuck = Campaign("stuck", 5);
  stuck.campaign.settings.strategy_kind = "stuck";
  ASSERT_TRUE(CallForUser("u1", "d", stuck).ok());
  ASSERT_TRUE(CallForUser("u2", "d", Campaign("c", 2)).ok());
  EXPECT_EQ(TakeLease("r1").trial.campaign_id, 2);
  EXPECT_EQ(State(1), model::CampaignState::kRunning);
  clock_.Advance(120'000);
  while (State(1) != model::CampaignState::kPaused) std::this_thread::yield();
  EXPECT_THAT((*storage::Reader::Open(path_))->Campaign("stuck")->progress.reason, HasSubstr("120 s"));
  engine_.reset();  // does not wait for it
  end->set_value();
}

TEST_F(EngineTest, AWriteThatFailsEndsTheEngineAndAcknowledgesNothing) {
  const auto failure = std::make_shared<std::promise<Status>>();
  EngineOptions options;
  options.on_storage_failure = [failure](const Status& status) { failure->set_value(status); };
  constexpr int64_t kPages = 150;
  StartEngine(std::move(options), kPages);
  int64_t acknowledged = 0;
  for (bool going = true; going; acknowledged += going) {
    const std::string number = std::to_string(acknowledged);
    try {
      going = CallForUser("u" + number, "d", Campaign("c" + number, 5)).ok();
    } catch (const std::future_error&) {
      going = false;  // dropped unanswered
    }
  }
  EXPECT_EQ(failure->get_future().get().code(), absl::StatusCode::kResourceExhausted);
  StartEngine();
  EXPECT_EQ(static_cast<int64_t>((*storage::Reader::Open(path_))->Campaigns(0, 1000)->size()), acknowledged);
}

TEST_F(EngineTest, WhileAReaderKeepsTheLogGrowingNoWorkIsGivenOutAndResultsAreTaken) {
  StartEngine({.max_wal_bytes = 256 * 1024});
  Hello();
  controller::LaunchCampaign launch = Campaign("c", 5'000);
  launch.campaign.settings.duplicates = model::DuplicatePolicy::kEvaluate;
  ASSERT_TRUE(CallForUser("u1", "d", launch).ok());
  controller::Lease lease = TakeLease("first");
  auto reader = storage::Database::Open(path_, storage::Database::Mode::kReadOnly);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE((*reader)->RunScript("BEGIN; SELECT COUNT(*) FROM trial").ok());

  Status refused;
  for (int i = 0; i < 2'000 && refused.ok(); ++i) {
    EXPECT_EQ(Report(lease), OutcomeVerdict::kAccepted);
    const StatusOr<ReplyBody> reply = Call(Ask("r" + std::to_string(i)), 60'000);
    refused = reply.status();
    if (reply.ok()) lease = std::get<Exchanged>(*reply).lease.value();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(Message(refused), HasSubstr("reads the database for long"));
  EXPECT_THAT(engine_->statistics().held_back, HasSubstr("No more work"));
  EXPECT_TRUE(absl::IsResourceExhausted(CallForUser("u2", "d", Campaign("d", 5)).status()));

  ASSERT_TRUE((*reader)->RunScript("COMMIT").ok());
  clock_.Advance(2'000);
  StatusOr<ReplyBody> reply = Call(Ask("again"), 60'000);
  for (int i = 0; i < 100 && absl::IsResourceExhausted(reply.status()); ++i) {
    clock_.Advance(2'000);
    reply = Call(Ask("again" + std::to_string(i)), 60'000);
  }
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(std::get<Exchanged>(*reply).lease.has_value());
}

TEST_F(EngineTest, TheLogBeginsAnewAgainAndAgain) {
  constexpr int64_t kMaxWalBytes = 1 << 20;
  StartEngine({.max_wal_bytes = kMaxWalBytes});
  Hello();
  controller::LaunchCampaign launch = Campaign("c", 5'000);
  launch.campaign.settings.duplicates = model::DuplicatePolicy::kEvaluate;
  ASSERT_TRUE(CallForUser("u1", "d", launch).ok());
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(Report(TakeLease("r" + std::to_string(i))), OutcomeVerdict::kAccepted);
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), size_t{kMaxWalBytes})
      << "all results take ten times it";
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
        if (t == 0) engine_->Look();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 200);
}

TEST_F(EngineTest, AFullDiskRefusesWorkersAndUsersAndTakesTheirWorkOnceThereIsRoom) {
  std::atomic<int64_t> free_bytes = int64_t{1} << 40;
  EngineOptions options;
  options.disk.folder = folder_;
  options.disk.free_bytes = [&]() -> StatusOr<int64_t> { return free_bytes.load(); };
  StartEngine(std::move(options));
  Hello();
  ASSERT_TRUE(CallForUser("l1", "d", Campaign("first", 3)).ok());
  const controller::Lease lease = TakeLease("r1");
  EXPECT_TRUE(FileExists(folder_ + "/reserve"));
  free_bytes = int64_t{10} << 20;
  controller::WorkerExchange report;
  report.worker_id = worker_id_;
  report.outcome = Success(lease);
  EXPECT_TRUE(absl::IsResourceExhausted(Call(report).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(CallForUser("l2", "d", Campaign("second", 3)).status()));
  EXPECT_TRUE(engine_->statistics().disk_low);
  EXPECT_EQ(engine_->Look().workers.size(), 1u) << "who only looks is answered";
  EXPECT_FALSE(FileExists(folder_ + "/reserve")) << "what was open may need its space";
  free_bytes = int64_t{1} << 40;
  const StatusOr<ReplyBody> taken = Call(report);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(std::get<Exchanged>(*taken).verdict, controller::OutcomeVerdict::kAccepted);
  EXPECT_TRUE(CallForUser("l2", "d", Campaign("second", 3)).ok()) << "the same request id";
  EXPECT_TRUE(FileExists(folder_ + "/reserve"));
  engine_.reset();  // before free_bytes
}

}  // namespace
}  // namespace canopy::engine
