#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "controller/core/core.h"
#include "storage/trial_store.h"

namespace canopy::engine {

using controller::ReplyBody;

// A user's mutating call: the same id with the same digest of its payload is answered once and repeated from
// the database; `encode` makes the stored answer.
struct UserRequest {
  std::string id, digest;
  std::function<std::string(const ReplyBody&)> encode;
};

// What a page shows beyond the database. Each part costs the writer's thread what is copied of it; zeros and
// empty lists ask for none.
struct LookRequest {
  int64_t campaign_id = 0;
  std::vector<int64_t> attempts;     // how far they are
  std::vector<std::string> workers;  // by id
  bool fleet = false;
  int64_t trial_id = 0;
};
struct Snapshot {
  std::optional<controller::Core::CampaignGlance> campaign;  // where it is live
  std::vector<controller::AttemptProgress> running;          // of the attempts, those that run
  std::vector<controller::Core::WorkerGlance> workers;       // those that are connected
  controller::Core::FleetGlance fleet;
  controller::Core::TrialOutlook outlook;  // of the trial
};

// What the writer's thread is asked to do. Callbacks are called once, after the batch is committed, and must
// not block.
struct EventJob {
  controller::Event event;
  uint64_t token = 0;                             // the event's
  std::function<void(StatusOr<ReplyBody>)> done;  // empty: nobody waits
  int64_t poll_deadline_ms = -1;  // an Exchange that still waits then is answered without a lease
};
struct UserJob {
  controller::Event event;
  uint64_t token = 0;
  UserRequest request;
  std::function<void(StatusOr<std::string>)> done;
};
struct RecallJob {
  std::string request_id, digest;
  std::function<void(StatusOr<std::optional<std::string>>)> done;
};
struct LookJob {
  LookRequest request;
  std::function<void(Snapshot)> done;
};
// Done between two transactions: everybody waits for it.
struct StoreJob {
  std::function<Status(storage::TrialStore& store)> work;
  std::function<void(Status)> done;
};
using Job = std::variant<EventJob, UserJob, RecallJob, LookJob, StoreJob>;

// Answers a job that is not done; one that looks gets an empty snapshot.
void Refuse(Job& job, const Status& why);

// Bounded; many producers, one consumer.
class EventQueue {
 public:
  explicit EventQueue(size_t capacity) : capacity_(capacity) {}

  // False where the queue is full or closed; the job stays the caller's then. `internal` jobs, whose number
  // the engine bounds itself, are taken by a full queue too.
  bool Push(Job& job, bool internal = false) CANOPY_EXCLUDES(mutex_);
  // Waits until there are jobs, the queue is closed, or `timeout_ms` is over; takes up to `limit` of them.
  std::deque<Job> Take(size_t limit, int64_t timeout_ms) CANOPY_EXCLUDES(mutex_);
  void Close() CANOPY_EXCLUDES(mutex_);
  bool closed() const CANOPY_EXCLUDES(mutex_);
  size_t size() const CANOPY_EXCLUDES(mutex_);

 private:
  const size_t capacity_;
  mutable Mutex mutex_;
  CondVar arrived_;
  std::deque<Job> jobs_ CANOPY_GUARDED_BY(mutex_);
  bool closed_ CANOPY_GUARDED_BY(mutex_) = false;
};

}  // namespace canopy::engine
