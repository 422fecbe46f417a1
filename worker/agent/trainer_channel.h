#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "worker/protocol/line_reader.h"
#include "worker/protocol/messages.h"

namespace canopy::agent {

// The agent's end of a trainer's socket. Owns both ends until the trainer has its own. Not thread-safe.
class TrainerChannel {
 public:
  static StatusOr<TrainerChannel> Open();
  TrainerChannel(TrainerChannel&& other) noexcept;
  TrainerChannel& operator=(TrainerChannel&&) = delete;
  ~TrainerChannel();

  int descriptor() const { return socket_; }
  int trainer_end() const { return trainer_end_; }
  // Called after the launch: from then on the trainer's exit closes the connection.
  void CloseTrainerEnd();

  // Unavailable where the trainer is gone or takes nothing for a minute.
  Status Send(const trainer_protocol::TrainerMessage& message);
  // The next message that is here already; nullopt: none, or the trainer has closed. InvalidArgument for
  // what is no message.
  StatusOr<std::optional<trainer_protocol::TrainerMessage>> Receive();
  bool closed() const { return closed_; }
  // Nothing more will be sent: a trainer that waits for another job ends.
  void FinishSending();

 private:
  TrainerChannel(int socket, int trainer_end) : socket_(socket), trainer_end_(trainer_end) {}

  int socket_ = -1;
  int trainer_end_ = -1;
  bool closed_ = false;
  trainer_protocol::LineReader lines_;
};

}  // namespace canopy::agent
