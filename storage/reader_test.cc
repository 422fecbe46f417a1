#include "storage/reader.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace canopy::storage::testing;  // NOLINT: the sample records

class ReaderTest : public ::testing::Test {
 protected:
  ReaderTest() {
    for (int id = 1; id <= 3; ++id) EXPECT_TRUE(AddCompletedTrial(*store_, id, 0.5 + 0.1 * (id % 3)).ok());
    auto reader = Reader::Open(path_);
    EXPECT_TRUE(reader.ok()) << reader.status();
    reader_ = *std::move(reader);
  }
  Status AddCampaign(int64_t id, const std::string& project, const std::string& name) {
    model::CampaignRecord campaign = SampleCampaign(id, name);
    campaign.project = project;
    return store_->Transaction([&] {
      return store_->InsertCampaign(campaign, SampleProgress(), std::nullopt, {}, SampleMetrics());
    });
  }
  static std::vector<int64_t> Numbers(const std::vector<TrialRow>& rows) {
    std::vector<int64_t> numbers;
    for (const TrialRow& row : rows) numbers.push_back(row.trial.number);
    return numbers;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  std::unique_ptr<TrialStore> store_ = StoreWithCampaign(path_);
  std::unique_ptr<Reader> reader_;
};

TEST_F(ReaderTest, CampaignIsFoundByNameProjectAndId) {
  for (const char* reference : {"fashion-macro", "default/fashion-macro", "1"}) {
    const auto row = reader_->Campaign(reference);
    ASSERT_TRUE(row.ok()) << row.status();
    EXPECT_EQ(row->campaign.id, 1);
    EXPECT_EQ(row->campaign.space_text, SampleCampaign(1).space_text);
    EXPECT_EQ(row->trials_done, 3);
    EXPECT_EQ(row->best->name(), "fashion-macro/2");
  }
}

TEST_F(ReaderTest, UnknownAndAmbiguousCampaignsAreExplained) {
  EXPECT_THAT(Message(reader_->Campaign("fashion-marco").status()),
              HasSubstr("did you mean 'fashion-macro'?"));
  EXPECT_THAT(Message(reader_->Campaign("something").status()), HasSubstr("the newest are fashion-macro"));
  ASSERT_TRUE(AddCampaign(2, "other", "fashion-macro").ok());
  const auto ambiguous = reader_->Campaign("fashion-macro");
  EXPECT_EQ(ambiguous.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(ambiguous.status()), HasSubstr("default/fashion-macro, other/fashion-macro"));
  EXPECT_EQ(reader_->Campaign("other/fashion-macro")->campaign.id, 2);
}

TEST_F(ReaderTest, CampaignsComeInPages) {
  ASSERT_TRUE(AddCampaign(2, "other", "b").ok());
  ASSERT_TRUE(AddCampaign(3, "default", "c").ok());
  const auto first = reader_->Campaigns(0, 2);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->size(), 2u);
  EXPECT_TRUE((*first)[0].campaign.space_text.empty());
  EXPECT_EQ(reader_->Campaigns(2, 2)->at(0).campaign.name, "c");
  EXPECT_EQ(reader_->Campaigns(0, 9, "default")->size(), 2u);
}

TEST_F(ReaderTest, CountsFollowEveryWrite) {
  model::EventRecord event;
  event.campaign_id = 1;
  event.kind = "proposal_rejected";
  event.payload_json = "{}";
  ASSERT_TRUE(store_
                  ->Transaction([&]() -> Status {
                    CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(4)));
                    event.seq = 1;
                    CANOPY_RETURN_IF_ERROR(store_->AppendEvent(event));
                    event.seq = 2;
                    event.kind = "proposal_cached";
                    return store_->AppendEvent(event);
                  })
                  .ok());
  const auto counts = reader_->Counts(1);
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->Trials(model::Purpose::kSearch, model::TrialState::kCompleted), 3);
  EXPECT_EQ(counts->Trials(model::Purpose::kSearch, model::TrialState::kPending), 1);
  EXPECT_EQ(counts->Trials(model::Purpose::kFinal, model::TrialState::kPending), 0);
  EXPECT_EQ(counts->rejected, 1);
  EXPECT_EQ(counts->cached, 1);
  EXPECT_DOUBLE_EQ(counts->candidates_an_hour, 3.0);
}

