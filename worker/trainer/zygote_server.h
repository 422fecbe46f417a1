#pragma once

#include <functional>

#include "base/status.h"
#include "worker/trainer/dataset_cache.h"

namespace canopy::trainer {

// Serves a child's trainer socket to its end and returns the exit code; the socket is the callee's.
using ChildMain = std::function<int(int socket)>;

// Forks a child per spawn message of the control socket (worker/protocol/zygote.h) and reports each one's
// end, until the peer closes; then kills the children that are left. Children die with the zygote.
// Blocks. FailedPrecondition in a process with a second thread: a fork copies only the calling one, and
// locks that others hold stay locked.
Status ServeZygote(int control_socket, DatasetCache& datasets, const ChildMain& child_main);

// Whether this process is a child that ServeZygote forked: a second thread of LibTorch's may hang it.
bool IsZygoteChild();

}  // namespace canopy::trainer
