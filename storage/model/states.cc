#include "storage/model/states.h"

#include <array>
#include <utility>

namespace canopy::model {
namespace {

template <typename Enum, size_t kCount>
using Names = std::array<std::pair<Enum, std::string_view>, kCount>;

constexpr Names<Purpose, 6> kPurposes = {{{Purpose::kSearch, "SEARCH"},
                                          {Purpose::kFinal, "FINAL"},
                                          {Purpose::kTest, "TEST"},
                                          {Purpose::kAudit, "AUDIT"},
                                          {Purpose::kProxy, "PROXY"},
                                          {Purpose::kMeasure, "MEASURE"}}};
constexpr Names<TrialState, 9> kTrialStates = {{{TrialState::kPending, "PENDING"},
                                                {TrialState::kLeased, "LEASED"},
                                                {TrialState::kPaused, "PAUSED"},
                                                {TrialState::kCompleted, "COMPLETED"},
                                                {TrialState::kStopped, "STOPPED"},
                                                {TrialState::kInfeasible, "INFEASIBLE"},
                                                {TrialState::kFailed, "FAILED"},
                                                {TrialState::kCancelled, "CANCELLED"},
                                                {TrialState::kQuarantined, "QUARANTINED"}}};
constexpr Names<AttemptState, 6> kAttemptStates = {{{AttemptState::kRunning, "RUNNING"},
                                                    {AttemptState::kSucceeded, "SUCCEEDED"},
                                                    {AttemptState::kFailed, "FAILED"},
                                                    {AttemptState::kExpired, "EXPIRED"},
                                                    {AttemptState::kSuperseded, "SUPERSEDED"},
                                                    {AttemptState::kCancelled, "CANCELLED"}}};
constexpr Names<CampaignState, 6> kCampaignStates = {{{CampaignState::kRunning, "RUNNING"},
                                                      {CampaignState::kPaused, "PAUSED"},
                                                      {CampaignState::kFinalizing, "FINALIZING"},
                                                      {CampaignState::kCompleted, "COMPLETED"},
                                                      {CampaignState::kCancelled, "CANCELLED"},
                                                      {CampaignState::kFailed, "FAILED"}}};
constexpr Names<DrainScope, 3> kDrainScopes = {
    {{DrainScope::kWorker, "WORKER"}, {DrainScope::kDevice, "DEVICE"}, {DrainScope::kHost, "HOST"}}};
constexpr Names<FailureClass, 8> kFailureClasses = {{{FailureClass::kPreempted, "PREEMPTED"},
                                                     {FailureClass::kWorkerLost, "WORKER_LOST"},
                                                     {FailureClass::kOutOfMemory, "OUT_OF_MEMORY"},
                                                     {FailureClass::kDiverged, "DIVERGED"},
                                                     {FailureClass::kInvalidCandidate, "INVALID_CANDIDATE"},
                                                     {FailureClass::kTrainerCrash, "TRAINER_CRASH"},
                                                     {FailureClass::kTimeout, "TIMEOUT"},
                                                     {FailureClass::kData, "DATA"}}};
constexpr Names<RungAction, 3> kRungActions = {
    {{RungAction::kContinue, "CONTINUE"}, {RungAction::kStop, "STOP"}, {RungAction::kPause, "PAUSE"}}};
constexpr Names<SegmentEnd, 4> kSegmentEnds = {{{SegmentEnd::kCompleted, "COMPLETED"},
                                                {SegmentEnd::kStopped, "STOPPED"},
                                                {SegmentEnd::kPaused, "PAUSED"},
                                                {SegmentEnd::kPreempted, "PREEMPTED"}}};

template <typename Enum, size_t kCount>
std::string_view NameOf(const Names<Enum, kCount>& names, Enum value) {
  for (const auto& [candidate, name] : names)
    if (candidate == value) return name;
  return "UNSPECIFIED";
}

template <typename Enum, size_t kCount>
std::optional<Enum> ValueOf(const Names<Enum, kCount>& names, std::string_view name) {
  for (const auto& [value, candidate] : names)
    if (candidate == name) return value;
  return std::nullopt;
}

}  // namespace

std::string_view ToString(Purpose value) { return NameOf(kPurposes, value); }
std::string_view ToString(TrialState value) { return NameOf(kTrialStates, value); }
std::string_view ToString(AttemptState value) { return NameOf(kAttemptStates, value); }
std::string_view ToString(CampaignState value) { return NameOf(kCampaignStates, value); }
std::string_view ToString(DrainScope value) { return NameOf(kDrainScopes, value); }
std::string_view ToString(FailureClass value) { return NameOf(kFailureClasses, value); }
std::string_view ToString(RungAction value) { return NameOf(kRungActions, value); }
std::string_view ToString(SegmentEnd value) { return NameOf(kSegmentEnds, value); }

std::optional<Purpose> ParsePurpose(std::string_view name) { return ValueOf(kPurposes, name); }
std::optional<TrialState> ParseTrialState(std::string_view name) { return ValueOf(kTrialStates, name); }
std::optional<AttemptState> ParseAttemptState(std::string_view name) { return ValueOf(kAttemptStates, name); }
std::optional<CampaignState> ParseCampaignState(std::string_view name) {
  return ValueOf(kCampaignStates, name);
}
std::optional<DrainScope> ParseDrainScope(std::string_view name) { return ValueOf(kDrainScopes, name); }
std::optional<FailureClass> ParseFailureClass(std::string_view name) {
  return ValueOf(kFailureClasses, name);
}
std::optional<RungAction> ParseRungAction(std::string_view name) { return ValueOf(kRungActions, name); }
std::optional<SegmentEnd> ParseSegmentEnd(std::string_view name) { return ValueOf(kSegmentEnds, name); }

bool IsTerminal(TrialState state) {
  return state != TrialState::kPending && state != TrialState::kLeased && state != TrialState::kPaused;
}

bool IsTerminal(CampaignState state) {
  return state == CampaignState::kCompleted || state == CampaignState::kCancelled ||
         state == CampaignState::kFailed;
}

}  // namespace canopy::model
