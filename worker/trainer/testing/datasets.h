#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/random.h"
#include "worker/data/image_set.h"

namespace canopy::trainer {

// Rows, columns, a checkerboard or nothing, in noise: four classes that a small network learns in a few
// steps.
inline data::ImageSet StripedImages(int64_t count, int64_t size, uint64_t seed) {
  data::ImageSet images{.count = count, .channels = 1, .height = size, .width = size, .class_count = 4};
  Rng rng(seed);
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t label = rng.Below(4);
    images.labels.push_back(static_cast<uint8_t>(label));
    for (int64_t y = 0; y < size; ++y) {
      for (int64_t x = 0; x < size; ++x) {
        const int64_t phases[] = {y, x, x + y, 0};
        images.pixels.push_back(static_cast<uint8_t>(rng.Below(100) + (phases[label] % 2 == 1 ? 120 : 0)));
      }
    }
  }
  return images;
}

// A folder with StripedImages as IDX files, removed at the end.
class StripedDataset {
 public:
  static constexpr int64_t kSize = 8;
  static constexpr int64_t kClasses = 4;

  explicit StripedDataset(const std::string& parent, int64_t train_count = 640)
      : folder_(parent + "/striped-" + NewUuid()) {
    std::filesystem::create_directories(folder_);
    Write("train", StripedImages(train_count, kSize, 1));
    Write("t10k", StripedImages(100, kSize, 2));
  }
  ~StripedDataset() { std::filesystem::remove_all(folder_); }
  StripedDataset(const StripedDataset&) = delete;
  StripedDataset& operator=(const StripedDataset&) = delete;

  const std::string& folder() const { return folder_; }
  void RemoveTestFiles() const {
    std::filesystem::remove(folder_ + "/t10k-images-idx3-ubyte");
    std::filesystem::remove(folder_ + "/t10k-labels-idx1-ubyte");
  }

 private:
  static void PutSize(std::ofstream& file, int64_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) file.put(static_cast<char>(value >> shift));
  }
  void Write(const std::string& part, const data::ImageSet& images) const {
    std::ofstream pixels(folder_ + "/" + part + "-images-idx3-ubyte", std::ios::binary);
    pixels.write("\0\0\x08\x03", 4);
    for (const int64_t size : {images.count, images.height, images.width}) PutSize(pixels, size);
    pixels.write(reinterpret_cast<const char*>(images.pixels.data()),
                 static_cast<std::streamsize>(images.pixels.size()));
    std::ofstream labels(folder_ + "/" + part + "-labels-idx1-ubyte", std::ios::binary);
    labels.write("\0\0\x08\x01", 4);
    PutSize(labels, images.count);
    labels.write(reinterpret_cast<const char*>(images.labels.data()),
                 static_cast<std::streamsize>(images.labels.size()));
  }

  std::string folder_;
};

}  // namespace canopy::trainer
