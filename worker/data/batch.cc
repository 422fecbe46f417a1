#include "worker/data/batch.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace canopy::data {
namespace {

// pixel value -> normalised float, per channel.
using Table = std::array<float, 256>;

std::vector<Table> Tables(const Normalization& normalization) {
  std::vector<Table> tables(normalization.scale.size());
  for (size_t c = 0; c < tables.size(); ++c)
    for (size_t value = 0; value < 256; ++value)
      tables[c][value] = static_cast<float>(value) * normalization.scale[c] + normalization.offset[c];
  return tables;
}

struct Placement {
  int64_t down = 0;  // of the crop window, in source pixels; negative: into the padding
  int64_t right = 0;
  bool flipped = false;
};

void FillImage(const ImageSet& images, int64_t example, const std::vector<Table>& tables,
               const Placement& placement, float* out) {
  const int64_t channels = images.channels;
  const uint8_t* image = images.pixels.data() + example * images.image_bytes();
  for (int64_t y = 0; y < images.height; ++y) {
    const int64_t from_y = y + placement.down;
    const bool row_inside = from_y >= 0 && from_y < images.height;
    for (int64_t x = 0; x < images.width; ++x) {
      const int64_t from_x = (placement.flipped ? images.width - 1 - x : x) + placement.right;
      const bool inside = row_inside && from_x >= 0 && from_x < images.width;
      const uint8_t* pixel = inside ? image + (from_y * images.width + from_x) * channels : nullptr;
      for (int64_t c = 0; c < channels; ++c)
        *out++ = tables[static_cast<size_t>(c)][pixel == nullptr ? 0 : pixel[c]];
    }
  }
}

// The square may reach over the edge.
void CutOut(const ImageSet& images, int64_t side, Rng& rng, float* image) {
  const int64_t top = rng.Int(0, images.height - 1) - side / 2;
  const int64_t left = rng.Int(0, images.width - 1) - side / 2;
  const int64_t from = std::max<int64_t>(0, left), to = std::min(images.width, left + side);
  for (int64_t y = std::max<int64_t>(0, top); y < std::min(images.height, top + side); ++y)
    std::fill(image + (y * images.width + from) * images.channels,
              image + (y * images.width + std::max(from, to)) * images.channels, 0.0F);
}

}  // namespace

Normalization ComputeNormalization(const ImageSet& images, std::span<const int64_t> examples) {
  const auto channels = static_cast<size_t>(images.channels);
  std::vector<uint64_t> sum(channels, 0);
  std::vector<uint64_t> sum_of_squares(channels, 0);
  for (const int64_t example : examples) {
    const uint8_t* pixel = images.pixels.data() + example * images.image_bytes();
    for (size_t c = 0; c < channels; ++c) {
      uint64_t image_sum = 0;
      uint64_t image_squares = 0;
      for (size_t i = c; i < static_cast<size_t>(images.image_bytes()); i += channels) {
        image_sum += pixel[i];
        image_squares += uint32_t{pixel[i]} * pixel[i];
      }
      sum[c] += image_sum;
      sum_of_squares[c] += image_squares;
    }
  }
  const double count =
      static_cast<double>(examples.size()) * static_cast<double>(images.height * images.width);
  Normalization normalization;
  for (size_t c = 0; c < channels; ++c) {
    const double mean = static_cast<double>(sum[c]) / count;
    const double variance = static_cast<double>(sum_of_squares[c]) / count - mean * mean;
    const double scale = variance > 1e-6 ? 1 / std::sqrt(variance) : 1.0 / 255;
    normalization.scale.push_back(static_cast<float>(scale));
    normalization.offset.push_back(static_cast<float>(-mean * scale));
  }
  return normalization;
}

void FillBatch(const ImageSet& images, std::span<const int64_t> examples, const Normalization& normalization,
               const Augmentation& augmentation, Rng& rng, float* out) {
  const std::vector<Table> tables = Tables(normalization);
  const int64_t padding = augmentation.random_crop;
  for (const int64_t example : examples) {
    Placement placement;
    if (padding > 0) {
      placement.down = rng.Int(-padding, padding);
      placement.right = rng.Int(-padding, padding);
    }
    if (augmentation.random_flip) placement.flipped = rng.Below(2) == 1;
    FillImage(images, example, tables, placement, out);
    if (augmentation.cutout > 0) CutOut(images, augmentation.cutout, rng, out);
    out += images.image_bytes();
  }
}

void FillBatch(const ImageSet& images, std::span<const int64_t> examples, const Normalization& normalization,
               float* out) {
  Rng unused(0);
  FillBatch(images, examples, normalization, Augmentation{}, unused, out);
}

}  // namespace canopy::data
