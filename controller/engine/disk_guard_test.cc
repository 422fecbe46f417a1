#include "controller/engine/disk_guard.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::engine {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMiB = int64_t{1} << 20;

class DiskGuardTest : public ::testing::Test {
 protected:
  DiskGuardTest() : folder_(::testing::TempDir() + "/disk_guard_" + std::to_string(::getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~DiskGuardTest() override { std::filesystem::remove_all(folder_); }
  DiskGuard::Options Options() {
    DiskGuard::Options options;
    options.folder = folder_;
    options.low_bytes = 64 * kMiB;
    options.reserve_bytes = 2 * kMiB;
    options.free_bytes = [this]() -> StatusOr<int64_t> { return free_; };
    return options;
  }
  // What the reserve takes of the disk.
  int64_t Reserved() const {
    struct stat info {};
    return ::stat((folder_ + "/reserve").c_str(), &info) == 0 ? int64_t{info.st_blocks} * 512 : 0;
  }

  const std::string folder_;
  int64_t free_ = 1000 * kMiB;
};

TEST_F(DiskGuardTest, RefusesLongBeforeTheReserveIsTouched) {
  DiskGuard guard(Options());
  guard.Look();
  EXPECT_FALSE(guard.low());
  EXPECT_GE(Reserved(), 2 * kMiB);
  free_ = 60 * kMiB;
  guard.Look();
  EXPECT_TRUE(guard.low());
  EXPECT_GE(Reserved(), 2 * kMiB);
  EXPECT_TRUE(absl::IsResourceExhausted(guard.Refusal()));
  EXPECT_THAT(Message(guard.Refusal()), HasSubstr("free space there"));
}

TEST_F(DiskGuardTest, GivesTheReserveToTheOpenBatchAndTakesItBackWhenThereIsRoom) {
  DiskGuard guard(Options());
  guard.Look();
  free_ = kMiB;
  guard.Look();
  EXPECT_EQ(Reserved(), 0);
  free_ = 65 * kMiB;
  guard.Look();
  EXPECT_TRUE(guard.low()) << "the reserve has no room beyond the mark";
  EXPECT_EQ(Reserved(), 0);
  free_ = 67 * kMiB;
  guard.Look();
  EXPECT_FALSE(guard.low());
  EXPECT_GE(Reserved(), 2 * kMiB);
}

TEST_F(DiskGuardTest, FindsTheReserveOfAnEarlierStart) {
  {
    DiskGuard earlier(Options());
    earlier.Look();
  }
  DiskGuard guard(Options());
  free_ = kMiB;
  guard.Look();
  EXPECT_EQ(Reserved(), 0);
}

}  // namespace
}  // namespace canopy::engine
