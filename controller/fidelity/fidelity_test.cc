#include "controller/fidelity/fidelity.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::fidelity {
namespace {

TEST(FidelityTest, FullHasNoRungsWhateverTheEpochs) {
  const auto schedule = MakeSchedule({});
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_THAT((*schedule)->Rungs(100), ::testing::IsEmpty());
}

TEST(FidelityTest, AnUnknownKindIsRefusedNamingThoseThatThereAre) {
  model::CampaignSettings settings;
  settings.fidelity_kind = "none-such";
  EXPECT_THAT(Message(MakeSchedule(settings).status()),
              ::testing::AllOf(::testing::HasSubstr("none-such"), ::testing::HasSubstr("full")));
}

}  // namespace
}  // namespace canopy::fidelity
