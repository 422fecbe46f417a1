#include "worker/trainer/session.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <variant>

#include "base/strings.h"
#include "worker/protocol/codec.h"
#include "worker/protocol/descriptors.h"

namespace canopy::trainer {
namespace {

using trainer_protocol::CheckpointNow;
using trainer_protocol::Hello;
using trainer_protocol::Job;
using trainer_protocol::Stop;
using trainer_protocol::TrainerMessage;

// What a process that outlived its peer returns.
constexpr int kHangupExitCode = 75;

bool Readable(int socket) {
  pollfd item{.fd = socket, .events = POLLIN, .revents = 0};
  return ::poll(&item, 1, 0) > 0;
}

}  // namespace

Session::~Session() { ::close(socket_); }

Status Session::Send(const TrainerMessage& message) {
  CANOPY_ASSIGN_OR_RETURN(const std::string line, trainer_protocol::Encode(message));
  return trainer_protocol::SendBytes(socket_, line + "\n");
}

StatusOr<std::optional<TrainerMessage>> Session::Receive(bool wait) {
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const std::optional<std::string> line, reader_.Next());
    if (line) {
      CANOPY_ASSIGN_OR_RETURN(TrainerMessage message, trainer_protocol::Decode(*line));
      return std::optional<TrainerMessage>(std::move(message));
    }
    if (closed_ || (!wait && !Readable(socket_))) return std::optional<TrainerMessage>();
    CANOPY_ASSIGN_OR_RETURN(const trainer_protocol::Received received,
                            trainer_protocol::ReceiveBytes(socket_));
    for (const int descriptor : received.descriptors) ::close(descriptor);  // the protocol has none
    closed_ = received.bytes.empty();
    reader_.Append(received.bytes);
  }
}

Status Session::Greet() {
  CANOPY_RETURN_IF_ERROR(Send(Hello{}));
  CANOPY_ASSIGN_OR_RETURN(const auto message, Receive(/*wait=*/true));
  const Hello* hello = message ? std::get_if<Hello>(&*message) : nullptr;
  if (hello == nullptr)
    return FailedPrecondition("trainer protocol: expected hello as the agent's first line");
  if (hello->version != trainer_protocol::kVersion)
    return FailedPrecondition("trainer protocol: the agent speaks version " + std::to_string(hello->version) +
                              ", this trainer version " + std::to_string(trainer_protocol::kVersion) +
                              "; install both from the same release");
  return absl::OkStatus();
}

Status Session::ServeJobs(JobRunner& runner, std::optional<int> max_jobs) {
  for (int served = 0; !max_jobs || served < *max_jobs;) {
    CANOPY_ASSIGN_OR_RETURN(const auto message, Receive(/*wait=*/true));
    if (!message) return absl::OkStatus();
    const Job* job = std::get_if<Job>(&*message);
    if (job == nullptr) continue;  // a stop that crossed the job's last message
    attempt_id_ = job->attempt_id;
    const TrainerMessage last = runner.Run(*job, *this);
    ++served;
    if (closed_) return absl::OkStatus();
    CANOPY_RETURN_IF_ERROR(Send(last));
  }
  return absl::OkStatus();
}

StatusOr<trainer_protocol::RungAction> Session::ReportRung(const trainer_protocol::RungReport& report) {
  CANOPY_RETURN_IF_ERROR(Send(report));
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const auto message, Receive(/*wait=*/true));
    if (!message) return Unavailable("the agent has closed the connection");
    CANOPY_RETURN_IF_ERROR(Obey(*message));
    const auto* answer = std::get_if<trainer_protocol::RungAnswer>(&*message);
    if (answer != nullptr && answer->attempt_id == attempt_id_ && answer->rung == report.rung)
      return answer->action;
  }
}

Status Session::Obey(const TrainerMessage& message) const {
  if (const auto* now = std::get_if<CheckpointNow>(&message);
      now != nullptr && now->attempt_id == attempt_id_)
    return WriteCheckpoint();
  const Stop* stop = std::get_if<Stop>(&message);
  if (stop == nullptr || stop->attempt_id != attempt_id_) return absl::OkStatus();
  return absl::CancelledError(ToAbsl(stop->reason.empty() ? "stopped" : stop->reason));
}

Status Session::CheckStop() {
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const auto message, Receive(/*wait=*/false));
    if (!message) break;
    CANOPY_RETURN_IF_ERROR(Obey(*message));
  }
  return closed_ ? Unavailable("the agent has closed the connection") : absl::OkStatus();
}

void EndProcessAfterHangup(int socket, int grace_ms) {
  std::thread([socket, grace_ms] {
    pollfd item{.fd = socket, .events = POLLRDHUP, .revents = 0};
    while (::poll(&item, 1, -1) < 0 && errno == EINTR) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(grace_ms));
    ::_exit(kHangupExitCode);
  }).detach();
}

}  // namespace canopy::trainer
