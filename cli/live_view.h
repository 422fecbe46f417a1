#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "base/clock.h"
#include "canopy/v1/campaign_service.pb.h"

namespace canopy::cli {

// Shows a campaign's progress while it is waited for: on a terminal a few lines that are redrawn in place,
// elsewhere one line whenever something changed, every 15 s at most.
class LiveView {
 public:
  // `width` is the terminal's, 0 where `out` is none. Both arguments outlive the view.
  LiveView(std::ostream& out, int width, const Clock& clock) : out_(out), width_(width), clock_(clock) {}

  void Show(const v1::CampaignStatus& status);

 private:
  void Redraw(const v1::CampaignStatus& status);

  std::ostream& out_;
  const int width_;
  const Clock& clock_;
  int drawn_lines_ = 0;
  std::string last_line_;
  int64_t last_line_ms_ = 0;
};

}  // namespace canopy::cli
