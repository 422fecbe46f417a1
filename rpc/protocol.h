#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "canopy/v1/types.pb.h"

namespace canopy::rpc {

// The versions of the wire contract that this build speaks: the newest, and the one before it. Version 2: a
// worker says how long it still takes part.
inline constexpr int kProtocolMin = 1;
inline constexpr int kProtocolMax = 2;

v1::ProtocolRange OurProtocol();
// FailedPrecondition where no version is spoken by both sides; the message says which one to upgrade.
// `we` and `peer` name the sides: "controller", "agent", "command line".
Status CheckProtocol(const v1::ProtocolRange& peer_range, std::string_view we, std::string_view peer);

// "canopy 0.1.0": what this side calls its build in Hello.
std::string BuildName();

}  // namespace canopy::rpc
