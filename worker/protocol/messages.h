#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace canopy::trainer_protocol {

// The trainer protocol's messages as plain values; docs/trainer_protocol.md is the specification. Times
// are milliseconds, sizes bytes, accuracies fractions. JSON objects of other layers travel as text.

inline constexpr int64_t kVersion = 1;

enum class Purpose { kSearch, kFinal, kTest, kMeasure, kProxy };
enum class NumericMode { kFp32, kBf16 };
enum class Optimizer { kSgd, kAdamw };
// Of the learning rate after the warm-up.
enum class Schedule { kCosine, kLinear, kStep, kConstant };
enum class SplitKind { kSeed };
enum class RungAction { kContinue, kStop, kPause };
// What a trainer can say of its own failure; the agent derives the other classes from the exit. WORKER_LOST:
// the host failed it (a full disk), whatever the candidate.
enum class FailureClass { kOutOfMemory, kDiverged, kInvalidCandidate, kData, kTrainerCrash, kWorkerLost };

// The names on the wire: "SEARCH", "bf16", "sgd", "DIVERGED", ...
std::string_view ToString(Purpose value);
std::string_view ToString(NumericMode value);
std::string_view ToString(FailureClass value);

// Metric name to value; NaN and infinities are values like any other.
using Metrics = std::map<std::string, double>;

// The first line each way.
struct Hello {
  int64_t version = kVersion;

  friend bool operator==(const Hello&, const Hello&) = default;
};

// How the weights are trained; part of the candidate where the space searches it.
struct Recipe {
  Optimizer optimizer = Optimizer::kSgd;
  double learning_rate = 0.1;
  double momentum = 0.9;  // SGD's (Nesterov), AdamW's first beta
  double weight_decay = 0.0;
  bool decay_all = false;  // false: convolution and linear weights alone
  int64_t batch_size = 128;
  double label_smoothing = 0.0;
  double warmup_fraction = 0.0;  // of all steps, linear from 0
  Schedule schedule = Schedule::kCosine;
  int64_t random_crop = 0;  // pixels of zero padding on each side; 0: off
  bool random_flip = false;
  int64_t cutout = 0;  // pixels of a square's side; 0: off

  friend bool operator==(const Recipe&, const Recipe&) = default;
};

struct Seeds {
  uint64_t initialization = 0;
  uint64_t data_order = 0;
  uint64_t augmentation = 0;

  friend bool operator==(const Seeds&, const Seeds&) = default;
};

struct Dataset {
  std::string name;
  std::string path;    // empty: where the name is installed by default
  std::string digest;  // hexadecimal; empty: any content

  friend bool operator==(const Dataset&, const Dataset&) = default;
};

// Which examples of the training files are for validation.
struct ValidationSplit {
  SplitKind kind = SplitKind::kSeed;
  uint64_t seed = 0;
  int64_t validation_count = 0;

  friend bool operator==(const ValidationSplit&, const ValidationSplit&) = default;
};

// What a MEASURE job times.
struct Measure {
  int64_t batch = 1;
  int64_t threads = 1;
  int64_t warmup = 20;
  int64_t iterations = 200;

  friend bool operator==(const Measure&, const Measure&) = default;
};

// One attempt's work. SEARCH and FINAL train and validate (FINAL stores the weights); TEST reads stored
// weights and the test files; MEASURE times inference; PROXY trains for max_steps without validation.
struct Job {
  std::string attempt_id;
  int64_t fence = 0;
  Purpose purpose = Purpose::kSearch;
  std::string graph;  // the network graph's JSON object; empty where a trainer needs none
  int64_t class_count = 0;
  Recipe recipe;
  int64_t epochs = 0;
  int64_t max_steps = 0;  // 0: all of the epochs
  Seeds seeds;
  NumericMode numeric_mode = NumericMode::kFp32;
  Dataset dataset;
  ValidationSplit split;
  int64_t threads = 1;
  std::string weights_in;   // safetensors file that TEST reads, MEASURE too where given
  std::string weights_out;  // safetensors file that FINAL writes
  // After which epochs it reports, ascending: rung 1 is the first. `rung` of them are passed.
  std::vector<int64_t> rungs;
  int64_t rung = 0;
  std::string checkpoint_in, checkpoint_sha256;  // where it goes on; empty: it begins anew
  std::string checkpoint_out;                    // written where it pauses, and where it is asked for
  std::string decisions;  // the candidate as a JSON object, for trainers that build their own network
  std::optional<Measure> measure;

