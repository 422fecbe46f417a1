#include "storage/sqlite_trial_store.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>
#include <thread>

#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/database.h"
#include "storage/reader.h"
#include "storage/row_mapping.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace canopy::storage::testing;  // NOLINT: the sample records

// All that is stored of a record, as text.
template <typename Record>
std::string Text(const Record& record, void (*visit)(ColumnWriter&, const Record&)) {
  ColumnWriter row;
  visit(row, record);
  std::string text;
  for (const SqlValue& value : row.values()) {
    if (const auto* number = std::get_if<int64_t>(&value)) text += std::to_string(*number);
    if (const auto* real = std::get_if<double>(&value)) text += std::to_string(*real);
    if (const auto* words = std::get_if<std::string>(&value)) text += *words;
    text += "|";
  }
  return text;
}
std::string Text(const model::CampaignRecord& record) {
  return Text<model::CampaignRecord>(record, [](ColumnWriter& row, const model::CampaignRecord& campaign) {
    VisitCampaign(row, campaign);
    VisitCampaignTexts(row, campaign);
  });
}
std::string Text(const model::CampaignProgress& record) {
  return Text<model::CampaignProgress>(
      record,
      [](ColumnWriter& row, const model::CampaignProgress& progress) { VisitProgress(row, progress); });
}
std::string Text(const model::CandidateFacts& record) {
  return Text<model::CandidateFacts>(record, [](ColumnWriter& row, const model::CandidateFacts& candidate) {
    VisitCandidate(row, candidate);
    VisitWriting(row, candidate);
    row("graph_json", candidate.graph_json);
  });
}
std::string Text(const model::TrialRecord& record) {
  return Text(record.candidate) +
         Text<model::TrialRecord>(record, [](ColumnWriter& row, const model::TrialRecord& trial) {
           VisitTrial(row, trial);
           VisitTrialState(row, trial);
         });
}
std::string Text(const model::AttemptRecord& record) {
  return Text<model::AttemptRecord>(record, [](ColumnWriter& row, const model::AttemptRecord& attempt) {
    VisitAttempt(row, attempt);
    VisitAttemptState(row, attempt);
  });
}
std::string Text(const model::ResultRecord& record) {
  return Text<model::ResultRecord>(
      record, [](ColumnWriter& row, const model::ResultRecord& result) { VisitResult(row, result); });
}

class SqliteTrialStoreTest : public ::testing::Test {
 protected:
  void Reopen() {
    store_.reset();
    auto store = SqliteTrialStore::Open(path_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  Status Write(const std::function<Status()>& body) { return store_->Transaction(body); }
  TrialStore::LiveRows Live() {
    auto live = store_->LoadLiveCampaigns();
    EXPECT_TRUE(live.ok()) << live.status();
    EXPECT_EQ(live->size(), 1u);
    return live->at(0);
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  std::unique_ptr<TrialStore> store_ = StoreWithCampaign(path_);
};

TEST_F(SqliteTrialStoreTest, RestartFindsTheCampaignAsItWasWritten) {
  const model::CampaignProgress progress = SampleProgress();
  ASSERT_TRUE(Write([&] { return store_->UpdateCampaign(1, progress); }).ok());
  Reopen();
  const TrialStore::LiveRows live = Live();
  EXPECT_EQ(Text(live.campaign), Text(SampleCampaign(1)));
  EXPECT_EQ(Text(live.progress), Text(progress));
  EXPECT_EQ(Text(*live.reference), Text(SampleCandidate(50)));
}

TEST_F(SqliteTrialStoreTest, RestartFindsLiveTrialsAndRunningAttempts) {
  model::TrialRecord trial = SampleTrial(1);
  model::TrialRecord other = SampleTrial(2);
  other.purpose = model::Purpose::kTest;
  other.parent_trial_id = 1;
  other.replicate = 2;
  other.required_worker_id = "worker-1";
  other.weights_path = "/w";
  other.weights_sha256 = "5ha";
  const model::AttemptRecord attempt = SampleAttempt(1, 1);
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(trial));
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(other));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
                trial.state = model::TrialState::kLeased;
                trial.failure = model::FailureClass::kTimeout;
                trial.reason = "one timeout so far";
                trial.crashes = 1;
                trial.timeouts = 2;
                trial.out_of_memory = 3;
                trial.interruptions = 4;
                trial.crash_hosts = {"node1", "node'2"};
                trial.failed_on = {{"node1", "GPU-1"}, {"node'2", ""}};
                trial.last_attempt_id = 1;
                trial.last_fence = attempt.fence;
                trial.rung = 2;
                trial.rung_action = model::RungAction::kPause;
                trial.checkpoint = {"worker-1", "/c", "5ha", 4, 9};
                trial.busy_ms = 70;
                trial.device_ms = 35;
                return store_->UpdateTrial(trial);
              }).ok());
  Reopen();
  const TrialStore::LiveRows live = Live();
  ASSERT_EQ(live.trials.size(), 2u);
  EXPECT_EQ(Text(live.trials[0]), Text(trial));
  EXPECT_EQ(Text(live.trials[1]), Text(other));
  ASSERT_EQ(live.attempts.size(), 1u);
  EXPECT_EQ(Text(live.attempts[0]), Text(attempt));
  EXPECT_EQ(live.trials_total, 2);
  EXPECT_EQ(live.search_trials, 1);
}

