#include "cli/update_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace canopy::cli {
namespace {

using ::testing::HasSubstr;

v1::LaunchReply Reply() {
  v1::LaunchReply reply;
  reply.set_name("default/macro");
  v1::CampaignUpdate& update = *reply.mutable_update();
  v1::Change& change = *update.add_changes();
  change.set_what("space: width");
  change.set_before("one of 4, 8");
  update.set_old_space_version(1);
  update.set_space_version(2);
  update.set_trials_carried(1'200);
  update.set_trials_set_aside(3);
  update.set_trials_cancelled(1);
  update.set_trials_running_on(2);
  v1::SetAsideReason& reason = *update.add_reasons();
  reason.set_reason("breaks 'params < 100'");
  reason.set_trials(3);
  reason.set_example("macro/7");
  return reply;
}

std::string Printed(const v1::LaunchReply& reply, bool dry_run) {
  std::ostringstream out;
  PrintUpdate(reply, dry_run, out, 0);
  return out.str();
}

TEST(UpdateViewTest, SaysWhatChangesAndWhatBecomesOfTheTrials) {
  const std::string text = Printed(Reply(), false);
  EXPECT_THAT(text, HasSubstr("Changed default/macro\n"));
  EXPECT_THAT(text, HasSubstr("one of 4, 8"));
  EXPECT_THAT(text, HasSubstr("space version 1 -> 2: 1,200 trials carried over, 3 set aside\n"));
  EXPECT_THAT(text, HasSubstr("3 trials, such as macro/7: breaks 'params < 100'\n"));
  EXPECT_THAT(text, HasSubstr("2 trials of these run on"));
  EXPECT_THAT(text, HasSubstr("1 trial of these waited for a worker: cancelled"));
  EXPECT_THAT(Printed(Reply(), true), HasSubstr("Would change default/macro\n"));
}

TEST(UpdateViewTest, AnotherBudgetSaysNothingOfTrials) {
  v1::LaunchReply reply = Reply();
  reply.mutable_update()->set_space_version(1);
  EXPECT_THAT(Printed(reply, false), Not(HasSubstr("carried")));
}

TEST(UpdateViewTest, NothingToChangeIsOneLine) {
  v1::LaunchReply reply = Reply();
  reply.mutable_update()->clear_changes();
  EXPECT_EQ(Printed(reply, true), "Nothing to change: default/macro has these files\n");
}

}  // namespace
}  // namespace canopy::cli
