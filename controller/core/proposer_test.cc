#include "controller/core/proposer.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::controller {
namespace {

using search_space::Candidate;
using search_space::SearchSpace;
using testing::HasSubstr;

constexpr char kSpace[] = R"(
canopy: 1
name: tiny
input: {shape: [1, 8, 8], classes: 10}
network:
  - conv2d:
      out_channels: {name: width, ordinal: [4, 8, 16]}
      kernel: {name: kernel, choice: [1, 3]}
      bias: false
  - relu
  - global_avg_pool
  - linear: {features: classes}
recipe:
  learning_rate: {choice: [0.1, 0.2]}
constraints:
  - kernel == 3 or width < 16
)";

SearchSpace Space() {
  auto space = SearchSpace::Parse(kSpace, "tiny.yaml");
  EXPECT_TRUE(space.ok()) << space.status();
  return *space;
}

std::string Json(int width, int kernel, const std::string& rate) {
  return "{\"width\":" + std::to_string(width) + ",\"kernel\":" + std::to_string(kernel) +
         ",\"learning_rate\":" + rate + "}";
}

// Proposes what it was given, in order, and keeps what it is shown.
class ScriptedStrategy final : public Strategy {
 public:
  struct Log {
    std::vector<Observation> observations;
  };
  ScriptedStrategy(std::vector<std::string> script, std::shared_ptr<Log> log)
      : script_(std::move(script)), log_(std::move(log)) {}

  StatusOr<Candidate> Propose() override {
    if (next_ == script_.size()) return absl::OutOfRangeError("the script is over");
    return *Space().ParseCandidate(script_[next_++]);
  }
  void Record(const Observation& observation) override { log_->observations.push_back(observation); }
  std::string Save() const override { return std::to_string(next_); }
  Status Restore(std::string_view state) override {
    next_ = std::stoul(std::string(state));
    return {};
  }

 private:
  const std::vector<std::string> script_;
  const std::shared_ptr<Log> log_;
  size_t next_ = 0;
};

class ProposerTest : public testing::Test {
 protected:
  ProposerTest() {
    campaign_.settings.task.input_shape = {1, 8, 8};
    campaign_.settings.task.classes = 10;
  }

  Proposer Scripted(std::vector<std::string> script, const std::string& constraint = "params < 100000") {
    auto parsed = search_space::Constraint::Parse(constraint, Space());
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return Proposer(campaign_, Space(), {*parsed},
                    std::make_unique<ScriptedStrategy>(std::move(script), log_));
  }

  static ObservedResult Result(int64_t seq, const Proposal& proposal, double score) {
    return {seq, proposal.candidate.candidate_json, proposal.candidate.candidate_hash, true, score};
  }

  model::CampaignRecord campaign_;
  std::shared_ptr<ScriptedStrategy::Log> log_ = std::make_shared<ScriptedStrategy::Log>();
};

TEST_F(ProposerTest, AcceptedCandidatesCarryTheirFacts) {
  Proposer proposer = Scripted({Json(4, 3, "0.1")});
  const auto batch = proposer.Propose({}, 0, 1);
  ASSERT_TRUE(batch.ok()) << batch.status();
  ASSERT_EQ(batch->proposals.size(), 1u);
  const model::CandidateFacts& facts = batch->proposals[0].candidate;
  EXPECT_EQ(batch->proposals[0].verdict, Proposal::Verdict::kAccepted);
  EXPECT_EQ(facts.candidate_json, Json(4, 3, "0.1"));
  EXPECT_EQ(facts.params, 4 * 9 + 4 * 10 + 10);
  EXPECT_EQ(facts.params_as_written, facts.params);
  EXPECT_EQ(facts.candidate_hash.size(), 64u);
  EXPECT_THAT(facts.graph_json, HasSubstr("conv2d"));
  EXPECT_TRUE(batch->ended.empty());
}

TEST_F(ProposerTest, BrokenConstraintsOfSpaceAndCampaignRejectWithTheirAmounts) {
  Proposer proposer = Scripted({Json(16, 1, "0.1"), Json(8, 3, "0.1"), Json(4, 1, "0.1")}, "params < 100");
  const auto batch = proposer.Propose({}, 0, 1);
  ASSERT_TRUE(batch.ok()) << batch.status();
  ASSERT_EQ(batch->proposals.size(), 3u);
  EXPECT_EQ(batch->proposals[0].verdict, Proposal::Verdict::kRejected);
  EXPECT_THAT(batch->proposals[0].reason, HasSubstr("kernel == 3 or width < 16"));
  EXPECT_THAT(batch->proposals[1].reason, HasSubstr("params < 100"));
  EXPECT_EQ(batch->proposals[2].verdict, Proposal::Verdict::kAccepted);
  ASSERT_EQ(log_->observations.size(), 2u);
  EXPECT_EQ(log_->observations[1].kind, Observation::Kind::kRejected);
  EXPECT_EQ(log_->observations[1].violation, 8 * 9 + 8 * 10 + 10 - 100 + 1);
}

TEST_F(ProposerTest, MemoryOfTrainingIsThatOfTheCampaignsRecipe) {
  const auto verdict = [&](const std::string& recipe, const std::string& numeric_mode) {
    campaign_.settings.recipe_json = recipe;
    campaign_.settings.numeric_mode = numeric_mode;
    Proposer proposer = Scripted({Json(4, 3, "0.1")}, "training_memory < 500000");
    return proposer.Propose({}, 0, 1)->proposals[0].verdict;
  };
  using Verdict = Proposal::Verdict;
  // For each example the image, the ReLU's output and two gradients: 3,328 bytes in fp32, and some for the
  // rest.
  EXPECT_EQ(verdict(R"({"batch_size":100,"optimizer":"sgd"})", "fp32"), Verdict::kAccepted);
  EXPECT_EQ(verdict(R"({"batch_size":200,"optimizer":"sgd"})", "fp32"), Verdict::kRejected);
  EXPECT_EQ(verdict(R"({"batch_size":200,"optimizer":"sgd"})", "bf16"), Verdict::kAccepted);
}

