#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::trainer_protocol {

// Bytes and file descriptors over a connected Unix stream socket (SCM_RIGHTS).

// Sends all of `bytes`; the descriptors, at most 8, travel with the first of them and stay open here.
// Blocks. Unavailable where the peer is gone; never raises SIGPIPE.
Status SendBytes(int socket, std::string_view bytes, std::span<const int> descriptors = {});

// What one recvmsg gave. Descriptors belong to the caller, are close-on-exec, and arrive no later than
// the last byte of the line they were sent with.
struct Received {
  std::string bytes;  // empty: the peer has closed
  std::vector<int> descriptors;
};

// Blocks until something arrives. Unavailable on an error of the socket, a reset included.
StatusOr<Received> ReceiveBytes(int socket);

}  // namespace canopy::trainer_protocol
