#include "controller/service/campaign_desk.h"

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/sha256.h"
#include "config/campaign.h"
#include "controller/service/launch_plan.h"
#include "controller/service/query_runner.h"
#include "controller/service/report.h"
#include "controller/service/status_messages.h"
#include "controller/service/update_plan.h"
#include "rpc/convert.h"
#include "rpc/protocol.h"

namespace canopy::controller {
namespace {

// Everybody waits for a slice of it.
constexpr size_t kTrialsAtOnce = 1'000;

constexpr int64_t kMaxPage = 1000, kDefaultPage = 100;
constexpr int64_t kBestShown = 10, kRunningShown = 64, kFailuresShown = 3;

int64_t PageSize(int32_t limit) { return limit <= 0 ? kDefaultPage : std::min<int64_t>(limit, kMaxPage); }

StatusOr<CampaignVerb> FromProto(v1::CampaignVerb verb) {
  switch (verb) {
    case v1::CAMPAIGN_VERB_PAUSE:
      return CampaignVerb::kPause;
    case v1::CAMPAIGN_VERB_RESUME:
      return CampaignVerb::kResume;
    case v1::CAMPAIGN_VERB_CANCEL:
      return CampaignVerb::kCancel;
    default:
      return InvalidArgument("verb: expected PAUSE, RESUME or CANCEL");
  }
}

}  // namespace

Status CheckRequestId(const std::string& id) {
  constexpr size_t kLongest = 128;
  if (!id.empty() && id.size() <= kLongest) return absl::OkStatus();
  return InvalidArgument(
      "request_id: expected 1 to 128 characters, the same for each repetition of the call");
}

std::string RequestDigest(const char* call, const google::protobuf::Message& request) {
  return Sha256Hex(std::string(call) + "\n" + request.SerializeAsString());
}

CampaignDesk::CampaignDesk(CampaignDeskOptions options, engine::Engine& engine, storage::Reader& reader,
                           engine::Backups& backups)
    : options_(std::move(options)), engine_(engine), reader_(reader), backups_(backups) {}

StatusOr<std::string> CampaignDesk::Submit(engine::UserRequest request, Event event) {
  const auto answer = std::make_shared<std::promise<StatusOr<std::string>>>();
  engine_.SubmitForUser(std::move(request), std::move(event),
                        [answer](StatusOr<std::string> answered) { answer->set_value(std::move(answered)); });
  return answer->get_future().get();
}

Status CampaignDesk::Hello(const v1::UserHelloRequest& request, v1::UserHelloReply& reply) {
  CANOPY_RETURN_IF_ERROR(rpc::CheckProtocol(request.protocol(), "controller", "command line"));
  *reply.mutable_protocol() = rpc::OurProtocol();
  reply.set_build(rpc::BuildName());
  reply.set_database_id(options_.database_id);
  reply.set_database_path(options_.database_path);
  reply.set_artifacts_path(options_.state_dir + "/artifacts");
  reply.set_grants_leases(options_.grant_leases);
  return absl::OkStatus();
}

Status CampaignDesk::Launch(const Principal& principal, const v1::LaunchRequest& request,
                            v1::LaunchReply& reply) {
  // On a socket that only its owner opens, the caller's word names the owner.
  const bool named = principal.role == Principal::Role::kLocal && !request.owner().empty();
  const std::string owner = named ? request.owner() : principal.name;
  const std::string digest = RequestDigest("launch", request);
  if (!request.dry_run()) {
    CANOPY_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
    // A repetition gets its first answer, whatever has changed since.
    CANOPY_ASSIGN_OR_RETURN(const std::optional<std::string> earlier,
                            engine_.Recall(request.request_id(), digest));
    if (earlier)
      return reply.ParseFromString(*earlier) ? absl::OkStatus() : DataLoss("the stored answer is damaged");
  }
  const StatusOr<storage::CampaignRow> known = FindCampaign(request);
  if (!known.ok() && !absl::IsNotFound(known.status())) return known.status();
  if (request.update()) {
    if (known.ok()) return Update(principal, request, *known, reply);
    return NotFound(Message(known.status()) + "; leave out --update to launch it");
  }
  if (known.ok()) return RefuseTaken(request, *known);
  CANOPY_ASSIGN_OR_RETURN(LaunchPlan plan, PlanLaunch(request, principal.ToString(), owner,
                                                      engine_.Look({.fleet = true}).fleet.kinds));
  if (request.dry_run()) {
    reply = std::move(plan.reply);
    return absl::OkStatus();
  }
  const auto encode = [answer = std::move(plan.reply)](const engine::ReplyBody& body) mutable {
    answer.set_campaign_id(std::get<Launched>(body).campaign_id);
    return answer.SerializeAsString();
  };
  CANOPY_ASSIGN_OR_RETURN(const std::string answer,
                          Submit({request.request_id(), digest, encode}, std::move(plan.event)));
  return reply.ParseFromString(answer) ? absl::OkStatus() : DataLoss("the stored answer is damaged");
}

StatusOr<storage::CampaignRow> CampaignDesk::FindCampaign(const v1::LaunchRequest& request) {
  CANOPY_ASSIGN_OR_RETURN(const config::CampaignFile file,
                          config::ParseCampaign(request.campaign_text(), request.campaign_file(),
                                                std::vector<std::string>(request.overrides().begin(),
                                                                         request.overrides().end())));
  return reader_.Campaign(file.project + "/" + (request.name().empty() ? file.name : request.name()));
}

Status CampaignDesk::RefuseTaken(const v1::LaunchRequest& request, const storage::CampaignRow& row) {
  const std::string exists =
      "campaign '" + row.campaign.project + "/" + row.campaign.name + "' exists already";
  if (model::IsTerminal(row.progress.state))
    return AlreadyExists(exists + " and has ended; give the new one another name (--name)");
  const StatusOr<UpdatePlan> plan = UpdatePlan::Make(request, "", row);
  if (!plan.ok())
    return AlreadyExists(exists + ", and these files are no update of it: " + Message(plan.status()));
  if (plan->changes().empty())
    return AlreadyExists(exists + " with these files; give a new one another name (--name)");
  return AlreadyExists(exists + ", and these files differ from its own: " + plan->Summary() +
                       "; `canopy launch --update " + request.campaign_file() +
                       "` changes it, --name launches another");
}

Status CampaignDesk::Update(const Principal& principal, const v1::LaunchRequest& request,
                            const storage::CampaignRow& row, v1::LaunchReply& reply) {
  // Trials that are proposed meanwhile are mapped too, before the core is asked again.
  constexpr int kTries = 100;
  const MutexLock one_at_a_time(updates_);
  CANOPY_ASSIGN_OR_RETURN(UpdatePlan plan, UpdatePlan::Make(request, principal.ToString(), row));
  for (int i = 1;; ++i) {
    CANOPY_RETURN_IF_ERROR(plan.MapTrials(reader_));
    reply = plan.Reply();
    if (request.dry_run() || plan.changes().empty()) return absl::OkStatus();
    CANOPY_RETURN_IF_ERROR(RankAgain(plan.TakeReturned()));
    const auto encode = [answer = reply](const engine::ReplyBody&) { return answer.SerializeAsString(); };
    const StatusOr<std::string> answer =
        Submit({request.request_id(), RequestDigest("launch", request), encode}, plan.event());
    if (answer.ok()) {
      // Where it fails, the next start goes on with it.
      (void)SkipSetAside(row.campaign.id, row.campaign.space_version + 1);
      return reply.ParseFromString(*answer) ? absl::OkStatus() : DataLoss("the stored answer is damaged");
    }
    if (!absl::IsAborted(answer.status())) return answer.status();
    CANOPY_ASSIGN_OR_RETURN(const storage::CampaignRow now,
                            reader_.Campaign(std::to_string(row.campaign.id)));
    if (now.campaign.space_version != row.campaign.space_version)
      return Aborted("campaign " + reply.name() +
                     " was given another version of its space meanwhile; look at it (campaign show) and "
                     "update it again");
    if (i == kTries)
      return Aborted("campaign " + reply.name() +
                     " proposes faster than its trials can be mapped; pause it, update it and resume it");
  }
}

Status CampaignDesk::RankAgain(const std::vector<int64_t>& trials) {
  for (size_t from = 0; from < trials.size(); from += kTrialsAtOnce) {
    const std::vector<int64_t> some(
        trials.begin() + static_cast<std::ptrdiff_t>(from),
        trials.begin() + static_cast<std::ptrdiff_t>(std::min(from + kTrialsAtOnce, trials.size())));
    CANOPY_RETURN_IF_ERROR(engine_.BetweenTransactions([&](storage::TrialStore& store) {
      return store.Transaction([&] { return store.RankAgain(some); });
    }));
  }
  return absl::OkStatus();
}

Status CampaignDesk::SkipSetAside(int64_t campaign_id, int64_t version) {
  for (bool done = false; !done;)
    CANOPY_RETURN_IF_ERROR(engine_.BetweenTransactions([&](storage::TrialStore& store) {
      return store.Transaction([&]() -> Status {
        CANOPY_ASSIGN_OR_RETURN(done, store.SkipSetAside(campaign_id, version, kTrialsAtOnce));
        return absl::OkStatus();
      });
    }));
  return absl::OkStatus();
}

Status CampaignDesk::SkipSetAside() {
  const MutexLock one_at_a_time(updates_);
  constexpr int64_t kPage = 100;
  for (int64_t after = 0;;) {
    CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::CampaignRow> rows,
                            reader_.Campaigns(after, kPage, ""));
    for (const storage::CampaignRow& row : rows) {
      after = row.campaign.id;
      if (row.campaign.space_version > 1)
        CANOPY_RETURN_IF_ERROR(SkipSetAside(after, row.campaign.space_version));
    }
    if (static_cast<int64_t>(rows.size()) < kPage) return absl::OkStatus();
  }
}

