// fake_trainer: speaks the trainer protocol and trains nothing. What it answers depends on the job alone, so
// that tests of agent and controller are quick and repeatable. Its environment says how it behaves:
//
//   CANOPY_FAKE_TRAINER_TABLE    nas_bench_201.csv: val_accuracy is the cell's c10_val12, test_accuracy its
//                                c10_test200; without it, a number made of the decisions
//   CANOPY_FAKE_TRAINER_STEPS    steps, each with a measurement (1)
//   CANOPY_FAKE_TRAINER_STEP_MS  milliseconds a step (2)
//   CANOPY_FAKE_TRAINER_CHECKPOINTS  1: it says that it writes them where it is asked to
//   CANOPY_FAKE_TRAINER_HOLD     a file: the last message waits until it exists
//   CANOPY_FAKE_TRAINER_RECORD   a file that gets a JSON line per attempt before its last message
//                                (its checkpoints hold the epoch and the step that they were written after)
//   CANOPY_FAKE_TRAINER_CASES    a JSON list of {"decisions": {...}, "purpose": "FINAL", "do": what}. The
//                                first whose decisions and purpose, where given, are the job's ends it so:
//                                abort, segv, kill, exit, hang, deaf, garbage, diverge, out_of_memory,
//                                invalid, data, disk_full

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "worker/protocol/codec.h"
#include "worker/protocol/descriptors.h"
#include "worker/protocol/line_reader.h"

namespace canopy {
namespace {

using nlohmann::json;
using trainer_protocol::Failure;
using trainer_protocol::FailureClass;
using trainer_protocol::Job;
using trainer_protocol::Purpose;
using trainer_protocol::Result;
using trainer_protocol::Stop;
using trainer_protocol::TrainerMessage;

constexpr int kExitStatus = 3;  // of the case "exit"
constexpr int kHoldPollMs = 5;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int64_t Number(const char* name, int64_t otherwise) { return ParseInt(Variable(name)).value_or(otherwise); }

// The agent's end of the connection.
class Connection {
 public:
  explicit Connection(int socket) : socket_(socket) {}

  void Send(const TrainerMessage& message) {
    const auto line = trainer_protocol::Encode(message);
    CANOPY_CHECK(line.ok(), Message(line.status()));
    SendText(*line + "\n");
  }
  // The agent is gone where it can't be sent.
  void SendText(const std::string& text) {
    if (!trainer_protocol::SendBytes(socket_, text).ok()) ::_exit(0);
  }
  // The next message within `timeout_ms`; -1: however long it takes. Ends the process with the connection.
  std::optional<TrainerMessage> Receive(int timeout_ms) {
    for (;;) {
      const auto line = lines_.Next();
      CANOPY_CHECK(line.ok());
      if (*line) {
        const auto message = trainer_protocol::Decode(**line);
        CANOPY_CHECK(message.ok(), Message(message.status()));
        return *message;
      }
      pollfd item{.fd = socket_, .events = POLLIN, .revents = 0};
      if (::poll(&item, 1, timeout_ms) == 0) return std::nullopt;
      const auto received = trainer_protocol::ReceiveBytes(socket_);
      if (!received.ok() || received->bytes.empty()) ::_exit(0);
      lines_.Append(received->bytes);
    }
  }

