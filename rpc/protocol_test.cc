#include "rpc/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace canopy::rpc {
namespace {

using ::testing::HasSubstr;

v1::ProtocolRange Range(int min, int max) {
  v1::ProtocolRange range;
  range.set_min(min);
  range.set_max(max);
  return range;
}

TEST(CheckProtocolTest, RangesThatMeetAreFine) {
  EXPECT_TRUE(CheckProtocol(OurProtocol(), "controller", "agent").ok());
  EXPECT_TRUE(CheckProtocol(Range(1, kProtocolMax + 5), "controller", "agent").ok());
}

TEST(CheckProtocolTest, TheOlderSideIsNamed) {
  const Status newer = CheckProtocol(Range(kProtocolMax + 1, kProtocolMax + 2), "controller", "agent");
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(newer), HasSubstr("upgrade the controller"));
  EXPECT_THAT(Message(CheckProtocol(Range(0, 0), "controller", "agent")), HasSubstr("upgrade the agent"));
}

}  // namespace
}  // namespace canopy::rpc
