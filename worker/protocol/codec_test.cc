#include "worker/protocol/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "worker/protocol/line_reader.h"
#include "worker/protocol/zygote.h"

namespace canopy::trainer_protocol {
namespace {

using ::testing::HasSubstr;

Job ExampleJob() {
  Job job;
  job.attempt_id = "7f1c\"\n";
  job.fence = int64_t{1} << 60;
  job.purpose = Purpose::kFinal;
  job.graph = R"({"nodes":[],"output":0})";
  job.class_count = 10;
  job.recipe.optimizer = Optimizer::kAdamw;
  job.recipe.learning_rate = 0.1 + 1e-17;
  job.recipe.decay_all = true;
  job.recipe.random_crop = 4;
  job.recipe.cutout = 8;
  job.recipe.schedule = Schedule::kStep;
  job.epochs = 2;
  job.seeds = {.initialization = ~uint64_t{0}, .data_order = 1, .augmentation = 2};
  job.numeric_mode = NumericMode::kBf16;
  job.dataset = {.name = "fashion-mnist", .path = "/data", .digest = "ab"};
  job.split = {.kind = SplitKind::kSeed, .seed = 9, .validation_count = 10000};
  job.weights_out = "/tmp/w.safetensors";
  job.decisions = R"({"depth":3})";
  job.rungs = {1, 4};
  job.rung = 1;
  job.checkpoint_in = "/c/in";
  job.checkpoint_sha256 = "ab";
  job.checkpoint_out = "/c/out";
  job.measure = Measure{.batch = 4, .threads = 1, .warmup = 0, .iterations = 7};
  return job;
}

std::vector<TrainerMessage> ExampleMessages() {
  Result result;
  result.attempt_id = "a";
  result.fence = 3;
  result.metrics = {{"val_accuracy", 0.9125}, {"val_loss", std::numeric_limits<double>::infinity()}};
  result.correct = 9125;
  result.total = 10000;
  result.images_per_second = 1034.5;
  result.dataset_digest = "cafe";
  result.weights = StoredFile{.path = "/w", .sha256 = "00", .bytes = 5};
  return {Hello{},
          ExampleJob(),
          Started{.attempt_id = "a", .fence = 1, .total_steps = 780},
          Measurement{.attempt_id = "a", .fence = 1, .step = 5, .epoch = 1, .metrics = {{"loss", 2.5}}},
          RungReport{.attempt_id = "a", .fence = 1, .rung = 2, .epoch = 4, .metrics = {{"val_accuracy", 1}}},
          RungAnswer{.attempt_id = "a", .fence = 1, .rung = 2, .action = RungAction::kPause},
          result,
          Paused{.attempt_id = "a",
                 .fence = 1,
                 .rung = 2,
                 .epoch = 4,
                 .peak_memory_bytes = 9,
                 .checkpoint = StoredFile{.path = "/c", .sha256 = "00", .bytes = 5}},
          Paused{.attempt_id = "a", .fence = 1, .rung = 2, .epoch = 4},
          Failure{.attempt_id = "a", .fence = 1, .failure_class = FailureClass::kData, .message = "no file"},
          Stop{.attempt_id = "a", .fence = 1, .reason = "cancelled"},
          CheckpointNow{.attempt_id = "a", .fence = 1},
          CheckpointWritten{.attempt_id = "a",
                            .fence = 1,
                            .step = 11,
                            .epoch = 1,
                            .checkpoint = StoredFile{.path = "/c", .sha256 = "00", .bytes = 5}},
          CheckpointWritten{.attempt_id = "a", .fence = 1, .step = 11}};
}

TEST(Codec, EveryMessageSurvivesTheRoundTripInOneLine) {
  for (const TrainerMessage& message : ExampleMessages()) {
    const auto line = Encode(message);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->find('\n'), std::string::npos);
    const auto decoded = Decode(*line);
    ASSERT_TRUE(decoded.ok()) << decoded.status() << "\n" << *line;
    EXPECT_EQ(*decoded, message) << *line;
  }
}

TEST(Codec, BareNanAndInfinityAreMetricValuesBothWays) {
  const auto decoded = Decode(R"({"type":"measurement","attempt_id":"a","fence":"1","step":1,)"
                              R"("metrics":{"x":NaN,"y":-Infinity,"z":Infinity,"NaN":1}})");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  const auto& metrics = std::get<Measurement>(*decoded).metrics;
  EXPECT_TRUE(std::isnan(metrics.at("x")));
  EXPECT_EQ(metrics.at("y"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(metrics.at("z"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(metrics.at("NaN"), 1.0);
  EXPECT_THAT(*Encode(*decoded), HasSubstr("\"x\":NaN,\"y\":-Infinity"));
}

TEST(Codec, UnknownFieldsAreIgnored) {
  EXPECT_EQ(*Decode(R"({"type":"hello","version":1,"later":{"a":[1,2]}})"), TrainerMessage(Hello{}));
}

TEST(Codec, ABadLineSaysWhatWasExpected) {
  const struct {
    const char* line;
    const char* expected;
  } cases[] = {
      {"", "JSON object"},
      {"[]", "JSON object"},
      {"{\"type\":\"hello\"", "JSON object"},
      {"\xff", "JSON object"},
      {"{}", "\"type\""},
      {R"({"type":"helo"})", "one of hello, job"},
      {R"({"type":"hello"})", "hello.version: expected a value; it is missing"},
      {R"({"type":"hello","version":"1"})", "hello.version: expected an integer"},
      {R"({"type":"hello","version":-1})", "hello.version: expected an integer"},
      {R"({"type":"hello","version":9007199254740992})", "2^53 - 1"},
      {R"({"type":"stop","attempt_id":"a","fence":7})", "stop.fence: expected a string"},
      {R"({"type":"stop","attempt_id":"a","fence":"-7"})", "stop.fence: expected a decimal number"},
      {R"({"type":"stop","attempt_id":"a","fence":"7x"})", "stop.fence: expected a decimal number"},
      {R"({"type":"failure","attempt_id":"a","fence":"7","class":"OOM"})", "OUT_OF_MEMORY"},
      {R"({"type":"paused","attempt_id":"a","fence":"7"})", "paused.rung: expected a value"},
      {R"({"type":"measurement","attempt_id":"a","fence":"7","step":1,"metrics":{"x":"1"}})", "metric 'x'"},
  };
  for (const auto& c : cases) {
    const auto decoded = Decode(c.line);
    ASSERT_FALSE(decoded.ok()) << c.line;
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(decoded.status()), HasSubstr(c.expected)) << c.line;
  }
}

TEST(Codec, AJobsImpossibleRecipeIsRefusedByItsPath) {
  Job job = ExampleJob();
  job.recipe.batch_size = 0;
  const auto decoded = Decode(*Encode(job));
  ASSERT_FALSE(decoded.ok());
  EXPECT_THAT(decoded.status().ToString(), HasSubstr("job.recipe.batch_size: expected at least 1"));
}

TEST(Codec, AGraphThatIsNoObjectIsNotSent) {
  Job job = ExampleJob();
  job.graph = "{} , \"purpose\": 1";
  EXPECT_FALSE(Encode(job).ok());
}

TEST(Codec, ALineAboveOneMebibyteIsRefusedBothWays) {
  Failure failure{.attempt_id = "a", .fence = 1};
  failure.message.assign(kMaxLineBytes, 'x');
  EXPECT_FALSE(Encode(failure).ok());
  EXPECT_FALSE(Decode(std::string(kMaxLineBytes + 1, ' ')).ok());
}

TEST(Codec, DeepNestingIsRefusedBeforeItCanExhaustTheStack) {
  const std::string deep(500000, '[');
  EXPECT_THAT(Decode("{\"type\":\"job\",\"graph\":{\"a\":" + deep).status().ToString(),
              HasSubstr("64 levels"));
}

TEST(Codec, BytesThatAreNoUtf8AreReplacedInWhatWeSend) {
  const auto line = Encode(Failure{.attempt_id = "a", .fence = 1, .message = "bad \xff byte"});
  ASSERT_TRUE(line.ok());
  EXPECT_TRUE(Decode(*line).ok());
}

// Seeded mutations of valid lines: decoding never crashes, and what it accepts can be sent again.
TEST(Codec, MutatedLinesAreRefusedOrUnderstood) {
  Rng rng(20260301);
  for (const TrainerMessage& message : ExampleMessages()) {
    const std::string line = *Encode(message);
    for (int round = 0; round < 2000; ++round) {
      std::string mutated = line;
      for (int64_t edits = rng.Int(1, 4); edits > 0; --edits) {
        const size_t at = rng.Below(mutated.size());
        switch (rng.Below(3)) {
          case 0:
            mutated[at] = static_cast<char>(rng.Below(256));
            break;
          case 1:
            mutated.erase(at, rng.Below(8));
            break;
          default:
            mutated.insert(at, line.substr(rng.Below(line.size()), rng.Below(12)));
        }
        if (mutated.empty()) mutated = "x";
      }
      const auto decoded = Decode(mutated);
      if (decoded.ok()) {
        EXPECT_TRUE(Encode(*decoded).ok()) << mutated;
      }
    }
  }
}

TEST(ZygoteCodec, EveryMessageSurvivesTheRoundTrip) {
  const ZygoteMessage messages[] = {
      Hello{},
      Spawn{.attempt_id = "a", .dataset = {.name = "fashion-mnist", .path = "/d", .digest = "ab"}},
      Signal{.attempt_id = "a", .signal = 19},
      Spawned{.attempt_id = "a", .pid = 77},
      SpawnFailed{.attempt_id = "a", .message = "fork: no memory"},
      Exited{
          .attempt_id = "a", .pid = 77, .wait_status = 9, .user_ms = 1, .system_ms = 2, .max_rss_bytes = 3}};
  for (const ZygoteMessage& message : messages) {
    const auto decoded = DecodeZygote(*EncodeZygote(message));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, message);
  }
}

TEST(ZygoteCodec, ABadSignalAndATypeOfTheOtherProtocolAreRefused) {
  EXPECT_THAT(DecodeZygote(R"({"type":"signal","attempt_id":"a","signal":0})").status().ToString(),
              HasSubstr("signal.signal: expected a signal number"));
  EXPECT_THAT(DecodeZygote(R"({"type":"job"})").status().ToString(), HasSubstr("one of hello, spawn"));
}

}  // namespace
}  // namespace canopy::trainer_protocol