Status CampaignDesk::Command(const Principal& principal, const v1::CommandRequest& request,
                             v1::CommandReply& reply) {
  CANOPY_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  CANOPY_ASSIGN_OR_RETURN(const CampaignVerb verb, FromProto(request.verb()));
  CANOPY_ASSIGN_OR_RETURN(const storage::CampaignRow row, reader_.Campaign(request.campaign()));
  CommandCampaign event;
  event.principal = principal.ToString();
  event.campaign_id = row.campaign.id;
  event.verb = verb;
  const auto encode = [](const engine::ReplyBody& body) {
    v1::CommandReply answer;
    answer.set_state(rpc::ToProto(std::get<Commanded>(body).state));
    return answer.SerializeAsString();
  };
  CANOPY_ASSIGN_OR_RETURN(
      const std::string answer,
      Submit({request.request_id(), RequestDigest("command", request), encode}, std::move(event)));
  return reply.ParseFromString(answer) ? absl::OkStatus() : DataLoss("the stored answer is damaged");
}

Status CampaignDesk::ListCampaigns(const v1::ListCampaignsRequest& request, v1::ListCampaignsReply& reply) {
  const int64_t limit = PageSize(request.limit());
  CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::CampaignRow> rows,
                          reader_.Campaigns(request.after_id(), limit, request.project()));
  for (const storage::CampaignRow& row : rows) *reply.add_campaigns() = ToProto(row);
  if (static_cast<int64_t>(rows.size()) == limit) reply.set_next_after_id(rows.back().campaign.id);
  return absl::OkStatus();
}

