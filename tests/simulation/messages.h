#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "controller/core/effects.h"
#include "controller/core/events.h"

namespace canopy::simulation {

// The calls of the worker and campaign services, as far as the simulation needs them.

struct DatabaseName {
  std::string id;
  int64_t incarnation = 0;
  friend bool operator==(const DatabaseName&, const DatabaseName&) = default;
};

struct HelloRequest {
  model::WorkerRecord worker;
  std::vector<std::pair<int64_t, int64_t>> running;  // attempt, fence
  DatabaseName database;
};
struct ExchangeRequest {
  std::string worker_id, request_id;
  int64_t slot = 0;
  std::optional<controller::AttemptOutcome> outcome;
  bool wants_lease = false;
  int64_t wait_ms = 0;
};
struct RungRequest {
  DatabaseName database;
  controller::RungReport report;
};
struct HeartbeatRequest {
  std::string worker_id;
  DatabaseName database;
  std::vector<controller::AttemptProgress> attempts;
  std::vector<model::MeasurementRecord> measurements;
};
struct UserCall {
  std::string id, digest;
  controller::Event event;
};
using Request = std::variant<HelloRequest, ExchangeRequest, RungRequest, HeartbeatRequest, UserCall>;

struct HelloReply {
  DatabaseName database;
  int64_t interval_ms = 0;
  std::vector<int64_t> attempts_to_stop;
};
struct ExchangeReply {
  controller::OutcomeVerdict verdict = controller::OutcomeVerdict::kNone;
  std::optional<controller::Lease> lease;
  DatabaseName database;  // the lease's
};
struct RungReply {
  model::RungAction action = model::RungAction::kContinue;
};
struct HeartbeatReply {
  bool hello_needed = false;
  int64_t interval_ms = 0;
  std::vector<int64_t> attempts_to_stop;
};
struct UserReply {
  std::string answer;
};
using Reply = StatusOr<std::variant<HelloReply, ExchangeReply, RungReply, HeartbeatReply, UserReply>>;
using ReplyDone = std::function<void(Reply)>;

}  // namespace canopy::simulation
