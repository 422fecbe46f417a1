#include "search_spaces/reserved_names.h"

#include <algorithm>

namespace canopy::search_space {
namespace {

constexpr std::string_view kViewColumns[] = {
    "trial",
    "name",
    "purpose",
    "replicate",
    "state",
    "reference",
    "objective",
    "space_version",
    "set_aside",
    "params",
    "macs",
    "activation_memory",
    "depth",
    "params_as_written",
    "macs_as_written",
    "epochs",
    "rung",
    "steps",
    "numeric_mode",
    "recipe_hash",
    "split_hash",
    "dataset_digest",
    "seeds",
    "trainer_build",
    "libtorch_version",
    "failure",
    "reason",
    "attempts",
    "useful_busy_ms",
    "useful_allocated_ms",
    "wasted_busy_ms",
    "wasted_allocated_ms",
    "useful_device_ms",
    "wasted_device_ms",
    "peak_memory_bytes",
    "worker",
    "host",
    "device_model",
    "parent_trial",
    "candidate_hash",
    "graph_hash",
    "created_at",
    "finished_at",
    "trial_id",
};

constexpr std::string_view kMetrics[] = {
    "val_accuracy",
    "val_loss",
    "best_val_accuracy",
    "train_loss",
    "test_accuracy",
    "test_loss",
    "images_per_second",
    "latency_libtorch_fp32_b1_t1_cpu_p50_ms",
    "latency_libtorch_fp32_b1_t1_cpu_p95_ms",
    "latency_libtorch_fp32_b1_t1_cpu_p99_ms",
    "latency_libtorch_bf16_b1_t1_cpu_p50_ms",
    "latency_libtorch_bf16_b1_t1_cpu_p95_ms",
    "latency_libtorch_bf16_b1_t1_cpu_p99_ms",
};

constexpr std::string_view kExpressionWords[] = {"and",
                                                 "or",
                                                 "not",
                                                 "in",
                                                 "min",
                                                 "max",
                                                 "true",
                                                 "false",
                                                 "round",
                                                 "floor",
                                                 "ceil",
                                                 "divisible",
                                                 "if",
                                                 "in_channels",
                                                 "in_height",
                                                 "in_width",
                                                 "in_tokens",
                                                 "classes",
                                                 "training_memory"};

bool Holds(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::span<const std::string_view> ViewColumnNames() { return kViewColumns; }
std::span<const std::string_view> MetricColumnNames() { return kMetrics; }
std::span<const std::string_view> ExpressionWords() { return kExpressionWords; }

std::string_view ReservedFor(std::string_view whole, std::string_view name) {
  if (Holds(kExpressionWords, whole) || Holds(kExpressionWords, name)) return "a word of expressions";
  if (Holds(kViewColumns, whole)) return "a column of every campaign's view";
  if (Holds(kMetrics, whole)) return "a metric of every campaign";
  return "";
}

}  // namespace canopy::search_space
