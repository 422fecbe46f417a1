#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "config/credentials.h"
#include "worker/agent/controller_connection.h"

namespace canopy::agent {

// WorkerService over a channel that reconnects by itself. `target` is "unix:/path" or "host:port"; TCP
// needs the worker's credential, a Unix socket takes none (nullptr).
StatusOr<std::unique_ptr<ControllerConnection>> ConnectToController(const std::string& target,
                                                                    const config::Credential* credential);

}  // namespace canopy::agent
