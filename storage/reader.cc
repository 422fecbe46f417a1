#include "storage/reader.h"

#include <algorithm>
#include <functional>

#include "base/mutex.h"
#include "base/strings.h"
#include "storage/database.h"
#include "storage/live_rows.h"
#include "storage/ranking.h"
#include "storage/row_mapping.h"

namespace canopy::storage {
namespace {

constexpr int64_t kDeadlineMs = 5'000;
constexpr int64_t kMaxPage = 1'000;
constexpr int64_t kMaxRowsOfTrial = 10'000;

int64_t PageSize(int64_t limit) { return std::clamp<int64_t>(limit, 1, kMaxPage); }

template <typename Record>
StatusOr<std::vector<Record>> ReadAll(Database& database, const std::string& sql,
                                      const std::vector<SqlValue>& values,
                                      const std::function<void(RowReader&, Record&)>& read) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query(sql, values));
  std::vector<Record> records;
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return records;
    RowReader reader(rows);
    read(reader, records.emplace_back());
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
}

// `rest`: joins' conditions, order and limit over trial t, candidate c, campaign p, result r.
StatusOr<std::vector<TrialRow>> ReadTrialRows(Database& database, bool graph, const std::string& rest,
                                              const std::vector<SqlValue>& values) {
  const std::string sql =
      "SELECT " + TrialColumns(graph) +
      ", p.project, p.name"
      ", COALESCE((SELECT a.worker_id FROM attempt a WHERE a.id = COALESCE(r.attempt_id, "
      "t.last_attempt_id)), '')"
      ", (SELECT COALESCE(SUM(a.busy_ms), 0) FROM attempt a WHERE a.trial_id = t.id), " +
      ResultColumns("r.") +
      " FROM trial t JOIN candidate c ON c.id = t.candidate_id JOIN campaign p ON p.id = t.campaign_id "
      "LEFT JOIN result r ON r.trial_id = t.id " +
      rest;
  return ReadAll<TrialRow>(database, sql, values, [](RowReader& reader, TrialRow& row) {
    ReadTrial(reader, row.trial);
    reader("project", row.project);
    reader("name", row.campaign);
    reader("worker_id", row.worker_id);
    reader("busy_ms", row.busy_ms);
    if (!reader.NextIsNull()) VisitResult(reader, row.result.emplace());
  });
}

StatusOr<std::vector<TrialRow>> ReadBest(Database& database, int64_t campaign_id, int64_t limit) {
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t minimize,
      database.QueryInt("SELECT objective_goal = 'minimize' FROM campaign WHERE id = ?", {campaign_id}));
  const model::Goal goal = minimize != 0 ? model::Goal::kMinimize : model::Goal::kMaximize;
  return ReadTrialRows(
      database, false,
      "WHERE t.id IN (" + RankedTrialsThatCount(goal) + " LIMIT ?2) ORDER BY " + BestFirst(goal),
      {campaign_id, limit});
}

StatusOr<std::vector<CampaignRow>> ReadCampaigns(Database& database, bool texts, const std::string& rest,
                                                 const std::vector<SqlValue>& values) {
  const std::string sql =
      "SELECT " + CampaignColumns(texts) + ", " + ProgressColumns() +
      ", (SELECT COALESCE(SUM(results), 0) FROM result_count WHERE campaign_id = campaign.id "
      "AND purpose = 'SEARCH') FROM campaign " +
      rest;
  CANOPY_ASSIGN_OR_RETURN(
      auto rows, ReadAll<CampaignRow>(database, sql, values, [texts](RowReader& reader, CampaignRow& row) {
        ReadCampaign(reader, row.campaign, texts);
        VisitProgress(reader, row.progress);
        reader("results", row.trials_done);
      }));
  for (CampaignRow& row : rows) {
    CANOPY_ASSIGN_OR_RETURN(auto best, ReadBest(database, row.campaign.id, 1));
    if (!best.empty()) row.best = std::move(best.front());
  }
  return rows;
}

