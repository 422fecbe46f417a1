#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "storage/sqlite_trial_store.h"
#include "tests/simulation/simulation.h"

namespace canopy::simulation {
namespace {

constexpr char kUsage[] =
    "usage: simulation --seed N [--trace]\n"
    "       simulation --seeds FIRST-LAST [--jobs N]\n"
    "       simulation --disk-failure N[+] [--trace]\n"
    "       simulation --disk-failures [--jobs N]\n"
    "       simulation --outage [--trace]\n"
    "Runs a cluster of each seed in virtual time and checks what the controller promised. Ends with status "
    "1\n"
    "at the first seed that shows a broken promise. --disk-failures runs a short life once for each of its "
    "I/O\n"
    "calls, which fails, alone and (N+) with all that follow. --jobs shares them among so many processes.\n"
    "--outage: a thousand workers, a full disk, and an hour without the controller.\n";

// What one of several processes runs: every `step`-th, beginning with the one at `first`.
struct Stripe {
  int64_t first = 0, step = 1;
};

// Runs each stripe in a process of its own; 0 where all of them end with 0.
int RunStripes(int64_t jobs, const std::function<int(Stripe)>& run) {
  if (jobs == 1) return run({});
  for (int64_t job = 0; job < jobs; ++job) {
    const pid_t child = fork();
    if (child < 0) return 2;
    if (child > 0) continue;
    const int status = run({job, jobs});
    std::fflush(stdout);
    std::exit(status);
  }
  int worst = 0;
  for (int status = 0; wait(&status) > 0;)
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) worst = 1;
  return worst;
}

int RunSeed(uint64_t seed, bool trace, const char* program, SimulationReport* total) {
  SimulationOptions options;
  options.seed = seed;
  if (trace) options.trace = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  const SimulationReport report = Simulate(options);
  total->events += report.events;
  total->crashes += report.crashes;
  total->power_losses += report.power_losses;
  total->zombie_trials += report.zombie_trials;
  total->trials += report.trials;
  total->restores += report.restores;
  total->adopted += report.adopted;
  total->promises += report.promises;
  total->rung_reports += report.rung_reports;
  total->syncs += report.syncs;
  total->virtual_ms += report.virtual_ms;
  if (report.violations.empty() && report.events >= options.events && report.crashes >= options.crashes)
    return 0;
  std::printf("seed %llu, after %lld events and %lld crashes:\n", static_cast<unsigned long long>(seed),
              static_cast<long long>(report.events), static_cast<long long>(report.crashes));
  for (const std::string& violation : report.violations) std::printf("- %s\n", violation.c_str());
  std::printf("Replay: %s --seed %llu --trace\n", program, static_cast<unsigned long long>(seed));
  return 1;
}

int RunDiskFailure(SimulationOptions::DiskFailure failure, bool trace, const char* program, int64_t* calls) {
  SimulationOptions options;
  options.disk_failure = failure;
  if (trace) options.trace = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  const SimulationReport report = Simulate(options);
  *calls = report.calls;
  if (report.violations.empty()) return 0;
  const std::string name = std::to_string(failure.nth) + (failure.from_then_on ? "+" : "");
  std::printf("I/O call %s fails:\n", name.c_str());
  for (const std::string& violation : report.violations) std::printf("- %s\n", violation.c_str());
  std::printf("Replay: %s --disk-failure %s --trace\n", program, name.c_str());
  return 1;
}

int RunDiskFailures(Stripe stripe, const char* program) {
  int64_t calls = 0, failed = 0, ignored = 0;
  if (const int status = RunDiskFailure({}, false, program, &calls); status != 0) return status;
  for (const bool from_then_on : {false, true})
    for (int64_t nth = 1 + stripe.first; nth <= calls; nth += stripe.step, ++failed)
      if (const int status = RunDiskFailure({nth, from_then_on}, false, program, &ignored); status != 0)
        return status;
  std::printf(
      "%lld of %lld failures of I/O calls, each alone and with all that follow: every promise was kept\n",
      static_cast<long long>(failed), static_cast<long long>(2 * calls));
  return 0;
}

int RunOutage(bool trace) {
  SimulationOptions options;
  options.outage = true;
  if (trace) options.trace = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  const SimulationReport report = Simulate(options);
  for (const std::string& violation : report.violations) std::printf("- %s\n", violation.c_str());
  if (!report.violations.empty()) return 1;
  std::printf("%lld results of an hour without the controller: each counted once\n",
              static_cast<long long>(report.trials));
  return 0;
}

int RunSeeds(uint64_t first, uint64_t last, Stripe stripe, bool trace, const char* program) {
  const auto start = std::chrono::steady_clock::now();
  SimulationReport total;
  int64_t seeds = 0;
  for (uint64_t seed = first + static_cast<uint64_t>(stripe.first); seed <= last;
       seed += static_cast<uint64_t>(stripe.step), ++seeds)
    if (const int status = RunSeed(seed, trace, program, &total); status != 0) return status;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%lld seeds held in %.1f s, %.1f virtual days:", static_cast<long long>(seeds), seconds.count(),
              static_cast<double>(total.virtual_ms) / 86'400'000.0);
  const std::pair<int64_t, const char*> counts[] = {
      {total.events, "events"},
      {total.crashes, "crashes"},
      {total.power_losses, "power losses"},
      {total.restores, "restores"},
      {total.adopted, "kept results counted"},
      {total.trials, "trials"},
      {total.zombie_trials, "of suspended workers"},
      {total.rung_reports, "rung reports"},
      {total.promises, "promises"},
      {total.syncs, "syncs"},
  };
  for (const auto& [count, what] : counts) std::printf(" %lld %s", static_cast<long long>(count), what);
  std::printf("\n");
  // Fewer would be another test than docs/testing.md says.
  constexpr int64_t kPowerLosses = 5, kZombies = 5, kEnoughToSay = 500;
  if (seeds < kEnoughToSay) return 0;
  if (total.power_losses >= kPowerLosses * seeds && total.zombie_trials >= kZombies * seeds &&
      total.adopted > 0)
    return 0;
  std::printf("expected %lld power losses and %lld trials of suspended workers a seed, and kept results\n",
              static_cast<long long>(kPowerLosses), static_cast<long long>(kZombies));
  return 1;
}