TEST_F(ProposerTest, RepeatOfAFinishedTrialTakesItsOutcome) {
  Proposer proposer = Scripted({Json(4, 3, "0.1"), Json(4, 3, "0.1"), Json(4, 3, "0.2")});
  const auto first = proposer.Propose({}, 0, 1);
  const std::vector<ObservedResult> results = {Result(1, first->proposals[0], 0.75)};
  const auto second = proposer.Propose(results, 1, 1);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_EQ(second->proposals.size(), 2u);
  EXPECT_EQ(second->proposals[0].verdict, Proposal::Verdict::kCached);
  EXPECT_EQ(second->proposals[1].verdict, Proposal::Verdict::kAccepted);  // another learning rate
  ASSERT_EQ(log_->observations.size(), 2u);
  EXPECT_EQ(log_->observations[1].kind, Observation::Kind::kCompleted);
  EXPECT_EQ(log_->observations[1].score, 0.75);
}

TEST_F(ProposerTest, RepeatOfARunningTrialIsRejected) {
  Proposer proposer = Scripted({Json(4, 3, "0.1"), Json(4, 3, "0.1"), Json(8, 3, "0.1")});
  const auto batch = proposer.Propose({}, 0, 2);
  ASSERT_EQ(batch->proposals.size(), 3u);
  EXPECT_EQ(batch->proposals[1].verdict, Proposal::Verdict::kRejected);
  EXPECT_THAT(batch->proposals[1].reason, HasSubstr("duplicate"));
  EXPECT_TRUE(batch->proposals[1].candidate.graph_json.empty());
}

TEST_F(ProposerTest, EvaluatePolicyMakesRepeatsTheNextReplicates) {
  campaign_.settings.duplicates = model::DuplicatePolicy::kEvaluate;
  Proposer proposer = Scripted({Json(4, 3, "0.1"), Json(4, 3, "0.1"), Json(8, 3, "0.1")});
  const auto batch = proposer.Propose({}, 0, 3);
  ASSERT_EQ(batch->proposals.size(), 3u);
  EXPECT_EQ(batch->proposals[1].verdict, Proposal::Verdict::kAccepted);
  EXPECT_EQ(batch->proposals[1].replicate, 1);
  EXPECT_EQ(batch->proposals[2].replicate, 0);
}

TEST_F(ProposerTest, InfeasibleResultsReachTheStrategyAsSuch) {
  Proposer proposer = Scripted({Json(4, 3, "0.1"), Json(8, 3, "0.1")});
  const auto first = proposer.Propose({}, 0, 1);
  ObservedResult result = Result(1, first->proposals[0], 0);
  result.feasible = false;
  ASSERT_TRUE(proposer.Propose(std::vector<ObservedResult>{result}, 1, 1).ok());
  ASSERT_EQ(log_->observations.size(), 1u);
  EXPECT_EQ(log_->observations[0].kind, Observation::Kind::kInfeasible);
}

TEST_F(ProposerTest, ExhaustedStrategyEndsTheBatchWithItsReason) {
  Proposer proposer = Scripted({Json(4, 3, "0.1")});
  const auto batch = proposer.Propose({}, 0, 3);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->proposals.size(), 1u);
  EXPECT_EQ(batch->ended, "the script is over");
}

TEST_F(ProposerTest, RejectionInARowIsBounded) {
  Proposer proposer = Scripted(std::vector<std::string>(2'000, Json(8, 3, "0.1")), "params < 100");
  const auto batch = proposer.Propose({}, 0, 1);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->proposals.size(), 1'000u);
  EXPECT_EQ(batch->ended,
            "1,000 proposals in a row gave nothing new, most often because it breaks 'params < 100'");
}

TEST_F(ProposerTest, RestoredProposerGoesOnAsTheUninterruptedOne) {
  const std::vector<std::string> script = {Json(4, 3, "0.1"), Json(8, 3, "0.1"), Json(4, 3, "0.1"),
                                           Json(8, 3, "0.1"), Json(4, 3, "0.2")};
  Proposer whole = Scripted(script);
  const auto first = whole.Propose({}, 0, 2);
  const std::vector<ObservedResult> results = {Result(1, first->proposals[0], 0.5)};
  const auto expected = whole.Propose(results, 1, 1);

  Proposer restored = Scripted(script);
  std::vector<Proposer::Known> known;
  for (const Proposal& proposal : first->proposals)
    known.push_back({model::CandidateKey::Of(proposal.candidate.candidate_hash), 0});
  ASSERT_TRUE(restored.Restore(first->state, known).ok());
  const auto actual = restored.Propose(results, 1, 1);
  ASSERT_EQ(actual->proposals.size(), expected->proposals.size());
  for (size_t i = 0; i < expected->proposals.size(); ++i) {
    EXPECT_EQ(actual->proposals[i].verdict, expected->proposals[i].verdict);
    EXPECT_EQ(actual->proposals[i].candidate.candidate_json, expected->proposals[i].candidate.candidate_json);
  }
  EXPECT_EQ(actual->state, expected->state);
}

}  // namespace
}  // namespace canopy::controller
