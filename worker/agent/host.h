#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace canopy::agent {

// What this process may use of its host: cores of the affinity mask and of the cgroup's CPU quota, memory
// of the host and of the cgroup's limit (cgroup v1 and v2). Never the bare number of CPUs.
struct HostResources {
  int64_t cores = 1;
  int64_t memory_bytes = 0;
};
// `root` stands before /proc and /sys.
HostResources ReadHostResources(const std::string& root = "");

// One core and 1 GiB for each, at least one.
int64_t DefaultSlots(const HostResources& resources);

// The folders of this process's cgroup for a controller ("memory", "cpu"), its own first, then each one
// above it.
std::vector<std::string> CgroupFolders(const std::string& controller, const std::string& root = "");

// "AMD EPYC 9R14", from /proc/cpuinfo; "unknown CPU" where it has no name.
std::string CpuModel(const std::string& root = "");
// Stable over restarts, without telling the machine's own id.
std::string CpuDeviceUuid();
std::string HostName();

}  // namespace canopy::agent
