#include "storage/row_mapping.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/strings.h"

namespace canopy::storage {
namespace {

using Json = nlohmann::json;

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <typename T>
bool ReadJson(const Rows& rows, int column, T& value) {
  const Json json = Json::parse(rows.Text(column), nullptr, false);
  if (json.is_discarded()) return false;
  try {
    value = json.get<T>();
  } catch (const Json::exception&) {
    return false;
  }
  return true;
}

template <typename T>
bool Take(const std::optional<T>& parsed, T& value) {
  if (parsed) value = *parsed;
  return parsed.has_value();
}

}  // namespace

SqlValue ToSql(int64_t value) { return value; }
SqlValue ToSql(uint64_t value) { return std::to_string(value); }
SqlValue ToSql(double value) { return value; }
SqlValue ToSql(bool value) { return int64_t{value}; }
SqlValue ToSql(const std::string& value) { return value; }
SqlValue ToSql(const std::optional<double>& value) { return value ? SqlValue(*value) : SqlValue(nullptr); }
SqlValue ToSql(const std::optional<model::FailureClass>& value) {
  return value ? SqlValue(std::string(model::ToString(*value))) : SqlValue(nullptr);
}
SqlValue ToSql(model::Purpose value) { return std::string(model::ToString(value)); }
SqlValue ToSql(model::TrialState value) { return std::string(model::ToString(value)); }
SqlValue ToSql(model::AttemptState value) { return std::string(model::ToString(value)); }
SqlValue ToSql(model::CampaignState value) { return std::string(model::ToString(value)); }
SqlValue ToSql(model::DrainScope value) { return std::string(model::ToString(value)); }
SqlValue ToSql(model::RungAction value) { return std::string(model::ToString(value)); }
SqlValue ToSql(const std::optional<model::SegmentEnd>& value) {
  return value ? SqlValue(std::string(model::ToString(*value))) : SqlValue(nullptr);
}
SqlValue ToSql(model::Goal value) {
  return std::string(value == model::Goal::kMaximize ? "maximize" : "minimize");
}
SqlValue ToSql(model::DuplicatePolicy value) {
  return std::string(value == model::DuplicatePolicy::kCached ? "cached" : "evaluate");
}
SqlValue ToSql(const std::vector<std::string>& value) {
  return value.empty() ? std::string("[]") : Dump(value);
}
SqlValue ToSql(const std::vector<int64_t>& value) { return Dump(value); }
SqlValue ToSql(const std::vector<model::DatasetOnWorker>& value) {
  Json list = Json::array();
  for (const model::DatasetOnWorker& dataset : value)
    list.push_back({{"name", dataset.name},
                    {"digest", dataset.digest},
                    {"input_shape", dataset.input_shape},
                    {"classes", dataset.classes},
                    {"training_examples", dataset.training_examples}});
  return Dump(list);
}
SqlValue ToSql(const std::map<std::string, std::string>& value) { return Dump(value); }
SqlValue ToSql(const std::vector<model::DevicePlace>& value) {
  if (value.empty()) return std::string("[]");
  Json list = Json::array();
  for (const model::DevicePlace& place : value) list.push_back(Json::array({place.host, place.device_uuid}));
  return Dump(list);
}
SqlValue ToSql(const std::vector<model::Blame>& value) {
  Json list = Json::array();
  for (const model::Blame& blame : value)
    list.push_back({{"trial_id", blame.trial_id}, {"trial", blame.trial}, {"other_host", blame.other_host}});
  return Dump(list);
}
SqlValue ToSql(const model::Metrics& value) {
  Json object = Json::object();
  for (const auto& [name, number] : value)
    if (std::isfinite(number)) object[name] = number;
  return Dump(object);
}

bool FromSql(const Rows& rows, int column, int64_t& value) {
  value = rows.Int(column);
  return true;
}
bool FromSql(const Rows& rows, int column, uint64_t& value) {
  const std::string text = rows.Text(column);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}
bool FromSql(const Rows& rows, int column, double& value) {
  value = rows.Real(column);
  return true;
}
bool FromSql(const Rows& rows, int column, bool& value) {
  value = rows.Int(column) != 0;
  return true;
}
bool FromSql(const Rows& rows, int column, std::string& value) {
  value = rows.Text(column);
  return true;
}
bool FromSql(const Rows& rows, int column, std::optional<double>& value) {
  value = rows.IsNull(column) ? std::nullopt : std::optional<double>(rows.Real(column));
  return true;
}
bool FromSql(const Rows& rows, int column, std::optional<model::FailureClass>& value) {
  value = model::ParseFailureClass(rows.Text(column));
  return value.has_value() || rows.IsNull(column);
}
bool FromSql(const Rows& rows, int column, model::Purpose& value) {
  return Take(model::ParsePurpose(rows.Text(column)), value);
}
bool FromSql(const Rows& rows, int column, model::TrialState& value) {
  return Take(model::ParseTrialState(rows.Text(column)), value);
}
bool FromSql(const Rows& rows, int column, model::AttemptState& value) {
  return Take(model::ParseAttemptState(rows.Text(column)), value);
}
bool FromSql(const Rows& rows, int column, model::CampaignState& value) {
  return Take(model::ParseCampaignState(rows.Text(column)), value);
}
bool FromSql(const Rows& rows, int column, model::DrainScope& value) {
  return Take(model::ParseDrainScope(rows.Text(column)), value);
}
bool FromSql(const Rows& rows, int column, model::RungAction& value) {
  return Take(model::ParseRungAction(rows.Text(column)), value);
}
bool FromSql(const Rows& rows, int column, std::optional<model::SegmentEnd>& value) {
  value = model::ParseSegmentEnd(rows.Text(column));
  return value.has_value() || rows.IsNull(column);
}
bool FromSql(const Rows& rows, int column, model::Goal& value) {
  const std::string text = rows.Text(column);
  value = text == "minimize" ? model::Goal::kMinimize : model::Goal::kMaximize;
  return text == "minimize" || text == "maximize";
}
bool FromSql(const Rows& rows, int column, model::DuplicatePolicy& value) {
  const std::string text = rows.Text(column);
  value = text == "evaluate" ? model::DuplicatePolicy::kEvaluate : model::DuplicatePolicy::kCached;
  return text == "evaluate" || text == "cached";
}
bool FromSql(const Rows& rows, int column, std::vector<std::string>& value) {
  return ReadJson(rows, column, value);
}
bool FromSql(const Rows& rows, int column, std::vector<int64_t>& value) {
  return ReadJson(rows, column, value);
}
bool FromSql(const Rows& rows, int column, std::vector<model::DatasetOnWorker>& value) {
  Json list;
  if (!ReadJson(rows, column, list) || !list.is_array()) return false;
  value.clear();
  try {
    for (const Json& entry : list)
      value.push_back({entry.at("name"), entry.at("digest"),
                       entry.at("input_shape").get<std::vector<int64_t>>(), entry.at("classes"),
                       entry.at("training_examples")});
  } catch (const Json::exception&) {
    return false;
  }
  return true;
}
bool FromSql(const Rows& rows, int column, std::map<std::string, std::string>& value) {
  return ReadJson(rows, column, value);
}
bool FromSql(const Rows& rows, int column, std::vector<model::DevicePlace>& value) {
  std::vector<std::pair<std::string, std::string>> pairs;
  if (!ReadJson(rows, column, pairs)) return false;
  value.clear();
  for (auto& [host, device_uuid] : pairs) value.push_back({std::move(host), std::move(device_uuid)});
  return true;
}
bool FromSql(const Rows& rows, int column, std::vector<model::Blame>& value) {
  const Json list = Json::parse(rows.Text(column), nullptr, false);
  if (!list.is_array()) return false;
  value.clear();
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("trial_id")) return false;
    value.push_back({entry.value("trial_id", int64_t{0}), entry.value("trial", std::string()),
                     entry.value("other_host", false)});
  }
  return true;
}
bool FromSql(const Rows& rows, int column, model::Metrics& value) { return ReadJson(rows, column, value); }

