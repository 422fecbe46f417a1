#include "cli/host_checks.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::cli {
namespace {

using ::testing::HasSubstr;
using Level = HostCheck::Level;

constexpr int64_t kGiB = int64_t{1} << 30;
constexpr int64_t kNowUs = 1'772'366'400'000'000;
constexpr int64_t kHourUs = int64_t{3'600} * 1'000'000;

TEST(HostChecks, ANetworkFileSystemIsNoPlaceForTheDatabase) {
  EXPECT_EQ(JudgeFileSystem(std::nullopt).level, Level::kOk);
  EXPECT_EQ(JudgeFileSystem("nfs").level, Level::kError);
  EXPECT_THAT(JudgeFileSystem("nfs").found, HasSubstr("nfs"));
}

TEST(HostChecks, SpaceIsForTheDatabaseAndItsBackups) {
  EXPECT_EQ(JudgeDiskSpace(100 * kGiB, 5 * kGiB).level, Level::kOk);
  EXPECT_EQ(JudgeDiskSpace(12 * kGiB, 5 * kGiB).level, Level::kWarning);
  EXPECT_EQ(JudgeDiskSpace(100'000'000, 0).level, Level::kError);
}

TEST(HostChecks, WhatIsSlowOrScarceIsSaidWithARemedy) {
  for (const HostCheck& check :
       {JudgeSyncLatency(30, 200), JudgeOpenFiles(1024), JudgeClock(false, kNowUs), JudgeClock(true, 0),
        JudgeFolder("/state", 0755, true, true), JudgeFolder("/state", 0700, false, true),
        JudgeFolder("/state", 0700, true, false), JudgeSlots(8, 4, 64 * kGiB), JudgeSlots(4, 4, 2 * kGiB)}) {
    EXPECT_NE(check.level, Level::kOk) << check.name;
    EXPECT_FALSE(check.remedy.empty()) << check.name;
  }
  for (const HostCheck& check : {JudgeSyncLatency(2, 9), JudgeOpenFiles(65'536), JudgeClock(true, kNowUs),
                                 JudgeFolder("/state", 0700, true, true), JudgeSlots(4, 4, 64 * kGiB)}) {
    EXPECT_EQ(check.level, Level::kOk) << check.name << ": " << check.found;
    EXPECT_TRUE(check.remedy.empty()) << check.name;
  }
}

TEST(HostChecks, BackupsAreMissedAfterThreeIntervals) {
  constexpr int64_t kHourMs = 3'600'000;
  EXPECT_EQ(JudgeBackups(kNowUs - 2 * kHourUs, kHourMs, kNowUs).level, Level::kOk);
  EXPECT_EQ(JudgeBackups(kNowUs - 4 * kHourUs, kHourMs, kNowUs).level, Level::kWarning);
  EXPECT_EQ(JudgeBackups(0, kHourMs, kNowUs).level, Level::kWarning);
  EXPECT_EQ(JudgeBackups(kNowUs, 0, kNowUs).level, Level::kWarning);
}

TEST(HostChecks, MeasuringSyncsLeavesNothingBehind) {
  const std::string folder = testing::TempDir() + "/host_checks_test";
  std::filesystem::create_directories(folder);
  const auto ms = MeasureSyncMs(folder, 5);
  ASSERT_TRUE(ms.ok()) << ms.status();
  EXPECT_EQ(ms->size(), 5u);
  EXPECT_TRUE(std::is_sorted(ms->begin(), ms->end()));
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  EXPECT_FALSE(MeasureSyncMs(folder + "/none", 1).ok());
  EXPECT_GT(OpenFileLimit(), 0);
}

}  // namespace
}  // namespace canopy::cli
