#include "cli/local_disk.h"

#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class LocalDiskTest : public ::testing::Test {
 protected:
  LocalDiskTest() : folder_(std::filesystem::temp_directory_path() / ("canopy-" + NewUuid())) {
    std::filesystem::create_directories(folder_ + "/home");
    std::filesystem::create_directories(folder_ + "/local");
  }
  ~LocalDiskTest() override { std::filesystem::remove_all(folder_); }

  StatusOr<std::string> Base(const std::string& base) {
    // As statfs does, it knows existing paths alone.
    const auto probe = [this](const std::string& path) -> std::optional<std::string> {
      if (!std::filesystem::exists(path) || path.rfind(folder_ + "/home", 0) != 0) return std::nullopt;
      return "nfs";
    };
    return OnLocalDisk(base, probe, folder_ + "/local");
  }

  const std::string folder_;
};

TEST_F(LocalDiskTest, ALocalFolderStays) {
  EXPECT_EQ(*Base(folder_ + "/local/state"), folder_ + "/local/state");
}

// Every verb has to come to the same folder, before and after the first campaign.
TEST_F(LocalDiskTest, AFolderOnTheNetworkIsReplacedByTheSameOneAlways) {
  const std::string base = folder_ + "/home/not/there/yet";
  const auto local = Base(base);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_THAT(*local, StartsWith(folder_ + "/local/canopy-"));
  std::filesystem::create_directories(base);
  EXPECT_EQ(*Base(base), *local);
  EXPECT_NE(*Base(base + "2"), *local);
  struct stat made {};
  ASSERT_EQ(stat(local->c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0700u);
}

TEST_F(LocalDiskTest, AFolderThatOthersCanReadIsRefused) {
  const auto local = Base(folder_ + "/home/state");
  ASSERT_TRUE(local.ok());
  std::filesystem::permissions(std::filesystem::path(*local).parent_path(), std::filesystem::perms(0755));
  EXPECT_THAT(Message(Base(folder_ + "/home/state").status()), HasSubstr("is no private folder"));
}

}  // namespace
}  // namespace canopy::cli
