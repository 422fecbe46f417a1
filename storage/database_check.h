#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace canopy::storage {

// One of the things that hold in every database, and how far it holds in this one.
struct CheckResult {
  std::string name;                   // "each completed trial has a result"
  int64_t violations = 0;             // 0: it holds
  std::vector<std::string> examples;  // of violations, at most 3
};

// Reads all of the database: its pages, references and indices, then what the controller keeps true of its
// rows (docs/storage_format.md), each check by itself. An error: it could not be read so far. Takes about as
// long as reading the file twice. `immutable`: nobody writes the file meanwhile.
StatusOr<std::vector<CheckResult>> CheckDatabase(const std::string& path, bool immutable);

// What a worker keeps in its checkpoints/, by file name, against the rows that name it.
struct WorkerFiles {
  std::vector<std::string> orphans;  // no row names them
  std::vector<std::string> missing;  // weights of FINAL trials, and checkpoints of trials that wait
};
StatusOr<WorkerFiles> CompareWorkerFiles(const std::string& path, const std::string& worker_id,
                                         const std::vector<std::string>& files);

// "project__name" of each campaign: what its folder in the state directory is called.
StatusOr<std::vector<std::string>> CampaignNames(const std::string& path);

}  // namespace canopy::storage
