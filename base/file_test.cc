#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/sha256.h"

namespace canopy {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() : folder_(testing::TempDir() + "/canopy_file_" + std::to_string(::getpid())) {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(MakeDirectories(folder_ + "/a/b").ok());
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }
  const std::string folder_;
};

TEST_F(FileTest, DurableWriteReplacesTheContentAndLeavesNothingBehind) {
  ASSERT_TRUE(WriteFileDurably(folder_ + "/a/f", "one").ok());
  ASSERT_TRUE(WriteFileDurably(folder_ + "/a/f", "two").ok());
  EXPECT_EQ(*ReadFile(folder_ + "/a/f"), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ + "/a"), {}), 2);
  EXPECT_EQ(*Sha256HexOfFile(folder_ + "/a/f"), Sha256Hex("two"));
}

TEST_F(FileTest, ReadingNamesWhatIsMissingOrTooLarge) {
  EXPECT_EQ(ReadFile(folder_ + "/none").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileDurably(folder_ + "/f", "12345").ok());
  EXPECT_EQ(ReadFile(folder_ + "/f", 4).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(FileTest, ALockHeldByAnotherProcessIsRefusedWithItsPid) {
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto lock = FileLock::Acquire(folder_ + "/lock");
    char byte = lock.ok() ? 'y' : 'n';
    (void)!write(ready[1], &byte, 1);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const auto refused = FileLock::Acquire(folder_ + "/lock");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAborted);
  EXPECT_NE(Message(refused.status()).find(std::to_string(child)), std::string::npos);
  ASSERT_EQ(write(done[1], "x", 1), 1);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::Acquire(folder_ + "/lock").ok());
}

TEST(Sha256, KnownAnswer) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace canopy
