#include "controller/service/work_pool.h"

#include <utility>

namespace canopy::controller {

WorkPool::WorkPool(int threads, size_t max_waiting) : max_waiting_(max_waiting) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

bool WorkPool::Add(std::function<void()> work, std::function<void()> drop) {
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      if (waiting_.size() >= max_waiting_) return false;
      waiting_.push_back({std::move(work), std::move(drop)});
      changed_.NotifyOne();
      return true;
    }
  }
  if (drop) drop();
  return drop != nullptr;
}

void WorkPool::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkPool::Run() {
  for (;;) {
    Waiting next;
    bool dropped = false;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !stopping_) changed_.Wait(mutex_);
      if (waiting_.empty()) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
      dropped = stopping_ && next.drop != nullptr;
    }
    dropped ? next.drop() : next.work();
  }
}

}  // namespace canopy::controller
