#include "worker/agent/job_from_lease.h"

#include <gtest/gtest.h>

#include <vector>

#include "worker/agent/agent_test_support.h"

namespace canopy::agent {
namespace {

TEST(JobFromLease, CarriesEverythingTheTrainerNeeds) {
  v1::Lease lease = TestLease(5);
  lease.set_purpose(v1::PURPOSE_FINAL);
  lease.set_numeric_mode("bf16");
  lease.set_validation_seed(18446744073709551615u);
  const auto job = JobFromLease(lease, "/data/images", "/state/5.safetensors");
  ASSERT_TRUE(job.ok()) << Message(job.status());
  EXPECT_EQ(job->attempt_id, "5");
  EXPECT_EQ(job->fence, 1005);
  EXPECT_EQ(job->purpose, trainer_protocol::Purpose::kFinal);
  EXPECT_EQ(job->numeric_mode, trainer_protocol::NumericMode::kBf16);
  EXPECT_EQ(job->recipe.learning_rate, 0.1);
  EXPECT_EQ(job->recipe.batch_size, 32);
  EXPECT_EQ(job->dataset, (trainer_protocol::Dataset{"images", "/data/images", "d1-d2"}));
  EXPECT_EQ(job->split.seed, 18446744073709551615u);
  EXPECT_EQ(job->weights_out, "/state/5.safetensors");
  EXPECT_EQ(job->seeds, (trainer_protocol::Seeds{1, 2, 3}));
}

TEST(JobFromLease, CarriesWhereATrainingReportsAndGoesOn) {
  v1::Lease lease = TestLease(5);
  for (const int64_t epoch : {1, 4}) lease.add_rungs(epoch);
  lease.set_rung(1);
  lease.mutable_checkpoint()->set_path("/c");
  lease.mutable_checkpoint()->set_sha256("5ha");
  const auto job = JobFromLease(lease, "", "");
  ASSERT_TRUE(job.ok()) << Message(job.status());
  EXPECT_EQ(job->rungs, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(job->rung, 1);
  EXPECT_EQ(job->checkpoint_in, "/c");
  EXPECT_EQ(job->checkpoint_sha256, "5ha");
}

TEST(JobFromLease, OnlyAFinalTrialWritesWeights) {
  const auto job = JobFromLease(TestLease(5), "", "/state/5.safetensors");
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->weights_out, "");
}

TEST(JobFromLease, ATrainerComputesWithOneThreadHoweverManyCoresAreFree) {
  v1::Lease lease = TestLease(5);
  lease.set_cores(2);
  EXPECT_EQ(JobFromLease(lease, "", "")->threads, 1);
  lease.set_purpose(v1::PURPOSE_MEASURE);
  EXPECT_EQ(JobFromLease(lease, "", "")->measure, trainer_protocol::Measure{.threads = 1});
}

TEST(ParseRecipe, ReadsEveryKey) {
  const auto recipe = ParseRecipe(
      R"({"optimizer":"adamw","learning_rate":0.001,"momentum":0.8,"weight_decay":0.05,"decay_all":true,
          "batch_size":64.0,"label_smoothing":0.1,"warmup_fraction":0.2,"schedule":"linear","random_crop":4,
          "random_flip":true,"cutout":8.0})");
  ASSERT_TRUE(recipe.ok()) << Message(recipe.status());
  const trainer_protocol::Recipe expected = {.optimizer = trainer_protocol::Optimizer::kAdamw,
                                             .learning_rate = 0.001,
                                             .momentum = 0.8,
                                             .weight_decay = 0.05,
                                             .decay_all = true,
                                             .batch_size = 64,
                                             .label_smoothing = 0.1,
                                             .warmup_fraction = 0.2,
                                             .schedule = trainer_protocol::Schedule::kLinear,
                                             .random_crop = 4,
                                             .random_flip = true,
                                             .cutout = 8};
  EXPECT_EQ(*recipe, expected);
}

TEST(ParseRecipe, RefusesWhatNoTrainerConsumes) {
  const auto recipe = ParseRecipe(R"({"learning_rat":0.1})");
  ASSERT_FALSE(recipe.ok());
  EXPECT_NE(Message(recipe.status()).find("'learning_rat'"), std::string::npos) << Message(recipe.status());
  EXPECT_NE(Message(recipe.status()).find("'learning_rate'"), std::string::npos) << Message(recipe.status());
}

TEST(ParseRecipe, RefusesAWrongTypeAndAValueOutOfRange) {
  for (const char* text : {R"({"learning_rate":"fast"})", R"({"batch_size":0})", R"({"batch_size":1.5})",
                           R"({"momentum":1})", R"({"optimizer":"lion"})", "[]", "{"})
    EXPECT_FALSE(ParseRecipe(text).ok()) << text;
}

}  // namespace
}  // namespace canopy::agent