Status CampaignDesk::GetCampaign(const v1::GetCampaignRequest& request, v1::CampaignStatus& reply) {
  CANOPY_ASSIGN_OR_RETURN(const storage::CampaignRow row, reader_.Campaign(request.campaign()));
  const int64_t id = row.campaign.id;
  const model::CampaignSettings& settings = row.campaign.settings;
  CANOPY_ASSIGN_OR_RETURN(const storage::CampaignCounts counts, reader_.Counts(id));
  CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::TrialRow> best, reader_.Best(id, kBestShown));
  CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::TrialRow> running, reader_.Running(id, kRunningShown));
  CANOPY_ASSIGN_OR_RETURN(const std::vector<std::string> failures,
                          reader_.NewestFailures(id, kFailuresShown));
  *reply.mutable_summary() = ToProto(row);
  AddCounts(counts, reply);
  reply.set_time_left_ms(-1);
  reply.set_until_us(settings.budget_until_us);
  const int64_t made = reply.pending() + reply.running() + reply.completed() + reply.infeasible() +
                       reply.failed() + reply.quarantined() + reply.cancelled();
  reply.set_trials_left(settings.budget_trials == 0 ? -1
                                                    : std::max<int64_t>(0, settings.budget_trials - made) +
                                                          reply.pending() + reply.running());
  reply.set_test_reads(row.progress.test_reads);
  if (const std::string warning = backups_.Warning(); !warning.empty()) reply.add_warnings(warning);
  const engine::Statistics statistics = engine_.statistics();
  if (!statistics.held_back.empty()) reply.add_warnings(statistics.held_back);
  if (statistics.disk_low)
    reply.add_warnings("the controller's disk is nearly full, and new work is refused: free space there");
  for (const storage::TrialRow& trial : best) *reply.add_best() = ToProto(trial);
  for (const std::string& failure : failures) reply.add_failures(failure);
  reply.set_campaign_text(row.campaign.campaign_text);
  reply.set_space_text(row.campaign.space_text);
  reply.set_files_path(CampaignFolder(options_.state_dir, row.campaign));
  reply.set_active_ms(row.progress.active_ms);
  reply.set_seed(std::to_string(settings.seed));
  CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::SpaceVersionRow> versions, reader_.SpaceVersions(id));
  for (const storage::SpaceVersionRow& version : versions) *reply.add_space_versions() = ToProto(version);

  constexpr size_t kDrainsShown = 5;
  CANOPY_ASSIGN_OR_RETURN(const std::vector<model::Drain> drains, reader_.Drains());
  for (const model::Drain& drain : drains) {
    // What people drained they know of.
    if (drain.principal != "controller" || model::IsTerminal(row.progress.state)) continue;
    if (static_cast<size_t>(reply.notices_size()) == kDrainsShown) break;
    reply.add_notices((drain.scope == model::DrainScope::kHost ? "host " : "device ") + drain.name +
                      " is drained: " + drain.reason +
                      "; `canopy worker drain --undo` gives it trials again");
  }
  engine::LookRequest look{.campaign_id = id};
  for (const storage::TrialRow& trial : running) look.attempts.push_back(trial.trial.last_attempt_id);
  const engine::Snapshot live = engine_.Look(std::move(look));
  if (live.campaign) AddGlance(*live.campaign, reply);
  std::map<int64_t, AttemptProgress> progress;  // by attempt
  for (const AttemptProgress& attempt : live.running) progress[attempt.attempt_id] = attempt;
  for (const storage::TrialRow& trial : running) {
    v1::TrialSummary& added = *reply.add_running_trials();
    added = ToProto(trial);
    const auto known = progress.find(trial.trial.last_attempt_id);
    if (known == progress.end()) continue;
    added.set_step(known->second.step);
    added.set_total_steps(known->second.total_steps);
  }
  return absl::OkStatus();
}