TEST_F(SqliteTrialStoreTest, RestartFindsTheBestTrialsAndFinals) {
  const double scores[] = {0.5, 0.9, 0.7, 0.9, 0.1};
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(AddCompletedTrial(*store_, i + 1, scores[i]).ok());
  model::TrialRecord final = SampleTrial(6);
  final.purpose = model::Purpose::kFinal;
  model::AttemptRecord attempt = SampleAttempt(6, 6);
  const model::ResultRecord result = SampleResult(attempt, 6, 0.95);
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(final));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
                CANOPY_RETURN_IF_ERROR(store_->InsertResult(result));
                final.state = model::TrialState::kCompleted;
                return store_->UpdateTrial(final);
              }).ok());
  Reopen();
  const TrialStore::LiveRows live = Live();
  std::vector<int64_t> best;
  for (const auto& finished : live.best) best.push_back(finished.trial.id);
  EXPECT_THAT(best, ElementsAre(2, 4, 3)) << "finals_top and one more; the older of equals first";
  EXPECT_EQ(live.best[0].worker_id, "worker-1");
  EXPECT_EQ(live.best[0].trial.candidate.graph_json, SampleCandidate(2).graph_json);
  ASSERT_EQ(live.finals.size(), 1u);
  EXPECT_EQ(Text(live.finals[0].trial), Text(final));
  EXPECT_EQ(Text(live.finals[0].result), Text(result));
  EXPECT_EQ(live.search_completed, 5);
  EXPECT_EQ(live.search_busy_ms, 500);
  EXPECT_EQ(live.search_device_ms, 600);
}