  friend bool operator==(const Job&, const Job&) = default;
};

// The job was understood and its network built.
struct Started {
  std::string attempt_id;
  int64_t fence = 0;
  int64_t total_steps = 0;  // 0: unknown

  friend bool operator==(const Started&, const Started&) = default;
};

// Metric values at a step; prunable, also the sign of life that the hang timer watches.
struct Measurement {
  std::string attempt_id;
  int64_t fence = 0;
  int64_t step = 0;
  int64_t epoch = 0;  // complete epochs
  Metrics metrics;

  friend bool operator==(const Measurement&, const Measurement&) = default;
};

// The durable report at a rung; the trainer waits for its answer.
struct RungReport {
  std::string attempt_id;
  int64_t fence = 0;
  int64_t rung = 0;
  int64_t epoch = 0;
  Metrics metrics;

  friend bool operator==(const RungReport&, const RungReport&) = default;
};

struct RungAnswer {
  std::string attempt_id;
  int64_t fence = 0;
  int64_t rung = 0;
  RungAction action = RungAction::kContinue;

  friend bool operator==(const RungAnswer&, const RungAnswer&) = default;
};

struct StoredFile {
  std::string path;
  std::string sha256;
  int64_t bytes = 0;

  friend bool operator==(const StoredFile&, const StoredFile&) = default;
};

// The job's end, with what makes its numbers comparable. A trainer leaves out what it doesn't know.
struct Result {
  std::string attempt_id;
  int64_t fence = 0;
  Metrics metrics;
  int64_t correct = 0;  // of `total` validation (TEST: test) examples, in the last epoch
  int64_t total = 0;
  int64_t params = 0;
  int64_t macs = 0;
  int64_t peak_memory_bytes = 0;
  int64_t train_ms = 0;
  int64_t steps = 0;
  double images_per_second = 0.0;  // training steps alone
  std::string dataset_digest;
  std::string split_hash;
  std::string trainer_build;
  std::string libtorch_version;
  std::optional<StoredFile> weights;

  friend bool operator==(const Result&, const Result&) = default;
};

// The job's end at a rung where it was told to pause.
struct Paused {
  std::string attempt_id;
  int64_t fence = 0;
  int64_t rung = 0;
  int64_t epoch = 0;
  int64_t peak_memory_bytes = 0;
  std::optional<StoredFile> checkpoint;  // none: it begins anew some day

  friend bool operator==(const Paused&, const Paused&) = default;
};

struct Failure {
  std::string attempt_id;
  int64_t fence = 0;
  FailureClass failure_class = FailureClass::kTrainerCrash;
  std::string message;

  friend bool operator==(const Failure&, const Failure&) = default;
};

// To the trainer: end the job now. From the trainer: the job that was told to stop has ended.
struct Stop {
  std::string attempt_id;
  int64_t fence = 0;
  std::string reason;

  friend bool operator==(const Stop&, const Stop&) = default;
};

// To the trainer: write a checkpoint soon, and go on.
struct CheckpointNow {
  std::string attempt_id;
  int64_t fence = 0;

  friend bool operator==(const CheckpointNow&, const CheckpointNow&) = default;
};

// From the trainer: what it was asked for.
struct CheckpointWritten {
  std::string attempt_id;
  int64_t fence = 0;
  int64_t step = 0;
  int64_t epoch = 0;                     // complete epochs
  std::optional<StoredFile> checkpoint;  // none: it could not be written

  friend bool operator==(const CheckpointWritten&, const CheckpointWritten&) = default;
};

using TrainerMessage = std::variant<Hello, Job, Started, Measurement, RungReport, RungAnswer, Result, Paused,
                                    Failure, Stop, CheckpointNow, CheckpointWritten>;

}  // namespace canopy::trainer_protocol
