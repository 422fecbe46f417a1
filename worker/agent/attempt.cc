#include "worker/agent/attempt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/log.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "worker/agent/exit_class.h"
#include "worker/agent/hang_timer.h"
#include "worker/agent/job_from_lease.h"
#include "worker/agent/outcome.h"
#include "worker/agent/trainer_channel.h"

namespace canopy::agent {
namespace {

using model::FailureClass;
using trainer_protocol::Job;
using trainer_protocol::Purpose;
using trainer_protocol::TrainerMessage;

// From SIGTERM to SIGKILL, and from there to the end of all hope.
constexpr int64_t kNextSignalMs = 1000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kLongestPollMs = 60'000;

FailureClass ToModel(trainer_protocol::FailureClass value) {
  switch (value) {
    case trainer_protocol::FailureClass::kOutOfMemory:
      return FailureClass::kOutOfMemory;
    case trainer_protocol::FailureClass::kDiverged:
      return FailureClass::kDiverged;
    case trainer_protocol::FailureClass::kInvalidCandidate:
      return FailureClass::kInvalidCandidate;
    case trainer_protocol::FailureClass::kData:
      return FailureClass::kData;
    case trainer_protocol::FailureClass::kWorkerLost:
      return FailureClass::kWorkerLost;
    case trainer_protocol::FailureClass::kTrainerCrash:
      break;
  }
  return FailureClass::kTrainerCrash;
}

template <typename T>
std::string AttemptOf(const T& message) {
  return message.attempt_id;
}
std::string AttemptOf(const trainer_protocol::Hello&) { return ""; }

class Attempt {
 public:
  Attempt(const AttemptEnvironment& environment, const v1::Lease& lease,
          std::shared_ptr<AttemptControl> control, const ReportRung& report_rung)
      : env_(environment),
        lease_(lease),
        report_rung_(report_rung),
        shared_control_(std::move(control)),
        control_(*shared_control_),
        id_(std::to_string(lease.attempt_id())),
        hang_(environment.hang_minimum_ms, environment.clock.MonotonicMs()) {}

  v1::Outcome Run() {
    const int64_t begin_ms = Now();
    oom_kills_before_ = env_.oom_kills();
    outcome_.set_result_id(env_.new_result_id());
    outcome_.set_database_id(lease_.database_id());
    outcome_.set_incarnation(lease_.incarnation());
    outcome_.set_attempt_id(lease_.attempt_id());
    outcome_.set_trial_id(lease_.trial_id());
    outcome_.set_fence(lease_.fence());
    outcome_.set_candidate_hash(lease_.candidate_hash());
    outcome_.set_purpose(lease_.purpose());
    outcome_.set_replicate(lease_.replicate());
    outcome_.set_recipe_hash(lease_.recipe_hash());
    Execute();
    DropNeedlessCheckpoint();
    outcome_.mutable_cost()->set_allocated_ms(Now() - begin_ms);
    outcome_.set_log_tail(LogTail(env_.state.AttemptLog(outcome_.result_id())));
    RemoveFiles();
    return outcome_;
  }

 private:
  int64_t Now() const { return env_.clock.MonotonicMs(); }
  // Time in which the trainer could work.
  int64_t ActiveNow() const { return Now() - env_.running.PausedMs(control_.attempt_id()); }
  bool decided() const { return outcome_.end_case() != v1::Outcome::END_NOT_SET; }

  // The first end stays: a result that was sent counts, however the process ended afterwards.
  void Fail(FailureClass failure_class, const std::string& message) {
    if (!decided()) *outcome_.mutable_failure() = MakeFailure(failure_class, message);
  }
  void EndStopped() {
    if (decided()) return;
    if (control_.stop_reason() == StopReason::kPreempted) {
      Fail(FailureClass::kPreempted,
           std::string("the agent was told to end") +
               (kept_ ? ", and kept its checkpoint of step " + std::to_string(kept_->step()) : ""));
      if (kept_) *outcome_.mutable_failure()->mutable_checkpoint() = *kept_;
    } else {
      outcome_.mutable_cancelled();
    }
  }

