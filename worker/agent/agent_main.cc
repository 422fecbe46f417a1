#include "worker/agent/agent_main.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "config/credentials.h"
#include "rpc/protocol.h"
#include "worker/agent/agent.h"
#include "worker/agent/awake_clock.h"
#include "worker/agent/exit_class.h"
#include "worker/agent/grpc_controller_connection.h"
#include "worker/agent/host.h"
#include "worker/agent/trainer_probe.h"
#include "worker/agent/verified_datasets.h"

namespace canopy::agent {
namespace {

// Before the walltime is over the attempts are handed back: an agent takes up to 21 s to end.
constexpr int64_t kHandBackMs = 30'000;

sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Turns each SIGTERM and SIGINT, which every thread must block, into a call from a thread of its own.
class SignalWatcher {
 public:
  explicit SignalWatcher(std::function<void()> on_signal) : end_(::eventfd(0, EFD_CLOEXEC)) {
    const sigset_t signals = EndSignals();
    signals_ = ::signalfd(-1, &signals, SFD_CLOEXEC);
    thread_ = std::thread([this, on_signal = std::move(on_signal)] {
      pollfd items[] = {{.fd = signals_, .events = POLLIN, .revents = 0},
                        {.fd = end_, .events = POLLIN, .revents = 0}};
      for (;;) {
        if (::poll(items, 2, -1) < 0) continue;
        if (items[1].revents != 0) return;
        signalfd_siginfo signal;
        if (::read(signals_, &signal, sizeof signal) == sizeof signal) on_signal();
      }
    });
  }
  ~SignalWatcher() {
    const uint64_t one = 1;
    (void)!::write(end_, &one, sizeof one);
    thread_.join();
    ::close(signals_);
    ::close(end_);
  }

