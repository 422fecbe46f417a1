#include "controller/engine/value_columns.h"

#include <array>
#include <variant>

#include "storage/values_table.h"

namespace canopy::engine {
namespace {

using Column = storage::TrialStore::Column;

constexpr std::array<const char*, 13> kMetrics = {
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

Column::Type TypeOf(const search_space::Decision& decision) {
  constexpr size_t kReal = search_space::Value(0.0).index(),
                   kText = std::variant_size_v<search_space::Value> - 1;
  if (decision.value_type() == kReal) return Column::Type::kReal;
  return decision.value_type() == kText ? Column::Type::kText : Column::Type::kInteger;
}

}  // namespace

StatusOr<ValueColumns> ColumnsOf(const search_space::SearchSpace& space) {
  ValueColumns columns;
  for (const char* name : kMetrics) columns.metrics.push_back({name, Column::Type::kReal});
  for (const search_space::Decision& decision : space.decisions())
    columns.decisions.push_back({decision.name, TypeOf(decision)});
  const Status status = storage::CheckValueColumns(columns.decisions, columns.metrics);
  if (!status.ok()) return WithContext(status, "space " + space.name());
  return columns;
}

}  // namespace canopy::engine
