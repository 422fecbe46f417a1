#pragma once

#include <cstdint>
#include <string>

#include "canopy/v1/worker_service.grpc.pb.h"
#include "controller/core/core.h"
#include "controller/engine/engine.h"
#include "controller/service/principal.h"

namespace canopy::controller {

struct WorkerServiceOptions {
  std::string database_id;
  int64_t incarnation = 0;
  CoreLimits limits;
  // False: every call is Unavailable.
  bool grant_leases = true;
};

// The agents' side of the wire, as an adapter: checks who calls, turns messages into the core's events, and
// its replies into messages. Never blocks; a call in flight ends when the engine stops.
class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  // `engine` outlives the service.
  WorkerService(WorkerServiceOptions options, engine::Engine& engine);

  grpc::ServerUnaryReactor* Hello(grpc::CallbackServerContext* context, const v1::WorkerHelloRequest* request,
                                  v1::WorkerHelloReply* reply) override;
  grpc::ServerUnaryReactor* Exchange(grpc::CallbackServerContext* context, const v1::ExchangeRequest* request,
                                     v1::ExchangeReply* reply) override;
  grpc::ServerUnaryReactor* ReportRung(grpc::CallbackServerContext* context,
                                       const v1::ReportRungRequest* request,
                                       v1::ReportRungReply* reply) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatReply* reply) override;

 private:
  // OK where that worker may make that call now.
  Status Check(const grpc::CallbackServerContext& context, Verb verb, const std::string& worker_id) const;

  const WorkerServiceOptions options_;
  engine::Engine& engine_;
};

}  // namespace canopy::controller
