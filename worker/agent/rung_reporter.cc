#include "worker/agent/rung_reporter.h"

#include <string>
#include <utility>

#include "base/log.h"

namespace canopy::agent {
namespace {

constexpr int64_t kCallTimeoutMs = 4'000;
constexpr int64_t kAgainMs = 250;

}  // namespace

void RungReporter::Report(v1::ReportRungRequest request, std::shared_ptr<AttemptControl> control) {
  {
    const MutexLock lock(mutex_);
    entries_.push_back({std::move(request), std::move(control)});
  }
  changed_.NotifyAll();
}

void RungReporter::Run() {
  for (;;) {
    Entry entry;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && entries_.empty()) changed_.Wait(mutex_);
      if (stopping_) return;
      entry = std::move(entries_.front());
      entries_.pop_front();
    }
    if (Send(entry)) continue;
    const MutexLock lock(mutex_);
    entries_.push_back(std::move(entry));
    if (!stopping_) changed_.WaitFor(mutex_, kAgainMs);
  }
}

bool RungReporter::Send(const Entry& entry) {
  if (entry.control->exit()) return true;  // nobody waits for the answer any more
  const auto reply = session_.ReportRung(entry.request, kCallTimeoutMs);
  v1::RungAction action = v1::RUNG_ACTION_CONTINUE;
  if (reply.ok()) {
    if (reply->action() != v1::RUNG_ACTION_UNSPECIFIED) action = reply->action();
  } else if (absl::IsInvalidArgument(reply.status()) || absl::IsUnimplemented(reply.status())) {
    CANOPY_LOG(Error, "the controller refuses a rung report: " + Message(reply.status()),
               {{"attempt", std::to_string(entry.request.attempt_id())},
                {"rung", std::to_string(entry.request.rung())}});
  } else {
    return false;
  }
  entry.control->SetRungAnswer({entry.request.rung(), action});
  return true;
}

void RungReporter::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
}

}  // namespace canopy::agent
