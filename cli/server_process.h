#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "cli/command.h"

namespace canopy::cli {

// What `controller start` and `worker start` share.
struct ServerOptions {
  std::string log_file;
  int64_t parent = 0;  // the process that started this one for itself and ends it; 0: none
};

// --log-file, and --parent, which only the program itself uses.
void AddServerOptions(CLI::App* verb, ServerOptions& options);
// Starts logging and binds this process's life to its parent's.
Status PrepareServer(const config::Settings& settings, const ServerOptions& options);
// OK where a server ended with 0; its log said why where not.
Status ServerEnded(int status, const ServerOptions& options);

}  // namespace canopy::cli
