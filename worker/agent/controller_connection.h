#pragma once

#include <cstdint>

#include "base/status.h"
#include "canopy/v1/worker_service.pb.h"

namespace canopy::agent {

// The controller as the agent sees it: the calls of WorkerService, each with a limit on its time. Calls
// block and come from several threads at once. Unavailable and DeadlineExceeded: nothing is known about
// what the controller did; the call may be repeated with the same request id.
class ControllerConnection {
 public:
  virtual ~ControllerConnection() = default;

  virtual StatusOr<v1::WorkerHelloReply> Hello(const v1::WorkerHelloRequest& request, int64_t timeout_ms) = 0;
  virtual StatusOr<v1::ExchangeReply> Exchange(const v1::ExchangeRequest& request, int64_t timeout_ms) = 0;
  virtual StatusOr<v1::ReportRungReply> ReportRung(const v1::ReportRungRequest& request,
                                                   int64_t timeout_ms) = 0;
  virtual StatusOr<v1::HeartbeatReply> Heartbeat(const v1::HeartbeatRequest& request, int64_t timeout_ms) = 0;

  // From now on Hello and what asks for a lease return Cancelled, calls that wait right now included.
  // Outcomes can still be sent.
  virtual void StopAsking() = 0;
};

}  // namespace canopy::agent
