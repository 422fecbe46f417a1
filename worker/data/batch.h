#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "worker/data/image_set.h"

namespace canopy::data {

// Per channel: value = pixel * scale + offset gives mean 0 and standard deviation 1 over the examples it
// was computed from.
struct Normalization {
  std::vector<float> scale;
  std::vector<float> offset;
};

// Exact integer sums: the same on every machine. A constant channel keeps scale 1 / 255.
Normalization ComputeNormalization(const ImageSet& images, std::span<const int64_t> examples);

struct Augmentation {
  int64_t random_crop = 0;  // pixels of zero padding before a crop of the original size; 0: off
  bool random_flip = false;
  // A square of this side around a random pixel becomes the mean colour (DeVries and Taylor 2017, Improved
  // Regularization of Convolutional Neural Networks with Cutout); 0: off.
  int64_t cutout = 0;
};

// Writes the examples as [example][height][width][channel] floats (channels last). Where augmentation is
// on, each example draws its shift, flip and square from `rng` in order.
void FillBatch(const ImageSet& images, std::span<const int64_t> examples, const Normalization& normalization,
               const Augmentation& augmentation, Rng& rng, float* out);
// The same without augmentation.
void FillBatch(const ImageSet& images, std::span<const int64_t> examples, const Normalization& normalization,
               float* out);

}  // namespace canopy::data
