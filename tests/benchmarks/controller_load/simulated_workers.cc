#include "tests/benchmarks/controller_load/simulated_workers.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/random.h"
#include "canopy/v1/worker_service.grpc.pb.h"
#include "config/credentials.h"
#include "rpc/channel.h"
#include "rpc/protocol.h"
#include "rpc/status.h"

namespace canopy {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

constexpr int64_t kWaitMs = 20'000;
constexpr auto kRetryAfter = std::chrono::milliseconds(200);
constexpr auto kCallTimeout = std::chrono::seconds(60);

double Ms(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

std::string HexId(Rng& rng) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id(32, '0');
  for (char& digit : id) digit = kDigits[rng.Below(16)];
  return id;
}

// The same workers in every run.
std::string WorkerId(size_t index) {
  const std::string number = std::to_string(index);
  return "00000000-0000-4000-8000-" + std::string(12 - number.size(), '0') + number;
}

// One unary call at a time; its address is the completion queue's tag.
struct Call {
  std::unique_ptr<grpc::ClientContext> context;
  grpc::Status status;
  Time sent;
  std::function<void()> done;
};

struct Worker;

struct Connection {
  Worker* worker = nullptr;
  int64_t slot = 0;
  std::unique_ptr<v1::WorkerService::Stub> stub;
  Call call, heartbeat;
  v1::ExchangeRequest request;
  v1::ExchangeReply reply;
  v1::Lease lease;
  bool has_lease = false, answered = false, trained = false;
};

struct Worker {
  v1::WorkerInfo info;
  std::vector<Connection*> connections;
  bool welcome = false;  // said Hello, as far as it knows
  v1::WorkerHelloRequest hello;
  v1::WorkerHelloReply welcomed;
  v1::HeartbeatRequest heartbeat;
  v1::HeartbeatReply answered;
  int64_t interval_ms = 5'000;
};

class Load {
 public:
  explicit Load(const LoadOptions& options) : options_(options), rng_(Rng::DeriveSeed(1, NewUuid())) {}

  StatusOr<LoadFigures> Run() {
    CANOPY_RETURN_IF_ERROR(Connect());
    begin_ = Clock::now();
    for (Worker& worker : workers_) Hello(worker);
    Serve([&] { return answered_ < options_.connections && failed_.empty(); }, std::chrono::seconds(120));
    if (!failed_.empty()) return Unavailable(failed_);
    figures_.connected_s = Ms(Clock::now() - begin_) / 1000;
    Serve([] { return true; }, Seconds(options_.warmup_s));
    measuring_ = true;
    const Time start = Clock::now();
    Serve([] { return true; }, Seconds(options_.seconds));
    figures_.seconds = Ms(Clock::now() - start) / 1000;
    measuring_ = false;
    for (Connection& connection : connections_)
      for (Call* call : {&connection.call, &connection.heartbeat})
        if (call->done) call->context->TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
    return std::move(figures_);
  }

