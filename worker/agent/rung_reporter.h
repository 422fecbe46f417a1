#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "base/mutex.h"
#include "canopy/v1/worker_service.pb.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/controller_session.h"

namespace canopy::agent {

// Brings the rung reports of an agent's attempts to the controller and its answers back, one after the other;
// a report that gets no answer is sent again while its attempt runs. Thread-safe.
class RungReporter {
 public:
  explicit RungReporter(ControllerSession& session) : session_(session) {}

  // The answer reaches `control`. Of a report that the controller refuses, it is to continue.
  void Report(v1::ReportRungRequest request, std::shared_ptr<AttemptControl> control);
  // Blocks until Stop; one thread's.
  void Run();
  void Stop();

 private:
  struct Entry {
    v1::ReportRungRequest request;
    std::shared_ptr<AttemptControl> control;
  };
  // False: nobody has heard it.
  bool Send(const Entry& entry);

  ControllerSession& session_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ CANOPY_GUARDED_BY(mutex_) = false;
  std::deque<Entry> entries_ CANOPY_GUARDED_BY(mutex_);
};

}  // namespace canopy::agent