 private:
  const int socket_;
  trainer_protocol::LineReader lines_;
};

// The row of the table for a cell, by column.
StatusOr<std::vector<std::pair<std::string, std::string>>> TableRow(const std::string& path,
                                                                    const json& decisions) {
  std::string ops;
  for (const char* edge : {"edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3"}) {
    const std::vector<std::string> names = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                            "avg_pool_3x3"};
    const auto found = std::find(names.begin(), names.end(), decisions.value(edge, ""));
    if (found == names.end())
      return InvalidArgument(std::string(edge) + ": expected an operator of NAS-Bench-201");
    ops += static_cast<char>('0' + (found - names.begin()));
  }
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> columns = Split(Trim(line), ',');
  while (std::getline(file, line)) {
    const std::vector<std::string> values = Split(Trim(line), ',');
    if (values.size() != columns.size() || values[1] != ops) continue;
    std::vector<std::pair<std::string, std::string>> row;
    for (size_t i = 0; i < columns.size(); ++i) row.emplace_back(columns[i], values[i]);
    return row;
  }
  return NotFound(path + " has no row for the cell " + ops);
}

StatusOr<double> TableValue(const std::string& path, const json& decisions, std::string_view column) {
  CANOPY_ASSIGN_OR_RETURN(const auto row, TableRow(path, decisions));
  for (const auto& [name, value] : row)
    if (name == column) return ParseDouble(value).value_or(0) / 100;
  return NotFound(path + " has no column " + std::string(column));
}

StatusOr<double> Accuracy(const Job& job, const json& decisions) {
  const bool test = job.purpose == Purpose::kTest;
  if (const std::string table = Variable("CANOPY_FAKE_TRAINER_TABLE"); !table.empty())
    return TableValue(table, decisions, test ? "c10_test200" : "c10_val12");
  return Rng::Derive(0, decisions.dump()).Float(0.5, 0.95);
}

// What CANOPY_FAKE_TRAINER_CASES wants for this job; "" for an ordinary end.
std::string CaseFor(const Job& job, const json& decisions) {
  const std::string text = Variable("CANOPY_FAKE_TRAINER_CASES");
  if (text.empty()) return "";
  for (const json& entry : json::parse(text)) {
    bool matches = !entry.contains("purpose") || entry["purpose"] == ToString(job.purpose);
    const json wanted = entry.value("decisions", json::object());
    for (const auto& [name, value] : wanted.items())
      matches = matches && decisions.contains(name) && decisions[name] == value;
    if (matches) return entry.at("do");
  }
  return "";
}

class FakeTrainer {
 public:
  FakeTrainer(Connection& connection, Job job)
      : connection_(connection),
        job_(std::move(job)),
        decisions_(json::parse(job_.decisions.empty() ? "{}" : job_.decisions)) {}

  void Run() {
    const std::string what = CaseFor(job_, decisions_);
    const int64_t steps = job_.max_steps > 0 ? job_.max_steps : Number("CANOPY_FAKE_TRAINER_STEPS", 1);
    connection_.Send(
        trainer_protocol::Started{.attempt_id = job_.attempt_id, .fence = job_.fence, .total_steps = steps});
    const auto step_ms = static_cast<int>(Number("CANOPY_FAKE_TRAINER_STEP_MS", 2));
    if (!Resume() || !PassRungs(step_ms)) return;
    for (int64_t step = step_ + 1; step <= steps; ++step) {
      if (WaitForStop(step_ms)) return;
      step_ = step;
      // In the middle, so that there is progress to lose.
      if (step == (steps + 1) / 2 && !what.empty()) return Misbehave(what);
      connection_.Send(
          trainer_protocol::Measurement{.attempt_id = job_.attempt_id,
                                        .fence = job_.fence,
                                        .step = step,
                                        .epoch = step == steps ? job_.epochs : 0,
                                        .metrics = {{"train_loss", 1.0 / static_cast<double>(step)}}});
    }
    const std::string hold = Variable("CANOPY_FAKE_TRAINER_HOLD");
    while (!hold.empty() && !FileExists(hold))
      if (WaitForStop(kHoldPollMs)) return;
    Finish(steps, job_.epochs);
  }

 private:
  // False where its checkpoint is none.
  bool Resume() {
    if (job_.checkpoint_in.empty()) return true;
    const auto text = ReadFile(job_.checkpoint_in);
    const auto parts = Split(text.ok() ? *text : "", ' ');
    const auto epoch = ParseInt(parts[0]), step = ParseInt(parts.back());
    if (!epoch || !step || Sha256Hex(*text) != job_.checkpoint_sha256) {
      Fail(FailureClass::kWorkerLost, "the checkpoint " + job_.checkpoint_in + " is none");
      return false;
    }
    epoch_ = from_epoch_ = *epoch;
    step_ = from_step_ = *step;
    return true;
  }