 private:
  int end_;
  int signals_ = -1;
  std::thread thread_;
};

std::string HexId() {
  std::string id = NewUuid();
  std::erase(id, '-');
  return id;
}

struct Credentials {
  std::optional<config::Credential> credential;
  std::string worker_id;  // of the certificate
};

StatusOr<Credentials> LoadCredentials(const AgentOptions& options) {
  Credentials credentials;
  if (options.credentials_dir.empty() || options.controller.starts_with("unix:")) return credentials;
  CANOPY_ASSIGN_OR_RETURN(credentials.credential, config::LoadCredential(options.credentials_dir, "worker"));
  CANOPY_ASSIGN_OR_RETURN(const config::Identity identity, config::IdentityOf(*credentials.credential));
  if (identity.role != config::Identity::Role::kWorker)
    return InvalidArgument(options.credentials_dir +
                           "/worker.crt is not a worker's certificate; make one with " +
                           "`canopy cluster add-worker`");
  credentials.worker_id = identity.name;
  return credentials;
}

v1::WorkerInfo DescribeWorker(const AgentOptions& options, const std::string& id,
                              const TrainerVersion& trainer,
                              const std::map<std::string, VerifiedDataset>& datasets) {
  const HostResources host = ReadHostResources();
  v1::WorkerInfo worker;
  worker.set_id(id);
  worker.set_host(HostName());
  worker.set_build(rpc::BuildName());
  worker.set_slots(options.slots > 0 ? options.slots : DefaultSlots(host));
  worker.set_cores(host.cores);
  worker.set_memory_bytes(host.memory_bytes);
  worker.set_device_kind("cpu");
  worker.set_device_uuid(CpuDeviceUuid());
  worker.set_device_model(CpuModel());
  worker.set_trainer_build(trainer.build);
  worker.set_libtorch_version(trainer.libtorch_version);
  worker.add_numeric_modes("fp32");
  worker.add_numeric_modes("bf16");
  worker.set_fast_numeric_mode(trainer.fast_bf16 ? "bf16" : "fp32");
  for (const std::string& name : trainer.operators) worker.add_operators(name);
  worker.set_rungs(trainer.rungs);
  for (const auto& [name, dataset] : datasets) {
    v1::DatasetOnWorker& offered = *worker.add_datasets();
    offered.set_name(name);
    offered.set_digest(dataset.description.digest);
    for (const int64_t size :
         {dataset.description.channels, dataset.description.height, dataset.description.width})
      offered.add_input_shape(size);
    offered.set_classes(dataset.description.class_count);
    offered.set_training_examples(dataset.description.train_count);
  }
  worker.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  return worker;
}

Status Run(const AgentOptions& options) {
  // Before any thread starts: each has the mask of the one that made it.
  const sigset_t signals = EndSignals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const AwakeClock clock;
  const int64_t begin_ms = clock.MonotonicMs();
  if (options.slots < 0) return InvalidArgument("slots: expected a number from 1, or 0 for as many as fit");
  CANOPY_ASSIGN_OR_RETURN(const Credentials credentials, LoadCredentials(options));
  CANOPY_ASSIGN_OR_RETURN(
      const auto connection,
      ConnectToController(options.controller, credentials.credential ? &*credentials.credential : nullptr));
  CANOPY_ASSIGN_OR_RETURN(const StateDirectory state,
                          StateDirectory::Open(options.state_dir, credentials.worker_id));
  CANOPY_ASSIGN_OR_RETURN(const Spool spool, Spool::Open(state.spool()));
  CANOPY_ASSIGN_OR_RETURN(const std::string program, TrainerProgram(options.trainer));
  TrainerCommand command{program};
  if (!options.operator_libraries.empty())
    command.arguments = {"--operator-libraries", options.operator_libraries};
  CANOPY_ASSIGN_OR_RETURN(const TrainerVersion trainer, ProbeTrainer(command));
  CANOPY_ASSIGN_OR_RETURN(const auto datasets, VerifyDatasets(options.datasets, state.cache()));
  CANOPY_ASSIGN_OR_RETURN(const std::string lock_folder, DefaultLockFolder());

  v1::WorkerHelloRequest hello;
  *hello.mutable_protocol() = rpc::OurProtocol();
  *hello.mutable_worker() = DescribeWorker(options, state.worker_id(), trainer, datasets);
  RunningTrainers running(lock_folder, clock);
  const auto launcher =
      trainer.zygote ? MakeZygoteLauncher(command, state.ZygoteLog()) : MakeProcessLauncher(command);
  AttemptEnvironment environment{.state = state,
                                 .launcher = *launcher,
                                 .running = running,
                                 .clock = clock,
                                 .lock_folder = lock_folder,
                                 .trainer_build = trainer.build,
                                 .libtorch_version = trainer.libtorch_version,
                                 .device_model = hello.worker().device_model(),
                                 .new_result_id = HexId,
                                 .oom_kills = OomKills,
                                 .checkpoints = trainer.checkpoints};
  for (const auto& [name, dataset] : datasets)
    environment.datasets[name] = {.folder = dataset.folder, .digest = dataset.description.digest};
  CANOPY_LOG(Info, "agent starts",
             {{"worker", state.worker_id()},
              {"controller", options.controller},
              {"slots", std::to_string(hello.worker().slots())},
              {"trainer", program}});
  std::optional<int64_t> stop_at_ms;
  if (options.walltime_ms > 0)
    stop_at_ms = begin_ms + options.walltime_ms - std::min(kHandBackMs, options.walltime_ms / 10);
  Agent agent({.connection = *connection,
               .environment = environment,
               .spool = spool,
               .hello = hello,
               .stop_at_ms = stop_at_ms,
               .rng = Rng(EntropySeed()),
               .new_request_id = NewUuid});
  const SignalWatcher watcher([&agent, first = true]() mutable {
    if (std::exchange(first, false)) {
      CANOPY_LOG(Info,
                 "agent ends: its trainers write checkpoints and are stopped, their attempts are reported as "
                 "preempted; a second signal ends it without checkpoints");
      agent.Stop();
    } else {
      agent.StopAtOnce();
    }
  });
  return agent.Run();
}

}  // namespace

int RunAgent(const AgentOptions& options) {
  const Status ended = Run(options);
  if (!ended.ok()) CANOPY_LOG(Error, Message(ended));
  return ended.ok() ? 0 : 1;
}

}  // namespace canopy::agent
