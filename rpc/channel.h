#pragma once

#include <memory>
#include <string>

#include "base/status.h"

namespace grpc {
class Channel;
}
namespace canopy::config {
struct Credential;
}

namespace canopy::rpc {

// Both directions; nothing that we send comes near.
inline constexpr int kMaxMessageBytes = 4 * 1024 * 1024;
// Both sides ask a silent peer after this time, and hang up without an answer after that one.
inline constexpr int kKeepaliveTimeMs = 20'000;
inline constexpr int kKeepaliveTimeoutMs = 10'000;

// A channel to the controller at `target`: "unix:/path/of/socket" or "host:port". TCP is mutual TLS with
// `credential`; on a Unix socket it is nullptr. Connects in the background, and again whenever the
// connection is lost; proxy variables are ignored. InvalidArgument where target and credential don't fit.
StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& target,
                                                     const config::Credential* credential);

// "unix:" and the path. InvalidArgument where the path is longer than a socket's address may be.
StatusOr<std::string> UnixTarget(const std::string& socket_path);

}  // namespace canopy::rpc
