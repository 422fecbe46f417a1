#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "cli/child_process.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "config/settings.h"

namespace canopy::cli {

// A controller and an agent on this machine, as children of this process: what `canopy run` starts where no
// controller serves the state directory. One that dies is started again.
class LocalSession {
 public:
  LocalSession(const Context& context, const config::Settings& settings);
  // Stops the agent, then the controller.
  ~LocalSession();

  // Starts both and returns once the agent has announced itself to the controller. REQUIRES an
  // InterruptGuard: Ctrl-C returns Interrupted(). Aborted where another process holds the database: it may
  // end soon, or be one to which the campaign can go.
  Status Start();
  Connection& connection() { return *connection_; }

  // Starts again what has died, and says so on standard error. FailedPrecondition once that happened too
  // often within a minute, with the end of its log.
  Status KeepUp();

 private:
  Status StartController();
  Status StartAgent();
  Status WaitForAgent();
  Status MayRestart(const ChildProcess& died);

  const Context& context_;
  const config::Settings& settings_;
  const std::string base_;
  const SystemClock clock_;
  std::optional<ChildProcess> controller_, agent_;
  std::unique_ptr<Connection> connection_;
  std::deque<int64_t> restarts_ms_;
};

}  // namespace canopy::cli
