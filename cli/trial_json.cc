#include "cli/trial_json.h"

#include <map>

#include "base/clock.h"
#include "cli/campaign_view.h"
#include "nlohmann/json.hpp"

namespace canopy::cli {
namespace {

using nlohmann::ordered_json;

ordered_json Time(int64_t us) { return us == 0 ? ordered_json() : ordered_json(FormatWallUs(us)); }

// A JSON text as the value that it holds; null where it holds none.
ordered_json Parsed(const std::string& text) {
  ordered_json value = ordered_json::parse(text, nullptr, false);
  return value.is_discarded() ? ordered_json() : value;
}

template <typename MetricMap>
ordered_json Metrics(const MetricMap& metrics) {
  ordered_json object = ordered_json::object();
  for (const auto& [name, value] : std::map<std::string, double>(metrics.begin(), metrics.end())) {
    object[name] = value;
  }
  return object;
}

ordered_json Attempt(const v1::AttemptDetails& attempt) {
  ordered_json object = {{"id", attempt.id()},
                         {"fence", attempt.fence()},
                         {"state", StateName(attempt.state())},
                         {"failure_class", FailureName(attempt.failure_class())},
                         {"message", attempt.message()},
                         {"worker", attempt.worker_id()},
                         {"host", attempt.host()},
                         {"device_kind", attempt.device_kind()},
                         {"device_model", attempt.device_model()},
                         {"started", Time(attempt.started_us())},
                         {"ended", Time(attempt.ended_us())},
                         {"allocated_ms", attempt.allocated_ms()},
                         {"device_ms", attempt.device_ms()},
                         {"busy_ms", attempt.busy_ms()},
                         {"cpu_ms", attempt.cpu_ms()},
                         {"peak_memory_bytes", attempt.peak_memory_bytes()},
                         {"log_tail", attempt.log_tail()},
                         {"measurements", ordered_json::array()}};
  for (const v1::MeasurementRow& row : attempt.measurements()) {
    object["measurements"].push_back(
        {{"step", row.step()}, {"epoch", row.epoch()}, {"metrics", Metrics(row.metrics())}});
  }
  return object;
}

}  // namespace

std::string TrialJson(const v1::TrialDetails& trial) {
  const v1::TrialSummary& summary = trial.summary();
  ordered_json object = {{"trial", summary.name()},
                         {"id", summary.id()},
                         {"purpose", PurposeName(summary.purpose())},
                         {"replicate", summary.replicate()},
                         {"reference", summary.reference()},
                         {"space_version", summary.space_version()},
                         {"set_aside", summary.set_aside()},
                         {"parent", trial.parent()},
                         {"state", StateName(summary.state())},
                         {"failure_class", FailureName(summary.failure_class())},
                         {"reason", summary.reason()},
                         {"decisions", Parsed(summary.decisions_json())},
                         {"metrics", Metrics(summary.metrics())},
                         {"params", summary.params()},
                         {"macs", summary.macs()},
                         {"activation_memory", trial.activation_memory()},
                         {"depth", trial.depth()},
                         {"epochs", summary.epochs()},
                         {"candidate_hash", summary.candidate_hash()},
                         {"graph_hash", trial.graph_hash()},
                         {"graph", Parsed(trial.graph_json())},
                         {"recipe_hash", trial.recipe_hash()},
                         {"split_hash", trial.split_hash()},
                         {"dataset_digest", trial.dataset_digest()},
                         {"seeds", Parsed(trial.seeds_json())},
                         {"numeric_mode", trial.numeric_mode()},
                         {"trainer_build", trial.trainer_build()},
                         {"libtorch_version", trial.libtorch_version()},
                         {"device_model", trial.device_model()},
                         {"weights_path", trial.weights_path()},
                         {"weights_sha256", trial.weights_sha256()},
                         {"created", Time(summary.created_us())},
                         {"finished", Time(summary.finished_us())},
                         {"attempts", ordered_json::array()},
                         {"events", ordered_json::array()}};
  for (const v1::AttemptDetails& attempt : trial.attempts()) object["attempts"].push_back(Attempt(attempt));
  for (const v1::EventRow& event : trial.events()) {
    object["events"].push_back({{"seq", event.seq()},
                                {"at", Time(event.wall_us())},
                                {"kind", event.kind()},
                                {"principal", event.principal()},
                                {"payload", Parsed(event.payload_json())}});
  }
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace canopy::cli
