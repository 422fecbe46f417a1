#include "controller/service/worker_service.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/log.h"
#include "base/random.h"
#include "controller/service/worker_messages.h"
#include "rpc/convert.h"
#include "rpc/protocol.h"
#include "rpc/status.h"

namespace canopy::controller {
namespace {

constexpr int64_t kMaxWaitMs = 60'000;

grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context, const Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(rpc::ToGrpc(status));
  return reactor;
}

// Gives the core's event to the engine; `answer` turns what comes back into the call's status and reply.
template <typename ToStatus>
grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context, engine::Engine& engine, Event event,
                                 ToStatus answer) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  engine.Submit(engine.NewToken(), std::move(event),
                [reactor, answer = std::move(answer)](const StatusOr<engine::ReplyBody>& body) {
                  reactor->Finish(rpc::ToGrpc(answer(body)));
                });
  return reactor;
}

// A long poll: its caller's hanging up ends it.
class ExchangeReactor final : public grpc::ServerUnaryReactor {
 public:
  explicit ExchangeReactor(engine::Engine& engine) : engine_(engine), token_(engine.NewToken()) {}
  uint64_t token() const { return token_; }
  void OnCancel() override { engine_.EndPoll(token_); }
  void OnDone() override { delete this; }

 private:
  engine::Engine& engine_;
  const uint64_t token_;
};

Status FillReply(const StatusOr<engine::ReplyBody>& body, const WorkerServiceOptions& options,
                 v1::ExchangeReply* reply) {
  CANOPY_RETURN_IF_ERROR(body.status());
  const auto& exchanged = std::get<Exchanged>(*body);
  reply->set_verdict(ToProto(exchanged.verdict));
  reply->set_incarnation(options.incarnation);
  if (exchanged.lease) {
    CANOPY_ASSIGN_OR_RETURN(*reply->mutable_lease(),
                            ToProto(*exchanged.lease, options.database_id, options.incarnation));
  }
  return absl::OkStatus();
}

}  // namespace

WorkerService::WorkerService(WorkerServiceOptions options, engine::Engine& engine)
    : options_(std::move(options)), engine_(engine) {}