  // Trains up to each rung that it has not passed and does what it is told there; false where that ended it.
  bool PassRungs(int step_ms) {
    for (size_t i = static_cast<size_t>(job_.rung); i < job_.rungs.size(); ++i) {
      if (job_.rungs[i] <= epoch_) continue;
      if (WaitForStop(step_ms)) return false;
      const auto rung = static_cast<int64_t>(i) + 1;
      const auto accuracy = Accuracy(job_, decisions_);
      if (!accuracy.ok()) return true;  // Finish says so
      connection_.Send(trainer_protocol::RungReport{.attempt_id = job_.attempt_id,
                                                    .fence = job_.fence,
                                                    .rung = rung,
                                                    .epoch = job_.rungs[i],
                                                    .metrics = MetricsFor(At(*accuracy, job_.rungs[i]))});
      switch (AnswerAt(rung)) {
        case trainer_protocol::RungAction::kContinue:
          break;
        case trainer_protocol::RungAction::kStop:
          Finish(rung, job_.rungs[i]);
          return false;
        case trainer_protocol::RungAction::kPause:
          Pause(rung, job_.rungs[i]);
          return false;
      }
      if (stopped_) return false;
      epoch_ = job_.rungs[i];
    }
    return true;
  }

  // Less of it earlier, in the order of the candidates.
  double At(double accuracy, int64_t epoch) const {
    if (epoch == job_.epochs) return accuracy;
    return accuracy * (0.5 + 0.5 * static_cast<double>(epoch) / static_cast<double>(job_.epochs));
  }

  trainer_protocol::RungAction AnswerAt(int64_t rung) {
    for (;;) {
      const auto message = connection_.Receive(-1);
      if (const auto* answer = std::get_if<trainer_protocol::RungAnswer>(&*message);
          answer != nullptr && answer->rung == rung)
        return answer->action;
      if (std::holds_alternative<trainer_protocol::CheckpointNow>(*message)) WriteAsked();
      if (!std::holds_alternative<Stop>(*message)) continue;
      connection_.Send(Stop{.attempt_id = job_.attempt_id, .fence = job_.fence, .reason = "stopped"});
      stopped_ = true;
      return trainer_protocol::RungAction::kContinue;
    }
  }

  void Pause(int64_t rung, int64_t epoch) {
    epoch_ = epoch;
    const auto checkpoint = WriteCheckpoint();
    Record(0, "paused");
    connection_.Send(trainer_protocol::Paused{.attempt_id = job_.attempt_id,
                                              .fence = job_.fence,
                                              .rung = rung,
                                              .epoch = epoch,
                                              .peak_memory_bytes = 1,
                                              .checkpoint = checkpoint});
  }

  trainer_protocol::StoredFile WriteCheckpoint() const {
    const std::string text = std::to_string(epoch_) + " " + std::to_string(step_);
    CANOPY_CHECK(WriteFileDurably(job_.checkpoint_out, text).ok());
    return {
        .path = job_.checkpoint_out, .sha256 = Sha256Hex(text), .bytes = static_cast<int64_t>(text.size())};
  }

  void WriteAsked() {
    connection_.Send(trainer_protocol::CheckpointWritten{.attempt_id = job_.attempt_id,
                                                         .fence = job_.fence,
                                                         .step = step_,
                                                         .epoch = epoch_,
                                                         .checkpoint = WriteCheckpoint()});
  }

  // True where the job was told to stop, which is answered.
  bool WaitForStop(int ms) {
    const auto message = connection_.Receive(ms);
    if (message && std::holds_alternative<trainer_protocol::CheckpointNow>(*message)) WriteAsked();
    if (!message || !std::holds_alternative<Stop>(*message)) return false;
    connection_.Send(Stop{.attempt_id = job_.attempt_id, .fence = job_.fence, .reason = "stopped"});
    return true;
  }

  void Fail(FailureClass failure_class, const std::string& message) {
    connection_.Send(Failure{.attempt_id = job_.attempt_id,
                             .fence = job_.fence,
                             .failure_class = failure_class,
                             .message = message});
  }

