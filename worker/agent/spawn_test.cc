#include "worker/agent/spawn.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "worker/agent/agent_test_support.h"

namespace canopy::agent {
namespace {

constexpr int64_t kPatienceMs = 60'000;

// A new file under the number `number`.
void OpenAt(int number, const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::dup2(file, number), number);
  if (file != number) ::close(file);
}

TEST(Spawn, GivesEachDescriptorItsNumberWhateverNumbersTheAgentHas) {
  const TemporaryFolder folder;
  for (const int high : {201, 202, 203}) {
    const std::string output = folder.path() + "/output", third = folder.path() + "/third";
    OpenAt(200, output);
    OpenAt(high, third);
    const auto pid = Spawn({.program = "/bin/sh",
                            .arguments = {"-c", "echo out; echo error >&2; echo three >&3"},
                            .descriptors = {{200, 1}, {200, 2}, {high, 3}}});
    ASSERT_TRUE(pid.ok()) << Message(pid.status());
    EXPECT_EQ(WaitForExit(*pid, kPatienceMs), 0);
    EXPECT_EQ(*ReadFile(output), "out\nerror\n");
    EXPECT_EQ(*ReadFile(third), "three\n");
    ::close(200);
    ::close(high);
    std::filesystem::remove(output);
    std::filesystem::remove(third);
  }
}

TEST(Spawn, AChildReadsNothingFromTheAgentsInput) {
  const TemporaryFolder folder;
  const std::string output = folder.path() + "/output";
  OpenAt(200, output);
  const auto pid = Spawn({.program = "/bin/sh",
                          .arguments = {"-c", "readlink /proc/self/fd/0"},
                          .descriptors = {{200, 1}, {200, 2}}});
  ASSERT_TRUE(pid.ok()) << Message(pid.status());
  EXPECT_EQ(WaitForExit(*pid, kPatienceMs), 0);
  EXPECT_EQ(*ReadFile(output), "/dev/null\n");
  ::close(200);
}

}  // namespace
}  // namespace canopy::agent
