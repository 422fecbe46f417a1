#include "worker/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"

namespace canopy::checkpoint {
namespace {

using ::testing::HasSubstr;

Checkpoint Example() {
  Checkpoint checkpoint;
  checkpoint.metadata = {{"graph", "{\"nodes\":[]}"}, {"mode", "bf16"}};
  checkpoint.tensors["conv.weight"] = {ElementType::kF32, {2, 3}, std::string(24, 'a')};
  checkpoint.tensors["conv.half"] = {ElementType::kBf16, {5}, std::string(10, 'b')};
  checkpoint.tensors["steps"] = {ElementType::kI64, {}, std::string("\x05\0\0\0\0\0\0\0", 8)};
  checkpoint.tensors["empty"] = {ElementType::kU8, {0, 4}, ""};
  return checkpoint;
}

std::string File(std::string_view header, std::string_view data) {
  std::string file;
  for (size_t i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i));
  return file.append(header).append(data);
}

TEST(Safetensors, ACheckpointSurvivesTheRoundTrip) {
  const auto file = Serialize(Example());
  ASSERT_TRUE(file.ok()) << file.status();
  const auto parsed = Parse(*file);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, Example());
}

// The layout that other implementations write.
TEST(Safetensors, ReadsAFileOfAnotherWriter) {
  const auto parsed =
      Parse(File(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"format":"pt"}})",
                 "\1\2\3\4"));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->tensors.at("w").bytes, "\1\2\3\4");
  EXPECT_EQ(parsed->metadata.at("format"), "pt");
}

TEST(Safetensors, ABytesToShapeMismatchIsNotWritten) {
  Checkpoint checkpoint = Example();
  checkpoint.tensors["conv.weight"].shape = {7};
  EXPECT_EQ(Serialize(checkpoint).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Safetensors, HostileHeadersAreRefusedWithTheReason) {
  const struct {
    std::string file;
    const char* reason;
  } cases[] = {
      {"", "length field"},
      {std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8), "longer than the file"},
      {File("{", ""), "no JSON object"},
      {File(std::string(100000, '['), ""), "no JSON object"},
      {File(R"({"w":3})", ""), "dtype"},
      {File(R"({"w":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}})", "x"), "dtype"},
      {File(R"({"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", "x"), "dimensions"},
      {File(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", "x"), "data_offsets"},
      {File(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", "x"), "contradict"},
      {File(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", "x"), "contradict"},
      {File(R"({"w":{"dtype":"F64","shape":[281474976710656,281474976710656],"data_offsets":[0,0]}})", ""),
       "contradict"},
      {File(R"({"w":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", "x"), "pass the end"},
      {File(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "xy"), "hole"},
      {File(R"({"v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
            R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
            "x"),
       "overlap"},
      {File("{}", "x"), "left over"},
      {File(R"({"__metadata__":{"a":1}})", ""), "object of strings"},
  };
  for (const auto& c : cases) {
    const auto parsed = Parse(c.file);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(Message(parsed.status()), HasSubstr(c.reason));
  }
}

TEST(Safetensors, MutatedFilesNeverCrashTheReader) {
  const std::string file = *Serialize(Example());
  Rng rng(5);
  for (int round = 0; round < 5000; ++round) {
    std::string mutated = file.substr(0, rng.Below(10) == 0 ? rng.Below(file.size()) : file.size());
    for (int64_t edits = rng.Int(1, 3); edits > 0 && !mutated.empty(); --edits)
      mutated[rng.Below(mutated.size())] = static_cast<char>(rng.Below(256));
    const auto parsed = Parse(mutated);
    if (parsed.ok()) {
      EXPECT_TRUE(Serialize(*parsed).ok());
    }
  }
}

TEST(Safetensors, AWrittenFileIsNamedByItsHashAndCheckedAgainstIt) {
  const std::string path = ::testing::TempDir() + "/weights-" + NewUuid() + ".safetensors";
  const auto stored = WriteCheckpoint(path, Example());
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->sha256, *Sha256HexOfFile(path));
  EXPECT_EQ(stored->bytes, static_cast<int64_t>(ReadFile(path)->size()));
  EXPECT_EQ(*ReadCheckpoint(path, stored->sha256), Example());
  EXPECT_THAT(ReadCheckpoint(path, std::string(64, '0')).status().ToString(), HasSubstr(path));
  std::remove(path.c_str());
  EXPECT_EQ(ReadCheckpoint(path).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace canopy::checkpoint