Status WorkerService::Check(const grpc::CallbackServerContext& context, Verb verb,
                            const std::string& worker_id) const {
  CANOPY_ASSIGN_OR_RETURN(const Principal principal, Admit(context, verb));
  CANOPY_RETURN_IF_ERROR(AuthorizeWorker(principal, worker_id));
  if (!IsUuid(worker_id)) return InvalidArgument("worker id '" + worker_id + "': expected a lower-case UUID");
  if (!options_.grant_leases)
    return Unavailable(
        "this controller serves a single command and grants no lease; a lasting one is started with "
        "`canopy controller start` or `canopy run`");
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* WorkerService::Hello(grpc::CallbackServerContext* context,
                                               const v1::WorkerHelloRequest* request,
                                               v1::WorkerHelloReply* reply) {
  if (const Status status = Check(*context, Verb::kWorkerHello, request->worker().id()); !status.ok())
    return Finish(context, status);
  if (const Status status = rpc::CheckProtocol(request->protocol(), "controller", "agent"); !status.ok())
    return Finish(context, status);
  StatusOr<model::WorkerRecord> worker = rpc::FromProto(request->worker());
  if (!worker.ok()) return Finish(context, worker.status());

  WorkerHello event;
  event.worker = *std::move(worker);
  // Claims under another database, or from before a restore, are no claims on ours.
  const bool ours =
      request->database_id() == options_.database_id && request->incarnation() == options_.incarnation;
  std::vector<int64_t> foreign;
  for (const v1::LeaseClaim& claim : request->running()) {
    if (ours)
      event.running.emplace_back(claim.attempt_id(), claim.fence());
    else
      foreign.push_back(claim.attempt_id());
  }
  if (request->has_remaining_ms()) event.remaining_ms = std::max<int64_t>(0, request->remaining_ms());
  CANOPY_LOG(Info, "A worker said Hello",
             {{"worker", event.worker.id},
              {"host", event.worker.host},
              {"slots", std::to_string(event.worker.slots)}});
  return Submit(context, engine_, std::move(event),
                [this, reply, foreign = std::move(foreign)](const StatusOr<engine::ReplyBody>& body) {
                  if (!body.ok()) return body.status();
                  *reply->mutable_protocol() = rpc::OurProtocol();
                  reply->set_build(rpc::BuildName());
                  reply->set_database_id(options_.database_id);
                  reply->set_incarnation(options_.incarnation);
                  reply->set_heartbeat_interval_ms(options_.limits.heartbeat_interval_ms);
                  reply->set_lease_ttl_ms(options_.limits.lease_ttl_ms);
                  for (const int64_t id : std::get<Welcomed>(*body).attempts_to_stop)
                    reply->add_attempts_to_stop(id);
                  for (const int64_t id : foreign) reply->add_attempts_to_stop(id);
                  return Status();
                });
}

grpc::ServerUnaryReactor* WorkerService::Exchange(grpc::CallbackServerContext* context,
                                                  const v1::ExchangeRequest* request,
                                                  v1::ExchangeReply* reply) {
  Status status = Check(*context, Verb::kExchange, request->worker_id());
  if (status.ok() && request->wants_lease() && request->request_id().empty())
    status =
        InvalidArgument("a call that wants a lease needs a request id, the same one for each repetition");
  WorkerExchange event;
  if (status.ok() && request->has_outcome()) {
    StatusOr<AttemptOutcome> outcome = FromProto(request->outcome());
    status = outcome.status();
    if (outcome.ok()) event.outcome = *std::move(outcome);
  }
  if (!status.ok()) return Finish(context, status);
  event.worker_id = request->worker_id();
  event.request_id = request->request_id();
  event.slot = request->slot();
  event.wants_lease = request->wants_lease();
  auto* const reactor = new ExchangeReactor(engine_);
  engine_.Submit(
      reactor->token(), std::move(event),
      [this, reactor, reply](const StatusOr<engine::ReplyBody>& body) {
        reactor->Finish(rpc::ToGrpc(FillReply(body, options_, reply)));
      },
      std::clamp<int64_t>(request->wait_ms(), 0, kMaxWaitMs));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerService::ReportRung(grpc::CallbackServerContext* context,
                                                    const v1::ReportRungRequest* request,
                                                    v1::ReportRungReply* reply) {
  if (const Status status = Check(*context, Verb::kReportRung, request->worker_id()); !status.ok())
    return Finish(context, status);
  RungReport event;
  event.worker_id = request->worker_id();
  event.database_id = request->database_id();
  event.incarnation = request->incarnation();
  event.attempt_id = request->attempt_id();
  event.trial_id = request->trial_id();
  event.fence = request->fence();
  event.rung = request->rung();
  event.epoch = request->epoch();
  event.metrics.insert(request->metrics().begin(), request->metrics().end());
  return Submit(context, engine_, std::move(event), [reply](const StatusOr<engine::ReplyBody>& body) {
    if (body.ok()) reply->set_action(ToProto(std::get<RungAnswered>(*body).action));
    return body.status();
  });
}

grpc::ServerUnaryReactor* WorkerService::Heartbeat(grpc::CallbackServerContext* context,
                                                   const v1::HeartbeatRequest* request,
                                                   v1::HeartbeatReply* reply) {
  if (const Status status = Check(*context, Verb::kHeartbeat, request->worker_id()); !status.ok())
    return Finish(context, status);
  if (request->database_id() != options_.database_id || request->incarnation() != options_.incarnation) {
    reply->set_hello_needed(true);
    return Finish(context, absl::OkStatus());
  }
  WorkerHeartbeat event;
  event.worker_id = request->worker_id();
  for (const v1::AttemptProgress& progress : request->attempts())
    event.attempts.push_back(
        {progress.attempt_id(), progress.fence(), progress.step(), progress.total_steps()});
  for (const v1::Measurement& measurement : request->measurements())
    event.measurements.push_back(rpc::FromProto(measurement));
  if (request->has_remaining_ms()) event.remaining_ms = std::max<int64_t>(0, request->remaining_ms());
  return Submit(context, engine_, std::move(event), [reply](const StatusOr<engine::ReplyBody>& body) {
    if (absl::IsNotFound(body.status())) {
      reply->set_hello_needed(true);
      return Status();
    }
    if (!body.ok()) return body.status();
    const auto& answered = std::get<HeartbeatAnswered>(*body);
    reply->set_interval_ms(answered.interval_ms);
    reply->set_lease_ttl_ms(answered.ttl_ms);
    for (const int64_t id : answered.attempts_to_stop) reply->add_attempts_to_stop(id);
    return Status();
  });
}

}  // namespace canopy::controller