  void Execute() {
    Job job;
    if (!PrepareJob(job)) return;
    const auto cancelled = [this] { return control_.stop_reason() != StopReason::kNone; };
    if (job.purpose == Purpose::kMeasure) {
      const auto lock = AcquireMeasurementLock(env_.lock_folder, cancelled);
      if (!lock.ok()) return EndWaiting(lock.status());
      return RunTrainer(job);
    }
    if (const Status entered = env_.running.Enter(control_.attempt_id(), cancelled); !entered.ok())
      return EndWaiting(entered);
    RunTrainer(job);
    env_.running.Leave(control_.attempt_id());
    process_.reset();
  }

  void EndWaiting(const Status& status) {
    if (absl::IsCancelled(status)) return EndStopped();
    Fail(FailureClass::kWorkerLost, "the host's measurement lock: " + Message(status));
  }

  bool PrepareJob(Job& job) {
    const auto place = env_.datasets.find(lease_.dataset());
    if (place == env_.datasets.end()) {
      Fail(FailureClass::kData, "this worker has no dataset '" + lease_.dataset() + "'");
    } else if (!lease_.dataset_digest().empty() && lease_.dataset_digest() != place->second.digest) {
      Fail(FailureClass::kData, "dataset '" + lease_.dataset() + "' in " + place->second.folder +
                                    " has the digest " + place->second.digest + ", expected " +
                                    lease_.dataset_digest());
    } else if (auto made = JobFromLease(lease_, place->second.folder,
                                        env_.state.UnfinishedWeights(outcome_.result_id()));
               !made.ok()) {
      // What an older agent can't do says nothing about the candidate.
      Fail(absl::IsUnimplemented(made.status()) ? FailureClass::kWorkerLost : FailureClass::kInvalidCandidate,
           Message(made.status()));
    } else {
      weights_out_ = made->weights_out;
      job = *std::move(made);
      PrepareCheckpoints(job);
      return CheckWeights();
    }
    return false;
  }

  void PrepareCheckpoints(Job& job) {
    const bool trains = job.purpose == Purpose::kSearch || job.purpose == Purpose::kFinal;
    if (!trains || !(env_.checkpoints || !job.rungs.empty())) return;
    job.checkpoint_out = checkpoint_out_ = env_.state.UnfinishedCheckpoint(outcome_.result_id());
    if (job.checkpoint_in.empty()) return;
    const auto sha256 = Sha256HexOfFile(job.checkpoint_in);
    if (sha256.ok() && *sha256 == job.checkpoint_sha256) return;
    CANOPY_LOG(Warning, "a checkpoint is missing or damaged: the training begins anew",
               {{"attempt", id_},
                {"path", job.checkpoint_in},
                {"error", sha256.ok() ? "its SHA-256 is " + *sha256 : Message(sha256.status())}});
    job.checkpoint_in.clear();
    job.checkpoint_sha256.clear();
  }

  bool CheckWeights() {
    if (lease_.weights_path().empty()) return true;
    const auto sha256 = Sha256HexOfFile(lease_.weights_path());
    if (!sha256.ok()) {
      Fail(FailureClass::kData, "the trained weights: " + Message(sha256.status()));
    } else if (*sha256 != lease_.weights_sha256()) {
      Fail(FailureClass::kData, lease_.weights_path() + " has the SHA-256 " + *sha256 + ", expected " +
                                    lease_.weights_sha256() + "; the file was changed after training");
    } else {
      return true;
    }
    return false;
  }

