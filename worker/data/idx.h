#pragma once

#include <string>

#include "base/status.h"
#include "worker/data/image_set.h"

namespace canopy::data {

// Reads an images file (IDX type 0x08, 3 dimensions) and its labels (1 dimension), as MNIST and its
// likes are distributed; either may be compressed with gzip. Blocks on disk. NotFound names the missing
// path; DataLoss says how a file is damaged: wrong magic, truncated, counts that differ, bytes left over.
StatusOr<ImageSet> ReadIdx(const std::string& images_path, const std::string& labels_path);

}  // namespace canopy::data
