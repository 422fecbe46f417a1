#include "worker/trainer/latency.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <vector>

namespace canopy::trainer {
namespace {

using SteadyClock = std::chrono::steady_clock;

// However fast the network is: clocks rise and caches fill first, and 200 runs of 20 us see no interrupt.
constexpr std::chrono::milliseconds kWarmup{300};
constexpr std::chrono::milliseconds kMeasured{1000};

double NearestRank(const std::vector<double>& ascending, double fraction) {
  const double rank = std::ceil(fraction * static_cast<double>(ascending.size()));
  return ascending[static_cast<size_t>(std::max(1.0, rank)) - 1];
}

}  // namespace

StatusOr<trainer_protocol::Metrics> MeasureLatency(GraphModule& network,
                                                   const trainer_protocol::Measure& measure,
                                                   JobMonitor& monitor) {
  const c10::InferenceMode inference;
  const at::ScalarType type = network.store().compute_type();
  const at::Tensor input = SomeInput(network.graph(), measure.batch, type);
  network.PrepareInference();
  std::vector<double> times_ms;
  const auto run = [&](int64_t at_least, std::chrono::milliseconds time) -> Status {
    times_ms.clear();
    const auto until = SteadyClock::now() + time;
    auto now = SteadyClock::now();
    while (static_cast<int64_t>(times_ms.size()) < at_least || now < until) {
      CANOPY_RETURN_IF_ERROR(monitor.CheckStop());
      const auto begin = SteadyClock::now();
      const at::Tensor output = network.ForwardInference(input);
      now = SteadyClock::now();
      times_ms.push_back(std::chrono::duration<double, std::milli>(now - begin).count());
    }
    return absl::OkStatus();
  };
  CANOPY_RETURN_IF_ERROR(run(measure.warmup, kWarmup));
  CANOPY_RETURN_IF_ERROR(run(measure.iterations, kMeasured));
  std::sort(times_ms.begin(), times_ms.end());
  const std::string name = std::string("latency_libtorch_") + (type == at::kFloat ? "fp32" : "bf16") + "_b" +
                           std::to_string(measure.batch) + "_t" + std::to_string(measure.threads) + "_cpu_";
  return trainer_protocol::Metrics{{name + "p50_ms", NearestRank(times_ms, 0.50)},
                                   {name + "p95_ms", NearestRank(times_ms, 0.95)},
                                   {name + "p99_ms", NearestRank(times_ms, 0.99)}};
}

}  // namespace canopy::trainer