  void RunTrainer(const Job& job) {
    auto channel = TrainerChannel::Open();
    if (!channel.ok()) return Fail(FailureClass::kWorkerLost, Message(channel.status()));
    channel_ = &*channel;
    if (!Launch(job)) return;
    const int64_t launched_ms = ActiveNow();
    if (job.purpose != Purpose::kMeasure) {
      env_.running.SetSwitch(control_.attempt_id(), {.stop = [this] { return process_->Suspend(); },
                                                     .resume = [this] { process_->Signal(SIGCONT); }});
    }
    hang_.Started(launched_ms);
    Status sent = channel_->Send(trainer_protocol::Hello{});
    if (sent.ok()) sent = channel_->Send(job);
    // What can't be sent finds its reason in the process's end.
    if (!sent.ok()) GiveTime(env_.stop_grace_ms);
    Supervise();
    outcome_.mutable_cost()->set_busy_ms(ActiveNow() - launched_ms);
  }

  bool Launch(const Job& job) {
    const std::string log_path = env_.state.AttemptLog(outcome_.result_id());
    const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) {
      Fail(FailureClass::kWorkerLost, Message(FromErrno(errno, "write the trainer's log " + log_path)));
      return false;
    }
    auto process = env_.launcher.Launch(
        {.attempt_id = id_, .dataset = job.dataset, .socket = channel_->trainer_end(), .log = log},
        [control = shared_control_](const TrainerExit& exit) { control->SetExit(exit); });
    ::close(log);
    channel_->CloseTrainerEnd();
    if (!process.ok()) {
      const bool unusable = absl::IsNotFound(process.status()) || absl::IsPermissionDenied(process.status());
      Fail(unusable ? FailureClass::kTrainerCrash : FailureClass::kWorkerLost, Message(process.status()));
      return false;
    }
    process_ = *std::move(process);
    return true;
  }

  void Supervise() {
    for (;;) {
      WaitForEvent();
      const auto exit = control_.exit();
      ReadMessages();
      AnswerRungs();
      if (exit) return EndExited(*exit);
      if (control_.stop_reason() != StopReason::kNone) AskToStop();
      if (!decided() && ActiveNow() >= hang_.DeadlineMs()) {
        Fail(FailureClass::kTimeout,
             "the trainer made no new step for " + FormatDuration(hang_.LimitMs()) + " and was killed");
        GiveTime(0);
      }
      if (!EscalateStop()) return;
    }
  }

  void WaitForEvent() {
    const bool listens = !decided() && !channel_->closed();
    pollfd items[] = {{.fd = control_.wake_descriptor(), .events = POLLIN, .revents = 0},
                      {.fd = listens ? channel_->descriptor() : -1, .events = POLLIN, .revents = 0}};
    const int64_t hang_in_ms = decided() ? kNever : hang_.DeadlineMs() - ActiveNow();
    const int64_t stop_in_ms = stop_at_ms_ == kNever ? kNever : stop_at_ms_ - Now();
    const int64_t answer_in_ms = waiting_rung_ == 0 ? kNever : answer_at_ms_ - Now();
    const int64_t checkpoint_in_ms = AwaitsCheckpoint() ? *checkpoint_until_ms_ - Now() : kNever;
    const int64_t wait_ms = std::clamp<int64_t>(
        std::min({hang_in_ms, stop_in_ms, answer_in_ms, checkpoint_in_ms}), 0, kLongestPollMs);
    ::poll(items, std::size(items), static_cast<int>(wait_ms));
    control_.ClearWake();
  }

  void ReadMessages() {
    while (!decided()) {
      const auto message = channel_->Receive();
      if (!message.ok()) return EndProtocolError(Message(message.status()));
      if (!*message) break;
      Handle(**message);
    }
    if (channel_->closed()) GiveTime(env_.stop_grace_ms);
  }

