#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace canopy::cli {

// A line of `canopy doctor`.
struct HostCheck {
  enum class Level { kOk, kWarning, kError };
  std::string name;
  Level level = Level::kOk;
  std::string found;
  std::string remedy;  // empty where there is nothing to do
};
std::string LevelName(HostCheck::Level level);

// What is measured becomes a line.
HostCheck JudgeFileSystem(const std::optional<std::string>& network);
// A backup has to fit beside the database.
HostCheck JudgeDiskSpace(int64_t free_bytes, int64_t database_bytes);
// How long a write takes to be durable: each commit waits for one.
HostCheck JudgeSyncLatency(double median_ms, double worst_ms);
HostCheck JudgeOpenFiles(int64_t limit);
// Whether something keeps the clock right, as the kernel knows.
HostCheck JudgeClock(bool synchronized, int64_t wall_us);
HostCheck JudgeFolder(const std::string& path, uint32_t mode, bool own, bool writable);
// `newest_us` 0: there is no backup.
HostCheck JudgeBackups(int64_t newest_us, int64_t interval_ms, int64_t now_us);
HostCheck JudgeSlots(int64_t slots, int64_t cores, int64_t memory_bytes);

// Writes and syncs a file in the folder a number of times; the times in milliseconds, ascending. Removes it.
StatusOr<std::vector<double>> MeasureSyncMs(const std::string& folder, int times);
// False where the kernel says that nothing keeps its clock right.
bool ClockIsSynchronized();
int64_t OpenFileLimit();

}  // namespace canopy::cli
