#include "worker/trainer/dataset_cache.h"

#include <utility>

namespace canopy::trainer {

StatusOr<std::shared_ptr<const data::ImageSet>> DatasetCache::TrainingImages(
    const trainer_protocol::Dataset& dataset) {
  CANOPY_ASSIGN_OR_RETURN(const std::string folder, data::DatasetFolder(dataset.name, dataset.path));
  auto found = by_folder_.find(folder);
  // A mismatch can mean that the files were replaced after they were read, so they are read again.
  if (found == by_folder_.end() ||
      !data::VerifyPart(found->second.content_digest, data::Part::kTrain, dataset.digest).ok()) {
    CANOPY_ASSIGN_OR_RETURN(data::ImageSet images, data::LoadPart(folder, data::Part::kTrain));
    Entry entry{.content_digest = data::ContentDigest(images)};
    entry.images = std::make_shared<const data::ImageSet>(std::move(images));
    CANOPY_RETURN_IF_ERROR(data::VerifyPart(entry.content_digest, data::Part::kTrain, dataset.digest));
    found = by_folder_.insert_or_assign(folder, std::move(entry)).first;
  }
  return found->second.images;
}

}  // namespace canopy::trainer
