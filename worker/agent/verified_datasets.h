#pragma once

#include <map>
#include <string>

#include "base/status.h"
#include "worker/data/dataset.h"

namespace canopy::agent {

struct VerifiedDataset {
  std::string folder;
  data::DatasetDescription description;
};

// Reads and digests the configured datasets (name to folder), and those that are installed where their name
// is known to be. What was read is kept in `cache_folder` for as long as the files' sizes and times stay the
// same. A configured dataset that is missing or damaged is an error; an installed one is left out, with a
// line in the log. Blocks on disk.
StatusOr<std::map<std::string, VerifiedDataset>> VerifyDatasets(
    const std::map<std::string, std::string>& configured, const std::string& cache_folder);

}  // namespace canopy::agent
