#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace canopy::simulation {

// Virtual time: what is scheduled runs in the order of its time, and at one time in the order in which it was
// scheduled.
class Scheduler {
 public:
  int64_t now_ms() const { return now_ms_; }
  void At(int64_t time_ms, std::function<void()> action) {
    queue_.push({time_ms < now_ms_ ? now_ms_ : time_ms, next_++, std::move(action)});
  }
  void After(int64_t delay_ms, std::function<void()> action) { At(now_ms_ + delay_ms, std::move(action)); }
  // False: nothing is left.
  bool RunNext() {
    if (queue_.empty()) return false;
    std::function<void()> action = std::move(queue_.top().action);
    now_ms_ = queue_.top().time_ms;
    queue_.pop();
    action();
    return true;
  }

 private:
  struct Entry {
    int64_t time_ms = 0;
    uint64_t number = 0;
    mutable std::function<void()> action;  // moved out of the queue's top
    bool operator<(const Entry& other) const {
      return time_ms != other.time_ms ? time_ms > other.time_ms : number > other.number;
    }
  };
  std::priority_queue<Entry> queue_;
  int64_t now_ms_ = 0;
  uint64_t next_ = 0;
};

}  // namespace canopy::simulation
