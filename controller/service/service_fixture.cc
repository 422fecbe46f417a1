#include "controller/service/service_fixture.h"

#include <filesystem>
#include <utility>

#include "base/random.h"
#include "controller/engine/paced_copy.h"
#include "rpc/channel.h"
#include "rpc/protocol.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::controller {
namespace {

constexpr char kSpace[] = R"(canopy: 1
name: tiny
input: {shape: [1, 8, 8], classes: 4}
network:
  - conv2d: {out_channels: {int: [1, 64], name: width}, kernel: {choice: [1, 3], name: kernel}}
  - global_avg_pool
  - linear: {features: classes}
recipe:
  learning_rate: {choice: [0.1, 0.2]}
reference: {width: 8, kernel: 3, learning_rate: 0.1}
)";

constexpr char kCampaign[] = R"(canopy: 1
campaign: {name: toy}
space: tiny.yaml
task: {kind: image_classification, dataset: toy, validation: {seed: 1, count: 10}}
trainer: {kind: builtin, numeric_mode: auto, optimizer: sgd}
strategy: {kind: random}
fidelity: {epochs: 2}
objectives: [{metric: val_accuracy, goal: maximize}]
budget: {trials: 4}
seed: 1
)";

}  // namespace

std::string ServiceTest::NewFolder() {
  // A socket's path is short.
  return std::filesystem::temp_directory_path().string() + "/cs-" + NewUuid().substr(0, 8);
}

void ServiceTest::SetUp() {
  std::filesystem::create_directories(folder_);
  const std::string path = folder_ + "/canopy.db";
  auto store = storage::SqliteTrialStore::Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  const std::string database_id = (*store)->database_id();
  const int64_t incarnation = (*store)->incarnation();
  reader_ = *storage::Reader::Open(path);
  pool_ = std::make_unique<WorkPool>(2, 64);
  auto engine = engine::Engine::Start(engine_options_, *std::move(store), clock_);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
  engine::Backups::Options backups;
  backups.database = path;
  backups.folder = folder_ + "/backups";
  backups.copy.copy_pages = engine::CopiesBetweenTransactions(*engine_, path);
  backups_ = std::make_unique<engine::Backups>(backups, clock_);
  desk_ =
      std::make_unique<CampaignDesk>(CampaignDeskOptions{folder_, path, database_id, "/nowhere/canopy", true},
                                     *engine_, *reader_, *backups_);
  worker_service_ = std::make_unique<WorkerService>(
      WorkerServiceOptions{database_id, incarnation, CoreLimits{}, true}, *engine_);
  campaign_service_ = std::make_unique<CampaignService>(*desk_, *pool_);
  StartServer("", std::nullopt);
}

void ServiceTest::TearDown() {
  StopServer();
  std::filesystem::remove_all(folder_);
}

void ServiceTest::StopServer() {
  pool_->Stop();
  engine_->Stop();
  server_.reset();
}

void ServiceTest::StartServer(const std::string& listen, std::optional<config::Credential> credential) {
  auto server =
      Server::Start({socket_path_, listen, std::move(credential)}, *worker_service_, *campaign_service_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
}

void ServiceTest::StartWithTls() {
  server_.reset();
  ASSERT_TRUE(config::InitCluster(cluster_folder_, {"localhost", "127.0.0.1"}, "ada").ok());
  auto credential = config::LoadCredential(cluster_folder_, "controller");
  ASSERT_TRUE(credential.ok()) << credential.status();
  StartServer("127.0.0.1:0", *std::move(credential));
}

std::unique_ptr<v1::WorkerService::Stub> ServiceTest::Workers(const std::string& target,
                                                              const config::Credential* credential) {
  return v1::WorkerService::NewStub(*rpc::OpenChannel(target, credential));
}

std::unique_ptr<v1::CampaignService::Stub> ServiceTest::Campaigns(const std::string& target,
                                                                  const config::Credential* credential) {
  return v1::CampaignService::NewStub(*rpc::OpenChannel(target, credential));
}

v1::WorkerHelloRequest ServiceTest::HelloRequest(const std::string& worker_id) const {
  v1::WorkerHelloRequest request;
  *request.mutable_protocol() = rpc::OurProtocol();
  v1::WorkerInfo& worker = *request.mutable_worker();
  worker.set_id(worker_id);
  worker.set_host("h1");
  worker.set_slots(1);
  worker.set_cores(1);
  worker.set_trainer_build("t1");
  worker.set_device_kind("cpu");
  worker.add_numeric_modes("fp32");
  worker.add_numeric_modes("bf16");
  worker.set_fast_numeric_mode("fp32");
  v1::DatasetOnWorker& dataset = *worker.add_datasets();
  dataset.set_name("toy");
  dataset.set_digest("d1");
  for (const int64_t size : {1, 8, 8}) dataset.add_input_shape(size);
  dataset.set_classes(4);
  dataset.set_training_examples(100);
  return request;
}

v1::LaunchRequest ServiceTest::LaunchRequest(const std::string& request_id) const {
  v1::LaunchRequest request;
  request.set_request_id(request_id);
  request.set_campaign_file("toy-campaign.yaml");
  request.set_campaign_text(kCampaign);
  request.set_space_file("tiny.yaml");
  request.set_space_text(kSpace);
  request.set_owner("ada");
  return request;
}

v1::Lease ServiceTest::TakeLease(v1::WorkerService::Stub& workers, const std::string& worker_id,
                                 const std::string& request_id) {
  v1::ExchangeRequest ask;
  ask.set_worker_id(worker_id);
  ask.set_request_id(request_id);
  ask.set_wants_lease(true);
  ask.set_wait_ms(30'000);
  v1::ExchangeReply reply;
  const grpc::Status status = Call(workers, &v1::WorkerService::Stub::Exchange, ask, &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(reply.has_lease());
  return reply.lease();
}

v1::ExchangeRequest ServiceTest::SuccessOf(const std::string& worker_id, const v1::Lease& lease) const {
  v1::ExchangeRequest request;
  request.set_worker_id(worker_id);
  v1::Outcome& outcome = *request.mutable_outcome();
  outcome.set_result_id(std::string(31, '0') + "1");
  outcome.set_database_id(lease.database_id());
  outcome.set_incarnation(lease.incarnation());
  outcome.set_attempt_id(lease.attempt_id());
  outcome.set_trial_id(lease.trial_id());
  outcome.set_fence(lease.fence());
  (*outcome.mutable_result()->mutable_metrics())["val_accuracy"] = 0.5;
  outcome.mutable_result()->set_seeds_json("{}");
  return request;
}

}  // namespace canopy::controller
