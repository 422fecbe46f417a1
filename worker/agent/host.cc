#include "worker/agent/host.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>

#include "base/file.h"
#include "base/sha256.h"
#include "base/strings.h"

namespace canopy::agent {
namespace {

constexpr int64_t kMemoryPerSlot = int64_t{1} << 30;
constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// The blank-separated words of a small file; none where it can't be read.
std::vector<std::string> Words(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> words;
  for (std::string word; file >> word;) words.push_back(word);
  return words;
}

std::optional<int64_t> FirstInteger(const std::string& path) {
  const auto words = Words(path);
  return words.empty() ? std::nullopt : ParseInt(words[0]);
}

int64_t AffinityCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// Whole cores of a quota in a period; part of one counts as one.
int64_t QuotaCores(const std::string& folder) {
  std::optional<int64_t> quota, period;
  if (const auto v2 = Words(folder + "/cpu.max"); v2.size() == 2) {
    quota = ParseInt(v2[0]);  // "max": none
    period = ParseInt(v2[1]);
  } else {
    quota = FirstInteger(folder + "/cpu.cfs_quota_us");
    period = FirstInteger(folder + "/cpu.cfs_period_us");
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return kUnlimited;
  return std::max<int64_t>(1, *quota / *period);
}

int64_t MemoryLimit(const std::string& folder) {
  auto limit = FirstInteger(folder + "/memory.max");
  if (!limit) limit = FirstInteger(folder + "/memory.limit_in_bytes");
  return limit && *limit > 0 ? *limit : kUnlimited;
}

int64_t HostMemory(const std::string& root) {
  const auto words = Words(root + "/proc/meminfo");
  for (size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == "MemTotal:") return ParseInt(words[i + 1]).value_or(0) * 1024;
  return 0;
}

}  // namespace

std::vector<std::string> CgroupFolders(const std::string& controller, const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::vector<std::string> folders;
  for (std::string line; std::getline(file, line);) {
    // "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1.
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const auto names = Split(controllers, ',');
    const bool unified = controllers.empty();
    if (!unified && std::find(names.begin(), names.end(), controller) == names.end()) continue;
    const std::string mount = root + "/sys/fs/cgroup" + (unified ? "" : "/" + controller);
    std::filesystem::path path = line.substr(second + 1);
    for (; path.has_relative_path(); path = path.parent_path()) folders.push_back(mount + path.string());
    folders.push_back(mount);
  }
  return folders;
}

HostResources ReadHostResources(const std::string& root) {
  HostResources resources = {.cores = AffinityCores(), .memory_bytes = HostMemory(root)};
  for (const std::string& folder : CgroupFolders("cpu", root))
    resources.cores = std::min(resources.cores, QuotaCores(folder));
  for (const std::string& folder : CgroupFolders("memory", root))
    resources.memory_bytes = std::min(resources.memory_bytes, MemoryLimit(folder));
  return resources;
}

int64_t DefaultSlots(const HostResources& resources) {
  return std::max<int64_t>(1, std::min(resources.cores, resources.memory_bytes / kMemoryPerSlot));
}

std::string CpuModel(const std::string& root) {
  std::ifstream file(root + "/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon != std::string::npos && line.starts_with("model name"))
      return std::string(Trim(line.substr(colon + 1)));
  }
  return "unknown CPU";
}

std::string CpuDeviceUuid() {
  const auto machine = ReadFile("/etc/machine-id", 4096);
  return "CPU-" + Sha256Hex("canopy device/" + (machine.ok() ? *machine : HostName())).substr(0, 32);
}

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

}  // namespace canopy::agent
