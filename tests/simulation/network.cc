#include "tests/simulation/network.h"

#include <memory>
#include <utility>

namespace canopy::simulation {

bool Network::Lost(const std::string& caller) {
  const auto cut = partitioned_until_ms_.find(caller);
  if (cut != partitioned_until_ms_.end() && scheduler_.now_ms() < cut->second) return true;
  return rng_.Double() < faults_.drop;
}

int64_t Network::DelayMs() { return rng_.Double() < faults_.slow ? rng_.Int(500, 15'000) : rng_.Int(0, 20); }

void Network::Call(const std::string& caller, Request request, int64_t timeout_ms, ReplyDone done) {
  struct Open {
    ReplyDone done;
    void Finish(Reply reply) {
      if (ReplyDone once = std::exchange(done, nullptr)) once(std::move(reply));
    }
  };
  const auto open = std::make_shared<Open>(Open{std::move(done)});
  const auto shared = std::make_shared<const Request>(std::move(request));
  const auto send = [&](int64_t delay_ms) {
    scheduler_.After(delay_ms, [this, caller, open, shared] {
      if (Lost(caller)) return;
      server_(*shared, [this, caller, open](Reply reply) {
        if (Lost(caller) || open->done == nullptr) return;
        scheduler_.After(DelayMs(), [open, reply = std::move(reply)] { open->Finish(reply); });
      });
    });
  };
  send(DelayMs());
  if (rng_.Double() < faults_.repeat) send(DelayMs());
  if (rng_.Double() < faults_.repeat_late) send(rng_.Int(1'000, 4 * 3'600'000));
  scheduler_.After(timeout_ms, [open] { open->Finish(DeadlineExceeded("no answer")); });
}

}  // namespace canopy::simulation
