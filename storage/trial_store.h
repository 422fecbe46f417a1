#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/model/candidate_key.h"
#include "storage/model/records.h"
#include "storage/online_copy.h"

namespace canopy::storage {

// The database behind the controller's one writer. Not thread-safe: one thread owns it. Every method
// blocks on disk. ResourceExhausted: the disk is full; DataLoss: the database is damaged; Internal: a
// statement failed in a way that only a bug explains.
class TrialStore {
 public:
  virtual ~TrialStore() = default;

  // Runs `body` between BEGIN and COMMIT with synchronous=FULL: OK means durable. An error of `body`
  // rolls back and is returned. An error of COMMIT itself leaves memory and disk apart: the caller ends
  // the process.
  virtual Status Transaction(const std::function<Status()>& body) = 0;

  // Writes; REQUIRES an open transaction. InsertCampaign also creates the campaign's table and view with
  // a typed column for each of `decisions` and `metrics`.
  struct Column {
    enum class Type { kInteger, kReal, kText };
    std::string name;
    Type type = Type::kReal;
  };
  virtual Status InsertCampaign(const model::CampaignRecord& campaign,
                                const model::CampaignProgress& progress,
                                const std::optional<model::CandidateFacts>& reference,
                                const std::vector<Column>& decisions, const std::vector<Column>& metrics) = 0;
  virtual Status UpdateCampaign(int64_t campaign_id, const model::CampaignProgress& progress) = 0;
  // The campaign's files, settings and reference, progress aside; its table and view get the columns of
  // `decisions` that they lack. REQUIRES that CheckDecisions passed.
  virtual Status ChangeCampaign(const model::CampaignRecord& campaign,
                                const std::optional<model::CandidateFacts>& reference,
                                const std::vector<Column>& decisions) = 0;
  virtual Status InsertSpaceVersion(const model::SpaceVersion& version,
                                    const std::vector<model::SetAside>& set_aside) = 0;
  // Lets rankings pass by, without looking, what the campaign's current version sets aside: the next `limit`
  // trials of it. True: it is done with all, or `version` is not the current one.
  virtual StatusOr<bool> SkipSetAside(int64_t campaign_id, int64_t version, int64_t limit) = 0;
  // Lets rankings look at these trials again. REQUIRED for what a version counts that the one before set
  // aside, before it begins, and that SkipSetAside is not called in between.
  virtual Status RankAgain(const std::vector<int64_t>& trials) = 0;
  // AlreadyExists where (campaign, candidate hash, purpose, replicate, space version) is taken.
  virtual Status InsertTrial(const model::TrialRecord& trial) = 0;
  virtual Status UpdateTrial(const model::TrialRecord& trial) = 0;
  virtual Status InsertAttempt(const model::AttemptRecord& attempt) = 0;
  virtual Status UpdateAttempt(const model::AttemptRecord& attempt) = 0;
  // AlreadyExists where the trial has a result.
  virtual Status InsertResult(const model::ResultRecord& result) = 0;
  // AlreadyExists where the trial has reported that rung.
  virtual Status InsertRungReport(const model::RungReportRecord& report) = 0;
  // Once for each worker and result id.
  virtual Status ArchiveOutcome(const std::string& worker_id, const std::string& result_id, int64_t trial_id,
                                int64_t attempt_id, int64_t fence, const std::string& why,
                                const std::string& payload_json, int64_t wall_us) = 0;
  // A measurement that is there already (attempt, step) stays.
  virtual Status InsertMeasurements(const std::vector<model::MeasurementRecord>& measurements) = 0;
  virtual Status AppendEvent(const model::EventRecord& event) = 0;
  // The newest state of a campaign replaces the one before.
  virtual Status SaveProposerState(int64_t campaign_id, int64_t event_seq, int64_t seen_seq,
                                   const std::string& state) = 0;
  virtual Status UpsertWorker(const model::WorkerRecord& worker) = 0;
  // Replaces the drain of that scope and name, where there is one.
  virtual Status SaveDrain(const model::Drain& drain) = 0;
  virtual Status RemoveDrain(model::DrainScope scope, const std::string& name) = 0;
  // Replaces what is stored of that place; without a blame nothing is.
  virtual Status SaveHealth(const model::DeviceHealth& health) = 0;
  virtual Status SetCounter(const std::string& name, int64_t value) = 0;

  // AlreadyExists where the project has a campaign of that name, or where the view that would be named after
  // it exists; the open transaction included.
  virtual Status CheckNewCampaign(const std::string& project, const std::string& name) = 0;

  // How that worker's outcome was answered before, the open transaction included.
  virtual StatusOr<model::KnownOutcome> FindOutcome(const std::string& worker_id, int64_t attempt_id,
                                                    const std::string& result_id) = 0;

  // What was accepted for that rung of the trial, the open transaction included.
  virtual StatusOr<std::optional<model::RungReportRecord>> FindRungReport(int64_t trial_id, int64_t rung) = 0;

  // InvalidArgument where the campaign's table cannot have columns for these decisions, too.
  virtual Status CheckDecisions(int64_t campaign_id, const std::vector<Column>& decisions) = 0;

  // Every mutating call of a user carries a request id. Find gives what an earlier call with that id was
  // answered; FailedPrecondition where its payload (`digest`) differed.
  virtual StatusOr<std::optional<std::string>> FindRequest(const std::string& request_id,
                                                           const std::string& digest) = 0;
  virtual Status SaveRequest(const std::string& request_id, const std::string& digest,
                             const std::string& answer, int64_t wall_us) = 0;

