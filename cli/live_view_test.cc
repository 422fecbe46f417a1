#include "cli/live_view.h"

#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ManualClock final : public Clock {
 public:
  int64_t MonotonicMs() const override { return now_ms; }
  int64_t WallUs() const override { return now_ms * 1000; }
  int64_t now_ms = 0;
};

v1::CampaignStatus With(int64_t completed, int64_t time_left_ms) {
  v1::CampaignStatus status;
  status.mutable_summary()->set_state(v1::CAMPAIGN_STATE_RUNNING);
  status.set_completed(completed);
  status.set_time_left_ms(time_left_ms);
  status.set_trials_left(-1);
  return status;
}

int CountLines(const std::string& text) {
  int lines = 0;
  for (const char c : text) lines += c == '\n' ? 1 : 0;
  return lines;
}

TEST(LiveViewTest, WithoutATerminalALineAppearsWhenSomethingChangedAndTimeHasPassed) {
  ManualClock clock;
  std::ostringstream out;
  LiveView view(out, 0, clock);
  view.Show(With(1, 50000));
  view.Show(With(2, 49000));
  EXPECT_EQ(CountLines(out.str()), 1) << "too soon";
  clock.now_ms = 15000;
  view.Show(With(2, 35000));
  EXPECT_EQ(CountLines(out.str()), 2);
  clock.now_ms = 60000;
  view.Show(With(2, 0));
  EXPECT_EQ(CountLines(out.str()), 2) << "only the time left has changed";
  EXPECT_THAT(out.str(), Not(HasSubstr("\x1b")));
}

TEST(LiveViewTest, OnATerminalTheViewIsRedrawnInPlaceAndCutToItsWidth) {
  ManualClock clock;
  std::ostringstream out;
  LiveView view(out, 20, clock);
  view.Show(With(1, 50000));
  const int lines = CountLines(out.str());
  EXPECT_THAT(out.str(), Not(HasSubstr("\x1b")));
  view.Show(With(2, 50000));
  EXPECT_THAT(out.str(), HasSubstr("\x1b[" + std::to_string(lines) + "A"));
  for (size_t at = 0; at < out.str().size();) {
    const size_t end = out.str().find('\n', at);
    if (out.str()[at] != '\x1b') {
      EXPECT_LT(end - at, 20u);
    }
    at = end + 1;
  }
}

}  // namespace
}  // namespace canopy::cli
