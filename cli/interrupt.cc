#include "cli/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/clock.h"

namespace canopy::cli {
namespace {

std::atomic<bool> raised{false};
struct sigaction earlier_int, earlier_term;

void OnSignal(int signal) {
  // Children end with this process (PR_SET_PDEATHSIG).
  if (raised.exchange(true)) _exit(128 + signal);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  raised = false;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &earlier_int);
  sigaction(SIGTERM, &action, &earlier_term);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &earlier_int, nullptr);
  sigaction(SIGTERM, &earlier_term, nullptr);
}

bool InterruptGuard::Raised() { return raised; }

bool InterruptGuard::SleepFor(int64_t ms) {
  // A signal between the check and poll costs at most one short wait.
  constexpr int kSliceMs = 100;
  const SystemClock clock;
  for (const int64_t end_ms = clock.MonotonicMs() + ms; !raised;) {
    const int64_t left_ms = end_ms - clock.MonotonicMs();
    if (left_ms <= 0) break;
    poll(nullptr, 0, static_cast<int>(left_ms < kSliceMs ? left_ms : kSliceMs));
  }
  return raised;
}

}  // namespace canopy::cli
