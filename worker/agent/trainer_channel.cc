#include "worker/agent/trainer_channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "worker/protocol/codec.h"
#include "worker/protocol/descriptors.h"

namespace canopy::agent {
namespace {

constexpr timeval kSendTimeout = {.tv_sec = 60, .tv_usec = 0};

bool Readable(int socket) {
  pollfd item{.fd = socket, .events = POLLIN, .revents = 0};
  return ::poll(&item, 1, 0) > 0;
}

}  // namespace

StatusOr<TrainerChannel> TrainerChannel::Open() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return FromErrno(errno, "make a trainer's socket");
  ::setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof kSendTimeout);
  return TrainerChannel(ends[0], ends[1]);
}

TrainerChannel::TrainerChannel(TrainerChannel&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      trainer_end_(std::exchange(other.trainer_end_, -1)),
      closed_(other.closed_),
      lines_(std::move(other.lines_)) {}

TrainerChannel::~TrainerChannel() {
  CloseTrainerEnd();
  if (socket_ >= 0) ::close(socket_);
}

void TrainerChannel::CloseTrainerEnd() {
  if (trainer_end_ >= 0) ::close(trainer_end_);
  trainer_end_ = -1;
}

Status TrainerChannel::Send(const trainer_protocol::TrainerMessage& message) {
  CANOPY_ASSIGN_OR_RETURN(const std::string line, trainer_protocol::Encode(message));
  return trainer_protocol::SendBytes(socket_, line + "\n");
}

StatusOr<std::optional<trainer_protocol::TrainerMessage>> TrainerChannel::Receive() {
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const std::optional<std::string> line, lines_.Next());
    if (line) {
      CANOPY_ASSIGN_OR_RETURN(trainer_protocol::TrainerMessage message, trainer_protocol::Decode(*line));
      return std::optional<trainer_protocol::TrainerMessage>(std::move(message));
    }
    if (closed_ || !Readable(socket_)) return std::optional<trainer_protocol::TrainerMessage>();
    const auto received = trainer_protocol::ReceiveBytes(socket_);
    if (received.ok())
      for (const int descriptor : received->descriptors) ::close(descriptor);  // the protocol has none
    closed_ = !received.ok() || received->bytes.empty();
    if (received.ok()) lines_.Append(received->bytes);
  }
}

void TrainerChannel::FinishSending() { ::shutdown(socket_, SHUT_WR); }

}  // namespace canopy::agent