// The id that "name", "project/name" or an id means.
StatusOr<int64_t> ResolveCampaign(Database& database, std::string_view reference) {
  const std::vector<std::string> parts = Split(reference, '/');
  if (parts.size() > 2) {
    return InvalidArgument("'" + std::string(reference) +
                           "' names no campaign: expected \"name\", \"project/name\" or an id");
  }
  struct Found {
    int64_t id = 0;
    std::string project, name;
  };
  const auto read = [](RowReader& reader, Found& found) {
    reader("id", found.id);
    reader("project", found.project);
    reader("name", found.name);
  };
  const std::string condition = parts.size() == 2 ? "WHERE project = ? AND name = ?" : "WHERE name = ?";
  CANOPY_ASSIGN_OR_RETURN(
      const auto found,
      ReadAll<Found>(database, "SELECT id, project, name FROM campaign " + condition + " LIMIT 10",
                     std::vector<SqlValue>(parts.begin(), parts.end()), read));
  if (found.size() == 1) return found[0].id;
  if (found.size() > 1) {
    std::vector<std::string> names;
    for (const Found& one : found) names.push_back(one.project + "/" + one.name);
    return InvalidArgument("'" + std::string(reference) +
                           "' is the name of several campaigns: say which of " + Join(names, ", "));
  }
  if (const auto id = ParseInt(reference)) {
    CANOPY_ASSIGN_OR_RETURN(const int64_t known,
                            database.QueryInt("SELECT id FROM campaign WHERE id = ?", {*id}));
    if (known != 0) return known;
  }
  CANOPY_ASSIGN_OR_RETURN(
      const auto newest,
      ReadAll<Found>(database, "SELECT id, project, name FROM campaign ORDER BY id DESC LIMIT 100", {},
                     read));
  if (newest.empty())
    return NotFound("no campaign '" + std::string(reference) +
                    "': none was launched yet (canopy launch FILE)");
  std::vector<std::string> names;
  for (const Found& one : newest)
    names.push_back(parts.size() == 2 ? one.project + "/" + one.name : one.name);
  const std::string hint = DidYouMean(reference, names);
  if (!hint.empty()) return NotFound("no campaign '" + std::string(reference) + "'" + hint);
  names.resize(std::min<size_t>(names.size(), 5));
  return NotFound("no campaign '" + std::string(reference) + "'; the newest are " + Join(names, ", "));
}

StatusOr<int64_t> ResolveTrial(Database& database, std::string_view reference) {
  const size_t slash = reference.rfind('/');
  const auto number = ParseInt(slash == std::string_view::npos ? reference : reference.substr(slash + 1));
  const std::string name(reference);
  if (!number)
    return InvalidArgument("'" + name +
                           "' names no trial: expected \"campaign/17\", \"project/campaign/17\" or an id");
  if (slash == std::string_view::npos) {
    CANOPY_ASSIGN_OR_RETURN(const int64_t id,
                            database.QueryInt("SELECT id FROM trial WHERE id = ?", {*number}));
    if (id != 0) return id;
    return NotFound("no trial with the id " + name + "; a campaign's trials are named \"campaign/17\"");
  }
  CANOPY_ASSIGN_OR_RETURN(const int64_t campaign_id, ResolveCampaign(database, reference.substr(0, slash)));
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t id,
      database.QueryInt("SELECT id FROM trial WHERE campaign_id = ? AND number = ?", {campaign_id, *number}));
  if (id != 0) return id;
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t last,
      database.QueryInt("SELECT MAX(number) FROM trial WHERE campaign_id = ?", {campaign_id}));
  return NotFound("no trial '" + name + "'; the campaign has trials 1 to " + std::to_string(last));
}