Status CampaignDesk::GetReport(const v1::GetCampaignRequest& request, v1::CampaignReport& reply) {
  CANOPY_ASSIGN_OR_RETURN(const storage::CampaignRow row, reader_.Campaign(request.campaign()));
  CANOPY_ASSIGN_OR_RETURN(reply, BuildReport(reader_, row, options_.database_id));
  if (!reply.complete()) return absl::OkStatus();
  CANOPY_ASSIGN_OR_RETURN(*reply.mutable_result_path(), WriteResult(options_.state_dir, row.campaign, reply));
  return absl::OkStatus();
}

Status CampaignDesk::ListTrials(const v1::ListTrialsRequest& request, v1::ListTrialsReply& reply) {
  CANOPY_ASSIGN_OR_RETURN(const storage::CampaignRow row, reader_.Campaign(request.campaign()));
  const int64_t limit = PageSize(request.limit());
  if (request.best_first()) {
    CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::TrialRow> best, reader_.Best(row.campaign.id, limit));
    for (const storage::TrialRow& trial : best) *reply.add_trials() = ToProto(trial);
    return absl::OkStatus();
  }
  storage::TrialFilter filter;
  for (const int state : request.states()) {
    CANOPY_ASSIGN_OR_RETURN(const model::TrialState parsed,
                            rpc::FromProto(static_cast<v1::TrialState>(state)));
    filter.states.push_back(parsed);
  }
  for (const int purpose : request.purposes()) {
    CANOPY_ASSIGN_OR_RETURN(const model::Purpose parsed, rpc::FromProto(static_cast<v1::Purpose>(purpose)));
    filter.purposes.push_back(parsed);
  }
  CANOPY_ASSIGN_OR_RETURN(const storage::TrialPage page,
                          reader_.Trials(row.campaign.id, filter, request.after_id(), limit));
  for (const storage::TrialRow& trial : page.trials) *reply.add_trials() = ToProto(trial);
  reply.set_next_after_id(page.next_after_id);
  return absl::OkStatus();
}

Status CampaignDesk::GetTrial(const v1::GetTrialRequest& request, v1::TrialDetails& reply) {
  CANOPY_ASSIGN_OR_RETURN(const storage::TrialDetail detail, reader_.Trial(request.trial()));
  reply = ToProto(detail);
  return absl::OkStatus();
}

StatusOr<std::vector<v1::QueryRows>> CampaignDesk::Query(const v1::QueryRequest& request) {
  return RunQuery(options_.program, options_.database_path, request);
}

Status CampaignDesk::Backup(v1::BackupReply& reply) {
  CANOPY_ASSIGN_OR_RETURN(const storage::TakenBackup taken, backups_.TakeNow());
  reply.set_path(taken.backup.path);
  *reply.mutable_facts() = ToProto(taken.facts);
  return absl::OkStatus();
}

}  // namespace canopy::controller
