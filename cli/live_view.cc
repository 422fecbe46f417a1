#include "cli/live_view.h"

#include "cli/campaign_view.h"
#include "cli/table.h"

namespace canopy::cli {
namespace {

constexpr int64_t kLineIntervalMs = 15'000;

// What makes a line worth printing: all but what is left of time, which changes by itself.
std::string Changes(v1::CampaignStatus status) {
  status.set_time_left_ms(-1);
  status.clear_device_left_ms();
  return ProgressLine(status);
}

}  // namespace

void LiveView::Show(const v1::CampaignStatus& status) {
  if (width_ > 0) return Redraw(status);
  const std::string changes = Changes(status);
  const int64_t now_ms = clock_.MonotonicMs();
  if (changes == last_line_ || (!last_line_.empty() && now_ms - last_line_ms_ < kLineIntervalMs)) return;
  last_line_ = changes;
  last_line_ms_ = now_ms;
  out_ << ProgressLine(status) << std::endl;
}

void LiveView::Redraw(const v1::CampaignStatus& status) {
  const auto lines = ProgressLines(status);
  // Up to the first line of what was drawn before, and clear from there.
  if (drawn_lines_ > 0) out_ << "\x1b[" << drawn_lines_ << "A\r\x1b[J";
  for (const std::string& line : lines) out_ << CutTo(line, static_cast<size_t>(width_ - 1)) << '\n';
  out_ << std::flush;
  drawn_lines_ = static_cast<int>(lines.size());
}

}  // namespace canopy::cli