TEST_F(SqliteTrialStoreTest, SignaturesComeBackInTheOrderOfTheEnds) {
  const auto end = [&](int64_t id, model::FailureClass failure) {
    return Write([&]() -> Status {
      CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(id)));
      model::AttemptRecord attempt = SampleAttempt(id, id);
      CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
      attempt.state = model::AttemptState::kFailed;
      attempt.failure = failure;
      attempt.message = "on try " + std::to_string(id);
      return store_->UpdateAttempt(attempt);
    });
  };
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  ASSERT_TRUE(end(3, model::FailureClass::kTrainerCrash).ok());
  ASSERT_TRUE(end(4, model::FailureClass::kWorkerLost).ok());
  ASSERT_TRUE(end(2, model::FailureClass::kTimeout).ok());
  EXPECT_THAT(Live().first_signatures, ElementsAre("", "TRAINER_CRASH: on try ", "TIMEOUT: on try "));
  EXPECT_THAT(Live().last_signatures, ElementsAre(model::EndSignature{"", "candidate1"},
                                                  model::EndSignature{"TRAINER_CRASH: on try ", "candidate3"},
                                                  model::EndSignature{"TIMEOUT: on try ", "candidate2"}));

  model::CampaignProgress progress = Live().progress;
  progress.signatures_from = 5;
  ASSERT_TRUE(Write([&] { return store_->UpdateCampaign(1, progress); }).ok());
  ASSERT_TRUE(end(5, model::FailureClass::kTimeout).ok());
  EXPECT_THAT(Live().first_signatures, ElementsAre("TIMEOUT: on try "));
  EXPECT_THAT(Live().last_signatures, ElementsAre(model::EndSignature{"TIMEOUT: on try ", "candidate5"}));
}

TEST_F(SqliteTrialStoreTest, ReplicatesAreOneEntryAmongTheBest) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  model::TrialRecord twin = SampleTrial(2);
  twin.candidate = SampleCandidate(1);
  twin.replicate = 1;
  model::AttemptRecord attempt = SampleAttempt(2, 2);
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(twin));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
                return store_->InsertResult(SampleResult(attempt, 2, 0.6));
              }).ok());
  ASSERT_TRUE(AddCompletedTrial(*store_, 3, 0.4).ok());
  std::vector<int64_t> best;
  for (const auto& finished : Live().best) best.push_back(finished.trial.id);
  EXPECT_THAT(best, ElementsAre(2, 3));
}

TEST_F(SqliteTrialStoreTest, ARepeatedResultIdOfAnotherTrialIsStored) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  model::AttemptRecord attempt = SampleAttempt(2, 2);
  model::ResultRecord result = SampleResult(attempt, 2, 0.6);
  result.result_id = SampleResult(SampleAttempt(1, 1), 1, 0.5).result_id;
  EXPECT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(2)));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
                return store_->InsertResult(result);
              }).ok());
}

TEST_F(SqliteTrialStoreTest, APendingTrialsExpiredAttemptAndAnAttemptsOutcomeComeBack) {
  model::TrialRecord trial = SampleTrial(1);
  model::AttemptRecord attempt = SampleAttempt(1, 1), other = SampleAttempt(2, 2);
  attempt.state = model::AttemptState::kExpired;
  trial.last_attempt_id = 1;
  other.result_id = "abc";
  other.state = model::AttemptState::kSucceeded;
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(trial));
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(2)));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(other));
                return store_->UpdateTrial(trial);
              }).ok());
  ASSERT_EQ(Live().expired.size(), 1u);
  EXPECT_EQ(Live().expired[0].worker_id, attempt.worker_id);
  using Known = model::KnownOutcome;
  EXPECT_EQ(*store_->FindOutcome(other.worker_id, 2, "abc"), Known::kCounted);
  EXPECT_EQ(*store_->FindOutcome("another worker", 2, "abc"), Known::kNone);
  EXPECT_EQ(*store_->FindOutcome(other.worker_id, 1, "abc"), Known::kNone);
  EXPECT_TRUE(*store_->HasOutcome(2, other.worker_id, "abc"));
  EXPECT_FALSE(*store_->HasOutcome(2, "another worker", "abc"));
  EXPECT_FALSE(*store_->HasOutcome(1, other.worker_id, "abc"));
}

TEST_F(SqliteTrialStoreTest, AnOutcomeIsArchivedOnce) {
  using Known = model::KnownOutcome;
  EXPECT_EQ(*store_->FindOutcome("w", 7, "abc"), Known::kNone);
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(Write([&] { return store_->ArchiveOutcome("w", "abc", 1, 7, 3, "late", "{}", i); }).ok());
  EXPECT_EQ(*store_->FindOutcome("w", 7, "abc"), Known::kArchived);
  EXPECT_EQ(*store_->FindOutcome("v", 7, "abc"), Known::kNone);
  EXPECT_EQ(
      *(*Database::Open(path_, Database::Mode::kReadOnly))->QueryInt("SELECT COUNT(*) FROM archived_outcome"),
      1);
}

