#include "rpc/protocol.h"

namespace canopy::rpc {
namespace {

std::string Describe(int min, int max) {
  return min == max ? std::to_string(min) : std::to_string(min) + " to " + std::to_string(max);
}

}  // namespace

v1::ProtocolRange OurProtocol() {
  v1::ProtocolRange range;
  range.set_min(kProtocolMin);
  range.set_max(kProtocolMax);
  return range;
}

Status CheckProtocol(const v1::ProtocolRange& peer_range, std::string_view we, std::string_view peer) {
  const int min = peer_range.min(), max = peer_range.max();
  if (min <= kProtocolMax && max >= kProtocolMin && min >= 1) return absl::OkStatus();
  const std::string_view older = max < kProtocolMin ? peer : we;
  return FailedPrecondition("the " + std::string(peer) + " speaks protocol " + Describe(min, max) + ", the " +
                            std::string(we) + " " + Describe(kProtocolMin, kProtocolMax) + "; upgrade the " +
                            std::string(older));
}

std::string BuildName() { return "canopy " CANOPY_VERSION; }

}  // namespace canopy::rpc
