#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/random.h"
#include "controller/core/space_mapping.h"
#include "controller/engine/engine.h"
#include "storage/reader.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::engine {

using controller::Exchanged;
using controller::OutcomeVerdict;

inline constexpr char kSpace[] = R"(canopy: 1
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
    const auto set_aside = static_cast<int64_t>(revise.set_aside.trials().size());
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

}  // namespace canopy::engine
