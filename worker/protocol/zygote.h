#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"
#include "worker/protocol/messages.h"

namespace canopy::trainer_protocol {

// The control protocol between an agent and a trainer's zygote: JSON lines as in the trainer protocol,
// after a Hello each way.

// To the zygote: fork a trainer for one attempt. Two descriptors travel with the line (descriptors.h):
// the trainer's connected socket, then its log.
struct Spawn {
  std::string attempt_id;
  Dataset dataset;  // loaded before the fork and shared with later ones; no name: the child loads its own

  friend bool operator==(const Spawn&, const Spawn&) = default;
};

// To the zygote: send a signal to a child's process group. Free of the race between a child's end and the
// reuse of its pid; ignored for an attempt that has ended.
struct Signal {
  std::string attempt_id;
  int64_t signal = 0;

  friend bool operator==(const Signal&, const Signal&) = default;
};

// The child runs, as the leader of its own process group.
struct Spawned {
  std::string attempt_id;
  int64_t pid = 0;

  friend bool operator==(const Spawned&, const Spawned&) = default;
};

// No child came to be; there is no `exited` for this attempt.
struct SpawnFailed {
  std::string attempt_id;
  std::string message;

  friend bool operator==(const SpawnFailed&, const SpawnFailed&) = default;
};

// The child ended: wait status as waitpid gives it, and its resource usage.
struct Exited {
  std::string attempt_id;
  int64_t pid = 0;
  int64_t wait_status = 0;
  int64_t user_ms = 0;
  int64_t system_ms = 0;
  int64_t max_rss_bytes = 0;

  friend bool operator==(const Exited&, const Exited&) = default;
};

using ZygoteMessage = std::variant<Hello, Spawn, Signal, Spawned, SpawnFailed, Exited>;

// As Encode and Decode of codec.h.
StatusOr<std::string> EncodeZygote(const ZygoteMessage& message);
StatusOr<ZygoteMessage> DecodeZygote(std::string_view line);

}  // namespace canopy::trainer_protocol
