#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace canopy::data {

// Labelled images of one size, as unsigned bytes.
struct ImageSet {
  int64_t count = 0;
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t class_count = 0;      // the largest label + 1
  std::vector<uint8_t> pixels;  // [count][height][width][channels]
  std::vector<uint8_t> labels;  // [count]

  int64_t image_bytes() const { return channels * height * width; }
};

// SHA-256 in hexadecimal over dimensions, pixels and labels: equal for equal content, however it is
// stored or compressed.
std::string ContentDigest(const ImageSet& images);

}  // namespace canopy::data