  // What a restart needs; see controller/core/core.h for how it becomes the core's state.
  struct LiveRows {
    model::CampaignRecord campaign;
    model::CampaignProgress progress;
    std::optional<model::CandidateFacts> reference;
    std::vector<model::TrialRecord> trials;        // not terminal, ascending id
    std::vector<model::AttemptRecord> attempts;    // running, ascending id
    std::vector<model::AttemptRecord> expired;     // the newest of trials that wait, where they expired
    std::vector<model::RungReportRecord> reports;  // the newest of each live trial, ascending trial id
    std::vector<model::RungScore> rung_scores;     // of all of its trials, in the order of their events
    struct Finished {
      model::TrialRecord trial;
      model::ResultRecord result;
      std::string worker_id;
    };
    // The finals_top + 1 best candidates by their best SEARCH trial that was trained in full and is not set
    // aside, best first.
    std::vector<Finished> best;
    std::vector<Finished> finals;                      // completed FINAL trials, ascending id
    std::vector<std::string> first_signatures;         // of the first 5 attempts, oldest first
    std::vector<model::EndSignature> last_signatures;  // of the last 20 candidates' newest attempts
    int64_t trials_total = 0;
    int64_t search_trials = 0, search_completed = 0, search_busy_ms = 0, search_device_ms = 0;
    int64_t device_ms = 0;  // of all attempts that ended
  };
  virtual StatusOr<std::vector<LiveRows>> LoadLiveCampaigns() = 0;
  // LiveRows::best as it would be with these settings, without the trials in `set_aside`; nullptr: without
  // those that the campaign's current version sets aside.
  virtual StatusOr<std::vector<LiveRows::Finished>> LoadBest(
      const model::CampaignRecord& campaign, const std::vector<model::SetAside>* set_aside) = 0;
  virtual StatusOr<std::vector<model::Drain>> LoadDrains() = 0;         // by scope and name
  virtual StatusOr<std::vector<model::DeviceHealth>> LoadHealth() = 0;  // by place
  virtual StatusOr<int64_t> Counter(const std::string& name) = 0;       // 0 where never set
  // Whether an attempt of the trial ended with this outcome of the worker, which has an id.
  virtual StatusOr<bool> HasOutcome(int64_t trial_id, const std::string& worker_id,
                                    const std::string& result_id) = 0;
  // Whether the trial's result of this id has other metrics than these. False for a rung's, whose metrics are
  // those of its report.
  virtual StatusOr<bool> Contradicts(int64_t trial_id, const std::string& result_id,
                                     const std::map<std::string, double>& metrics) = 0;
  // Whether a result of this id is stored. The empty id is none.
  virtual StatusOr<bool> HasResult(const std::string& result_id) = 0;
  virtual std::string database_id() const = 0;
  virtual int64_t incarnation() const = 0;

  // What a proposer needs to continue.
  struct ProposerRows {
    std::string state;  // empty: none yet
    int64_t seen_seq = 0;
    // A SEARCH trial that is not set aside; millions of them.
    struct Known {
      model::CandidateKey candidate;
      double objective = 0;
      int32_t replicate = 0;
      int16_t rung = 0;   // at which it was stopped, of a result that was seen
      bool seen = false;  // it has a result, which the state has seen
      bool feasible = true;
    };
    std::vector<Known> known;  // ascending trial id
    struct Unseen {
      int64_t seq = 0;
      std::string candidate_json, candidate_hash;
      bool feasible = true;
      double objective = 0;
      int64_t rung = 0;
    };
    std::vector<Unseen> unseen;  // results that the state has not seen, ascending seq
  };
  // Without results after number `last_seq`.
  virtual StatusOr<ProposerRows> LoadProposer(int64_t campaign_id, int64_t last_seq) = 0;
  // The same as a function that any thread may call once, while the store goes on.
  using ProposerLoader = std::function<StatusOr<ProposerRows>()>;
  virtual ProposerLoader LaterProposer(int64_t campaign_id, int64_t last_seq) = 0;

  // The WAL's size after the last commit.
  virtual int64_t WalBytes() const = 0;
  // Moves most of the WAL's pages into the database file while the store goes on writing: a function for any
  // one thread, which may call it again. Checkpoint has little left to do afterwards.
  using Checkpointer = std::function<Status()>;
  virtual Checkpointer LaterCheckpoint() = 0;
  // Moves WAL pages into the database file, as many as no reader holds back, without waiting for one; gives
  // the WAL's size afterwards. Where it is larger than `restart_bytes` it waits a moment for readers, so that
  // the WAL begins anew.
  virtual StatusOr<int64_t> Checkpoint(int64_t restart_bytes) = 0;
  // The same, and truncates the WAL, waiting a while for readers: for the end.
  virtual Status FinalCheckpoint() = 0;

  // Copies the database to the file `target` between transactions, see OnlineCopy: one copy at a time, which
  // ends with its last step, with EndCopy, or when another begins.
  virtual Status BeginCopy(const std::string& target) = 0;
  virtual StatusOr<OnlineCopy::Progress> ContinueCopy(int pages) = 0;  // REQUIRES a copy that was begun
  virtual void EndCopy() = 0;
  // Other processes that have the database open, as "pid 17 (sqlite3)": one that reads for long keeps the WAL
  // growing.
  virtual std::vector<std::string> OtherProcesses() = 0;
};

}  // namespace canopy::storage