int Run(int argc, char** argv) {
  uint64_t first = 1, last = 0;
  int64_t jobs = 1;
  bool trace = false, disk_failures = false, outage = false;
  SimulationOptions::DiskFailure disk_failure;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (argument == "--trace") {
      trace = true;
    } else if (argument == "--disk-failures") {
      disk_failures = true;
    } else if (argument == "--outage") {
      outage = true;
    } else if (argument == "--disk-failure" && !value.empty()) {
      disk_failure.from_then_on = value.back() == '+';
      disk_failure.nth = std::strtoll(value.c_str(), nullptr, 10);
      ++i;
    } else if (argument == "--jobs" && ParseInt(value).value_or(0) > 0) {
      jobs = *ParseInt(value);
      ++i;
    } else if (argument == "--seed" && ParseInt(value)) {
      first = last = static_cast<uint64_t>(*ParseInt(value));
      ++i;
    } else if (const size_t dash = value.find('-'); argument == "--seeds" && dash != std::string::npos &&
                                                    ParseInt(value.substr(0, dash)) &&
                                                    ParseInt(value.substr(dash + 1))) {
      first = static_cast<uint64_t>(*ParseInt(value.substr(0, dash)));
      last = static_cast<uint64_t>(*ParseInt(value.substr(dash + 1)));
      ++i;
    } else {
      std::fputs(kUsage, stderr);
      return 2;
    }
  }
  InitLogging({LogLevel::kError, "/dev/null"});  // full disks are a part of life here
  storage::SqliteTrialStore::ConfigureProcess();
  // A life begins with memory that the one before had: giving it back each time is a tenth of the work.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  if (outage) return RunOutage(trace);
  if (disk_failures) return RunStripes(jobs, [&](Stripe stripe) { return RunDiskFailures(stripe, argv[0]); });
  if (int64_t calls = 0; disk_failure.nth > 0) return RunDiskFailure(disk_failure, trace, argv[0], &calls);
  if (last < first) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  return RunStripes(jobs, [&](Stripe stripe) { return RunSeeds(first, last, stripe, trace, argv[0]); });
}

}  // namespace
}  // namespace canopy::simulation

int main(int argc, char** argv) { return canopy::simulation::Run(argc, argv); }