TEST_F(SqliteTrialStoreTest, IsomorphicCandidateKeepsItsOwnWriting) {
  model::TrialRecord trial = SampleTrial(1), twin = SampleTrial(2);
  twin.replicate = 1;
  twin.candidate.candidate_hash = trial.candidate.candidate_hash;
  twin.candidate.graph_hash = trial.candidate.graph_hash;
  twin.candidate.params = trial.candidate.params;
  twin.candidate.macs = trial.candidate.macs;
  twin.candidate.depth = trial.candidate.depth;
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(trial));
                return store_->InsertTrial(twin);
              }).ok());
  Reopen();
  EXPECT_EQ(Text(Live().trials[1]), Text(twin));
}

TEST_F(SqliteTrialStoreTest, DuplicatesAreRefused) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  model::TrialRecord trial = SampleTrial(2);
  trial.candidate = SampleCandidate(1);
  EXPECT_EQ(Write([&] { return store_->InsertTrial(trial); }).code(), absl::StatusCode::kAlreadyExists);
  trial.purpose = model::Purpose::kFinal;
  EXPECT_TRUE(Write([&] { return store_->InsertTrial(trial); }).ok());
  EXPECT_EQ(Write([&] { return store_->InsertResult(SampleResult(SampleAttempt(1, 1), 2, 0.6)); }).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Live().best.at(0).result.objective, 0.5);
}

TEST_F(SqliteTrialStoreTest, SeveralTrialsMayEndWithoutAWorkersResult) {
  for (int64_t id = 1; id <= 2; ++id) {
    const Status status = Write([&]() -> Status {
      CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(id)));
      CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(SampleAttempt(id, id)));
      model::ResultRecord result;
      result.trial_id = result.attempt_id = result.seq = id;
      result.campaign_id = 1;
      result.feasible = false;
      return store_->InsertResult(result);
    });
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Live().search_completed, 0);
  EXPECT_FALSE(store_->LoadProposer(1, 2)->unseen.at(1).feasible);
}

TEST_F(SqliteTrialStoreTest, NumbersThatAreNotFiniteStayOut) {
  model::TrialRecord trial = SampleTrial(1);
  model::ResultRecord result = SampleResult(SampleAttempt(1, 1), 1, 0.5);
  result.metrics = {
      {"val_accuracy", 0.5}, {"val_loss", std::numeric_limits<double>::quiet_NaN()}, {"grad", INFINITY}};
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(trial));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(SampleAttempt(1, 1)));
                return store_->InsertResult(result);
              }).ok());
  EXPECT_EQ(Live().best.at(0).result.metrics, (model::Metrics{{"val_accuracy", 0.5}}));
}

TEST_F(SqliteTrialStoreTest, FailedBodyRollsTheTransactionBack) {
  EXPECT_FALSE(Write([&]() -> Status {
                 CANOPY_RETURN_IF_ERROR(store_->SetCounter("undone", 2));
                 return Internal("on purpose");
               }).ok());
  EXPECT_EQ(*store_->Counter("undone"), 0);
}