StatusOr<TrialDetail> ReadTrialDetail(Database& database, int64_t id) {
  TrialDetail detail;
  CANOPY_ASSIGN_OR_RETURN(auto rows, ReadTrialRows(database, true, "WHERE t.id = ?", {id}));
  if (rows.empty()) return NotFound("no trial with the id " + std::to_string(id));
  detail.row = std::move(rows.front());
  if (detail.row.trial.parent_trial_id != 0) {
    CANOPY_ASSIGN_OR_RETURN(const int64_t number, database.QueryInt("SELECT number FROM trial WHERE id = ?",
                                                                    {detail.row.trial.parent_trial_id}));
    detail.parent = detail.row.campaign + "/" + std::to_string(number);
  }
  CANOPY_ASSIGN_OR_RETURN(
      detail.attempts,
      ReadAll<model::AttemptRecord>(
          database, "SELECT " + AttemptColumns() + " FROM attempt WHERE trial_id = ? ORDER BY id", {id},
          [](RowReader& reader, model::AttemptRecord& attempt) { ReadAttempt(reader, attempt); }));
  CANOPY_ASSIGN_OR_RETURN(
      detail.measurements,
      ReadAll<model::MeasurementRecord>(database,
                                        "SELECT m.attempt_id, m.step, m.epoch, m.metrics_json FROM attempt a "
                                        "JOIN measurement m ON m.attempt_id = a.id "
                                        "WHERE a.trial_id = ? ORDER BY m.attempt_id, m.step LIMIT ?",
                                        {id, kMaxRowsOfTrial},
                                        [](RowReader& reader, model::MeasurementRecord& measurement) {
                                          VisitMeasurement(reader, measurement);
                                        }));
  ColumnWriter event_columns;
  const model::EventRecord no_event;
  VisitEvent(event_columns, no_event);
  CANOPY_ASSIGN_OR_RETURN(
      detail.events,
      ReadAll<model::EventRecord>(
          database, "SELECT " + event_columns.Names() + " FROM event WHERE trial_id = ? ORDER BY seq LIMIT ?",
          {id, kMaxRowsOfTrial},
          [](RowReader& reader, model::EventRecord& event) { VisitEvent(reader, event); }));
  return detail;
}

StatusOr<CampaignCounts> ReadCounts(Database& database, int64_t campaign_id) {
  CampaignCounts counts;
  struct Count {
    model::Purpose purpose;
    model::TrialState state;
    int64_t trials = 0;
  };
  CANOPY_ASSIGN_OR_RETURN(
      const auto trials,
      ReadAll<Count>(database,
                     "SELECT purpose, state, trials FROM trial_count WHERE campaign_id = ? AND trials > 0",
                     {campaign_id}, [](RowReader& reader, Count& count) {
                       reader("purpose", count.purpose);
                       reader("state", count.state);
                       reader("trials", count.trials);
                     }));
  int64_t finished = 0;
  for (const Count& count : trials) {
    counts.trials[{count.purpose, count.state}] = count.trials;
    if (count.purpose == model::Purpose::kSearch && model::IsTerminal(count.state) &&
        count.state != model::TrialState::kCancelled)
      finished += count.trials;
  }
  const auto events = [&](const std::string& kind) {
    return database.QueryInt("SELECT events FROM event_count WHERE campaign_id = ? AND kind = ?",
                             {campaign_id, kind});
  };
  CANOPY_ASSIGN_OR_RETURN(counts.rejected, events("proposal_rejected"));
  CANOPY_ASSIGN_OR_RETURN(counts.cached, events("proposal_cached"));
  CANOPY_ASSIGN_OR_RETURN(const int64_t active_ms,
                          database.QueryInt("SELECT active_ms FROM campaign WHERE id = ?", {campaign_id}));
  if (active_ms > 0)
    counts.candidates_an_hour = static_cast<double>(finished) * 3.6e6 / static_cast<double>(active_ms);
  const auto device_ms = [&](const std::string& table) {
    return database.QueryInt("SELECT COALESCE(SUM(device_ms), 0) FROM " + table + " WHERE campaign_id = ?",
                             {campaign_id});
  };
  CANOPY_ASSIGN_OR_RETURN(counts.device_ms, device_ms("attempt_count"));
  CANOPY_ASSIGN_OR_RETURN(counts.useful_device_ms, device_ms("result_count"));
  return counts;
}

// "AND t.state IN (?, ?)" with its values; nothing for no values.
template <typename Enum>
std::string InList(const std::string& column, const std::vector<Enum>& wanted,
                   std::vector<SqlValue>& values) {
  if (wanted.empty()) return "";
  std::string text = " AND " + column + " IN (";
  for (size_t i = 0; i < wanted.size(); ++i) {
    text += i == 0 ? "?" : ", ?";
    values.push_back(ToSql(wanted[i]));
  }
  return text + ")";
}

}  // namespace

int64_t CampaignCounts::Trials(model::Purpose purpose, model::TrialState state) const {
  const auto found = trials.find({purpose, state});
  return found == trials.end() ? 0 : found->second;
}

