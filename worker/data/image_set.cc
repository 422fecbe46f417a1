#include "worker/data/image_set.h"

#include <string_view>

#include "base/sha256.h"

namespace canopy::data {
namespace {

std::string_view Bytes(const std::vector<uint8_t>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size()};
}

}  // namespace

std::string ContentDigest(const ImageSet& images) {
  Sha256Stream stream;
  stream.Update("canopy images 1: " + std::to_string(images.count) + "x" + std::to_string(images.height) +
                "x" + std::to_string(images.width) + "x" + std::to_string(images.channels) + "\n");
  stream.Update(Bytes(images.pixels));
  stream.Update(Bytes(images.labels));
  return stream.FinishHex();
}

}  // namespace canopy::data
