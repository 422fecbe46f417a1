#include "storage/open_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace canopy::storage {
namespace {

bool HasOpen(const std::filesystem::path& process, const struct stat& file) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(process / "fd", error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat open {};
    if (stat(entry->path().c_str(), &open) == 0 && open.st_dev == file.st_dev && open.st_ino == file.st_ino)
      return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> ProcessesWithOpen(const std::string& path) {
  std::vector<std::string> processes;
  struct stat file {};
  if (stat(path.c_str(), &file) != 0) return processes;
  const std::string own = std::to_string(getpid());
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string pid = entry->path().filename().string();
    const bool is_process = std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!is_process || pid == own || !HasOpen(entry->path(), file)) continue;
    std::string name;
    std::getline(std::ifstream(entry->path() / "comm"), name);
    processes.push_back("pid " + pid + " (" + name + ")");
  }
  std::sort(processes.begin(), processes.end());
  return processes;
}

}  // namespace canopy::storage
