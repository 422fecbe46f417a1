#include "controller/service/report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/strings.h"
#include "controller/service/status_messages.h"
#include "storage/model/states.h"

namespace canopy::controller {
namespace {

using model::Purpose;
using nlohmann::ordered_json;
using storage::TrialRow;

constexpr std::string_view kLatencyPrefix = "latency_";

double Mean(const google::protobuf::RepeatedField<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / values.size();
}

// FINAL trials of one candidate and what was made from their weights.
struct Group {
  std::vector<const TrialRow*> finals;
  bool reference() const { return finals[0]->trial.reference; }
  bool Complete(const model::CampaignSettings& settings) const {
    return static_cast<int64_t>(finals.size()) == settings.finals_seeds;
  }
  double MeanObjective() const {
    double sum = 0;
    for (const TrialRow* final : finals) sum += *final->result->objective;
    return sum / static_cast<double>(finals.size());
  }
};

std::vector<Group> GroupFinals(const std::vector<TrialRow>& rows) {
  std::vector<Group> groups;
  for (const TrialRow& row : rows) {
    if (row.trial.purpose != Purpose::kFinal || !row.result || !row.result->objective) continue;
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group.finals[0]->trial.candidate.candidate_hash == row.trial.candidate.candidate_hash;
    });
    if (same == groups.end())
      groups.push_back({{&row}});
    else
      same->finals.push_back(&row);
  }
  return groups;
}

v1::Contender Describe(const Group& group, const std::vector<TrialRow>& rows) {
  const model::TrialRecord& first = group.finals[0]->trial;
  v1::Contender out;
  out.set_decisions_json(first.candidate.candidate_json);
  out.set_graph_json(first.candidate.graph_json);
  out.set_params(first.candidate.params);
  out.set_macs(first.candidate.macs);
  for (const TrialRow* final : group.finals) {
    const auto accuracy = final->result->metrics.find("val_accuracy");
    out.add_val_accuracies(accuracy != final->result->metrics.end() ? accuracy->second
                                                                    : *final->result->objective);
    for (const TrialRow& row : rows) {
      if (row.trial.parent_trial_id != final->trial.id || !row.result) continue;
      const model::ResultRecord& result = *row.result;
      if (row.trial.purpose == Purpose::kTest && result.total > 0) {
        out.add_test_accuracies(static_cast<double>(result.correct) / static_cast<double>(result.total));
        out.set_test_images(result.total);
      }
      if (row.trial.purpose == Purpose::kMeasure)
        for (const auto& [name, value] : result.metrics)
          if (name.rfind(kLatencyPrefix, 0) == 0) (*out.mutable_latencies_ms())[name] = value;
    }
  }
  out.set_val_accuracy(Mean(out.val_accuracies()));
  if (!out.test_accuracies().empty()) {
    out.set_test_accuracy_mean(Mean(out.test_accuracies()));
    const auto [low, high] = WilsonInterval(out.test_accuracy_mean(), out.test_images());
    out.set_test_accuracy_low(low);
    out.set_test_accuracy_high(high);
  }
  return out;
}

ordered_json ToJson(const v1::Contender& contender) {
  ordered_json json;
  json["trial"] = contender.trial();
  json["val_accuracy"] = contender.val_accuracy();
  json["val_accuracies"] =
      std::vector<double>(contender.val_accuracies().begin(), contender.val_accuracies().end());
  if (contender.test_accuracies().empty()) {
    json["test_accuracy_mean"] = nullptr;
    json["test_accuracy_interval"] = nullptr;
  } else {
    json["test_accuracy_mean"] = contender.test_accuracy_mean();
    json["test_accuracy_interval"] = {contender.test_accuracy_low(), contender.test_accuracy_high()};
  }
  json["test_accuracies"] =
      std::vector<double>(contender.test_accuracies().begin(), contender.test_accuracies().end());
  json["test_images"] = contender.test_images();
  json["params"] = contender.params();
  json["macs"] = contender.macs();
  json["decisions"] = ordered_json::parse(contender.decisions_json(), nullptr, false);
  json["latencies_ms"] =
      std::map<std::string, double>(contender.latencies_ms().begin(), contender.latencies_ms().end());
  return json;
}

std::string Percent(double fraction) { return FormatFixed(100 * fraction, 2) + " %"; }

// What was found, whether it flatters the search or not.
std::string Sentence(const v1::CampaignReport& report) {
  if (!report.has_winner()) return "The search has no winner yet.";
  const v1::Contender& winner = report.winner();
  if (winner.test_accuracies().empty())
    return "The winner reaches " + Percent(winner.val_accuracy()) +
           " validation accuracy; its test is not read yet.";
  const std::string winner_text = "the winner's test accuracy is " + Percent(winner.test_accuracy_mean());
  if (!report.has_reference() || report.reference().test_accuracies().empty())
    return "There is no reference to compare with; " + winner_text + ".";
  const v1::Contender& reference = report.reference();
  const double gain = winner.test_accuracy_mean() - reference.test_accuracy_mean();
  const std::string figures =
      winner_text + ", the hand-made reference's " + Percent(reference.test_accuracy_mean());
  if (report.winner_is_reference())
    return "The search found nothing better than the hand-made reference, which it came upon itself: its "
           "test accuracy is " +
           Percent(reference.test_accuracy_mean()) + ".";
  if (gain <= 0) return "The search did not win over the hand-made reference: " + figures + ".";
  const bool overlap = winner.test_accuracy_low() <= reference.test_accuracy_high();
  if (overlap)
    return "The search won by " + FormatFixed(100 * gain, 2) +
           " points, which is within the intervals' overlap, so "
           "it may be chance: " +
           figures + ".";
  return "The search won over the hand-made reference by " + FormatFixed(100 * gain, 2) +
         " points: " + figures + ".";
}