TEST_F(SqliteTrialStoreTest, RequestsAnswerRepeatsAndRefuseOtherPayloads) {
  const std::string answer("\0binary", 7);
  ASSERT_TRUE(Write([&] { return store_->SaveRequest("id", "digest", answer, 1); }).ok());
  Reopen();
  EXPECT_EQ(**store_->FindRequest("id", "digest"), answer);
  EXPECT_EQ(*store_->FindRequest("unknown", "digest"), std::nullopt);
  EXPECT_EQ(store_->FindRequest("id", "changed").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SqliteTrialStoreTest, ProposerRowsHoldStateAndOutcomes) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(2)));
                CANOPY_RETURN_IF_ERROR(store_->SaveProposerState(1, 7, 0, "first"));
                return store_->SaveProposerState(1, 8, 1, "second");
              }).ok());
  Reopen();
  const auto proposer = store_->LoadProposer(1, 1);
  ASSERT_TRUE(proposer.ok()) << proposer.status();
  EXPECT_EQ(proposer->state, "second");
  EXPECT_EQ(proposer->seen_seq, 1);
  ASSERT_EQ(proposer->known.size(), 2u);
  EXPECT_EQ(proposer->known[0].candidate, model::CandidateKey::Of(SampleCandidate(1).candidate_hash));
  EXPECT_TRUE(proposer->known[0].seen);
  EXPECT_EQ(proposer->known[0].objective, 0.5);
  EXPECT_FALSE(proposer->known[1].seen);
  EXPECT_TRUE(proposer->unseen.empty());
}

TEST_F(SqliteTrialStoreTest, AnotherThreadReadsAProposersRowsAsTheyWereAtOneResult) {
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(AddCompletedTrial(*store_, id, 0.1 * id).ok());
  ASSERT_TRUE(Write([&] { return store_->SaveProposerState(1, 7, 1, "state"); }).ok());
  const TrialStore::ProposerLoader load = store_->LaterProposer(1, 2);
  StatusOr<TrialStore::ProposerRows> rows = absl::UnknownError("not read");
  std::thread([&] { rows = load(); }).join();
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->known.size(), 3u);
  ASSERT_EQ(rows->unseen.size(), 1u) << "the third result is told by the one who asks";
  EXPECT_EQ(rows->unseen[0].seq, 2);
  EXPECT_EQ(rows->unseen[0].candidate_json, SampleCandidate(2).candidate_json);
  EXPECT_EQ(rows->unseen[0].objective, 0.2);
}

TEST_F(SqliteTrialStoreTest, WhatAVersionSetsAsideIsNeitherRankedNorShownToTheStrategy) {
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(AddCompletedTrial(*store_, id, 0.1 * id).ok());
  ASSERT_TRUE(Write([&] { return store_->InsertTrial(SampleTrial(4)); }).ok());
  const auto begin = [&](int64_t version, const std::vector<model::SetAside>& set_aside) {
    model::CampaignRecord campaign = SampleCampaign(1);
    campaign.space_version = version;
    campaign.settings.budget_trials = 31;
    return Write([&]() -> Status {
      CANOPY_RETURN_IF_ERROR(store_->ChangeCampaign(campaign, std::nullopt, SampleDecisions()));
      return store_->InsertSpaceVersion(
          {1, version, "macro", "5pace", "macro.yaml", "text", {}, 9, "ada", 10}, set_aside);
    });
  };
  const std::vector<model::SetAside> set_aside = {{3, "gone"}, {4, "gone, too"}};
  const auto best = store_->LoadBest(SampleCampaign(1), &set_aside);
  ASSERT_TRUE(best.ok()) << best.status();
  ASSERT_TRUE(begin(2, set_aside).ok());
  Reopen();
  const TrialStore::LiveRows live = Live();
  EXPECT_EQ(live.campaign.space_version, 2);
  EXPECT_EQ(live.campaign.settings.budget_trials, 31);
  EXPECT_FALSE(live.reference.has_value());
  EXPECT_EQ(live.trials.at(0).set_aside, "gone, too");
  ASSERT_EQ(live.best.size(), 2u);
  ASSERT_EQ(best->size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(live.best[i].trial.id, static_cast<int64_t>(2 - i));
    EXPECT_EQ(best->at(i).trial.id, static_cast<int64_t>(2 - i));
  }
  EXPECT_EQ(store_->LoadProposer(1, 3)->known.size(), 2u);
  const auto reader = Reader::Open(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->Best(1, 10)->size(), 2u);
  EXPECT_EQ((*reader)->Trial("fashion-macro/3")->row.trial.set_aside, "gone");

  // Rankings pass by it from here on, and look again where the next version counts it.
  const auto skip = [&](int64_t version) {
    bool done = false;
    const Status status = Write([&]() -> Status {
      CANOPY_ASSIGN_OR_RETURN(done, store_->SkipSetAside(1, version, 1));
      return {};
    });
    EXPECT_TRUE(status.ok()) << status;
    return done;
  };
  EXPECT_FALSE(skip(2));
  const auto database = Database::Open(path_, Database::Mode::kReadOnly);
  EXPECT_EQ(*(*database)->QueryInt("SELECT skipped FROM result WHERE trial_id = 3"), 1);
  EXPECT_FALSE(skip(2)) << "trial 4";
  EXPECT_TRUE(skip(2));
  EXPECT_TRUE(skip(1)) << "another version's";
  EXPECT_EQ((*reader)->Best(1, 10)->size(), 2u);
  ASSERT_TRUE(Write([&] { return store_->RankAgain({3}); }).ok());
  EXPECT_EQ((*reader)->Best(1, 10)->size(), 2u) << "it is set aside as before";
  ASSERT_TRUE(begin(3, {}).ok());
  EXPECT_EQ(Live().best.at(0).trial.id, 3);
  EXPECT_EQ(store_->LoadProposer(1, 3)->known.size(), 4u);
  const auto versions = (*reader)->SpaceVersions(1);
  ASSERT_TRUE(versions.ok()) << versions.status();
  ASSERT_EQ(versions->size(), 2u);
  EXPECT_EQ(versions->at(0).set_aside, 2);
  EXPECT_EQ(versions->at(1).set_aside, 0);

  model::TrialRecord anew = SampleTrial(5);
  anew.space_version = 3;
  ASSERT_TRUE(Write([&] { return store_->InsertTrial(anew); }).ok());
  EXPECT_EQ((*reader)->SpaceVersions(1)->at(1).trials, 1);
}

