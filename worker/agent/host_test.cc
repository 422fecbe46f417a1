#include "worker/agent/host.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "worker/agent/agent_test_support.h"

namespace canopy::agent {
namespace {

class HostTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::string full = folder_.path() + path;
    ASSERT_TRUE(MakeDirectories(full.substr(0, full.rfind('/'))).ok());
    ASSERT_TRUE(WriteFileDurably(full, text).ok());
  }
  const std::string& root() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(HostTest, TakesTheTightestLimitOfCgroupV2) {
  Write("/proc/meminfo", "MemTotal:       67108864 kB\nMemFree: 1 kB\n");
  Write("/proc/self/cgroup", "0::/job/step\n");
  Write("/sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
  Write("/sys/fs/cgroup/job/cpu.max", "150000 100000\n");
  Write("/sys/fs/cgroup/job/step/memory.max", "max\n");
  Write("/sys/fs/cgroup/job/memory.max", "3221225472\n");
  const HostResources resources = ReadHostResources(root());
  EXPECT_EQ(resources.cores, 1);
  EXPECT_EQ(resources.memory_bytes, 3221225472);
}

TEST_F(HostTest, TakesTheLimitsOfCgroupV1) {
  Write("/proc/meminfo", "MemTotal: 67108864 kB\n");
  Write("/proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n");
  Write("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
  Write("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  Write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1073741824\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  const HostResources resources = ReadHostResources(root());
  EXPECT_EQ(resources.cores, 1);
  EXPECT_EQ(resources.memory_bytes, 1073741824);
}

TEST(DefaultSlots, NeedACoreAndMemoryEach) {
  constexpr int64_t kGiB = int64_t{1} << 30;
  EXPECT_EQ(DefaultSlots({.cores = 4, .memory_bytes = 64 * kGiB}), 4);
  EXPECT_EQ(DefaultSlots({.cores = 64, .memory_bytes = 3 * kGiB}), 3);
  EXPECT_EQ(DefaultSlots({.cores = 2, .memory_bytes = kGiB / 2}), 1);
}

TEST_F(HostTest, ReadsTheProcessorsName) {
  Write("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU 9000 @ 2 GHz\n");
  EXPECT_EQ(CpuModel(root()), "Some CPU 9000 @ 2 GHz");
}

}  // namespace
}  // namespace canopy::agent
