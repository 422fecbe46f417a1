#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "canopy/v1/campaign_service.pb.h"
#include "cli/table.h"

namespace canopy::cli {

// Texts that `run`, `status`, `watch` and `best` share.

// "default/fashion-macro".
std::string FullName(const v1::CampaignSummary& summary);
// "COMPLETED": an enum's name on the wire without its prefix.
std::string StateName(v1::CampaignState state);
std::string StateName(v1::TrialState state);
std::string StateName(v1::AttemptState state);
std::string PurposeName(v1::Purpose purpose);
std::string FailureName(v1::FailureClass failure);
// COMPLETED, CANCELLED or FAILED.
bool HasEnded(v1::CampaignState state);
// Which results a ranking takes, for its header: "2 epochs, bf16, fashion-mnist, one seed each".
std::string ComparedAt(const v1::CampaignSummary& summary);

// Progress as a few lines: counts, candidates an hour, best so far, time left, finals, what is wrong.
std::vector<std::string> ProgressLines(const v1::CampaignStatus& status);
// The same as one line, for a log.
std::string ProgressLine(const v1::CampaignStatus& status);

// The names of the metrics that any of them has: those of validation, of test, others.
std::vector<std::string> MetricsOf(const std::vector<v1::TrialSummary>& trials);
// Trials as a table; the objective's and other metrics have a column each.
Table TrialTable(const std::vector<v1::TrialSummary>& trials, const std::vector<std::string>& metrics);

// The end of a campaign: leaderboard of the finals and the plain sentence. Where there are no finals, the
// best SEARCH trials, as lines of at most `width` characters (0: any).
void PrintReport(const v1::CampaignReport& report, const v1::CampaignStatus& status, std::ostream& out,
                 int width);
// A network graph as a drawing in text, under a heading.
void PrintArchitecture(const std::string& graph_json, std::ostream& out);

}  // namespace canopy::cli