TEST_F(ReaderTest, BestFirstFollowsTheGoal) { EXPECT_THAT(Numbers(*reader_->Best(1, 2)), ElementsAre(2, 1)); }

TEST_F(ReaderTest, TrialsComeInPagesAndByFilter) {
  auto page = reader_->Trials(1, {}, 0, 2);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(Numbers(page->trials), ElementsAre(1, 2));
  page = reader_->Trials(1, {}, page->next_after_id, 2);
  EXPECT_THAT(Numbers(page->trials), ElementsAre(3));
  EXPECT_EQ(page->next_after_id, 0);
  ASSERT_TRUE(store_->Transaction([&] { return store_->InsertTrial(SampleTrial(4)); }).ok());
  EXPECT_THAT(Numbers(reader_->Trials(1, {.states = {model::TrialState::kPending}}, 0, 9)->trials),
              ElementsAre(4));
  EXPECT_TRUE(reader_->Trials(1, {.purposes = {model::Purpose::kTest}}, 0, 9)->trials.empty());
}

TEST_F(ReaderTest, TrialShowsAttemptsMeasurementsAndEvents) {
  model::EventRecord event;
  event.seq = 9;
  event.campaign_id = 1;
  event.trial_id = 2;
  event.kind = "attempt_started";
  event.payload_json = "{}";
  ASSERT_TRUE(store_
                  ->Transaction([&]() -> Status {
                    CANOPY_RETURN_IF_ERROR(store_->AppendEvent(event));
                    return store_->InsertMeasurements({{2, 10, 1, {{"loss", 0.5}}}});
                  })
                  .ok());
  for (const char* reference : {"fashion-macro/2", "default/fashion-macro/2", "2"}) {
    const auto detail = reader_->Trial(reference);
    ASSERT_TRUE(detail.ok()) << detail.status();
    EXPECT_EQ(detail->row.trial.candidate.graph_json, SampleCandidate(2).graph_json);
    EXPECT_EQ(detail->row.result->metrics.at("other"), 3);
    EXPECT_EQ(detail->row.worker_id, "worker-1");
    EXPECT_EQ(detail->row.busy_ms, 100);
    EXPECT_EQ(detail->attempts.size(), 1u);
    EXPECT_EQ(detail->measurements.at(0).metrics.at("loss"), 0.5);
    EXPECT_EQ(detail->events.at(0).seq, 9);
  }
  EXPECT_THAT(Message(reader_->Trial("fashion-macro/77").status()), HasSubstr("trials 1 to 3"));
  EXPECT_THAT(Message(reader_->Trial("fashion-macro/x").status()), HasSubstr("campaign/17"));
}

TEST_F(ReaderTest, FailuresAndRunningTrialsAreListed) {
  model::TrialRecord failed = SampleTrial(4), leased = SampleTrial(5);
  ASSERT_TRUE(store_
                  ->Transaction([&]() -> Status {
                    CANOPY_RETURN_IF_ERROR(store_->InsertTrial(failed));
                    CANOPY_RETURN_IF_ERROR(store_->InsertTrial(leased));
                    leased.state = model::TrialState::kLeased;
                    CANOPY_RETURN_IF_ERROR(store_->UpdateTrial(leased));
                    failed.state = model::TrialState::kFailed;
                    failed.failure = model::FailureClass::kTrainerCrash;
                    failed.reason = "signal 11";
                    return store_->UpdateTrial(failed);
                  })
                  .ok());
  EXPECT_THAT(*reader_->NewestFailures(1, 3), ElementsAre("fashion-macro/4: TRAINER_CRASH: signal 11"));
  EXPECT_THAT(Numbers(*reader_->Running(1, 9)), ElementsAre(5));
}

TEST_F(ReaderTest, WorkersAndReferenceComeBack) {
  const auto workers = reader_->Workers("", 10);
  ASSERT_TRUE(workers.ok()) << workers.status();
  EXPECT_EQ(workers->at(0).datasets.at(0).training_examples, 60'000);
  EXPECT_EQ(workers->at(0).numeric_modes, SampleWorker().numeric_modes);
  EXPECT_EQ(workers->at(0).operators, SampleWorker().operators);
  EXPECT_EQ(workers->size(), 1u);
  EXPECT_TRUE(reader_->Workers(workers->at(0).id, 10)->empty()) << "behind the last one";
  EXPECT_EQ((*reader_->Reference(1))->candidate_hash, "candidate50");
}

}  // namespace
}  // namespace canopy::storage
