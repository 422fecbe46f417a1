#include "cli/campaign_view.h"

#include <sstream>
#include <string>

#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::CampaignStatus Running() {
  v1::CampaignStatus status;
  v1::CampaignSummary& summary = *status.mutable_summary();
  summary.set_project("default");
  summary.set_name("macro");
  summary.set_state(v1::CAMPAIGN_STATE_RUNNING);
  summary.set_strategy("random");
  summary.set_dataset("fashion-mnist");
  summary.set_numeric_mode("bf16");
  summary.set_epochs(2);
  summary.set_objective_metric("val_accuracy");
  status.set_completed(12);
  status.set_running(2);
  status.set_failed(1);
  status.set_slots(2);
  status.set_candidates_an_hour(240);
  status.set_time_left_ms(200000);
  status.set_device_left_ms(7200000);
  status.set_device_ms(100000);
  status.set_useful_device_ms(60000);
  status.set_trials_left(-1);
  return status;
}

TEST(CampaignViewTest, ProgressSaysWhatRunsAndHowLongItWill) {
  EXPECT_EQ(Join(ProgressLines(Running()), "\n"),
            "default/macro  RUNNING  (2 epochs, bf16, fashion-mnist, random)\n"
            "trials      12 done, 2 running, 1 failed\n"
            "speed       240 candidates an hour on 2 slots\n"
            "best        none yet\n"
            "spent       1 m 40 s of device time, 1 m 00 s of it in results\n"
            "left        3 m 20 s, 2 h 00 m of device time");
}

TEST(CampaignViewTest, ProgressInOneLine) {
  v1::CampaignStatus status = Running();
  status.mutable_summary()->set_best_trial("default/macro/7");
  status.mutable_summary()->set_best_objective(0.91);
  status.set_finals_total(8);
  status.set_finals_done(3);
  EXPECT_EQ(ProgressLine(status),
            "default/macro RUNNING: 12 done, 2 running, 1 failed, 240 an hour, best val_accuracy 0.9100 "
            "(default/macro/7), finals 3/8, left 3 m 20 s, 2 h 00 m of device time");
}

TEST(CampaignViewTest, AReasonCannotBreakTheLine) {
  v1::CampaignStatus status = Running();
  status.mutable_summary()->set_reason("crash\x1b[2J\nmore");
  for (const std::string& line : ProgressLines(status)) {
    EXPECT_THAT(line, Not(HasSubstr("\n")));
    EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  }
}

v1::Contender MakeContender(const std::string& trial, double accuracy) {
  v1::Contender contender;
  contender.set_trial(trial);
  contender.set_val_accuracy(accuracy);
  contender.add_val_accuracies(accuracy);
  contender.set_params(1000);
  contender.set_decisions_json("{\"a\":\"" + trial + "\"}");
  return contender;
}

TEST(CampaignViewTest, TheReportComparesWinnerAndReference) {
  v1::CampaignReport report;
  *report.mutable_summary() = Running().summary();
  v1::Contender winner = MakeContender("default/macro/7", 0.92), reference = MakeContender("", 0.9);
  *report.add_finalists() = winner;
  *report.add_finalists() = reference;
  winner.add_test_accuracies(0.915);
  winner.set_test_accuracy_mean(0.915);
  winner.set_test_accuracy_low(0.909);
  winner.set_test_accuracy_high(0.92);
  winner.set_test_images(10000);
  *report.mutable_winner() = winner;
  *report.mutable_reference() = reference;
  report.set_sentence("The search won.");
  std::ostringstream out;
  PrintReport(report, Running(), out, 0);
  EXPECT_THAT(out.str(),
              HasSubstr("mean validation accuracy over the seeds at 2 epochs, bf16, fashion-mnist"));
  EXPECT_THAT(out.str(), HasSubstr("default/macro/7 (winner)        0.9200"));
  EXPECT_THAT(out.str(), HasSubstr("0.9150 [0.9090, 0.9200]"));
  EXPECT_THAT(out.str(), HasSubstr("2     reference                       0.9000"));
  EXPECT_THAT(out.str(), HasSubstr("over 10,000 test images, read once"));
  EXPECT_THAT(out.str(), HasSubstr("The search won.\n"));
}

TEST(CampaignViewTest, WithoutFinalsTheReportShowsTheBestTrials) {
  v1::CampaignReport report;
  std::ostringstream out;
  PrintReport(report, Running(), out, 0);
  EXPECT_EQ(out.str(), "No trial has a result yet.\n");
}

}  // namespace
}  // namespace canopy::cli
