// Replays a fuzzer's corpus in builds without libFuzzer: every file that was once worth keeping still breaks
// none of the fuzzer's checks.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace canopy::fuzz {
namespace {

// The files of the folders in CANOPY_CORPORA, which are separated by colons.
std::vector<std::string> CorpusFiles() {
  std::vector<std::string> files;
  std::istringstream folders(CANOPY_CORPORA);
  for (std::string folder; std::getline(folders, folder, ':');) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class CorpusTest : public testing::TestWithParam<std::string> {};

TEST_P(CorpusTest, BreaksNoCheck) {
  std::ifstream file(GetParam(), std::ios::binary);
  ASSERT_TRUE(file);
  const std::string input((std::istreambuf_iterator<char>(file)), {});
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

INSTANTIATE_TEST_SUITE_P(Files, CorpusTest, testing::ValuesIn(CorpusFiles()));

TEST(CorpusFilesTest, ThereAreSome) { EXPECT_THAT(CorpusFiles(), testing::SizeIs(testing::Ge(2))); }

}  // namespace
}  // namespace canopy::fuzz
