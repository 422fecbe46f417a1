#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "worker/data/image_set.h"

namespace canopy::data {

// A dataset is a folder of MNIST-like files: train-images-idx3-ubyte, train-labels-idx1-ubyte and the
// t10k- pair, each plain or with ".gz". Its digest is "<training part>-<test part>", two content digests,
// so that the training part is verified without opening the test files. All functions block on disk.

enum class Part { kTrain, kTest };

// `path` where it is given, else the folder in which the named dataset is installed by default.
// InvalidArgument for a name that is not known without a path.
StatusOr<std::string> DatasetFolder(std::string_view name, std::string_view path);

// NotFound and DataLoss name the path and the remedy.
StatusOr<ImageSet> LoadPart(const std::string& folder, Part part);

// FailedPrecondition unless `content_digest`, that of a part's images, is what the dataset's `digest` says
// of that part; an empty digest accepts all.
Status VerifyPart(std::string_view content_digest, Part part, std::string_view digest);

// What a launch and a worker's announcement need to know.
struct DatasetDescription {
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t class_count = 0;
  int64_t train_count = 0;
  int64_t test_count = 0;
  std::string digest;
};

// Reads both parts. DataLoss where they differ in image size.
StatusOr<DatasetDescription> DescribeDataset(const std::string& folder);

}  // namespace canopy::data