 private:
  static Clock::duration Seconds(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  Status Connect() {
    const bool tls = options_.target.rfind("unix:", 0) != 0;
    std::vector<std::string> names;
    if (tls) {
      std::error_code ignored;
      for (const auto& entry :
           std::filesystem::directory_iterator(options_.credentials_dir + "/workers", ignored))
        names.push_back(entry.path().filename().string());
      std::sort(names.begin(), names.end());
      if (names.empty()) return NotFound(options_.credentials_dir + ": no worker has a credential there");
    }
    int64_t count = options_.workers > 0 ? options_.workers : options_.connections;
    if (tls) count = std::min<int64_t>(count, static_cast<int64_t>(names.size()));
    workers_.resize(static_cast<size_t>(count));
    connections_.resize(static_cast<size_t>(options_.connections));
    std::vector<std::shared_ptr<grpc::ChannelCredentials>> credentials;
    for (size_t i = 0; i < workers_.size(); ++i) {
      Worker& worker = workers_[i];
      worker.info.set_id(WorkerId(i));
      credentials.push_back(grpc::InsecureChannelCredentials());
      if (tls) {
        CANOPY_ASSIGN_OR_RETURN(
            const config::Credential credential,
            config::LoadCredential(options_.credentials_dir + "/workers/" + names[i], "worker"));
        CANOPY_ASSIGN_OR_RETURN(const config::Identity identity, config::IdentityOf(credential));
        worker.info.set_id(identity.name);
        credentials.back() =
            grpc::SslCredentials({credential.ca_certificate, credential.private_key, credential.certificate});
      }
      Describe(worker, i);
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a socket for each channel
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 60'000);
    for (size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      const size_t of = i % workers_.size();
      connection.worker = &workers_[of];
      connection.slot = static_cast<int64_t>(workers_[of].connections.size());
      workers_[of].connections.push_back(&connection);
      workers_[of].info.set_slots(connection.slot + 1);
      connection.stub =
          v1::WorkerService::NewStub(grpc::CreateCustomChannel(options_.target, credentials[of], arguments));
    }
    return absl::OkStatus();
  }

  static void Describe(Worker& worker, size_t index) {
    worker.info.set_host("simulated-" + std::to_string(index / 8));
    worker.info.set_build("controller_load");
    worker.info.set_cores(1);
    worker.info.set_memory_bytes(int64_t{8} << 30);
    worker.info.set_device_kind("cpu");
    worker.info.set_device_model("simulated");
    worker.info.set_trainer_build("simulated");
    worker.info.add_numeric_modes("fp32");
    worker.info.set_fast_numeric_mode("fp32");
    for (const auto& [name, channels, side, classes] :
         {std::tuple("fashion-mnist", 1, 28, 10), std::tuple("cifar10", 3, 32, 10)}) {
      v1::DatasetOnWorker* const dataset = worker.info.add_datasets();
      dataset->set_name(name);
      dataset->set_digest(std::string(64, 'd'));
      for (const int64_t size : {channels, side, side}) dataset->add_input_shape(size);
      dataset->set_classes(classes);
      dataset->set_training_examples(50'000);
    }
  }

  // Handles completions and timers while `goes_on`, for at most that time.
  void Serve(const std::function<bool()>& goes_on, Clock::duration at_most) {
    const Time end = Clock::now() + at_most;
    while (goes_on()) {
      const Time now = Clock::now();
      if (now >= end) return;
      while (!timers_.empty() && timers_.begin()->first <= now) {
        const std::function<void()> action = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        action();
      }
      const Time wake = timers_.empty() ? end : std::min(end, timers_.begin()->first);
      void* tag = nullptr;
      bool ok = false;
      const auto wait = std::chrono::system_clock::now() + (wake - Clock::now());
      if (queue_.AsyncNext(&tag, &ok,
                           std::chrono::time_point_cast<std::chrono::system_clock::duration>(wait)) !=
          grpc::CompletionQueue::GOT_EVENT)
        continue;
      std::exchange(static_cast<Call*>(tag)->done, nullptr)();
    }
  }
  void After(Clock::duration delay, std::function<void()> action) {
    timers_.emplace(Clock::now() + delay, std::move(action));
  }

  template <typename Prepare, typename Reply>
  void Start(Call& call, Prepare prepare, Reply* reply, std::function<void()> done) {
    call.context = std::make_unique<grpc::ClientContext>();
    call.context->set_deadline(std::chrono::system_clock::now() + kCallTimeout);
    call.context->set_wait_for_ready(true);
    call.done = std::move(done);
    call.sent = Clock::now();
    auto rpc = prepare(call.context.get());
    rpc->StartCall();
    rpc->Finish(reply, &call.status, &call);
  }
  bool Failed(const Call& call) {
    if (call.status.ok()) return false;
    ++(call.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ? figures_.refused : figures_.errors);
    if (figures_.first_error.empty()) figures_.first_error = call.status.error_message();
    return true;
  }

  void Hello(Worker& worker) {
    Connection& first = *worker.connections[0];
    worker.hello.Clear();
    *worker.hello.mutable_protocol() = rpc::OurProtocol();
    *worker.hello.mutable_worker() = worker.info;
    for (const Connection* connection : worker.connections) {
      if (!connection->has_lease) continue;
      v1::LeaseClaim* const claim = worker.hello.add_running();
      claim->set_attempt_id(connection->lease.attempt_id());
      claim->set_fence(connection->lease.fence());
    }
    worker.hello.set_database_id(worker.welcomed.database_id());
    worker.hello.set_incarnation(worker.welcomed.incarnation());
    Start(
        first.call,
        [&](grpc::ClientContext* context) {
          return first.stub->PrepareAsyncHello(context, worker.hello, &queue_);
        },
        &worker.welcomed, [this, &worker] { Welcomed(worker); });
  }
  void Welcomed(Worker& worker) {
    const Call& call = worker.connections[0]->call;
    if (Failed(call)) {
      if (Clock::now() - begin_ > std::chrono::seconds(60))
        failed_ = "no Hello within a minute: " + call.status.error_message();
      After(kRetryAfter, [this, &worker] { Hello(worker); });
      return;
    }
    worker.welcome = true;
    worker.interval_ms = std::max<int64_t>(1, worker.welcomed.heartbeat_interval_ms());
    // Not all at once: their starts are spread in time, as a cluster's are not by this program.
    if (options_.rate > 0)
      After(Seconds(rng_.Double() * 1e-3 * static_cast<double>(worker.interval_ms)),
            [&] { Heartbeat(worker); });
    for (Connection* connection : worker.connections)
      if (!connection->call.done) Ask(*connection);
  }

  void Heartbeat(Worker& worker) {
    Connection& first = *worker.connections[0];
    worker.heartbeat.Clear();
    worker.heartbeat.set_worker_id(worker.info.id());
    worker.heartbeat.set_database_id(worker.welcomed.database_id());
    worker.heartbeat.set_incarnation(worker.welcomed.incarnation());
    for (const Connection* connection : worker.connections) {
      if (!connection->has_lease) continue;
      v1::AttemptProgress* const progress = worker.heartbeat.add_attempts();
      progress->set_attempt_id(connection->lease.attempt_id());
      progress->set_fence(connection->lease.fence());
    }
    Start(
        first.heartbeat,
        [&](grpc::ClientContext* context) {
          return first.stub->PrepareAsyncHeartbeat(context, worker.heartbeat, &queue_);
        },
        &worker.answered,
        [this, &worker, &first] {
          if (!Failed(first.heartbeat)) {
            if (measuring_) figures_.heartbeat_ms.push_back(Ms(Clock::now() - first.heartbeat.sent));
            if (worker.answered.interval_ms() > 0) worker.interval_ms = worker.answered.interval_ms();
          }
          After(std::chrono::milliseconds(worker.interval_ms), [&] { Heartbeat(worker); });
        });
  }

  void Ask(Connection& connection) {
    connection.request.Clear();
    connection.request.set_worker_id(connection.worker->info.id());
    connection.request.set_request_id(HexId(rng_));
    connection.request.set_slot(connection.slot);
    connection.request.set_wants_lease(true);
    connection.request.set_wait_ms(kWaitMs);
    Send(connection);
    // A poll that waits is an answer, too: the controller has it.
    if (!std::exchange(connection.answered, true)) ++answered_;
  }

  void Report(Connection& connection) {
    const v1::Lease& lease = connection.lease;
    connection.request.Clear();
    connection.request.set_worker_id(connection.worker->info.id());
    connection.request.set_request_id(HexId(rng_));
    connection.request.set_slot(connection.slot);
    connection.request.set_wants_lease(true);
    connection.request.set_wait_ms(kWaitMs);
    v1::Outcome* const outcome = connection.request.mutable_outcome();
    outcome->set_result_id(HexId(rng_));
    outcome->set_database_id(lease.database_id());
    outcome->set_incarnation(lease.incarnation());
    outcome->set_attempt_id(lease.attempt_id());
    outcome->set_trial_id(lease.trial_id());
    outcome->set_fence(lease.fence());
    outcome->mutable_cost()->set_allocated_ms(60'000);
    outcome->mutable_cost()->set_busy_ms(59'000);
    outcome->mutable_cost()->set_cpu_ms(58'000);
    outcome->mutable_cost()->set_peak_memory_bytes(int64_t{600} << 20);
    v1::AttemptResult* const result = outcome->mutable_result();
    for (const char* metric :
         {"train_accuracy", "train_loss", "val_accuracy", "val_loss", "best_val_accuracy"})
      (*result->mutable_metrics())[metric] = rng_.Double();
    result->set_epochs(lease.epochs());
    result->set_steps(1'000);
    result->set_correct(4'000);
    result->set_total(5'000);
    result->set_seeds_json("{\"initialization\":\"1\",\"data_order\":\"2\",\"augmentation\":\"3\"}");
    result->set_split_hash(std::string(64, 'a'));
    result->set_dataset_digest(lease.dataset_digest());
    result->set_numeric_mode(lease.numeric_mode());
    result->set_trainer_build("simulated");
    result->set_device_model("simulated");
    connection.has_lease = false;
    Send(connection);
  }

  void Send(Connection& connection) {
    Start(
        connection.call,
        [&](grpc::ClientContext* context) {
          return connection.stub->PrepareAsyncExchange(context, connection.request, &queue_);
        },
        &connection.reply, [this, &connection] { Answered(connection); });
  }

  void Answered(Connection& connection) {
    const bool reported = connection.request.has_outcome();
    if (Failed(connection.call)) {
      if (connection.call.status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
        Hello(*connection.worker);
        return;
      }
      After(kRetryAfter, [this, &connection] { Send(connection); });
      return;
    }
    if (reported && figures_.first_result_s == 0) figures_.first_result_s = Ms(Clock::now() - begin_) / 1000;
    if (reported && measuring_) {
      ++figures_.results;
      figures_.with_lease += connection.reply.has_lease();
      figures_.archived += connection.reply.verdict() == v1::OUTCOME_VERDICT_ARCHIVED;
      figures_.result_ms.push_back(Ms(Clock::now() - connection.call.sent));
    }
    if (!connection.reply.has_lease()) {
      Ask(connection);
      return;
    }
    connection.lease.Swap(connection.reply.mutable_lease());
    connection.has_lease = true;
    if (options_.only_wait) return;
    if (options_.rate <= 0) {
      Report(connection);
      return;
    }
    const double mean_s = static_cast<double>(options_.connections) / options_.rate;
    // The first trainings end as if they had begun at any time before: the rate is there from the start.
    const double least = std::exchange(connection.trained, true) ? 0.5 : 0.0;
    After(Seconds(rng_.Float(least, least + 1) * mean_s), [this, &connection] { Report(connection); });
  }

  const LoadOptions options_;
  Rng rng_;
  grpc::CompletionQueue queue_;
  std::vector<Worker> workers_;
  std::vector<Connection> connections_;
  std::multimap<Time, std::function<void()>> timers_;
  LoadFigures figures_;
  Time begin_;
  int64_t answered_ = 0;
  bool measuring_ = false;
  std::string failed_;
};

}  // namespace

StatusOr<LoadFigures> RunSimulatedWorkers(const LoadOptions& options) { return Load(options).Run(); }

}  // namespace canopy
