#include "controller/engine/engine.h"

#include <algorithm>
#include <future>
#include <utility>
#include <variant>

#include "controller/engine/restore.h"
#include "controller/engine/writer.h"

namespace canopy::engine {
namespace {

void SetToken(controller::Event& event, uint64_t token) {
  std::visit(
      [&](auto& concrete) {
        if constexpr (requires { concrete.token; }) concrete.token = token;
      },
      event);
}

void PushOrRefuse(EventQueue& queue, Job job, bool internal = false) {
  if (queue.Push(job, internal)) return;
  Refuse(job, queue.closed() ? Unavailable("the controller is stopping; try again when it is up")
                             : ResourceExhausted("the controller's queue is full; try again in a moment"));
}

}  // namespace

StatusOr<std::unique_ptr<Engine>> Engine::Start(EngineOptions options,
                                                std::unique_ptr<storage::TrialStore> store,
                                                const Clock& clock) {
  CANOPY_ASSIGN_OR_RETURN(controller::CoreState state, LoadCoreState(*store));
  for (const controller::LiveCampaign& live : state.campaigns)
    if (const Status made = options.make_schedule(live.campaign.settings).status(); !made.ok())
      return FailedPrecondition("campaign " + live.campaign.project + "/" + live.campaign.name + ": " +
                                Message(made) + "; start the canopy that launched it");
  return std::unique_ptr<Engine>(new Engine(std::move(options), std::move(store), clock, std::move(state)));
}

Engine::Engine(EngineOptions options, std::unique_ptr<storage::TrialStore> store, const Clock& clock,
               controller::CoreState state)
    : clock_(clock), queue_(options.max_queued_events) {
  writer_ = std::make_unique<Writer>(std::move(options), std::move(store), clock, std::move(state), queue_);
}

Engine::~Engine() { Stop(); }

void Engine::Submit(uint64_t token, controller::Event event, Done done, int64_t wait_ms) {
  SetToken(event, token);
  const bool polls = std::holds_alternative<controller::WorkerExchange>(event);
  const int64_t deadline_ms = polls ? clock_.MonotonicMs() + std::max<int64_t>(0, wait_ms) : -1;
  PushOrRefuse(queue_, EventJob{std::move(event), token, std::move(done), deadline_ms});
}

void Engine::EndPoll(uint64_t token) {
  // A full queue does no harm: the poll's own deadline ends it.
  PushOrRefuse(queue_, EventJob{.event = controller::PollEnded{token}, .token = token});
}

void Engine::SubmitForUser(UserRequest request, controller::Event event, Answered done) {
  const uint64_t token = NewToken();
  SetToken(event, token);
  PushOrRefuse(queue_, UserJob{std::move(event), token, std::move(request), std::move(done)});
}

StatusOr<std::optional<std::string>> Engine::Recall(const std::string& request_id,
                                                    const std::string& digest) {
  const auto answer = std::make_shared<std::promise<StatusOr<std::optional<std::string>>>>();
  PushOrRefuse(queue_, RecallJob{request_id, digest, [answer](StatusOr<std::optional<std::string>> earlier) {
                                   answer->set_value(std::move(earlier));
                                 }});
  return answer->get_future().get();
}

Status Engine::BetweenTransactions(std::function<Status(storage::TrialStore& store)> work) {
  const auto done = std::make_shared<std::promise<Status>>();
  PushOrRefuse(queue_,
               StoreJob{std::move(work), [done](Status status) { done->set_value(std::move(status)); }},
               /*internal=*/true);
  return done->get_future().get();
}

Snapshot Engine::Look(LookRequest request) {
  const auto seen = std::make_shared<std::promise<Snapshot>>();
  PushOrRefuse(queue_, LookJob{std::move(request),
                               [seen](Snapshot snapshot) { seen->set_value(std::move(snapshot)); }});
  return seen->get_future().get();
}

Statistics Engine::statistics() const {
  Statistics statistics = writer_->statistics();
  statistics.queued = static_cast<int64_t>(queue_.size());
  return statistics;
}

void Engine::Stop() {
  queue_.Close();
  writer_->Stop();
}

}  // namespace canopy::engine