TEST_F(SqliteTrialStoreTest, ALaterVersionMayEvaluateACandidateAnew) {
  const auto add = [&](int64_t id, int64_t version) {
    model::TrialRecord trial = SampleTrial(id);
    trial.candidate = SampleCandidate(1);
    trial.space_version = version;
    return Write([&] { return store_->InsertTrial(trial); });
  };
  EXPECT_TRUE(add(1, 1).ok());
  EXPECT_EQ(add(2, 1).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(add(3, 2).ok());
}

TEST_F(SqliteTrialStoreTest, MeasurementsThatAreThereStay) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  ASSERT_TRUE(Write([&] { return store_->InsertMeasurements({{1, 10, 1, {{"loss", 0.5}}}}); }).ok());
  ASSERT_TRUE(Write([&] {
                return store_->InsertMeasurements({{1, 10, 1, {{"loss", 9}}}, {1, 20, 2, {}}});
              }).ok());
  auto database = Database::Open(path_, Database::Mode::kReadOnly);
  EXPECT_EQ(*(*database)->QueryInt("SELECT COUNT(*) FROM measurement"), 2);
  EXPECT_EQ(*(*database)->QueryInt("SELECT metrics_json = '{\"loss\":0.5}' FROM measurement WHERE step = 10"),
            1);
}

TEST_F(SqliteTrialStoreTest, IdentityOutlivesARestart) {
  const std::string id = store_->database_id();
  EXPECT_TRUE(IsUuid(id));
  EXPECT_EQ(store_->incarnation(), 1);
  Reopen();
  EXPECT_EQ(store_->database_id(), id);
}

