#include "controller/engine/answers.h"

#include <utility>

namespace canopy::engine {

constexpr size_t kFew = 2;

Answers::Answers() : thread_([this] { Run(); }) {}

void Answers::Give(std::vector<std::function<void()>> answers) {
  {
    MutexLock lock(mutex_);
    const bool in_order = waiting_.empty() && !busy_;
    if (!ending_ && (answers.size() > kFew || !in_order)) {
      waiting_.push_back(std::move(answers));
      changed_.NotifyOne();
      return;
    }
  }
  for (const std::function<void()>& answer : answers) answer();
}

void Answers::Stop() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
}

void Answers::Run() {
  std::vector<std::function<void()>> answers;
  for (;;) {
    {
      MutexLock lock(mutex_);
      busy_ = false;
      while (waiting_.empty() && !ending_) changed_.Wait(mutex_);
      if (waiting_.empty()) return;
      answers = std::move(waiting_.front());
      waiting_.pop_front();
      busy_ = true;
    }
    for (const std::function<void()>& answer : answers) answer();
    answers.clear();
  }
}

}  // namespace canopy::engine
