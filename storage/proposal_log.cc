#include "storage/proposal_log.h"

#include <functional>
#include <limits>
#include <memory>

#include "storage/database.h"
#include "storage/row_mapping.h"

namespace canopy::storage {
namespace {

Status ForEach(Database& database, const std::string& sql, const std::vector<SqlValue>& values,
               const std::function<Status(const Rows&)>& read) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query(sql, values));
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return {};
    CANOPY_RETURN_IF_ERROR(read(rows));
  }
}

// Of the campaign and version that are bound first and second.
constexpr char kCounted[] =
    " FROM trial t JOIN candidate c ON c.id = t.candidate_id LEFT JOIN result r ON r.trial_id = t.id WHERE "
    "t.campaign_id = ?1 AND t.purpose = 'SEARCH' AND t.space_version <= ?2 AND NOT EXISTS (SELECT 1 FROM "
    "set_aside s WHERE s.campaign_id = t.campaign_id AND s.version = ?2 AND s.trial_id = t.id)";

Status ReadVersion(Database& database, int64_t end_seq, ProposalLog::Version& version) {
  const int64_t campaign_id = version.space.campaign_id, number = version.space.version;
  CANOPY_RETURN_IF_ERROR(ForEach(
      database,
      "SELECT seq, kind, payload_json FROM event WHERE campaign_id = ? AND seq > ? AND seq < ? AND kind "
      "IN ('proposal_accepted', 'proposal_rejected', 'proposal_cached') ORDER BY seq",
      {campaign_id, version.space.event_seq, end_seq}, [&](const Rows& rows) -> Status {
        version.proposals.push_back({rows.Int(0), rows.Text(1), rows.Text(2)});
        return {};
      }));
  CANOPY_RETURN_IF_ERROR(ForEach(database,
                                 std::string("SELECT c.candidate_hash, t.replicate") + kCounted +
                                     " AND t.space_version < ?2 ORDER BY t.id",
                                 {campaign_id, number}, [&](const Rows& rows) -> Status {
                                   version.known.push_back({rows.Text(0), rows.Int(1)});
                                   return {};
                                 }));
  return ForEach(
      database,
      std::string("SELECT r.seq, t.decisions_json, c.candidate_hash, r.feasible, r.objective, r.rung") +
          kCounted + " AND r.seq IS NOT NULL ORDER BY r.seq",
      {campaign_id, number}, [&](const Rows& rows) -> Status {
        version.results.push_back(
            {rows.Int(0), rows.Text(1), rows.Text(2), rows.Int(3) != 0, rows.Real(4), rows.Int(5)});
        return {};
      });
}

}  // namespace

StatusOr<ProposalLog> ReadProposalLog(const std::string& path, int64_t campaign_id) {
  CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                          Database::Open(path, Database::Mode::kReadOnly));
  ProposalLog log;
  ColumnWriter columns;
  const model::SpaceVersion none;
  VisitSpaceVersion(columns, none);
  CANOPY_RETURN_IF_ERROR(ForEach(
      *database,
      "SELECT " + columns.Names() + ", space_text FROM space_version WHERE campaign_id = ? ORDER BY version",
      {campaign_id}, [&](const Rows& rows) {
        RowReader reader(rows);
        model::SpaceVersion& space = log.versions.emplace_back().space;
        VisitSpaceVersion(reader, space);
        reader("space_text", space.space_text);
        return reader.status();
      }));
  for (size_t i = 0; i < log.versions.size(); ++i) {
    const bool last = i + 1 == log.versions.size();
    CANOPY_RETURN_IF_ERROR(ReadVersion(
        *database, last ? std::numeric_limits<int64_t>::max() : log.versions[i + 1].space.event_seq,
        log.versions[i]));
  }
  return log;
}

}  // namespace canopy::storage