TEST_F(SqliteTrialStoreTest, SecondControllerIsRefusedWithTheFirstOnesPid) {
  const auto second = SqliteTrialStore::Open(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(Message(second.status()), HasSubstr("another controller"));
  EXPECT_THAT(Message(second.status()), HasSubstr(std::to_string(getpid())));
}

TEST_F(SqliteTrialStoreTest, FullDiskRefusesWorkAndDamagesNothing) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  store_.reset();
  auto bounded = SqliteTrialStore::Open(path_, {.max_pages = 80});
  ASSERT_TRUE(bounded.ok()) << bounded.status();
  store_ = *std::move(bounded);
  Status status;
  int64_t written = 0;
  while (status.ok() && written < 10'000) {
    status = Write([&] { return store_->SetCounter(std::string(1'000, 'x') + std::to_string(written), 1); });
    written += status.ok();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  Reopen();
  EXPECT_EQ(*store_->Counter(std::string(1'000, 'x') + std::to_string(written - 1)), 1);
  EXPECT_EQ(*store_->Counter(std::string(1'000, 'x') + std::to_string(written)), 0);
  EXPECT_EQ(Live().best.at(0).result.objective, 0.5);
  EXPECT_TRUE(AddCompletedTrial(*store_, 2, 0.6).ok());
  auto database = Database::Open(path_, Database::Mode::kReadOnly);
  EXPECT_EQ(
      *(*database)->QueryInt("SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

TEST_F(SqliteTrialStoreTest, CheckpointEmptiesTheWriteAheadLog) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  EXPECT_GT(std::filesystem::file_size(path_ + "-wal"), 0u);
  ASSERT_TRUE(store_->FinalCheckpoint().ok());
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0u);
}

TEST_F(SqliteTrialStoreTest, CheckpointWaitsForNoReader) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  auto reader = Database::Open(path_, Database::Mode::kReadOnly);
  ASSERT_TRUE((*reader)->RunScript("BEGIN").ok());
  ASSERT_TRUE((*reader)->QueryInt("SELECT COUNT(*) FROM trial").ok());
  ASSERT_TRUE(AddCompletedTrial(*store_, 2, 0.5).ok());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(store_->Checkpoint(INT64_MAX).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST_F(SqliteTrialStoreTest, ALogThatMayBeginAnewDoesOnceItIsLargeEnough) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  EXPECT_GT(*store_->Checkpoint(INT64_MAX), 0);
  EXPECT_EQ(*store_->Checkpoint(1), 0);
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0u);
}

TEST_F(SqliteTrialStoreTest, ALogThatAnotherConnectionHasMovedBeginsAnew) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  const int64_t before = store_->WalBytes();
  ASSERT_TRUE(store_->LaterCheckpoint()().ok());
  ASSERT_TRUE(AddCompletedTrial(*store_, 2, 0.5).ok());
  EXPECT_GT(store_->WalBytes(), 0);
  EXPECT_LT(store_->WalBytes(), before);
}

TEST_F(SqliteTrialStoreTest, AnotherProcessThatHasTheDatabaseOpenIsNamed) {
  EXPECT_THAT(store_->OtherProcesses(), IsEmpty());
  int ready[2] = {0, 0};
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int file = open(path_.c_str(), O_RDONLY);
    const char opened = file >= 0 ? '1' : '0';
    if (write(ready[1], &opened, 1) == 1) pause();
    _exit(0);
  }
  char opened = 0;
  EXPECT_EQ(read(ready[0], &opened, 1), 1);
  EXPECT_EQ(opened, '1');
  const std::vector<std::string> processes = store_->OtherProcesses();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  ASSERT_EQ(processes.size(), 1u);
  EXPECT_THAT(processes[0], HasSubstr("pid " + std::to_string(child) + " (storage_test"));
}

TEST_F(SqliteTrialStoreTest, EndedCampaignsAreNotLoaded) {
  model::CampaignProgress progress = SampleProgress();
  progress.state = model::CampaignState::kCompleted;
  ASSERT_TRUE(Write([&] { return store_->UpdateCampaign(1, progress); }).ok());
  EXPECT_THAT(*store_->LoadLiveCampaigns(), IsEmpty());
}

}  // namespace
}  // namespace canopy::storage
