#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "gtest/gtest.h"
#include "storage/backup_folder.h"
#include "storage/database.h"
#include "storage/restore_backup.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

constexpr int64_t kNowUs = 1'772'366'400'000'000;

// Another process that reads the database as long as this lives.
class ReadingProcess {
 public:
  explicit ReadingProcess(const std::string& path) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    child_ = fork();
    if (child_ == 0) {
      const auto database = Database::Open(path, Database::Mode::kReadOnly);
      if (!database.ok() || !(*database)->RunScript("BEGIN; SELECT COUNT(*) FROM result").ok()) _exit(1);
      if (write(ready[1], "r", 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ready[1]);
    char told = 0;
    EXPECT_EQ(read(ready[0], &told, 1), 1);
    close(ready[0]);
  }
  ~ReadingProcess() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

 private:
  pid_t child_ = -1;
};

// Runs `work` in a process that is killed before the `calls`th of its system calls that change a file. True:
// it was killed; false: it had no so many, and did its work.
template <typename Work>
bool RunAndKill(int calls, const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    _exit(work() ? 0 : 1);
  }
  const std::set<uint64_t> changing = {SYS_write,     SYS_pwrite64, SYS_ftruncate, SYS_fsync,
                                       SYS_fdatasync, SYS_rename,   SYS_unlink,    SYS_link};
  int status = 0, seen = 0;
  waitpid(child, &status, 0);
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  while (ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0 && waitpid(child, &status, 0) == child &&
         WIFSTOPPED(status)) {
    __ptrace_syscall_info info{};
    ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    const bool changes = info.op == PTRACE_SYSCALL_INFO_ENTRY && changing.count(info.entry.nr) > 0;
    if (!changes || ++seen < calls) continue;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return true;
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the work failed";
  return false;
}

// Most of the first calls write pages of the copy.
int NextCall(int calls) { return calls < 60 ? 7 : 1; }

class RestoreKillTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    // As a kill leaves it: all of it in its log.
    const std::string path = directory_.File("canopy.db");
    const auto store = testing::StoreWithCampaign(path);
    const auto set_fence = [&](int64_t fence) {
      return store->Transaction([&] { return store->SetCounter("next_fence", fence); });
    };
    ASSERT_TRUE(testing::AddCompletedTrial(*store, 1, 0.5).ok() && set_fence(70).ok());
    const auto taken = TakeBackup(path, directory_.File("backups"), kNowUs);
    ASSERT_TRUE(taken.ok()) << taken.status();
    backup_ = taken->backup.path;
    ASSERT_TRUE(testing::AddCompletedTrial(*store, 2, 0.5).ok());
    ASSERT_TRUE(CopyDatabase(path, later_backup_).ok());
    for (int64_t id = 3; id <= 4; ++id) ASSERT_TRUE(testing::AddCompletedTrial(*store, id, 0.5).ok());
    ASSERT_TRUE(set_fence(120).ok());
    std::filesystem::create_directory(crashed_);
    for (const char* part : {"", "-wal"}) std::filesystem::copy(path + part, crashed_ + "/canopy.db" + part);
  }

  testing::TemporaryDirectory directory_;
  const std::string later_backup_ = directory_.File("later.db");
  const std::string crashed_ = directory_.File("crashed"), folder_ = directory_.File("killed");
  std::string backup_;
};

TEST_P(RestoreKillTest, AnotherRestoreSucceeds) {
  bool killed = true;
  for (int calls = 1; killed; calls += NextCall(calls)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::copy(crashed_, folder_);
    const std::string path = folder_ + "/canopy.db";
    {
      const auto reader = GetParam() ? std::make_unique<ReadingProcess>(path) : nullptr;
      killed = RunAndKill(calls, [&] { return RestoreBackup(path, backup_, kNowUs).ok(); });
    }
    const auto restored = RestoreBackup(path, later_backup_, kNowUs);
    ASSERT_TRUE(restored.ok()) << restored.status() << ", killed before call " << calls;
    const auto store = SqliteTrialStore::Open(path);
    ASSERT_TRUE(store.ok()) << store.status() << ", killed before call " << calls;
    ASSERT_EQ(*(*store)->Counter("next_fence"), 120) << "killed before call " << calls;
    const auto facts = VerifyDatabaseFile(path, 1'000);
    ASSERT_TRUE(facts.ok()) << facts.status() << ", killed before call " << calls;
    ASSERT_EQ(facts->results, 2) << "killed before call " << calls;
  }
}

// With a reader the log can't be folded, and has to go where its database goes.
TEST_P(RestoreKillTest, LeavesTheOneOrTheOther) {
  int old = 0, restored = 0;
  bool killed = true;
  for (int calls = 1; killed; calls += NextCall(calls)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::copy(crashed_, folder_);
    const std::string path = folder_ + "/canopy.db";
    {
      const auto reader = GetParam() ? std::make_unique<ReadingProcess>(path) : nullptr;
      killed = RunAndKill(calls, [&] { return RestoreBackup(path, backup_, kNowUs).ok(); });
    }
    const auto store = SqliteTrialStore::Open(path);
    ASSERT_TRUE(store.ok()) << store.status() << ", killed before call " << calls;
    const auto database = Database::Open(path, Database::Mode::kReadOnly);
    const int64_t results = *(*database)->QueryInt("SELECT COUNT(*) FROM result");
    ASSERT_EQ((*store)->incarnation(), results == 4 ? 1 : 2) << results << ", killed before call " << calls;
    ASSERT_TRUE(results == 1 || results == 4) << results << ", killed before call " << calls;
    ASSERT_EQ(*(*store)->Counter("next_fence"), 120) << "killed before call " << calls;
    ++(results == 1 ? restored : old);
    // What was replaced is whole, too.
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename().string();
      EXPECT_EQ(name.find(".rest"), std::string::npos) << name << " is left of call " << calls;
      if (results == 4 || name.find("replaced") == std::string::npos || name.find("Z-") != std::string::npos)
        continue;
      const auto kept = Database::Open(entry.path().string(), Database::Mode::kReadOnly);
      EXPECT_EQ(*(*kept)->QueryInt("SELECT COUNT(*) FROM result"), 4) << "killed before call " << calls;
    }
  }
  EXPECT_GT(old, 10);
  EXPECT_GT(restored, 3);
}

INSTANTIATE_TEST_SUITE_P(Readers, RestoreKillTest, ::testing::Bool());

}  // namespace
}  // namespace canopy::storage
