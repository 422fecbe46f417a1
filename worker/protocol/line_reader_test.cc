#include "worker/protocol/line_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace canopy::trainer_protocol {
namespace {

std::vector<std::string> Drain(LineReader& reader) {
  std::vector<std::string> lines;
  for (;;) {
    auto line = reader.Next();
    EXPECT_TRUE(line.ok()) << line.status();
    if (!line.ok() || !*line) return lines;
    lines.push_back(**line);
  }
}

TEST(LineReader, SplitsTheSameWayHoweverTheBytesArrive) {
  const std::string stream = "one\n\ntwo and a half\nlast, unfinished";
  const std::vector<std::string> expected = {"one", "", "two and a half"};
  for (size_t chunk = 1; chunk <= stream.size(); ++chunk) {
    LineReader reader;
    std::vector<std::string> lines;
    for (size_t at = 0; at < stream.size(); at += chunk) {
      reader.Append(std::string_view(stream).substr(at, chunk));
      for (auto& line : Drain(reader)) lines.push_back(line);
    }
    EXPECT_EQ(lines, expected) << "chunks of " << chunk;
  }
}

TEST(LineReader, ALineOfExactlyTheLimitPasses) {
  LineReader reader;
  reader.Append(std::string(kMaxLineBytes, 'x') + "\n");
  EXPECT_EQ(Drain(reader).at(0).size(), kMaxLineBytes);
}

TEST(LineReader, AnEndlessLineIsRefusedForGood) {
  LineReader reader;
  reader.Append(std::string(kMaxLineBytes + 1, 'x'));
  EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kInvalidArgument);
  reader.Append("\n{}\n");
  EXPECT_FALSE(reader.Next().ok());
}

}  // namespace
}  // namespace canopy::trainer_protocol