void ColumnWriter::Add(std::string_view name, SqlValue value) {
  if (names_.empty()) {
    names_.reserve(48);
    values_.reserve(48);
  }
  names_.emplace_back(name);
  values_.push_back(std::move(value));
}

void ColumnWriter::Remove(std::string_view name) {
  const auto found = std::find(names_.begin(), names_.end(), name);
  CANOPY_CHECK(found != names_.end());
  values_.erase(values_.begin() + (found - names_.begin()));
  names_.erase(found);
}

std::vector<SqlValue> ColumnWriter::ValuesAnd(SqlValue id) const {
  std::vector<SqlValue> values = values_;
  values.push_back(std::move(id));
  return values;
}

std::string ColumnWriter::Names(std::string_view prefix) const {
  std::string text;
  for (const std::string& name : names_) {
    if (!text.empty()) text += ", ";
    text += prefix;
    text += name;
  }
  return text;
}

std::string ColumnWriter::Marks() const {
  std::string text;
  for (size_t i = 0; i < names_.size(); ++i) text += i == 0 ? "?" : ", ?";
  return text;
}

std::string ColumnWriter::Assignments() const {
  std::string text;
  for (size_t i = 0; i < names_.size(); ++i) text += (i == 0 ? "" : ", ") + names_[i] + " = ?";
  return text;
}

