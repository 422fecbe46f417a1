// canopy-trainer: builds, trains and measures networks with LibTorch, as the trainer protocol tells it
// (docs/trainer_protocol.md).

#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "worker/protocol/codec.h"
#include "worker/trainer/dataset_cache.h"
#include "worker/trainer/fast_numeric_mode.h"
#include "worker/trainer/job_runner.h"
#include "worker/trainer/operator_libraries.h"
#include "worker/trainer/process_memory.h"
#include "worker/trainer/session.h"
#include "worker/trainer/torch_compat.h"
#include "worker/trainer/zygote_server.h"

namespace canopy::trainer {
namespace {

using trainer_protocol::Job;
using trainer_protocol::TrainerMessage;

constexpr int kHangupGraceMs = 4000;

// The version and the first digits of the hashes of the program and of the libraries with operators: equal
// builds have equal names.
std::string TrainerBuild(const OperatorLibraries& libraries) {
  const auto hash = Sha256HexOfFile("/proc/self/exe");
  return std::string(CANOPY_VERSION) + (hash.ok() ? "+" + hash->substr(0, 12) : "") +
         (libraries.digest().empty() ? "" : "+" + libraries.digest().substr(0, 12));
}

int PrintVersion(const OperatorLibraries& libraries) {
  const auto fast = FastNumericMode();
  const nlohmann::json version = {{"trainer_build", TrainerBuild(libraries)},
                                  {"libtorch_version", LibtorchVersion()},
                                  {"protocol_version", trainer_protocol::kVersion},
                                  {"fast_bf16", fast.ok() && *fast == at::kBFloat16},
                                  {"zygote", true},
                                  {"rungs", true},
                                  {"checkpoints", true},
                                  {"operators", libraries.names()}};
  std::cout << version.dump() << "\n";
  return 0;
}

int Report(const Status& status) {
  if (!status.ok()) CANOPY_LOG(Error, Message(status));
  return status.ok() ? 0 : 1;
}

// The socket that CANOPY_TRAINER_FD names.
StatusOr<int> InheritedSocket() {
  const char* text = std::getenv("CANOPY_TRAINER_FD");
  const auto number = text == nullptr ? std::nullopt : ParseInt(text);
  int type = 0;
  socklen_t size = sizeof type;
  if (!number || ::getsockopt(static_cast<int>(*number), SOL_SOCKET, SO_TYPE, &type, &size) != 0)
    return FailedPrecondition(
        "CANOPY_TRAINER_FD must name a connected Unix socket; an agent sets it. To run a "
        "job by hand, use --run-job FILE");
  return static_cast<int>(*number);
}

int ServeSocket(int socket, JobRunner& runner, std::optional<int> max_jobs) {
  Session session(socket);
  if (const Status greeted = session.Greet(); !greeted.ok()) return Report(greeted);
  EndProcessAfterHangup(socket, kHangupGraceMs);
  return Report(session.ServeJobs(runner, max_jobs));
}

int ServeAgent(JobRunner& runner) {
  const auto socket = InheritedSocket();
  if (!socket.ok()) return Report(socket.status());
  return ServeSocket(*socket, runner, std::nullopt);
}

int ServeAsZygote(JobRunner& runner, DatasetCache& datasets) {
  const auto socket = InheritedSocket();
  if (!socket.ok()) return Report(socket.status());
  return Report(ServeZygote(*socket, datasets, [&](int child) { return ServeSocket(child, runner, 1); }));
}

class PrintingMonitor final : public JobMonitor {
 public:
  Status Send(const TrainerMessage& message) override {
    CANOPY_ASSIGN_OR_RETURN(const std::string line, trainer_protocol::Encode(message));
    std::cout << line << std::endl;
    return absl::OkStatus();
  }
  Status CheckStop() override { return absl::OkStatus(); }
};

int RunJobFile(const std::string& path, JobRunner& runner) {
  const auto text = ReadFile(path);
  if (!text.ok()) return Report(text.status());
  const auto message = trainer_protocol::Decode(Trim(*text));
  if (!message.ok()) return Report(WithContext(message.status(), path));
  const Job* job = std::get_if<Job>(&*message);
  if (job == nullptr) return Report(InvalidArgument(path + ": expected a job line"));
  PrintingMonitor monitor;
  const TrainerMessage last = runner.Run(*job, monitor);
  if (const Status sent = monitor.Send(last); !sent.ok()) return Report(sent);
  return std::holds_alternative<trainer_protocol::Result>(last) ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("Builds, trains and measures candidate networks for a Canopy agent.", "canopy-trainer");
  app.footer("Example: canopy-trainer --run-job job.json");
  bool version = false;
  bool zygote = false;
  std::string job_file;
  app.add_flag("--version", version, "Print build and capabilities as JSON");
  app.add_flag("--zygote", zygote, "Fork a trainer per attempt, as the control socket says");
  app.add_option("--run-job", job_file, "Run the job line in this file and print its messages");
  std::string operator_libraries;
  app.add_option("--operator-libraries", operator_libraries,
                 "Shared libraries with operators, as path=sha256,...; no other is loaded");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  // Schedulers and service managers send it to every process of an allocation when that ends: the agent has
  // it too, and its last wish is a checkpoint.
  if (job_file.empty()) std::signal(SIGTERM, SIG_IGN);
  KeepFreedMemory();
  at::set_num_threads(1);
  const auto allowed = ParseAllowedLibraries(operator_libraries);
  if (!allowed.ok()) return Report(allowed.status());
  const auto libraries = OperatorLibraries::Load(*allowed);
  if (!libraries.ok()) return Report(libraries.status());
  if (version) return PrintVersion(*libraries);

  DatasetCache datasets;
  JobRunner runner(TrainerBuild(*libraries), datasets, *libraries);
  if (!job_file.empty()) return RunJobFile(job_file, runner);
  return zygote ? ServeAsZygote(runner, datasets) : ServeAgent(runner);
}

}  // namespace
}  // namespace canopy::trainer

int main(int argc, char** argv) { return canopy::trainer::Main(argc, argv); }