std::string ResultJson(const storage::CampaignRow& campaign, const storage::CampaignCounts& counts,
                       const std::string& database_id, const v1::CampaignReport& report) {
  ordered_json json;
  json["canopy"] = 1;
  json["database_id"] = database_id;
  json["campaign_id"] = campaign.campaign.id;
  json["campaign"] = campaign.campaign.project + "/" + campaign.campaign.name;
  json["state"] = std::string(model::ToString(campaign.progress.state));
  json["complete"] = report.complete();
  json["space"] = campaign.campaign.space_name;
  json["space_hash"] = campaign.campaign.space_hash;
  json["space_version"] = campaign.campaign.space_version;
  json["dataset"] = campaign.campaign.settings.task.dataset;
  json["dataset_digest"] = campaign.campaign.settings.task.dataset_digest;
  json["numeric_mode"] = campaign.campaign.settings.numeric_mode;
  json["epochs"] = campaign.progress.epochs;
  json["seed"] = std::to_string(campaign.campaign.settings.seed);
  json["trials_done"] = campaign.trials_done;
  json["test_reads"] = campaign.progress.test_reads;
  json["device_ms"] = counts.device_ms;
  json["useful_device_ms"] = counts.useful_device_ms;
  json["finished"] = campaign.progress.finished_us == 0 ? "" : FormatWallUs(campaign.progress.finished_us);
  json["winner_is_reference"] = report.winner_is_reference();
  json["winner"] = report.has_winner() ? ToJson(report.winner()) : ordered_json();
  json["reference"] = report.has_reference() ? ToJson(report.reference()) : ordered_json();
  json["sentence"] = report.sentence();
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

std::pair<double, double> WilsonInterval(double p, int64_t n) {
  if (n <= 0) return {0, 1};
  constexpr double kZ = 1.959963984540054;
  const double count = static_cast<double>(n), z2 = kZ * kZ;
  const double center = (p + z2 / (2 * count)) / (1 + z2 / count);
  const double half = kZ * std::sqrt(p * (1 - p) / count + z2 / (4 * count * count)) / (1 + z2 / count);
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

StatusOr<v1::CampaignReport> BuildReport(storage::Reader& reader, const storage::CampaignRow& campaign,
                                         const std::string& database_id) {
  CANOPY_ASSIGN_OR_RETURN(const std::vector<TrialRow> rows, reader.Finals(campaign.campaign.id));
  const model::CampaignProgress& progress = campaign.progress;
  const model::CampaignSettings& settings = campaign.campaign.settings;
  const bool maximize = settings.objective_goal == model::Goal::kMaximize;
  v1::CampaignReport report;
  *report.mutable_summary() = ToProto(campaign);
  std::vector<Group> groups = GroupFinals(rows);
  std::stable_sort(groups.begin(), groups.end(), [&](const Group& a, const Group& b) {
    // A mean over fewer seeds stands below, whatever it is.
    if (a.Complete(settings) != b.Complete(settings)) return a.Complete(settings);
    return maximize ? a.MeanObjective() > b.MeanObjective() : a.MeanObjective() < b.MeanObjective();
  });
  for (const Group& group : groups) {
    v1::Contender contender = Describe(group, rows);
    const bool control = settings.finals_reference && group.reference();
    // A reference that was searched has no parent among its finals, but is the winner's SEARCH trial.
    const bool won_as_reference = control && progress.winner_committed && progress.winner_is_reference;
    const int64_t parent_id =
        won_as_reference ? progress.winner_trial_id : group.finals[0]->trial.parent_trial_id;
    if (parent_id != 0) {
      CANOPY_ASSIGN_OR_RETURN(const storage::TrialDetail parent, reader.Trial(std::to_string(parent_id)));
      contender.set_trial(parent.row.name());
    }
    if (progress.winner_committed && parent_id != 0 && parent_id == progress.winner_trial_id)
      *report.mutable_winner() = contender;
    if (control) *report.mutable_reference() = contender;
    *report.add_finalists() = std::move(contender);
  }
  report.set_winner_is_reference(progress.winner_committed && progress.winner_is_reference);
  report.set_complete(progress.state == model::CampaignState::kCompleted && report.has_winner());
  report.set_sentence(Sentence(report));
  CANOPY_ASSIGN_OR_RETURN(const storage::CampaignCounts counts, reader.Counts(campaign.campaign.id));
  report.set_result_json(ResultJson(campaign, counts, database_id, report));
  return report;
}

std::string CampaignFolder(const std::string& state_dir, const model::CampaignRecord& campaign) {
  return state_dir + "/campaigns/" + campaign.project + "__" + campaign.name;
}

StatusOr<std::string> WriteResult(const std::string& state_dir, const model::CampaignRecord& campaign,
                                  const v1::CampaignReport& report) {
  const std::string folder = CampaignFolder(state_dir, campaign), path = folder + "/result.json";
  constexpr int64_t kMaxBytes = 16 << 20;
  const auto identity = [](const std::string& text) {
    const auto json = ordered_json::parse(text, nullptr, false);
    if (!json.is_object()) return std::string();
    const ordered_json none;
    return json.value("database_id", none).dump() + json.value("campaign_id", none).dump();
  };
  // One of another database's campaign of that name is replaced.
  if (FileExists(path)) {
    const StatusOr<std::string> earlier = ReadFile(path, kMaxBytes);
    if (earlier.ok() && identity(*earlier) == identity(report.result_json())) return path;
  }
  CANOPY_RETURN_IF_ERROR(MakeDirectories(folder));
  CANOPY_RETURN_IF_ERROR(WriteFileDurably(path, report.result_json()));
  return path;
}

}  // namespace canopy::controller
