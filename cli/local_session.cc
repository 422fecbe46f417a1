#include "cli/local_session.h"

#include <iostream>
#include <utility>
#include <vector>

#include "base/file.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"

namespace canopy::cli {
namespace {

constexpr int64_t kPollMs = 100;
constexpr int64_t kRestartWindowMs = 60'000;
constexpr size_t kMaxRestarts = 5;
constexpr int64_t kAgentStopMs = 25'000, kControllerStopMs = 15'000;

}  // namespace

LocalSession::LocalSession(const Context& context, const config::Settings& settings)
    : context_(context), settings_(settings), base_(StateBase(settings)) {}

LocalSession::~LocalSession() {
  if (agent_) agent_->Stop(kAgentStopMs);
  connection_.reset();
  if (controller_) controller_->Stop(kControllerStopMs);
}

Status LocalSession::Start() {
  CANOPY_RETURN_IF_ERROR(MakeDirectories(base_, 0700));
  CANOPY_RETURN_IF_ERROR(StartController());
  CANOPY_ASSIGN_OR_RETURN(connection_, Connection::WaitForLocal(settings_, *controller_));
  CANOPY_RETURN_IF_ERROR(StartAgent());
  return WaitForAgent();
}

Status LocalSession::StartController() {
  std::vector<std::string> arguments =
      OwnArguments(context_, {"controller", "start", "--state-dir", base_, "--log-level",
                              settings_.Get("log_level"), "--listen", "", "--credentials", "", "--http-port",
                              settings_.Get("http_port"), "--log-file", base_ + "/logs/controller.log"});
  controller_.reset();
  CANOPY_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(context_.program, std::move(arguments),
                                                                  base_ + "/logs/controller.out",
                                                                  base_ + "/logs/controller.log"));
  controller_.emplace(std::move(child));
  return {};
}

Status LocalSession::StartAgent() {
  std::vector<std::string> arguments = OwnArguments(
      context_, {"worker", "start", "--state-dir", base_, "--log-level", settings_.Get("log_level"),
                 "--controller", "", "--credentials", "", "--log-file", base_ + "/logs/agent.log"});
  for (const char* setting : {"slots", "trainer", "operator_libraries", "data"}) {
    const std::string& value = settings_.Get(setting);
    if (!value.empty()) arguments.insert(arguments.end(), {config::FlagOf(setting), value});
  }
  agent_.reset();
  CANOPY_ASSIGN_OR_RETURN(ChildProcess child,
                          ChildProcess::Start(context_.program, std::move(arguments),
                                              base_ + "/logs/agent.out", base_ + "/logs/agent.log"));
  agent_.emplace(std::move(child));
  return {};
}

Status LocalSession::WaitForAgent() {
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const v1::ListWorkersReply reply, connection_->client().ListWorkers());
    for (const v1::WorkerStatus& worker : reply.workers()) {
      if (worker.connected()) return {};
    }
    if (!agent_->Running()) return agent_->Failure();
    if (!controller_->Running()) return controller_->Failure();
    if (InterruptGuard::SleepFor(kPollMs)) return Interrupted();
  }
}

Status LocalSession::MayRestart(const ChildProcess& died) {
  const int64_t now_ms = clock_.MonotonicMs();
  while (!restarts_ms_.empty() && now_ms - restarts_ms_.front() > kRestartWindowMs) restarts_ms_.pop_front();
  if (restarts_ms_.size() >= kMaxRestarts) return died.Failure();
  restarts_ms_.push_back(now_ms);
  std::cerr << Message(died.Failure()) << "\nStarting it again.\n";
  return {};
}

Status LocalSession::KeepUp() {
  if (!controller_->Running()) {
    CANOPY_RETURN_IF_ERROR(MayRestart(*controller_));
    CANOPY_RETURN_IF_ERROR(StartController());
  }
  if (!agent_->Running()) {
    CANOPY_RETURN_IF_ERROR(MayRestart(*agent_));
    CANOPY_RETURN_IF_ERROR(StartAgent());
  }
  return {};
}

}  // namespace canopy::cli