std::string ColumnWriter::Excluded(std::initializer_list<std::string_view> kept) const {
  std::string text;
  for (const std::string& name : names_)
    if (std::find(kept.begin(), kept.end(), name) == kept.end())
      text += (text.empty() ? "" : ", ") + name + " = excluded." + name;
  return text;
}

std::string ColumnWriter::InsertInto(std::string_view table) const {
  return "INSERT INTO " + std::string(table) + " (" + Names() + ") VALUES (" + Marks() + ")";
}

std::string ColumnWriter::Update(std::string_view table, std::string_view key) const {
  return "UPDATE " + std::string(table) + " SET " + Assignments() + " WHERE " + std::string(key) + " = ?";
}

Status RowReader::status() const {
  if (bad_.empty()) return {};
  return DataLoss("a row's column '" + bad_ + "' holds a value that canopy never writes");
}

std::string CampaignColumns(bool texts) {
  ColumnWriter writer;
  const model::CampaignRecord campaign;
  VisitCampaign(writer, campaign);
  if (texts) VisitCampaignTexts(writer, campaign);
  return writer.Names();
}

std::string ProgressColumns() {
  ColumnWriter writer;
  const model::CampaignProgress progress;
  VisitProgress(writer, progress);
  return writer.Names();
}

std::string TrialColumns(bool graph) {
  ColumnWriter candidate, trial;
  const model::TrialRecord record;
  VisitCandidate(candidate, record.candidate);
  VisitWriting(trial, record.candidate);
  VisitTrial(trial, record);
  VisitTrialState(trial, record);
  return std::string(graph ? "COALESCE(t.graph_json, c.graph_json)" : "''") +
         ", COALESCE((SELECT s.reason FROM set_aside s WHERE " + kSetAsideNow + "), ''), " +
         candidate.Names("c.") + ", " + trial.Names("t.");
}

std::string AttemptColumns(std::string_view prefix) {
  ColumnWriter writer;
  const model::AttemptRecord attempt;
  VisitAttempt(writer, attempt);
  VisitAttemptState(writer, attempt);
  return writer.Names(prefix);
}

std::string ResultColumns(std::string_view prefix) {
  ColumnWriter writer;
  const model::ResultRecord result;
  VisitResult(writer, result);
  return writer.Names(prefix);
}

std::string RungReportColumns(std::string_view prefix) {
  ColumnWriter writer;
  const model::RungReportRecord report;
  VisitRungReport(writer, report);
  return writer.Names(prefix);
}

void ReadCampaign(RowReader& reader, model::CampaignRecord& campaign, bool texts) {
  VisitCampaign(reader, campaign);
  if (texts) VisitCampaignTexts(reader, campaign);
}

void ReadTrial(RowReader& reader, model::TrialRecord& trial) {
  reader("graph_json", trial.candidate.graph_json);
  reader("set_aside", trial.set_aside);
  VisitCandidate(reader, trial.candidate);
  VisitWriting(reader, trial.candidate);
  VisitTrial(reader, trial);
  VisitTrialState(reader, trial);
}

void ReadAttempt(RowReader& reader, model::AttemptRecord& attempt) {
  VisitAttempt(reader, attempt);
  VisitAttemptState(reader, attempt);
}

}  // namespace canopy::storage
