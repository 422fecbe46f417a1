#include "tests/simulation/oracle.h"

#include <utility>

namespace canopy::simulation {

using controller::OutcomeVerdict;

void Oracle::Violated(const std::string& what) {
  // One fault shows in many rows: the first ones say it.
  if (violations_.size() < 10) violations_.push_back(what);
}

void Oracle::Replied(const Request& request, const Reply& reply, const DatabaseName& database,
                     int64_t now_ms) {
  if (const auto* const call = std::get_if<UserCall>(&request))
    if (const auto* const command = std::get_if<controller::CommandCampaign>(&call->event))
      if (command->verb == controller::CampaignVerb::kResume)
        history_.ran[command->campaign_id].last_lease_ms = -1;
  if (!reply.ok()) return;
  ++promises_;
  if (const auto* call = std::get_if<UserCall>(&request)) {
    const std::string& answer = std::get<UserReply>(*reply).answer;
    const auto [entry, first] = history_.answers.emplace(call->id, answer);
    if (!first && entry->second != answer)
      Violated("request " + call->id + " was answered '" + entry->second + "' first, and '" + answer +
               "' when it was repeated");
    return;
  }
  if (const auto* rung = std::get_if<RungRequest>(&request))
    return TakeRungAnswer(*rung, std::get<RungReply>(*reply));
  const auto* exchange = std::get_if<ExchangeRequest>(&request);
  if (exchange == nullptr) return;
  const auto& answer = std::get<ExchangeReply>(*reply);
  if (exchange->outcome) TakeVerdict(*exchange, answer, database);
  if (answer.lease) TakeLease(*exchange, *answer.lease, now_ms);
}

void Oracle::TakeLease(const ExchangeRequest& request, const controller::Lease& lease, int64_t now_ms) {
  const model::AttemptRecord& attempt = lease.attempt;
  const auto [entry, first] = history_.leases.emplace(
      attempt.id, History::Leased{attempt.trial_id, attempt.fence, request.worker_id, request.request_id});
  if (!first) {
    if (entry->second.fence != attempt.fence || entry->second.request_id != request.request_id)
      Violated("attempt " + std::to_string(attempt.id) + " was leased twice");
    return;
  }
  for (const auto& [id, earlier] : history_.leases)
    if (id != attempt.id && earlier.fence == attempt.fence)
      Violated("attempts " + std::to_string(id) + " and " + std::to_string(attempt.id) + " have one fence, " +
               std::to_string(attempt.fence));
  const int64_t budget_ms = lease.campaign.settings.budget_duration_ms;
  if (budget_ms == 0) return;
  History::Ran& ran = history_.ran[attempt.campaign_id];
  if (ran.last_lease_ms >= 0) ran.ms += now_ms - ran.last_lease_ms;
  ran.last_lease_ms = now_ms;
  // What is not cut once the time is over are the finals and tests of the first.
  const model::Purpose purpose = lease.trial.purpose;
  const bool bounded = purpose == model::Purpose::kSearch || purpose == model::Purpose::kMeasure;
  constexpr double kSlowestClock = 0.985;
  if (bounded && static_cast<double>(ran.ms) * kSlowestClock >= static_cast<double>(budget_ms))
    Violated("campaign " + std::to_string(attempt.campaign_id) + " has run for " + std::to_string(ran.ms) +
             " ms, its budget is " + std::to_string(budget_ms) + " ms, and trial " +
             std::to_string(attempt.trial_id) + " was begun");
}

void Oracle::TakeRungAnswer(const RungRequest& request, const RungReply& reply) {
  // What goes on or is stopped may hold no lease, or pass what it has reported before.
  if (reply.action != model::RungAction::kPause) return;
  const controller::RungReport& report = request.report;
  const auto [entry, first] =
      history_.pauses.emplace(std::pair(report.trial_id, report.rung), report.attempt_id);
  if (!first && entry->second != report.attempt_id)
    Violated("attempts " + std::to_string(entry->second) + " and " + std::to_string(report.attempt_id) +
             " were both told to pause at rung " + std::to_string(report.rung) + " of trial " +
             std::to_string(report.trial_id));
}

void Oracle::TakeVerdict(const ExchangeRequest& request, const ExchangeReply& reply,
                         const DatabaseName& database) {
  const controller::AttemptOutcome& outcome = *request.outcome;
  const bool counts =
      reply.verdict == OutcomeVerdict::kAccepted || reply.verdict == OutcomeVerdict::kDuplicate;
  if (reply.verdict == OutcomeVerdict::kNone)
    Violated("outcome " + outcome.result_id + " was answered without a verdict");
  // What is older may be adopted: CheckAdopted.
  if (reply.verdict == OutcomeVerdict::kAccepted && outcome.incarnation > database.incarnation)
    Violated("outcome " + outcome.result_id + " of incarnation " + std::to_string(outcome.incarnation) +
             " was accepted by incarnation " + std::to_string(database.incarnation));
  const auto [entry, first] = history_.verdicts.emplace(
      outcome.result_id, counts ? OutcomeVerdict::kAccepted : OutcomeVerdict::kArchived);
  if (first) return;
  if ((entry->second == OutcomeVerdict::kAccepted) != counts)
    Violated("outcome " + outcome.result_id + " of trial " + std::to_string(outcome.trial_id) +
             (counts ? " was accepted after it had been archived" : " was archived after it had counted"));
}

void Oracle::OutcomeMade(const std::string& worker_id, const controller::Lease& lease,
                         const controller::AttemptOutcome& outcome) {
  Made& made = made_[outcome.result_id];
  made.worker_id = worker_id;
  made.trial_id = lease.trial.id;
  made.attempt_id = outcome.attempt_id;
  made.fence = outcome.fence;
  made.incarnation = outcome.incarnation;
  made.succeeded = outcome.succeeded;
  made.in_full = outcome.succeeded && outcome.segment == model::SegmentEnd::kCompleted;
  made.candidate_hash = lease.trial.candidate.candidate_hash;
  made.purpose = model::ToString(lease.trial.purpose);
  made.campaign_seed = std::to_string(lease.campaign.settings.seed);
  made.replicate = lease.trial.replicate;
  made.epochs = lease.epochs;
}

void Oracle::Rebuilt(const std::string& text, const std::vector<std::string>& expected) {
  for (auto& [id, ran] : history_.ran) ran.last_lease_ms = -1;
  if (expected.empty()) return;
  for (const std::string& one : expected)
    if (text == one) return;
  std::string what = "the rebuilt state is not that of memory";
  for (const std::string& one : expected) {
    size_t at = 0;
    while (at < text.size() && at < one.size() && text[at] == one[at]) ++at;
    const auto around = [&](const std::string& of) {
      std::string line;
      for (const char c : of.substr(at < 500 ? 0 : at - 500, 1'000))
        if (c != '\n' && c != ' ') line += c;
      return line;
    };
    what += "\n  database: " + around(text) + "\n  memory:   " + around(one);
  }
  Violated(what);
}

void Oracle::Rewind(History history, const std::string& path) {
  history_ = std::move(history);
  auto database = storage::Database::Open(path, storage::Database::Mode::kReadOnly);
  if (!database.ok()) return Violated("the copy cannot be read: " + std::string(database.status().message()));
  auto rows = (*database)->Query("SELECT result_id FROM attempt WHERE result_id <> ''");
  while (rows.ok() && rows->Next().value_or(false)) history_.older_results.insert(rows->Text(0));
}

}  // namespace canopy::simulation
