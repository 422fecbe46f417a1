#include "worker/data/dataset.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "worker/data/idx.h"

namespace canopy::data {
namespace {

struct KnownDataset {
  std::string_view name;
  std::string_view folder;
};

// Where distributions install datasets.
constexpr KnownDataset kKnownDatasets[] = {
    {"fashion-mnist", "/usr/share/datasets/fashion-mnist"},
};

constexpr std::string_view kRemedy =
    "; install the package dataset-fashion-mnist or give the path of a folder with the dataset's IDX files";

// The plain file where it exists, else the compressed one.
std::string FileOf(const std::string& folder, Part part, std::string_view rest) {
  const std::string path = folder + (part == Part::kTrain ? "/train-" : "/t10k-") + std::string(rest);
  return FileExists(path) ? path : path + ".gz";
}

}  // namespace

StatusOr<std::string> DatasetFolder(std::string_view name, std::string_view path) {
  if (!path.empty()) return std::string(path);
  std::vector<std::string> names;
  for (const KnownDataset& known : kKnownDatasets) {
    if (known.name == name) return std::string(known.folder);
    names.emplace_back(known.name);
  }
  return InvalidArgument("dataset '" + std::string(name) + "' has no default folder" +
                         DidYouMean(name, names) + "; give its path, or use one of: " + Join(names, ", "));
}

StatusOr<ImageSet> LoadPart(const std::string& folder, Part part) {
  auto images = ReadIdx(FileOf(folder, part, "images-idx3-ubyte"), FileOf(folder, part, "labels-idx1-ubyte"));
  if (images.ok()) return images;
  return Status(images.status().code(), ToAbsl(Message(images.status()) + std::string(kRemedy)));
}

Status VerifyPart(std::string_view content_digest, Part part, std::string_view digest) {
  if (digest.empty()) return absl::OkStatus();
  const std::vector<std::string> parts = Split(digest, '-');
  if (parts.size() != 2)
    return InvalidArgument("a dataset digest has the form <training part>-<test part>, got '" +
                           std::string(digest) + "'");
  const std::string& expected = parts[part == Part::kTrain ? 0 : 1];
  if (content_digest == expected) return absl::OkStatus();
  return FailedPrecondition(std::string("the dataset's ") + (part == Part::kTrain ? "training" : "test") +
                            " part has the content digest " + std::string(content_digest) + ", expected " +
                            expected + "; use the files that the campaign was launched with");
}

StatusOr<DatasetDescription> DescribeDataset(const std::string& folder) {
  CANOPY_ASSIGN_OR_RETURN(const ImageSet train, LoadPart(folder, Part::kTrain));
  CANOPY_ASSIGN_OR_RETURN(const ImageSet test, LoadPart(folder, Part::kTest));
  if (train.channels != test.channels || train.height != test.height || train.width != test.width)
    return DataLoss(folder + ": the training and test images differ in size" + std::string(kRemedy));
  return DatasetDescription{.channels = train.channels,
                            .height = train.height,
                            .width = train.width,
                            .class_count = std::max(train.class_count, test.class_count),
                            .train_count = train.count,
                            .test_count = test.count,
                            .digest = ContentDigest(train) + "-" + ContentDigest(test)};
}

}  // namespace canopy::data
