#include "rpc/channel.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include "config/credentials.h"

namespace canopy::rpc {
namespace {

using ::testing::HasSubstr;

TEST(OpenChannelTest, TcpWithoutACredentialIsRefused) {
  const auto channel = OpenChannel("localhost:7447", nullptr);
  EXPECT_EQ(channel.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(channel.status()), HasSubstr("canopy cluster"));
}

TEST(OpenChannelTest, ATargetNeedsAPort) {
  EXPECT_THAT(Message(OpenChannel("localhost", nullptr).status()), HasSubstr("host:port"));
}

TEST(OpenChannelTest, AUnixSocketTakesNoCredential) {
  const config::Credential credential;
  EXPECT_FALSE(OpenChannel("unix:/tmp/x.sock", &credential).ok());
  EXPECT_TRUE(OpenChannel("unix:/tmp/x.sock", nullptr).ok());
}

TEST(UnixTargetTest, APathThatDoesNotFitASocketIsRefused) {
  EXPECT_EQ(*UnixTarget("/run/canopy.sock"), "unix:/run/canopy.sock");
  EXPECT_TRUE(UnixTarget(std::string(107, 'a')).ok());
  EXPECT_EQ(UnixTarget(std::string(108, 'a')).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace canopy::rpc