class Reader::Impl {
 public:
  explicit Impl(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  // Everything that `body` reads is of one moment.
  template <typename T>
  StatusOr<T> Read(const std::function<StatusOr<T>(Database&)>& body) {
    MutexLock lock(mutex_);
    database_->SetDeadline(kDeadlineMs);
    CANOPY_RETURN_IF_ERROR(database_->RunScript("BEGIN"));
    StatusOr<T> result = body(*database_);
    database_->SetDeadline(0);
    CANOPY_RETURN_IF_ERROR(database_->RunScript("ROLLBACK"));
    return result;
  }

 private:
  Mutex mutex_;
  const std::unique_ptr<Database> database_;
};

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reader::~Reader() = default;

StatusOr<std::unique_ptr<Reader>> Reader::Open(const std::string& path) {
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                          Database::Open(path, Database::Mode::kReadOnly));
  CANOPY_RETURN_IF_ERROR(database->RunScript("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF"));
  return std::unique_ptr<Reader>(new Reader(std::make_unique<Impl>(std::move(database))));
}

StatusOr<std::vector<CampaignRow>> Reader::Campaigns(int64_t after_id, int64_t limit,
                                                     const std::string& project) {
  return impl_->Read<std::vector<CampaignRow>>([&](Database& database) {
    std::vector<SqlValue> values = {after_id};
    if (!project.empty()) values.emplace_back(project);
    values.emplace_back(PageSize(limit));
    return ReadCampaigns(
        database, false,
        std::string("WHERE id > ?") + (project.empty() ? "" : " AND project = ?") + " ORDER BY id LIMIT ?",
        values);
  });
}

StatusOr<CampaignRow> Reader::Campaign(std::string_view reference) {
  return impl_->Read<CampaignRow>([&](Database& database) -> StatusOr<CampaignRow> {
    CANOPY_ASSIGN_OR_RETURN(const int64_t id, ResolveCampaign(database, reference));
    CANOPY_ASSIGN_OR_RETURN(auto rows, ReadCampaigns(database, true, "WHERE id = ?", {id}));
    return std::move(rows.at(0));
  });
}

StatusOr<CampaignCounts> Reader::Counts(int64_t campaign_id) {
  return impl_->Read<CampaignCounts>([&](Database& database) { return ReadCounts(database, campaign_id); });
}

StatusOr<std::vector<SpaceVersionRow>> Reader::SpaceVersions(int64_t campaign_id) {
  return impl_->Read<std::vector<SpaceVersionRow>>([&](Database& database) {
    ColumnWriter columns;
    const model::SpaceVersion none;
    VisitSpaceVersion(columns, none);
    return ReadAll<SpaceVersionRow>(
        database,
        "SELECT " + columns.Names() +
            ", trials, trials_set_aside FROM space_version WHERE campaign_id = ? ORDER BY version",
        {campaign_id}, [](RowReader& reader, SpaceVersionRow& row) {
          VisitSpaceVersion(reader, row.version);
          reader("trials", row.trials);
          reader("trials_set_aside", row.set_aside);
        });
  });
}

StatusOr<std::optional<model::CandidateFacts>> Reader::Reference(int64_t campaign_id) {
  return impl_->Read<std::optional<model::CandidateFacts>>(
      [&](Database& database) { return ReadReference(database, campaign_id); });
}

StatusOr<std::vector<TrialRow>> Reader::Best(int64_t campaign_id, int64_t limit) {
  return impl_->Read<std::vector<TrialRow>>(
      [&](Database& database) { return ReadBest(database, campaign_id, PageSize(limit)); });
}

StatusOr<TrialPage> Reader::Trials(int64_t campaign_id, const TrialFilter& filter, int64_t after_id,
                                   int64_t limit) {
  return impl_->Read<TrialPage>([&](Database& database) -> StatusOr<TrialPage> {
    std::vector<SqlValue> values = {campaign_id, after_id};
    // Numbers ascend with ids, and have an index that needs no sorting.
    std::string condition =
        "WHERE t.campaign_id = ? AND t.number > COALESCE((SELECT number FROM trial WHERE id = ?), 0)";
    condition += InList("t.state", filter.states, values);
    condition += InList("t.purpose", filter.purposes, values);
    values.emplace_back(PageSize(limit) + 1);
    TrialPage page;
    CANOPY_ASSIGN_OR_RETURN(page.trials,
                            ReadTrialRows(database, false, condition + " ORDER BY t.number LIMIT ?", values));
    if (static_cast<int64_t>(page.trials.size()) > PageSize(limit)) {
      page.trials.pop_back();
      page.next_after_id = page.trials.back().trial.id;
    }
    return page;
  });
}

