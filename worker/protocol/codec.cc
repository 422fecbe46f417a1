#include "worker/protocol/codec.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "worker/protocol/json_line.h"

namespace canopy::trainer_protocol {
namespace {

using nlohmann::json;
using RawMembers = std::vector<std::pair<std::string_view, std::string>>;

// In the order of the enumerators.
constexpr std::string_view kPurposes[] = {"SEARCH", "FINAL", "TEST", "MEASURE", "PROXY"};
constexpr std::string_view kNumericModes[] = {"fp32", "bf16"};
constexpr std::string_view kOptimizers[] = {"sgd", "adamw"};
constexpr std::string_view kSchedules[] = {"cosine", "linear", "step", "constant"};
constexpr std::string_view kSplitKinds[] = {"seed"};
constexpr std::string_view kRungActions[] = {"continue", "stop", "pause"};
constexpr std::string_view kFailureClasses[] = {"OUT_OF_MEMORY", "DIVERGED",      "INVALID_CANDIDATE",
                                                "DATA",          "TRAINER_CRASH", "WORKER_LOST"};

template <typename Enum, size_t kCount>
std::string_view NameOf(const std::string_view (&names)[kCount], Enum value) {
  return names[static_cast<size_t>(value)];
}

// {"type", "attempt_id", "fence"} of every message about an attempt.
template <typename T>
json AttemptHead(const char* type, const T& message) {
  return {{"type", type}, {"attempt_id", message.attempt_id}, {"fence", std::to_string(message.fence)}};
}

template <typename T>
void GetAttemptHead(FieldReader& fields, T& message) {
  fields.Get("attempt_id", message.attempt_id);
  fields.GetFence("fence", message.fence);
}

// Text of another layer, made one line in canonical form.
StatusOr<std::string> ObjectText(std::string_view name, const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object())
    return InvalidArgument("trainer protocol: job." + std::string(name) + ": expected a JSON object");
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

json ToJson(const Recipe& recipe) {
  return {{"optimizer", NameOf(kOptimizers, recipe.optimizer)},
          {"learning_rate", recipe.learning_rate},
          {"momentum", recipe.momentum},
          {"weight_decay", recipe.weight_decay},
          {"decay_all", recipe.decay_all},
          {"batch_size", recipe.batch_size},
          {"label_smoothing", recipe.label_smoothing},
          {"warmup_fraction", recipe.warmup_fraction},
          {"schedule", NameOf(kSchedules, recipe.schedule)},
          {"random_crop", recipe.random_crop},
          {"random_flip", recipe.random_flip},
          {"cutout", recipe.cutout}};
}

void GetRecipe(FieldReader& fields, Recipe& recipe) {
  fields.GetEnum("optimizer", kOptimizers, recipe.optimizer);
  fields.Get("learning_rate", recipe.learning_rate);
  fields.GetOptional("momentum", recipe.momentum);
  fields.GetOptional("weight_decay", recipe.weight_decay);
  fields.GetOptional("decay_all", recipe.decay_all);
  fields.Get("batch_size", recipe.batch_size);
  fields.GetOptional("label_smoothing", recipe.label_smoothing);
  fields.GetOptional("warmup_fraction", recipe.warmup_fraction);
  fields.GetEnum("schedule", kSchedules, recipe.schedule);
  fields.GetOptional("random_crop", recipe.random_crop);
  fields.GetOptional("random_flip", recipe.random_flip);
  fields.GetOptional("cutout", recipe.cutout);
  fields.Expect(recipe.learning_rate >= 0, "learning_rate", "a number from 0");
  fields.Expect(recipe.momentum >= 0 && recipe.momentum < 1, "momentum", "a number in [0, 1)");
  fields.Expect(recipe.weight_decay >= 0, "weight_decay", "a number from 0");
  fields.Expect(recipe.batch_size >= 1, "batch_size", "at least 1");
  fields.Expect(recipe.label_smoothing >= 0 && recipe.label_smoothing < 1, "label_smoothing",
                "a number in [0, 1)");
  fields.Expect(recipe.warmup_fraction >= 0 && recipe.warmup_fraction <= 1, "warmup_fraction",
                "a number in [0, 1]");
  fields.Expect(recipe.random_crop >= 0, "random_crop", "at least 0");
  fields.Expect(recipe.cutout >= 0, "cutout", "at least 0");
}

StatusOr<std::string> EncodeJob(const Job& job) {
  json object = AttemptHead("job", job);
  object["purpose"] = ToString(job.purpose);
  object["class_count"] = job.class_count;
  object["recipe"] = ToJson(job.recipe);
  object["epochs"] = job.epochs;
  object["max_steps"] = job.max_steps;
  object["seeds"] = {{"initialization", std::to_string(job.seeds.initialization)},
                     {"data_order", std::to_string(job.seeds.data_order)},
                     {"augmentation", std::to_string(job.seeds.augmentation)}};
  object["numeric_mode"] = ToString(job.numeric_mode);
  object["dataset"] = {
      {"name", job.dataset.name}, {"path", job.dataset.path}, {"digest", job.dataset.digest}};
  object["split"] = {{"kind", NameOf(kSplitKinds, job.split.kind)},
                     {"seed", std::to_string(job.split.seed)},
                     {"validation_count", job.split.validation_count}};
  object["threads"] = job.threads;
  if (!job.weights_in.empty()) object["weights_in"] = job.weights_in;
  if (!job.weights_out.empty()) object["weights_out"] = job.weights_out;
  if (!job.rungs.empty()) {
    object["rungs"] = job.rungs;
    object["rung"] = job.rung;
  }
  if (!job.checkpoint_out.empty()) object["checkpoint_out"] = job.checkpoint_out;
  if (!job.checkpoint_in.empty())
    object["checkpoint_in"] = {{"path", job.checkpoint_in}, {"sha256", job.checkpoint_sha256}};
  if (job.measure)
    object["measure"] = {{"batch", job.measure->batch},
                         {"threads", job.measure->threads},
                         {"warmup", job.measure->warmup},
                         {"iterations", job.measure->iterations}};
  RawMembers raw;
  if (!job.graph.empty()) {
    CANOPY_ASSIGN_OR_RETURN(std::string text, ObjectText("graph", job.graph));
    raw.emplace_back("graph", std::move(text));
  }
  if (!job.decisions.empty()) {
    CANOPY_ASSIGN_OR_RETURN(std::string text, ObjectText("decisions", job.decisions));
    raw.emplace_back("decisions", std::move(text));
  }
  return FormatLine(object, raw);
}

void GetMeasure(FieldReader& fields, Measure& measure) {
  fields.Get("batch", measure.batch);
  fields.Get("threads", measure.threads);
  fields.Get("warmup", measure.warmup);
  fields.Get("iterations", measure.iterations);
  fields.Expect(measure.batch >= 1, "batch", "at least 1");
  fields.Expect(measure.threads >= 1, "threads", "at least 1");
  fields.Expect(measure.iterations >= 1, "iterations", "at least 1");
}

Job GetJob(FieldReader& fields) {
  Job job;
  GetAttemptHead(fields, job);
  fields.GetEnum("purpose", kPurposes, job.purpose);
  fields.GetOptionalObjectText("graph", job.graph);
  fields.Get("class_count", job.class_count);
  fields.GetObject("recipe", [&](FieldReader& inner) { GetRecipe(inner, job.recipe); });
  fields.Get("epochs", job.epochs);
  fields.GetOptional("max_steps", job.max_steps);
  fields.GetObject("seeds", [&](FieldReader& inner) {
    inner.GetSeed("initialization", job.seeds.initialization);
    inner.GetSeed("data_order", job.seeds.data_order);
    inner.GetSeed("augmentation", job.seeds.augmentation);
  });
  fields.GetEnum("numeric_mode", kNumericModes, job.numeric_mode);
  fields.GetObject("dataset", [&](FieldReader& inner) {
    inner.Get("name", job.dataset.name);
    inner.GetOptional("path", job.dataset.path);
    inner.GetOptional("digest", job.dataset.digest);
  });
  fields.GetObject("split", [&](FieldReader& inner) {
    inner.GetEnum("kind", kSplitKinds, job.split.kind);
    inner.GetSeed("seed", job.split.seed);
    inner.Get("validation_count", job.split.validation_count);
  });
  fields.Get("threads", job.threads);
  fields.Expect(job.threads >= 1, "threads", "at least 1");
  fields.GetOptional("weights_in", job.weights_in);
  fields.GetOptional("weights_out", job.weights_out);
  fields.GetOptional("rungs", job.rungs);
  fields.GetOptional("rung", job.rung);
  fields.GetOptional("checkpoint_out", job.checkpoint_out);
  fields.GetOptionalObject("checkpoint_in", [&](FieldReader& inner) {
    inner.Get("path", job.checkpoint_in);
    inner.Get("sha256", job.checkpoint_sha256);
  });
  fields.GetOptionalObjectText("decisions", job.decisions);
  Measure measure;
  if (fields.GetOptionalObject("measure", [&](FieldReader& inner) { GetMeasure(inner, measure); }))
    job.measure = measure;
  return job;
}

json ToJson(const StoredFile& file) {
  return {{"path", file.path}, {"sha256", file.sha256}, {"bytes", file.bytes}};
}

std::optional<StoredFile> GetStoredFile(FieldReader& fields, const char* name) {
  StoredFile file;
  const bool stored = fields.GetOptionalObject(name, [&](FieldReader& inner) {
    inner.Get("path", file.path);
    inner.Get("sha256", file.sha256);
    inner.Get("bytes", file.bytes);
  });
  return stored ? std::optional(file) : std::nullopt;
}

StatusOr<std::string> EncodeResult(const Result& result) {
  json object = AttemptHead("result", result);
  object["correct"] = result.correct;
  object["total"] = result.total;
  object["params"] = result.params;
  object["macs"] = result.macs;
  object["peak_memory_bytes"] = result.peak_memory_bytes;
  object["train_ms"] = result.train_ms;
  object["steps"] = result.steps;
  object["images_per_second"] = result.images_per_second;
  object["dataset_digest"] = result.dataset_digest;
  object["split_hash"] = result.split_hash;
  object["trainer_build"] = result.trainer_build;
  object["libtorch_version"] = result.libtorch_version;
  if (result.weights) object["weights"] = ToJson(*result.weights);
  return FormatLine(object, {{"metrics", FormatMetrics(result.metrics)}});
}

Result GetResult(FieldReader& fields) {
  Result result;
  GetAttemptHead(fields, result);
  fields.GetOptional("metrics", result.metrics);
  fields.GetOptional("correct", result.correct);
  fields.GetOptional("total", result.total);
  fields.GetOptional("params", result.params);
  fields.GetOptional("macs", result.macs);
  fields.GetOptional("peak_memory_bytes", result.peak_memory_bytes);
  fields.GetOptional("train_ms", result.train_ms);
  fields.GetOptional("steps", result.steps);
  fields.GetOptional("images_per_second", result.images_per_second);
  fields.GetOptional("dataset_digest", result.dataset_digest);
  fields.GetOptional("split_hash", result.split_hash);
  fields.GetOptional("trainer_build", result.trainer_build);
  fields.GetOptional("libtorch_version", result.libtorch_version);
  result.weights = GetStoredFile(fields, "weights");
  return result;
}

struct Encoder {
  StatusOr<std::string> operator()(const Hello& hello) const {
    return FormatLine({{"type", "hello"}, {"version", hello.version}});
  }
  StatusOr<std::string> operator()(const Job& job) const { return EncodeJob(job); }
  StatusOr<std::string> operator()(const Started& started) const {
    json object = AttemptHead("started", started);
    object["total_steps"] = started.total_steps;
    return FormatLine(object);
  }
  StatusOr<std::string> operator()(const Measurement& measurement) const {
    json object = AttemptHead("measurement", measurement);
    object["step"] = measurement.step;
    object["epoch"] = measurement.epoch;
    return FormatLine(object, {{"metrics", FormatMetrics(measurement.metrics)}});
  }
  StatusOr<std::string> operator()(const RungReport& report) const {
    json object = AttemptHead("rung_report", report);
    object["rung"] = report.rung;
    object["epoch"] = report.epoch;
    return FormatLine(object, {{"metrics", FormatMetrics(report.metrics)}});
  }
  StatusOr<std::string> operator()(const RungAnswer& answer) const {
    json object = AttemptHead("rung_answer", answer);
    object["rung"] = answer.rung;
    object["action"] = NameOf(kRungActions, answer.action);
    return FormatLine(object);
  }
  StatusOr<std::string> operator()(const Result& result) const { return EncodeResult(result); }
  StatusOr<std::string> operator()(const Paused& paused) const {
    json object = AttemptHead("paused", paused);
    object["rung"] = paused.rung;
    object["epoch"] = paused.epoch;
    object["peak_memory_bytes"] = paused.peak_memory_bytes;
    if (paused.checkpoint) object["checkpoint"] = ToJson(*paused.checkpoint);
    return FormatLine(object);
  }
  StatusOr<std::string> operator()(const Failure& failure) const {
    json object = AttemptHead("failure", failure);
    object["class"] = ToString(failure.failure_class);
    object["message"] = failure.message;
    return FormatLine(object);
  }
  StatusOr<std::string> operator()(const Stop& stop) const {
    json object = AttemptHead("stop", stop);
    object["reason"] = stop.reason;
    return FormatLine(object);
  }
  StatusOr<std::string> operator()(const CheckpointNow& now) const {
    return FormatLine(AttemptHead("checkpoint_now", now));
  }
  StatusOr<std::string> operator()(const CheckpointWritten& written) const {
    json object = AttemptHead("checkpoint", written);
    object["step"] = written.step;
    object["epoch"] = written.epoch;
    if (written.checkpoint) object["checkpoint"] = ToJson(*written.checkpoint);
    return FormatLine(object);
  }
};

template <typename T>
T GetAttemptMessage(FieldReader& fields) {
  T message;
  GetAttemptHead(fields, message);
  return message;
}

TrainerMessage GetMessage(std::string_view type, FieldReader& fields) {
  if (type == "hello") {
    Hello hello;
    fields.Get("version", hello.version);
    return hello;
  }
  if (type == "job") return GetJob(fields);
  if (type == "result") return GetResult(fields);
  if (type == "started") {
    auto started = GetAttemptMessage<Started>(fields);
    fields.GetOptional("total_steps", started.total_steps);
    return started;
  }
  if (type == "measurement") {
    auto measurement = GetAttemptMessage<Measurement>(fields);
    fields.Get("step", measurement.step);
    fields.GetOptional("epoch", measurement.epoch);
    fields.GetOptional("metrics", measurement.metrics);
    return measurement;
  }
  if (type == "rung_report") {
    auto report = GetAttemptMessage<RungReport>(fields);
    fields.Get("rung", report.rung);
    fields.GetOptional("epoch", report.epoch);
    fields.GetOptional("metrics", report.metrics);
    return report;
  }
  if (type == "rung_answer") {
    auto answer = GetAttemptMessage<RungAnswer>(fields);
    fields.Get("rung", answer.rung);
    fields.GetEnum("action", kRungActions, answer.action);
    return answer;
  }
  if (type == "paused") {
    auto paused = GetAttemptMessage<Paused>(fields);
    fields.Get("rung", paused.rung);
    fields.GetOptional("epoch", paused.epoch);
    fields.GetOptional("peak_memory_bytes", paused.peak_memory_bytes);
    paused.checkpoint = GetStoredFile(fields, "checkpoint");
    return paused;
  }
  if (type == "failure") {
    auto failure = GetAttemptMessage<Failure>(fields);
    fields.GetEnum("class", kFailureClasses, failure.failure_class);
    fields.GetOptional("message", failure.message);
    return failure;
  }
  if (type == "stop") {
    auto stop = GetAttemptMessage<Stop>(fields);
    fields.GetOptional("reason", stop.reason);
    return stop;
  }
  if (type == "checkpoint_now") return GetAttemptMessage<CheckpointNow>(fields);
  if (type == "checkpoint") {
    auto written = GetAttemptMessage<CheckpointWritten>(fields);
    fields.Get("step", written.step);
    fields.GetOptional("epoch", written.epoch);
    written.checkpoint = GetStoredFile(fields, "checkpoint");
    return written;
  }
  fields.Expect(false, "type",
                "one of hello, job, started, measurement, rung_report, rung_answer, result, paused, failure, "
                "stop, checkpoint_now, checkpoint, got '" +
                    std::string(type) + "'");
  return Hello{};
}

}  // namespace

std::string_view ToString(Purpose value) { return NameOf(kPurposes, value); }
std::string_view ToString(NumericMode value) { return NameOf(kNumericModes, value); }
std::string_view ToString(FailureClass value) { return NameOf(kFailureClasses, value); }

StatusOr<std::string> Encode(const TrainerMessage& message) { return std::visit(Encoder{}, message); }

StatusOr<TrainerMessage> Decode(std::string_view line) {
  CANOPY_ASSIGN_OR_RETURN(const json object, ParseLine(line));
  const auto type = object.at("type").get<std::string>();
  FieldReader fields(object, type.substr(0, 40));
  TrainerMessage message = GetMessage(type, fields);
  CANOPY_RETURN_IF_ERROR(fields.status());
  return message;
}

}  // namespace canopy::trainer_protocol
