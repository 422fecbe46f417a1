#include "rpc/convert.h"

#include <gtest/gtest.h>

#include <limits>

namespace canopy::rpc {
namespace {

TEST(ConvertTest, EnumsKeepTheirNames) {
  for (int i = v1::TRIAL_STATE_PENDING; i <= v1::TRIAL_STATE_QUARANTINED; ++i) {
    const auto wire = static_cast<v1::TrialState>(i);
    const auto state = FromProto(wire);
    ASSERT_TRUE(state.ok());
    EXPECT_EQ("TRIAL_STATE_" + std::string(model::ToString(*state)), v1::TrialState_Name(wire));
    EXPECT_EQ(ToProto(*state), wire);
  }
  EXPECT_EQ(ToProto(model::Purpose::kMeasure), v1::PURPOSE_MEASURE);
  EXPECT_EQ(ToProto(model::CampaignState::kFinalizing), v1::CAMPAIGN_STATE_FINALIZING);
  EXPECT_EQ(*FromProto(v1::FAILURE_CLASS_TRAINER_CRASH), model::FailureClass::kTrainerCrash);
}

TEST(ConvertTest, EnumValuesWithoutANameAreRefused) {
  EXPECT_FALSE(FromProto(v1::FAILURE_CLASS_UNSPECIFIED).ok());
  EXPECT_FALSE(FromProto(static_cast<v1::Purpose>(99)).ok());
}

TEST(ConvertTest, AWorkerSurvivesTheWire) {
  model::WorkerRecord worker;
  worker.id = "w";
  worker.host = "node1";
  worker.slots = 3;
  worker.numeric_modes = {"fp32", "bf16"};
  worker.fast_numeric_mode = "bf16";
  worker.operators = {"mixer"};
  worker.rungs = true;
  worker.datasets = {{"fashion-mnist", "d1", {1, 28, 28}, 10, 60000}};
  worker.labels_json = R"({"rack":"7"})";
  const auto back = FromProto(ToProto(worker));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->slots, 3);
  EXPECT_EQ(back->numeric_modes, worker.numeric_modes);
  EXPECT_EQ(back->operators, worker.operators);
  EXPECT_TRUE(back->rungs);
  EXPECT_EQ(back->labels_json, worker.labels_json);
  ASSERT_EQ(back->datasets.size(), 1u);
  EXPECT_EQ(back->datasets[0].input_shape, worker.datasets[0].input_shape);
}

TEST(ConvertTest, AWorkerWithoutSlotsIsRefused) {
  v1::WorkerInfo info;
  info.set_id("w");
  EXPECT_FALSE(FromProto(info).ok());
}

TEST(ConvertTest, MetricsThatAreNotFiniteAreLeftOut) {
  v1::AttemptResult result;
  (*result.mutable_metrics())["val_loss"] = std::numeric_limits<double>::quiet_NaN();
  (*result.mutable_metrics())["val_accuracy"] = 0.5;
  EXPECT_EQ(FromProto(result).metrics, (model::Metrics{{"val_accuracy", 0.5}}));
}

TEST(ConvertTest, TimesThatNobodyTakesAreBounded) {
  v1::AttemptCost cost;
  cost.set_allocated_ms(std::numeric_limits<int64_t>::max());
  cost.set_busy_ms(-1);
  EXPECT_EQ(FromProto(cost).allocated_ms, 1'000'000'000'000);
  EXPECT_EQ(FromProto(cost).busy_ms, 0);
}

TEST(ConvertTest, UnmeasuredEnergyStaysAbsent) {
  model::AttemptCost cost{.allocated_ms = 5, .busy_ms = 4};
  EXPECT_FALSE(FromProto(ToProto(cost)).energy_j.has_value());
  cost.energy_j = 0.0;
  EXPECT_EQ(FromProto(ToProto(cost)).energy_j, 0.0);
}

}  // namespace
}  // namespace canopy::rpc
