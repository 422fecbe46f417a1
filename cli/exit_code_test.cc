#include "cli/exit_code.h"

#include "gtest/gtest.h"

namespace canopy::cli {
namespace {

TEST(ExitCodeTest, StatusesHaveTheirDocumentedNumber) {
  EXPECT_EQ(ExitCodeOf(Status()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(Internal("x")), ExitCode::kError);
  EXPECT_EQ(ExitCodeOf(InvalidArgument("x")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(NotFound("x")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeOf(Unavailable("x")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(Unauthenticated("x")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(CampaignEnded("x")), ExitCode::kCampaignEnded);
  EXPECT_EQ(ExitCodeOf(Interrupted()), ExitCode::kInterrupted);
}

}  // namespace
}  // namespace canopy::cli