  void Misbehave(const std::string& what) {
    if (what == "deaf") ::signal(SIGTERM, SIG_IGN);
    std::cerr << "fake trainer: " << what << std::endl;
    const rlimit no_core = {0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    if (what == "abort") std::abort();
    if (what == "segv") {
      ::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would end it otherwise
      ::raise(SIGSEGV);
    }
    if (what == "kill") ::raise(SIGKILL);
    if (what == "exit") ::_exit(kExitStatus);
    if (what == "garbage") return connection_.SendText("this is no message\n");
    if (what == "hang")
      while (!WaitForStop(-1)) {
      }
    while (what == "deaf") ::pause();
    if (what == "diverge") Fail(FailureClass::kDiverged, "the training loss became nan after step 1");
    if (what == "out_of_memory") Fail(FailureClass::kOutOfMemory, "can't allocate memory");
    if (what == "invalid") Fail(FailureClass::kInvalidCandidate, "the network can't be built");
    if (what == "disk_full") Fail(FailureClass::kWorkerLost, "write weights: No space left on device");
    if (what == "data") Fail(FailureClass::kData, "the dataset is damaged");
  }

  void Finish(int64_t steps, int64_t epoch) {
    auto accuracy = Accuracy(job_, decisions_);
    if (!accuracy.ok()) return Fail(FailureClass::kInvalidCandidate, Message(accuracy.status()));
    accuracy = At(*accuracy, epoch);
    Result result{.attempt_id = job_.attempt_id, .fence = job_.fence};
    result.steps = steps;
    result.train_ms = steps;
    result.images_per_second = 1000;
    result.total = job_.split.validation_count;
    result.correct = std::llround(*accuracy * static_cast<double>(result.total));
    result.dataset_digest = job_.dataset.digest;
    result.split_hash = Sha256Hex("fake split " + std::to_string(job_.split.seed));
    result.metrics = MetricsFor(*accuracy);
    if (!job_.weights_out.empty()) {
      const std::string weights = "weights of " + decisions_.dump();
      CANOPY_CHECK(WriteFileDurably(job_.weights_out, weights).ok());
      result.weights = {.path = job_.weights_out,
                        .sha256 = Sha256Hex(weights),
                        .bytes = static_cast<int64_t>(weights.size())};
    }
    Record(result.correct, epoch < job_.epochs ? "stopped" : "completed");
    connection_.Send(result);
  }

  trainer_protocol::Metrics MetricsFor(double accuracy) const {
    switch (job_.purpose) {
      case Purpose::kTest:
        return {{"test_accuracy", accuracy}, {"test_loss", 1 - accuracy}};
      case Purpose::kMeasure: {
        const std::string name =
            "latency_libtorch_" + std::string(ToString(job_.numeric_mode)) + "_b1_t1_cpu_";
        return {{name + "p50_ms", 1}, {name + "p95_ms", 2}, {name + "p99_ms", 3}};
      }
      case Purpose::kProxy:
        return {{"train_loss", 1}};
      default:
        return {{"val_accuracy", accuracy},
                {"best_val_accuracy", accuracy},
                {"val_loss", 1 - accuracy},
                {"train_loss", 1 - accuracy}};
    }
  }

  void Record(int64_t correct, const std::string& end) const {
    const std::string path = Variable("CANOPY_FAKE_TRAINER_RECORD");
    if (path.empty()) return;
    const json entry = {{"attempt_id", job_.attempt_id},
                        {"fence", std::to_string(job_.fence)},
                        {"purpose", ToString(job_.purpose)},
                        {"decisions", decisions_},
                        {"correct", correct},
                        {"end", end},
                        {"from_epoch", from_epoch_},
                        {"from_step", from_step_}};
    const std::string line = entry.dump() + "\n";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    CANOPY_CHECK(fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    ::close(fd);
  }

  Connection& connection_;
  const Job job_;
  const json decisions_;
  int64_t from_epoch_ = 0, from_step_ = 0;  // of its checkpoint
  int64_t epoch_ = 0, step_ = 0;            // where it is
  bool stopped_ = false;
};

int Main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--version") {
    std::cout << json{{"trainer_build", "fake"},
                      {"protocol_version", trainer_protocol::kVersion},
                      {"rungs", true},
                      {"checkpoints", Number("CANOPY_FAKE_TRAINER_CHECKPOINTS", 0) > 0}}
                     .dump()
              << "\n";
    return 0;
  }
  const auto socket = ParseInt(Variable("CANOPY_TRAINER_FD"));
  if (argc != 1 || !socket) {
    std::cerr << "fake_trainer: an agent starts it, with CANOPY_TRAINER_FD\n";
    return 2;
  }
  Connection connection(static_cast<int>(*socket));
  connection.Send(trainer_protocol::Hello{});
  for (;;) {
    const auto message = connection.Receive(-1);
    if (const Job* job = std::get_if<Job>(&*message)) {
      FakeTrainer(connection, *job).Run();
      return 0;
    }
  }
}

}  // namespace
}  // namespace canopy

int main(int argc, char** argv) { return canopy::Main(argc, argv); }
