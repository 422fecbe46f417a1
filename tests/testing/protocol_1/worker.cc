// A worker of protocol 1, built from that protocol's own messages: says Hello, takes one lease, keeps it
// alive, reports a result. It stands for the release before, which every controller serves.
//
//     protocol_1_worker unix:SOCKET WORKER_ID DATASET DIGEST
//
// Prints the lease's trial; status 1 and the error where anything is refused.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "canopy/v1/worker_service.grpc.pb.h"

namespace {

using canopy::v1::WorkerService;

class Worker {
 public:
  Worker(const std::string& target, std::vector<std::string> arguments)
      : stub_(WorkerService::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()))),
        id_(arguments[0]),
        dataset_(arguments[1]),
        digest_(arguments[2]) {}

  grpc::Status Run() {
    grpc::Status status = Hello();
    if (!status.ok()) return status;
    canopy::v1::ExchangeRequest ask;
    ask.set_worker_id(id_);
    ask.set_request_id("protocol 1 asks");
    ask.set_wants_lease(true);
    ask.set_wait_ms(30'000);
    canopy::v1::ExchangeReply answer;
    status = Call(&WorkerService::Stub::Exchange, ask, &answer);
    if (!status.ok()) return status;
    if (!answer.has_lease()) return {grpc::StatusCode::NOT_FOUND, "no lease within 30 s"};
    std::cout << answer.lease().trial_name() << std::endl;
    status = Beat(answer.lease());
    return status.ok() ? Report(answer.lease()) : status;
  }

 private:
  template <typename Method, typename Request, typename Reply>
  grpc::Status Call(Method method, const Request& request, Reply* reply) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(45));
    return (stub_.get()->*method)(&context, request, reply);
  }

  grpc::Status Hello() {
    canopy::v1::WorkerHelloRequest request;
    request.mutable_protocol()->set_min(1);
    request.mutable_protocol()->set_max(1);
    canopy::v1::WorkerInfo& worker = *request.mutable_worker();
    worker.set_id(id_);
    worker.set_host("old-host");
    worker.set_slots(1);
    worker.set_cores(1);
    worker.set_memory_bytes(int64_t{8} << 30);
    worker.set_device_kind("cpu");
    worker.add_numeric_modes("fp32");
    canopy::v1::DatasetOnWorker& dataset = *worker.add_datasets();
    dataset.set_name(dataset_);
    dataset.set_digest(digest_);
    for (const int64_t size : {1, 28, 28}) dataset.add_input_shape(size);
    dataset.set_classes(10);
    dataset.set_training_examples(60'000);
    return Call(&WorkerService::Stub::Hello, request, &welcome_);
  }

  grpc::Status Beat(const canopy::v1::Lease& lease) {
    canopy::v1::HeartbeatRequest request;
    request.set_worker_id(id_);
    request.set_database_id(welcome_.database_id());
    request.set_incarnation(welcome_.incarnation());
    canopy::v1::AttemptProgress& progress = *request.add_attempts();
    progress.set_attempt_id(lease.attempt_id());
    progress.set_fence(lease.fence());
    canopy::v1::HeartbeatReply reply;
    const grpc::Status status = Call(&WorkerService::Stub::Heartbeat, request, &reply);
    if (status.ok() && reply.attempts_to_stop_size() > 0)
      return {grpc::StatusCode::ABORTED, "the lease was taken away"};
    return status;
  }

  grpc::Status Report(const canopy::v1::Lease& lease) {
    canopy::v1::ExchangeRequest request;
    request.set_worker_id(id_);
    canopy::v1::Outcome& outcome = *request.mutable_outcome();
    outcome.set_result_id("00000000000000000000000000000001");
    outcome.set_database_id(lease.database_id());
    outcome.set_incarnation(lease.incarnation());
    outcome.set_attempt_id(lease.attempt_id());
    outcome.set_trial_id(lease.trial_id());
    outcome.set_fence(lease.fence());
    (*outcome.mutable_result()->mutable_metrics())["val_accuracy"] = 0.5;
    outcome.mutable_result()->set_seeds_json("{}");
    canopy::v1::ExchangeReply reply;
    const grpc::Status status = Call(&WorkerService::Stub::Exchange, request, &reply);
    if (status.ok() && reply.verdict() != canopy::v1::OUTCOME_VERDICT_ACCEPTED)
      return {grpc::StatusCode::ABORTED, "the result was not accepted"};
    return status;
  }

  const std::unique_ptr<WorkerService::Stub> stub_;
  const std::string id_, dataset_, digest_;
  canopy::v1::WorkerHelloReply welcome_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: protocol_1_worker unix:SOCKET WORKER_ID DATASET DIGEST\n";
    return 2;
  }
  const grpc::Status status = Worker(argv[1], {argv[2], argv[3], argv[4]}).Run();
  if (!status.ok()) std::cerr << status.error_message() << "\n";
  return status.ok() ? 0 : 1;
}
