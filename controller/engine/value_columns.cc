#include "controller/engine/value_columns.h"

#include <array>
#include <set>
#include <string>
#include <variant>

namespace canopy::engine {
namespace {

using Column = storage::TrialStore::Column;

// SQLite's limit is 2,000 columns; the table has others.
constexpr size_t kMaxColumns = 1500;

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
  constexpr size_t kReal = search_space::Value(0.0).index(), kText = std::variant_size_v<search_space::Value> - 1;
  if (decision.value_type() == kReal) return Column::Type::kReal;
  return decision.value_type() == kText ? Column::Type::kText : Column::Type::kInteger;
}

}  // namespace

StatusOr<ValueColumns> ColumnsOf(const search_space::SearchSpace& space) {
  if (space.decisions().size() + kMetrics.size() > kMaxColumns)
    return InvalidArgument("space " + space.name() + ": " + std::to_string(space.decisions().size()) +
                           " decisions are too many for a campaign's table, at most " +
                           std::to_string(kMaxColumns - kMetrics.size()) + " fit; share decisions among copies");
  ValueColumns columns;
  std::set<std::string> metrics;
  for (const char* name : kMetrics) {
    columns.metrics.push_back({name, Column::Type::kReal});
    metrics.insert(name);
  }
  for (const search_space::Decision& decision : space.decisions()) {
    if (metrics.count(decision.name) > 0)
      return InvalidArgument("space " + space.name() + ": decision " + decision.name +
                             " has the name of a metric; choose another name");
    columns.decisions.push_back({decision.name, TypeOf(decision)});
  }
  return columns;
}

}  // namespace canopy::engine
