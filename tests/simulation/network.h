#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/random.h"
#include "tests/simulation/messages.h"
#include "tests/simulation/scheduler.h"

namespace canopy::simulation {

// What lies between callers and the controller: it drops, delays, repeats and reorders calls and replies.
class Network {
 public:
  struct Faults {
    double drop = 0;         // of requests, and of replies
    double repeat = 0;       // a request arrives a second time
    double repeat_late = 0;  // the second one arrives up to hours later
    double slow = 0;         // takes seconds instead of milliseconds
  };
  // The controller's end: answers once, or never.
  using Server = std::function<void(const Request& request, ReplyDone reply)>;

  Network(Scheduler& scheduler, Rng rng) : scheduler_(scheduler), rng_(rng) {}
  void SetServer(Server server) { server_ = std::move(server); }
  void SetFaults(const Faults& faults) { faults_ = faults; }
  // Nothing of the caller gets through until then.
  void Partition(const std::string& caller, int64_t until_ms) { partitioned_until_ms_[caller] = until_ms; }
  void HealPartitions() { partitioned_until_ms_.clear(); }

  // `done` is called once: with the first reply, or DeadlineExceeded after `timeout_ms`.
  void Call(const std::string& caller, Request request, int64_t timeout_ms, ReplyDone done);

 private:
  bool Lost(const std::string& caller);
  int64_t DelayMs();

  Scheduler& scheduler_;
  Rng rng_;
  Server server_;
  Faults faults_;
  std::map<std::string, int64_t> partitioned_until_ms_;
};

}  // namespace canopy::simulation
