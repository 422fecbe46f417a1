#include "worker/protocol/descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace canopy::trainer_protocol {
namespace {

struct SocketPair {
  SocketPair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); }
  ~SocketPair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  int ends[2] = {-1, -1};
};

TEST(Descriptors, ArriveWithTheirLineAndReferToTheSameFile) {
  SocketPair pair;
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  ASSERT_TRUE(SendBytes(pair.ends[0], "before\n").ok());
  ASSERT_TRUE(SendBytes(pair.ends[0], "spawn\n", pipe_ends).ok());

  std::string bytes;
  std::vector<int> descriptors;
  while (bytes.size() < std::string("before\nspawn\n").size()) {
    auto received = ReceiveBytes(pair.ends[1]);
    ASSERT_TRUE(received.ok()) << received.status();
    bytes += received->bytes;
    descriptors.insert(descriptors.end(), received->descriptors.begin(), received->descriptors.end());
  }
  EXPECT_EQ(bytes, "before\nspawn\n");
  ASSERT_EQ(descriptors.size(), 2u);
  EXPECT_NE(::fcntl(descriptors[0], F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_EQ(::write(descriptors[1], "x", 1), 1);
  char c = 0;
  EXPECT_EQ(::read(pipe_ends[0], &c, 1), 1);
  EXPECT_EQ(c, 'x');
  for (int fd : {pipe_ends[0], pipe_ends[1], descriptors[0], descriptors[1]}) ::close(fd);
}

TEST(Descriptors, AClosedPeerReadsAsNoBytesAndRefusesToBeSentTo) {
  SocketPair pair;
  ::shutdown(pair.ends[0], SHUT_RDWR);
  auto received = ReceiveBytes(pair.ends[1]);
  ASSERT_TRUE(received.ok());
  EXPECT_TRUE(received->bytes.empty());
  EXPECT_EQ(SendBytes(pair.ends[1], "x").code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace canopy::trainer_protocol