  void Handle(const TrainerMessage& message) {
    if (const auto* hello = std::get_if<trainer_protocol::Hello>(&message)) {
      greeted_ = hello->version == trainer_protocol::kVersion;
      if (!greeted_)
        EndProtocolError("the trainer speaks version " + std::to_string(hello->version) +
                         ", this agent version " + std::to_string(trainer_protocol::kVersion) +
                         "; install both from the same release");
      return;
    }
    if (!greeted_) return EndProtocolError("expected hello as the trainer's first line");
    const std::string about = std::visit([](const auto& m) { return AttemptOf(m); }, message);
    if (about != id_)
      return EndProtocolError("expected a message about attempt " + id_ + ", got '" + about + "'");
    if (const auto* started = std::get_if<trainer_protocol::Started>(&message)) {
      control_.SetTotalSteps(started->total_steps);
      hang_.Started(ActiveNow());
    } else if (const auto* measurement = std::get_if<trainer_protocol::Measurement>(&message)) {
      control_.AddMeasurement(ToMeasurement(*measurement, control_.attempt_id()));
      hang_.AtStep(measurement->step, ActiveNow());
    } else if (const auto* report = std::get_if<trainer_protocol::RungReport>(&message)) {
      Report(*report);
    } else if (const auto* paused = std::get_if<trainer_protocol::Paused>(&message)) {
      TakePause(*paused);
    } else if (const auto* written = std::get_if<trainer_protocol::CheckpointWritten>(&message)) {
      TakeCheckpoint(*written);
    } else if (const auto* result = std::get_if<trainer_protocol::Result>(&message)) {
      TakeResult(*result);
    } else if (const auto* failure = std::get_if<trainer_protocol::Failure>(&message)) {
      Fail(ToModel(failure->failure_class), failure->message);
    } else if (std::holds_alternative<trainer_protocol::Stop>(message) &&
               control_.stop_reason() != StopReason::kNone) {
      EndStopped();
    } else {
      return EndProtocolError("the trainer sent a message that only an agent sends");
    }
    if (!decided()) return;
    channel_->FinishSending();
    GiveTime(env_.stop_grace_ms);
  }

  void TakeResult(const trainer_protocol::Result& result) {
    outcome_.mutable_cost()->set_peak_memory_bytes(result.peak_memory_bytes);
    v1::AttemptResult out = ToAttemptResult(result, lease_, env_);
    if (told_ == v1::RUNG_ACTION_STOP) {
      out.set_stopped_at_rung(told_rung_);
      out.set_epochs(lease_.rungs(static_cast<int>(told_rung_) - 1));
    }
    if (result.weights && result.weights->path == weights_out_) {
      const Status kept = env_.state.KeepWeights(outcome_.result_id());
      if (!kept.ok()) return Fail(FailureClass::kWorkerLost, "the trained weights: " + Message(kept));
      out.set_weights_path(env_.state.Weights(outcome_.result_id()));
    }
    *outcome_.mutable_result() = std::move(out);
  }

  void TakePause(const trainer_protocol::Paused& paused) {
    if (told_ != v1::RUNG_ACTION_PAUSE || told_rung_ != paused.rung)
      return EndProtocolError("the trainer paused at rung " + std::to_string(paused.rung) +
                              ", where it was not told to");
    outcome_.mutable_cost()->set_peak_memory_bytes(paused.peak_memory_bytes);
    v1::AttemptPaused out;
    out.set_rung(paused.rung);
    if (paused.checkpoint && paused.checkpoint->path == checkpoint_out_) {
      const Status kept = env_.state.KeepCheckpoint(outcome_.result_id());
      if (!kept.ok()) return Fail(FailureClass::kWorkerLost, "the checkpoint: " + Message(kept));
      out.mutable_checkpoint()->set_path(env_.state.Checkpoint(outcome_.result_id()));
      out.mutable_checkpoint()->set_sha256(paused.checkpoint->sha256);
      out.mutable_checkpoint()->set_epoch(paused.epoch);
    }
    *outcome_.mutable_paused() = std::move(out);
  }

