#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "controller/core/core.h"
#include "controller/engine/engine.h"
#include "controller/engine/event_queue.h"
#include "controller/engine/proposer_pool.h"
#include "controller/engine/statistics.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// The thread that owns core and store. Whatever is queued becomes one transaction; a lone event is not kept
// waiting for others. Replies leave only after the commit.
class Writer {
 public:
  Writer(EngineOptions options, std::unique_ptr<storage::TrialStore> store, const Clock& clock,
         controller::CoreState state, EventQueue& queue);
  ~Writer() { Stop(); }
  // Commits what is queued, answers all that waits and ends the threads. REQUIRES a closed queue. Repeatable.
  void Stop();

  Statistics statistics() const { return statistics_.Read(); }

 private:
  void Run();
  // Waits for jobs, and adds what is due.
  std::deque<Job> NextBatch();
  // Gives up on strategies that are late: their campaigns pause.
  void AddLateStrategies(std::deque<Job>& batch, int64_t now_ms);
  void RunBatch(std::deque<Job> batch);
  Status Handle(Job& job);
  Status HandleEvent(EventJob& job);
  Status HandleForUser(UserJob& job);
  // The answer to a user's mistake that only the database knows of; gives a revision the ranking it needs.
  Status Prepare(controller::Event& event);
  Status HandleRecall(RecallJob& job);
  // Steps the core and carries out its writes; gives its replies.
  StatusOr<std::vector<controller::Reply>> Step(controller::Event event);
  // Hands the reply to whoever waits for it, once the batch is committed.
  void Deliver(controller::Reply reply);
  Status HandOut(const controller::RequestProposals& request);
  void NoteCampaign(const controller::Write& write);
  void AnswerAllThatWaits();
  void CheckpointWhenGrown();
  controller::Now Now() const { return {clock_.MonotonicMs(), clock_.WallUs()}; }

  const EngineOptions options_;
  const std::unique_ptr<storage::TrialStore> store_;
  const Clock& clock_;
  EventQueue& queue_;
  std::map<int64_t, std::shared_ptr<const model::CampaignRecord>> campaigns_;  // live ones
  controller::Core core_;
  StatisticsRecorder statistics_;

  std::map<uint64_t, std::function<void(StatusOr<ReplyBody>)>> waiting_;  // by token
  std::multimap<int64_t, uint64_t> poll_deadlines_;                       // token by monotonic time
  // Campaigns whose batch is awaited: one that is asked for again meanwhile is not proposed twice.
  struct Proposing {
    int64_t seen_seq = 0, space_version = 1, deadline_ms = 0;
  };
  std::map<int64_t, Proposing> proposing_;
  int64_t next_tick_ms_ = 0;
  int64_t writes_since_checkpoint_ = 0;
  bool failed_ = false;

  // Of the batch that runs; done after its commit.
  std::vector<std::function<void()>> deliveries_;
  std::vector<controller::PublishResult> published_;
  std::vector<controller::RequestProposals> requests_;
  std::vector<int64_t> ended_;
  std::vector<int64_t> superseded_;  // campaigns whose proposer is another version's

  std::unique_ptr<ProposerPool> proposers_;
  std::thread thread_;
};

}  // namespace canopy::engine
