#pragma once

#include <optional>
#include <string_view>

namespace canopy::model {

// Values are persisted by name and never renamed; docs/storage_format.md explains each.

enum class Purpose { kSearch, kFinal, kTest, kAudit, kProxy, kMeasure };

enum class TrialState {
  kPending,
  kLeased,
  kPaused,
  kCompleted,
  kStopped,
  kInfeasible,
  kFailed,
  kCancelled,
  kQuarantined,
};

enum class AttemptState { kRunning, kSucceeded, kFailed, kExpired, kSuperseded, kCancelled };

enum class CampaignState { kRunning, kPaused, kFinalizing, kCompleted, kCancelled, kFailed };

// What a drain keeps new leases from.
enum class DrainScope { kWorker, kDevice, kHost };

// What a training does at a rung of its fidelity schedule.
enum class RungAction { kContinue, kStop, kPause };

// How an attempt's part of a training ended that counts: PREEMPTED left a checkpoint, though the attempt
// failed.
enum class SegmentEnd { kCompleted, kStopped, kPaused, kPreempted };

// Why an attempt failed.
enum class FailureClass {
  kPreempted,
  kWorkerLost,
  kOutOfMemory,
  kDiverged,
  kInvalidCandidate,
  kTrainerCrash,
  kTimeout,
  kData,
};

std::string_view ToString(Purpose value);
std::string_view ToString(TrialState value);
std::string_view ToString(AttemptState value);
std::string_view ToString(CampaignState value);
std::string_view ToString(DrainScope value);
std::string_view ToString(FailureClass value);
std::string_view ToString(RungAction value);
std::string_view ToString(SegmentEnd value);

// nullopt for a name that no value has.
std::optional<Purpose> ParsePurpose(std::string_view name);
std::optional<TrialState> ParseTrialState(std::string_view name);
std::optional<AttemptState> ParseAttemptState(std::string_view name);
std::optional<CampaignState> ParseCampaignState(std::string_view name);
std::optional<DrainScope> ParseDrainScope(std::string_view name);
std::optional<FailureClass> ParseFailureClass(std::string_view name);
std::optional<RungAction> ParseRungAction(std::string_view name);
std::optional<SegmentEnd> ParseSegmentEnd(std::string_view name);

bool IsTerminal(TrialState state);
bool IsTerminal(CampaignState state);

}  // namespace canopy::model