  void TakeCheckpoint(const trainer_protocol::CheckpointWritten& written) {
    if (!checkpoint_until_ms_) return EndProtocolError("the trainer wrote a checkpoint unasked");
    checkpoint_answered_ = true;
    if (!written.checkpoint || written.checkpoint->path != checkpoint_out_) return;
    if (const Status kept = env_.state.KeepCheckpoint(outcome_.result_id()); !kept.ok()) {
      CANOPY_LOG(Error, "a checkpoint is lost: " + Message(kept), {{"attempt", id_}});
      return;
    }
    kept_.emplace();
    kept_->set_path(env_.state.Checkpoint(outcome_.result_id()));
    kept_->set_sha256(written.checkpoint->sha256);
    kept_->set_epoch(written.epoch);
    kept_->set_step(written.step);
  }

  // The attempt has ended otherwise after all.
  void DropNeedlessCheckpoint() const {
    if (kept_ && !outcome_.failure().has_checkpoint() && !outcome_.paused().has_checkpoint())
      env_.state.DropCheckpoint(kept_->path());
  }

  void Report(const trainer_protocol::RungReport& report) {
    waiting_rung_ = report.rung;
    answer_at_ms_ = Now() + env_.rung_answer_ms;
    // Nobody asked for it: a training in full goes on.
    if (report.rung < 1 || report.rung > lease_.rungs_size()) return Answer(v1::RUNG_ACTION_CONTINUE);
    v1::ReportRungRequest request;
    request.set_database_id(lease_.database_id());
    request.set_incarnation(lease_.incarnation());
    request.set_attempt_id(lease_.attempt_id());
    request.set_trial_id(lease_.trial_id());
    request.set_fence(lease_.fence());
    request.set_rung(report.rung);
    request.set_epoch(report.epoch);
    request.mutable_metrics()->insert(report.metrics.begin(), report.metrics.end());
    report_rung_(std::move(request));
  }

  void AnswerRungs() {
    for (const AttemptControl::RungAnswer& answer : control_.TakeRungAnswers()) {
      if (answer.rung == waiting_rung_)
        Answer(answer.action);
      else if (answer.action == v1::RUNG_ACTION_STOP)
        control_.RequestStop(StopReason::kCancelled);  // it came too late for its rung
    }
    if (waiting_rung_ != 0 && Now() >= answer_at_ms_) Answer(v1::RUNG_ACTION_CONTINUE);
  }

  void Answer(v1::RungAction action) {
    using trainer_protocol::RungAction;
    trainer_protocol::RungAnswer answer{.attempt_id = id_, .fence = lease_.fence(), .rung = waiting_rung_};
    if (action == v1::RUNG_ACTION_STOP) answer.action = RungAction::kStop;
    if (action == v1::RUNG_ACTION_PAUSE) answer.action = RungAction::kPause;
    told_ = action;
    told_rung_ = std::exchange(waiting_rung_, 0);
    if (decided()) return;
    if (const Status sent = channel_->Send(answer); !sent.ok()) GiveTime(env_.stop_grace_ms);
  }

  void EndProtocolError(const std::string& what) {
    Fail(FailureClass::kTrainerCrash,
         what.starts_with("trainer protocol") ? what : "trainer protocol: " + what);
    GiveTime(0);
  }

  void EndExited(const TrainerExit& exit) {
    if (control_.stop_reason() != StopReason::kNone) EndStopped();
    if (!decided()) *outcome_.mutable_failure() = ClassifyExit(exit, env_.oom_kills() > oom_kills_before_);
    v1::AttemptCost& cost = *outcome_.mutable_cost();
    cost.set_cpu_ms(exit.cpu_ms);
    if (cost.peak_memory_bytes() == 0) cost.set_peak_memory_bytes(exit.peak_memory_bytes);
  }

