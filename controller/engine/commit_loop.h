#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "controller/core/core.h"
#include "controller/engine/campaign_proposer.h"
#include "controller/engine/event_queue.h"
#include "controller/engine/statistics.h"
#include "storage/trial_store.h"

namespace canopy::engine {

struct CommitLoopOptions {
  controller::CoreLimits limits;
  controller::ScheduleFactory make_schedule;  // REQUIRED; knows all campaigns of the state
  // False: no time passes for leases and campaigns; for a controller that serves one command.
  bool ticks = true;
  // A strategy that takes longer pauses its campaign.
  int64_t proposal_deadline_ms = 120'000;
  // The log of the database may grow to this while readers keep it from beginning anew; then no more work is
  // given out.
  int64_t max_wal_bytes = int64_t{256} << 20;
  // Begins to move the log into the database while the loop goes on, and is true when that is done for the
  // `life`th log since the start; empty: the loop moves it all.
  std::function<bool(int64_t life)> checkpointed_ahead;
  // A campaign's terminal state is committed. Must not block.
  std::function<void(int64_t campaign_id)> on_campaign_ended;
  // Gives a committed batch's answers, in their order; empty: they are given at once.
  std::function<void(std::vector<std::function<void()>> answers)> answer;
};

// Core and store, one batch of jobs after another: each is one transaction, and nobody is answered before it
// is committed. Has no thread and waits for nothing but the disk. Not thread-safe, statistics() aside.
class CommitLoop {
 public:
  // `clock` outlives the loop, `proposers` its last Commit.
  CommitLoop(CommitLoopOptions options, std::unique_ptr<storage::TrialStore> store, const Clock& clock,
             controller::CoreState state, Proposers& proposers);

  // When there is something to do even if nobody asks, in monotonic milliseconds.
  int64_t WakeMs() const;
  // Adds what is due by now: polls whose time is over, strategies that are late, the tick.
  void AddDue(std::deque<Job>& batch);
  // For a disk that is nearly full: answers with `full` who would have something written, ends the polls that
  // wait, and lets time stand still for leases, as no worker is heard. What is under way by itself stays.
  void RefuseNewWork(std::deque<Job>& batch, const Status& full);
  // Commits the batch, then hands on results and requests for proposals, answers, and reports campaigns that
  // ended. REQUIRES a batch without StoreJobs. After an error memory and database may differ: nobody was
  // answered, and only the destructor may follow.
  Status Commit(std::deque<Job> batch);
  // Answers everyone who still waits.
  void AnswerAllThatWaits(const Status& why);
  // Moves the log into the database when it has grown; FinalCheckpoint whatever its size.
  void CheckpointWhenGrown();
  void FinalCheckpoint();

  // REQUIRES that no Commit runs.
  storage::TrialStore& store() { return *store_; }
  Statistics statistics() const { return statistics_.Read(); }
  const controller::Core& core() const { return core_; }

 private:
  struct Numbers {
    int64_t last_result_seq = 0, next_trial_number = 0;
  };
  static std::map<int64_t, Numbers> NumbersOf(const controller::CoreState& state);
  // Gives up on strategies that are late: their campaigns pause.
  void AddLateStrategies(std::deque<Job>& batch, int64_t now_ms);
  Status Handle(Job& job);
  Status HandleEvent(EventJob& job);
  Status HandleForUser(UserJob& job);
  // The answer to a user's mistake that only the database knows of; gives a revision the ranking it needs.
  Status Prepare(controller::Event& event);
  Status HandleRecall(RecallJob& job);
  Snapshot Look(const LookRequest& request) const;
  // Where the log is too large: refuses what would make new work, and lets results in.
  bool HoldsBack(EventJob& job);
  // Steps the core and carries out its writes; gives its replies.
  StatusOr<std::vector<controller::Reply>> Step(controller::Event event);
  // Hands the reply to whoever waits for it, once the batch is committed.
  void Deliver(controller::Reply reply);
  // Results and requests of the committed batch.
  Status ServeProposers();
  Status HandOut(const controller::RequestProposals& request);
  void NoteCampaign(const controller::Write& write);
  // The newest of what each step of the batch writes anew.
  Status WriteNewest();
  void NoteWalSize(int64_t wal_bytes);
  controller::Now Now() const { return {clock_.MonotonicMs(), clock_.WallUs()}; }

  const CommitLoopOptions options_;
  const std::unique_ptr<storage::TrialStore> store_;
  const Clock& clock_;
  Proposers& proposers_;
  std::map<int64_t, std::shared_ptr<const model::CampaignRecord>> campaigns_;  // live ones
  std::map<int64_t, Numbers> numbers_;  // of live campaigns, as of the last step
  controller::Core core_;
  StatisticsRecorder statistics_;

  struct Waiting {
    std::function<void(StatusOr<ReplyBody>)> done;
    int64_t poll_deadline_ms = -1;
  };
  std::map<uint64_t, Waiting> waiting_;                    // by token
  std::set<std::pair<int64_t, uint64_t>> poll_deadlines_;  // monotonic time and token
  // Campaigns whose batch is awaited: one that is asked for again meanwhile is not proposed twice.
  struct Proposing {
    int64_t seen_seq = 0, space_version = 1, deadline_ms = 0;
  };
  std::map<int64_t, Proposing> proposing_;
  int64_t next_tick_ms_ = 0;
  int64_t last_due_ms_ = 0;             // when AddDue last looked
  int64_t wal_life_ = 0;                // how often the log began anew
  int64_t last_wal_bytes_ = 0;          // its size when it was last looked at
  int64_t checkpointed_wal_bytes_ = 0;  // and at the last checkpoint of this life
  int64_t next_restart_ms_ = 0;         // when the log is next made to begin anew
  std::string held_back_;               // why no work is given out; empty: it is

  // Of the batch that runs; written at its end.
  std::map<int64_t, model::CampaignProgress> newest_progress_;  // by campaign
  std::optional<controller::SaveCounters> newest_counters_;

  // Of the batch that runs; done after its commit.
  std::vector<std::function<void()>> deliveries_;
  std::vector<controller::PublishResult> published_;
  std::vector<controller::RequestProposals> requests_;
  std::vector<int64_t> ended_;
  std::vector<int64_t> superseded_;  // campaigns whose proposer is another version's
};

}  // namespace canopy::engine
