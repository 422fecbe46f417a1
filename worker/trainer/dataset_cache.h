#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "worker/data/dataset.h"
#include "worker/data/image_set.h"
#include "worker/protocol/messages.h"

namespace canopy::trainer {

// Training parts of datasets, kept in memory from the first use on: a zygote's children share its pages.
// Never holds test images. Not thread-safe.
class DatasetCache {
 public:
  // Reads and verifies at first. Errors name the path and the remedy (worker/data/dataset.h).
  StatusOr<std::shared_ptr<const data::ImageSet>> TrainingImages(const trainer_protocol::Dataset& dataset);

 private:
  struct Entry {
    std::shared_ptr<const data::ImageSet> images;
    std::string content_digest;
  };
  std::map<std::string, Entry> by_folder_;
};

}  // namespace canopy::trainer
