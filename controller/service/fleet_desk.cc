// The part of CampaignDesk that is about workers.
#include <map>
#include <utility>
#include <vector>

#include "controller/service/campaign_desk.h"
#include "controller/service/status_messages.h"
#include "rpc/convert.h"

namespace canopy::controller {
namespace {

constexpr size_t kWorkersInAPage = 1'000;

std::vector<model::Drain> DrainsOf(const model::WorkerRecord& worker, const std::vector<model::Drain>& all) {
  std::vector<model::Drain> own;
  for (const model::Drain& drain : all) {
    const std::string& name = drain.scope == model::DrainScope::kWorker   ? worker.id
                              : drain.scope == model::DrainScope::kDevice ? worker.device_uuid
                                                                          : worker.host;
    if (drain.name == name) own.push_back(drain);
  }
  return own;
}

v1::Drain ToProto(const model::Drain& drain) {
  v1::Drain out;
  out.set_scope(std::string(model::ToString(drain.scope)));
  out.set_name(drain.name);
  out.set_reason(drain.reason);
  out.set_principal(drain.principal);
  out.set_since_us(drain.since_us);
  return out;
}

v1::WorkerState StateOf(const v1::WorkerStatus& status) {
  if (!status.connected() || (status.has_remaining_ms() && status.remaining_ms() == 0))
    return v1::WORKER_STATE_AWAY;
  if (status.drains().empty()) return v1::WORKER_STATE_READY;
  return status.running().empty() ? v1::WORKER_STATE_DRAINED : v1::WORKER_STATE_DRAINING;
}

}  // namespace

Status CampaignDesk::ListWorkers(const v1::ListWorkersRequest& request, v1::ListWorkersReply& reply) {
  std::vector<model::WorkerRecord> known;
  if (request.worker().empty()) {
    CANOPY_ASSIGN_OR_RETURN(known, reader_.Workers(request.after_id(), kWorkersInAPage));
    if (known.size() == kWorkersInAPage) reply.set_next_after_id(known.back().id);
  } else {
    CANOPY_ASSIGN_OR_RETURN(known.emplace_back(), reader_.Worker(request.worker()));
  }
  CANOPY_ASSIGN_OR_RETURN(const std::vector<model::Drain> drains, reader_.Drains());
  CANOPY_ASSIGN_OR_RETURN(const std::vector<model::DeviceHealth> health, reader_.Health());
  std::map<std::string, Core::WorkerGlance> connected;
  engine::LookRequest page;
  for (const model::WorkerRecord& worker : known) page.workers.push_back(worker.id);
  for (Core::WorkerGlance& glance : engine_.Look(std::move(page)).workers) {
    std::string id = glance.worker_id;
    connected.emplace(std::move(id), std::move(glance));
  }
  for (const model::WorkerRecord& worker : known) {
    v1::WorkerStatus& status = *reply.add_workers();
    *status.mutable_worker() = rpc::ToProto(worker);
    status.set_first_seen_us(worker.first_seen_us);
    status.set_last_seen_us(worker.last_seen_us);
    if (const auto glance = connected.find(worker.id); glance != connected.end())
      AddGlance(glance->second, status);
    for (const model::Drain& drain : DrainsOf(worker, drains)) *status.add_drains() = ToProto(drain);
    for (const model::DeviceHealth& device : health)
      if (device.place == model::DevicePlace{worker.host, worker.device_uuid})
        for (const model::Blame& blame : device.blames) status.add_blamed_trials(blame.trial);
    status.set_state(StateOf(status));
  }
  return absl::OkStatus();
}

Status CampaignDesk::DrainWorker(const Principal& principal, const v1::DrainWorkerRequest& request,
                                 v1::DrainWorkerReply& reply) {
  constexpr size_t kLongestReason = 1'000;
  CANOPY_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  if (request.reason().size() > kLongestReason)
    return InvalidArgument("reason: expected at most 1000 characters");
  controller::DrainWorker event;
  CANOPY_ASSIGN_OR_RETURN(event.worker, reader_.Worker(request.worker()));
  event.principal = principal.ToString();
  event.undo = request.undo();
  event.reason = request.reason();
  const auto encode = [id = event.worker.id, host = event.worker.host](const engine::ReplyBody& body) {
    const auto& changed = std::get<DrainChanged>(body);
    v1::DrainWorkerReply answer;
    answer.set_worker_id(id);
    answer.set_host(host);
    answer.set_drained(changed.drained);
    answer.set_running_attempts(changed.running_attempts);
    return answer.SerializeAsString();
  };
  CANOPY_ASSIGN_OR_RETURN(
      const std::string answer,
      Submit({request.request_id(), RequestDigest("drain", request), encode}, std::move(event)));
  return reply.ParseFromString(answer) ? absl::OkStatus() : DataLoss("the stored answer is damaged");
}

}  // namespace canopy::controller