StatusOr<std::vector<TrialRow>> Reader::Running(int64_t campaign_id, int64_t limit) {
  return impl_->Read<std::vector<TrialRow>>([&](Database& database) {
    return ReadTrialRows(
        database, false,
        "WHERE t.campaign_id = ? AND t.state IN ('PENDING', 'LEASED', 'PAUSED') AND t.state = "
        "'LEASED' ORDER BY t.id LIMIT ?",
        {campaign_id, PageSize(limit)});
  });
}

StatusOr<std::vector<TrialRow>> Reader::Finals(int64_t campaign_id) {
  return impl_->Read<std::vector<TrialRow>>([&](Database& database) {
    return ReadTrialRows(
        database, true,
        "WHERE t.campaign_id = ? AND t.purpose IN ('FINAL', 'TEST', 'MEASURE') ORDER BY t.id LIMIT ?",
        {campaign_id, kMaxPage});
  });
}

StatusOr<std::vector<std::string>> Reader::NewestFailures(int64_t campaign_id, int64_t limit) {
  return impl_->Read<std::vector<std::string>>([&](Database& database) {
    return ReadAll<std::string>(
        database,
        "SELECT p.name || '/' || t.number || ': ' || t.failure || ': ' || t.reason FROM trial t "
        "JOIN campaign p ON p.id = t.campaign_id WHERE t.campaign_id = ? AND t.failure IS NOT "
        "NULL ORDER BY t.finished_us DESC, t.id DESC LIMIT ?",
        {campaign_id, PageSize(limit)},
        [](RowReader& reader, std::string& text) { reader("failure", text); });
  });
}

StatusOr<TrialDetail> Reader::Trial(std::string_view reference) {
  return impl_->Read<TrialDetail>([&](Database& database) -> StatusOr<TrialDetail> {
    CANOPY_ASSIGN_OR_RETURN(const int64_t id, ResolveTrial(database, reference));
    return ReadTrialDetail(database, id);
  });
}

StatusOr<std::vector<model::WorkerRecord>> Reader::Workers(const std::string& after_id, int64_t limit) {
  return impl_->Read<std::vector<model::WorkerRecord>>([&](Database& database) {
    ColumnWriter columns;
    const model::WorkerRecord none;
    VisitWorker(columns, none);
    return ReadAll<model::WorkerRecord>(
        database, "SELECT " + columns.Names() + " FROM worker WHERE id > ? ORDER BY id LIMIT ?",
        {after_id, PageSize(limit)},
        [](RowReader& reader, model::WorkerRecord& worker) { VisitWorker(reader, worker); });
  });
}

StatusOr<model::WorkerRecord> Reader::Worker(std::string_view reference) {
  constexpr int64_t kShown = 5;
  const std::string text(reference);
  CANOPY_ASSIGN_OR_RETURN(
      const auto found, impl_->Read<std::vector<model::WorkerRecord>>([&](Database& database) {
        ColumnWriter columns;
        const model::WorkerRecord none;
        VisitWorker(columns, none);
        // The whole id is that worker, whatever hosts are called.
        return ReadAll<model::WorkerRecord>(
            database,
            "SELECT " + columns.Names() +
                " FROM worker WHERE id = ?1 OR (NOT EXISTS (SELECT 1 FROM worker WHERE id = ?1) AND "
                "(host = ?1 OR substr(id, 1, length(?1)) = ?1)) ORDER BY id LIMIT ?2",
            {text, kShown + 1},
            [](RowReader& reader, model::WorkerRecord& worker) { VisitWorker(reader, worker); });
      }));
  if (found.size() == 1) return found[0];
  if (found.empty() || text.empty())
    return NotFound("no worker has the id or host '" + text + "'; `canopy worker list` shows them");
  std::vector<std::string> ids;
  for (const model::WorkerRecord& worker : found)
    ids.push_back(static_cast<int64_t>(ids.size()) < kShown ? worker.id : "...");
  return InvalidArgument("'" + text + "' means several workers: " + Join(ids, ", ") + "; name one by its id");
}

StatusOr<std::vector<model::DeviceHealth>> Reader::Health() {
  return impl_->Read<std::vector<model::DeviceHealth>>(
      [](Database& database) { return ReadHealth(database); });
}

StatusOr<std::vector<model::Drain>> Reader::Drains() {
  return impl_->Read<std::vector<model::Drain>>([](Database& database) { return ReadDrains(database); });
}

}  // namespace canopy::storage
