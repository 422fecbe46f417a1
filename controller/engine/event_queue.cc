#include "controller/engine/event_queue.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

namespace canopy::engine {

void Refuse(Job& job, const Status& why) {
  std::visit(
      [&](auto& concrete) {
        if constexpr (std::is_same_v<std::decay_t<decltype(concrete)>, LookJob>) {
          concrete.done({});
        } else {
          if (concrete.done) concrete.done(why);
        }
      },
      job);
}

bool EventQueue::Push(Job& job, bool internal) {
  MutexLock lock(mutex_);
  if (closed_ || (!internal && jobs_.size() >= capacity_)) return false;
  jobs_.push_back(std::move(job));
  arrived_.NotifyOne();
  return true;
}

std::deque<Job> EventQueue::Take(size_t limit, int64_t timeout_ms) {
  MutexLock lock(mutex_);
  if (jobs_.empty() && !closed_ && timeout_ms > 0) arrived_.WaitFor(mutex_, timeout_ms);
  if (jobs_.size() <= limit) return std::exchange(jobs_, {});
  std::deque<Job> taken(std::make_move_iterator(jobs_.begin()),
                        std::make_move_iterator(jobs_.begin() + static_cast<std::ptrdiff_t>(limit)));
  jobs_.erase(jobs_.begin(), jobs_.begin() + static_cast<std::ptrdiff_t>(limit));
  return taken;
}

void EventQueue::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  arrived_.NotifyAll();
}

bool EventQueue::closed() const {
  MutexLock lock(mutex_);
  return closed_;
}

size_t EventQueue::size() const {
  MutexLock lock(mutex_);
  return jobs_.size();
}

}  // namespace canopy::engine
