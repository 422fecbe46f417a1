// What an event costs the controller's core while many workers wait, beside the same with few.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "controller/core/core.h"
#include "controller/fidelity/fidelity.h"

namespace canopy::controller {
namespace {

model::WorkerRecord MakeWorker(const std::string& id, const std::string& numeric_mode, int64_t slots) {
  model::WorkerRecord worker;
  worker.id = id;
  worker.host = "host-" + id;
  worker.slots = worker.cores = slots;
  worker.memory_bytes = int64_t{64} << 30;
  worker.labels_json = R"({"rack":"7","zone":"north"})";
  worker.device_kind = "cpu";
  worker.device_model = "Some CPU at 2.50 GHz";
  worker.trainer_build = "canopy-trainer 0.1";
  worker.numeric_modes = {numeric_mode};
  worker.datasets = {{"fashion-mnist", "digest", {1, 28, 28}, 10, 60'000}};
  return worker;
}

LaunchCampaign MakeCampaign() {
  LaunchCampaign launch;
  launch.campaign.name = "c";
  launch.campaign.settings.task.dataset = "fashion-mnist";
  launch.campaign.settings.numeric_mode = "fp32";
  launch.campaign.settings.epochs = 2;
  launch.campaign.settings.objective_metric = "val_accuracy";
  return launch;
}

// A core whose strategy answers at once.
class Cluster {
 public:
  Cluster() : core_(std::make_unique<Core>(Empty(), CoreLimits{}, fidelity::MakeSchedule, now_)) {
    Step(MakeCampaign());
  }

  std::vector<Reply> Step(Event event) {
    now_.monotonic_ms += 1;
    Effects effects = core_->Step(now_, std::move(event));
    for (const RequestProposals& request : effects.requests) {
      ProposalBatch batch;
      batch.seen_seq = request.seen_seq;
      for (int64_t i = 0; i < request.count; ++i) {
        model::CandidateFacts candidate;
        candidate.candidate_json = R"({"op":"conv"})";
        candidate.candidate_hash = "c" + std::to_string(++candidates_);
        batch.proposals.push_back({Proposal::Verdict::kAccepted, std::move(candidate)});
      }
      Step(ProposalsReady{request.campaign_id, request.seen_seq, std::move(batch), request.space_version});
    }
    return std::move(effects.replies);
  }
  void Hello(const std::string& id, const std::string& numeric_mode, int64_t slots = 1) {
    Step(WorkerHello{0, MakeWorker(id, numeric_mode, slots), {}});
  }
  const Core& core() const { return *core_; }
  Now now() const { return now_; }
  // Reports the lease's outcome, where there is one, and asks for another.
  std::optional<Lease> Exchange(const std::string& worker, int64_t slot, const std::optional<Lease>& lease,
                                std::optional<model::FailureClass> failure = std::nullopt) {
    WorkerExchange exchange{++token_, worker, "r" + std::to_string(token_), slot, {}, true};
    if (lease) {
      AttemptOutcome outcome;
      outcome.result_id = "result" + std::to_string(token_);
      outcome.database_id = "db";
      outcome.incarnation = 1;
      outcome.attempt_id = lease->attempt.id;
      outcome.trial_id = lease->trial.id;
      outcome.fence = lease->attempt.fence;
      outcome.succeeded = !failure;
      outcome.failure = failure;
      outcome.message = "it " + std::to_string(token_);
      outcome.cost.busy_ms = expected_ms_ > 1 ? --expected_ms_ : 1;  // which offers what waits
      if (!failure) outcome.result.metrics["val_accuracy"] = 0.5;
      exchange.outcome = std::move(outcome);
    }
    for (Reply& reply : Step(std::move(exchange)))
      if (reply.token == token_ && reply.body.ok()) return std::get<Exchanged>(*reply.body).lease;
    return std::nullopt;
  }

 private:
  static CoreState Empty() {
    CoreState state;
    state.database_id = "db";
    state.incarnation = 1;
    return state;
  }

  Now now_{1'000, 1'000'000};
  std::unique_ptr<Core> core_;
  int64_t candidates_ = 0, expected_ms_ = 1'000'000;
  uint64_t token_ = 0;
};

double MicrosecondsOf(int times, const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) body();
  const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count() / times;
}

// A result with its next lease, while so many workers wait that no campaign is for.
double ResultBesideWaiting(int waiting) {
  Cluster cluster;
  for (int i = 0; i < waiting; ++i) {
    cluster.Hello("waiting" + std::to_string(i), "bf16");
    cluster.Exchange("waiting" + std::to_string(i), 0, std::nullopt);
  }
  cluster.Hello("w", "fp32");
  std::optional<Lease> lease = cluster.Exchange("w", 0, std::nullopt);
  return MicrosecondsOf(2'000, [&] { lease = cluster.Exchange("w", 0, lease); });
}

// A tick while trials wait for a worker with more memory, which is busy.
double TickBesideWaits(int waits, int workers) {
  Cluster cluster;
  cluster.Hello("w", "fp32", waits);
  // It has the memory, and no slot.
  model::WorkerRecord large = MakeWorker("zz", "fp32", 1);
  large.memory_bytes *= 2;
  cluster.Step(WorkerHello{0, large, {}});
  cluster.Exchange(large.id, 0, std::nullopt);
  std::vector<std::optional<Lease>> leases;
  for (int slot = 0; slot < waits; ++slot) leases.push_back(cluster.Exchange("w", slot, std::nullopt));
  for (int slot = 0; slot < waits; ++slot)
    cluster.Exchange("w", slot, leases[static_cast<size_t>(slot)], model::FailureClass::kOutOfMemory);
  cluster.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});  // it has paused, as all failed alike
  for (int i = 0; i < workers; ++i) cluster.Hello("other" + std::to_string(i), "fp32");
  return MicrosecondsOf(20, [&] { cluster.Step(Tick{}); });
}

// What pages cost beside so many workers that all train: a campaign's status, a page of workers, the totals,
// and why a trial waits.
std::vector<double> Pages(int workers) {
  Cluster cluster;
  std::vector<std::string> page;
  std::vector<int64_t> attempts;
  for (int i = 0; i < workers; ++i) {
    const std::string id = "worker" + std::to_string(i);
    cluster.Hello(id, "fp32");
    const std::optional<Lease> lease = cluster.Exchange(id, 0, std::nullopt);
    if (lease && attempts.size() < 64) attempts.push_back(lease->attempt.id);
    if (page.size() < 1'000) page.push_back(id);
  }
  cluster.Hello("extra", "fp32");
  const int64_t waiting = cluster.Exchange("extra", 0, std::nullopt)->trial.id + 1;
  const Core& core = cluster.core();
  const Now now = cluster.now();
  return {MicrosecondsOf(20,
                         [&] {
                           core.Glance(now, 1);
                           core.Progress(attempts);
                         }),
          MicrosecondsOf(20, [&] { core.Workers(now, page); }), MicrosecondsOf(20, [&] { core.Fleet(); }),
          MicrosecondsOf(20, [&] { core.Explain(now, waiting); })};
}

void Print(const char* what, double few, double many) {
  std::printf("%-62s %10.1f us %10.1f us %8.2f x\n", what, few, many, many / few);
}

void Run() {
  std::printf("%-62s %13s %13s %10s\n", "", "few", "many", "ratio");
  Print("a result and its next lease; 10, 10,000 polls that fit nothing", ResultBesideWaiting(10),
        ResultBesideWaiting(10'000));
  Print("a tick beside 10,000 workers; none, 100 trials wait for memory", TickBesideWaits(0, 10'000),
        TickBesideWaits(100, 10'000));
  const std::vector<double> few = Pages(1'000), many = Pages(10'000);
  Print("a campaign's status; 1,000, 10,000 workers", few[0], many[0]);
  Print("a page of 1,000 workers; 1,000, 10,000 workers", few[1], many[1]);
  Print("the fleet's totals and kinds; 1,000, 10,000 workers", few[2], many[2]);
  Print("why a trial waits; 1,000, 10,000 workers", few[3], many[3]);
}

}  // namespace
}  // namespace canopy::controller

int main() { canopy::controller::Run(); }
