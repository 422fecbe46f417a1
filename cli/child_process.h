#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace canopy::cli {

// This program run again as a child, in a process group of its own, so that Ctrl-C reaches only its parent;
// it ends when its parent does (--parent). Not thread-safe.
class ChildProcess {
 public:
  // What the child prints goes to the file `output`, which is emptied first; `log`, where not empty, is the
  // file to which it writes its log.
  static StatusOr<ChildProcess> Start(const std::string& program, std::vector<std::string> arguments,
                                      const std::string& output, const std::string& log = "");
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  // Stops it.
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // False once it has ended.
  bool Running();
  // SIGTERM, and SIGKILL where it has not ended after `timeout_ms`. Blocks until it has ended.
  void Stop(int64_t timeout_ms);
  // "canopy controller start ended with status 1: <the last lines of its log>"; REQUIRES that it ended.
  Status Failure() const;

 private:
  ChildProcess(pid_t pid, std::string name, std::string output, std::string log)
      : pid_(pid), name_(std::move(name)), output_(std::move(output)), log_(std::move(log)) {}

  pid_t pid_ = -1;
  std::string name_, output_, log_;
  std::optional<int> wait_status_;
};

// In the child: asks the kernel to send SIGTERM when the parent ends. FailedPrecondition where `parent_pid`
// is not the parent any more.
Status EndWithParent(int64_t parent_pid);

}  // namespace canopy::cli