  void AskToStop() {
    if (asked_to_stop_ || decided()) return;
    const bool preempted = control_.stop_reason() == StopReason::kPreempted;
    if (preempted && !checkpoint_until_ms_) AskForCheckpoint();
    if (AwaitsCheckpoint()) return;
    asked_to_stop_ = true;
    const Status sent = channel_->Send(trainer_protocol::Stop{
        .attempt_id = id_, .fence = lease_.fence(), .reason = preempted ? "preempted" : "cancelled"});
    GiveTime(sent.ok() ? env_.stop_grace_ms : 0);
  }

  void AskForCheckpoint() {
    if (!env_.checkpoints || checkpoint_out_.empty() || control_.hurried()) return;
    const Status sent =
        channel_->Send(trainer_protocol::CheckpointNow{.attempt_id = id_, .fence = lease_.fence()});
    if (sent.ok()) checkpoint_until_ms_ = Now() + env_.checkpoint_ms;
  }
  bool AwaitsCheckpoint() const {
    return !decided() && checkpoint_until_ms_ && !checkpoint_answered_ && !channel_->closed() &&
           !control_.hurried() && Now() < *checkpoint_until_ms_;
  }

  // The process is to end by itself within this time.
  void GiveTime(int64_t grace_ms) {
    if (next_signal_ == SIGTERM) stop_at_ms_ = std::min(stop_at_ms_, Now() + grace_ms);
  }

  // False once there is nothing more to wait for.
  bool EscalateStop() {
    if (Now() < stop_at_ms_) return true;
    if (next_signal_ == 0) {
      // Not even SIGKILL ended it: it hangs in the kernel, or its zygote does.
      if (control_.stop_reason() != StopReason::kNone) EndStopped();
      Fail(FailureClass::kWorkerLost, "the trainer could not be killed");
      return false;
    }
    process_->Signal(next_signal_);
    stop_at_ms_ = Now() + kNextSignalMs;
    next_signal_ = next_signal_ == SIGTERM ? SIGKILL : 0;
    return true;
  }

  // A success leaves its weights, a failure its log.
  void RemoveFiles() const {
    if (outcome_.has_result()) {
      ::unlink(env_.state.AttemptLog(outcome_.result_id()).c_str());
    } else {
      env_.state.RemoveOldLogs();
    }
    if (!weights_out_.empty() || !checkpoint_out_.empty())
      env_.state.DropUnfinishedWeights(outcome_.result_id());
  }

  const AttemptEnvironment& env_;
  const v1::Lease& lease_;
  const ReportRung& report_rung_;
  const std::shared_ptr<AttemptControl> shared_control_;  // the exit callback's too
  AttemptControl& control_;
  const std::string id_;
  HangTimer hang_;
  int64_t oom_kills_before_ = 0;
  v1::Outcome outcome_;
  std::string weights_out_;     // where the trainer writes them; empty: nowhere
  std::string checkpoint_out_;  // the same of a training's checkpoint
  int64_t waiting_rung_ = 0;    // whose answer the trainer waits for; 0: for none
  int64_t answer_at_ms_ = kNever;
  int64_t told_rung_ = 0;  // what it was told last
  v1::RungAction told_ = v1::RUNG_ACTION_UNSPECIFIED;
  TrainerChannel* channel_ = nullptr;
  std::unique_ptr<TrainerProcess> process_;
  bool greeted_ = false;
  std::optional<int64_t> checkpoint_until_ms_;  // once it was asked for one
  bool checkpoint_answered_ = false;
  std::optional<v1::Checkpoint> kept_;
  bool asked_to_stop_ = false;
  int64_t stop_at_ms_ = kNever;
  int next_signal_ = SIGTERM;  // at stop_at_ms_; 0: the process is given up
};

}  // namespace

v1::Outcome RunAttempt(const AttemptEnvironment& environment, const v1::Lease& lease,
                       std::shared_ptr<AttemptControl> control, const ReportRung& report_rung) {
  return Attempt(environment, lease, std::move(control), report_rung).Run();
}

}  // namespace canopy::agent
