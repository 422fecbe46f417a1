#pragma once

#include <string>

#include "base/status.h"
#include "worker/protocol/messages.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/job_monitor.h"

namespace canopy::trainer {

// Wall time of one inference in eval mode with batch norms folded, over the iterations and at least 1 s,
// behind its warm-up runs and at least 0.3 s: latency_libtorch_<mode>_b<batch>_t<threads>_cpu_p50_ms, p95 and
// p99 (nearest rank). The caller holds the host's measurement lock.
StatusOr<trainer_protocol::Metrics> MeasureLatency(GraphModule& network,
                                                   const trainer_protocol::Measure& measure,
                                                   JobMonitor& monitor);

}  // namespace canopy::trainer
