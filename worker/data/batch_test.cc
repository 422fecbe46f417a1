#include "worker/data/batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace canopy::data {
namespace {

// Two channels that differ, so that a mixed-up layout shows.
ImageSet Example() {
  ImageSet images{.count = 3, .channels = 2, .height = 3, .width = 4, .class_count = 2};
  for (int i = 0; i < 3 * 2 * 3 * 4; ++i) images.pixels.push_back(static_cast<uint8_t>(10 + i * 3));
  images.labels = {0, 1, 0};
  return images;
}

const Normalization kIdentity = {.scale = {1, 1}, .offset = {0, 0}};

TEST(Normalization, GivesMeanZeroAndDeviationOneOverTheExamplesOnly) {
  const ImageSet images = Example();
  const std::vector<int64_t> examples = {0, 2};
  const Normalization normalization = ComputeNormalization(images, examples);
  std::vector<float> out(2 * 24);
  FillBatch(images, examples, normalization, out.data());
  for (size_t c = 0; c < 2; ++c) {
    double sum = 0;
    double squares = 0;
    for (size_t i = c; i < out.size(); i += 2) {
      sum += out[i];
      squares += out[i] * out[i];
    }
    EXPECT_NEAR(sum / 24, 0, 1e-5);
    EXPECT_NEAR(squares / 24, 1, 1e-4);
  }
}

TEST(FillBatch, WithoutAugmentationCopiesTheExamplesInOrder) {
  const ImageSet images = Example();
  std::vector<float> out(2 * 24);
  FillBatch(images, std::vector<int64_t>{2, 0}, kIdentity, out.data());
  for (size_t i = 0; i < 24; ++i) {
    EXPECT_EQ(out[i], images.pixels[48 + i]);
    EXPECT_EQ(out[24 + i], images.pixels[i]);
  }
}

TEST(FillBatch, AFlippedImageIsMirroredInItsRows) {
  const ImageSet images = Example();
  Rng rng(1);
  bool seen[2] = {false, false};
  for (int draw = 0; draw < 32; ++draw) {
    std::vector<float> out(24);
    FillBatch(images, std::vector<int64_t>{1}, kIdentity, {.random_flip = true}, rng, out.data());
    const bool flipped = out[0] != images.pixels[24];
    seen[flipped] = true;
    for (size_t y = 0; y < 3; ++y)
      for (size_t x = 0; x < 4; ++x)
        for (size_t c = 0; c < 2; ++c)
          EXPECT_EQ(out[(y * 4 + x) * 2 + c], images.pixels[24 + (y * 4 + (flipped ? 3 - x : x)) * 2 + c]);
  }
  EXPECT_TRUE(seen[0] && seen[1]);
}

TEST(FillBatch, ACropIsAShiftOfAtMostThePaddingWithZerosBehind) {
  const ImageSet images = Example();
  Rng rng(1);
  for (int draw = 0; draw < 64; ++draw) {
    std::vector<float> out(24);
    FillBatch(images, std::vector<int64_t>{0}, kIdentity, {.random_crop = 1}, rng, out.data());
    bool explained = false;
    for (int dy = -1; dy <= 1; ++dy) {
      for (int dx = -1; dx <= 1; ++dx) {
        bool equal = true;
        for (int y = 0; y < 3; ++y)
          for (int x = 0; x < 4; ++x) {
            const bool inside = y + dy >= 0 && y + dy < 3 && x + dx >= 0 && x + dx < 4;
            const float expected =
                inside ? images.pixels[static_cast<size_t>(((y + dy) * 4 + x + dx) * 2)] : 0.0F;
            equal = equal && out[static_cast<size_t>((y * 4 + x) * 2)] == expected;
          }
        explained = explained || equal;
      }
    }
    EXPECT_TRUE(explained);
  }
}

TEST(FillBatch, CutoutMakesOneSquareTheMeanColour) {
  const ImageSet images = Example();
  Rng rng(1);
  std::set<std::vector<float>> seen;
  for (int draw = 0; draw < 200; ++draw) {
    std::vector<float> out(24);
    FillBatch(images, std::vector<int64_t>{1}, kIdentity, {.cutout = 2}, rng, out.data());
    seen.insert(out);
  }
  std::set<std::vector<float>> expected;
  for (int top = -1; top < 2; ++top)
    for (int left = -1; left < 3; ++left) {
      std::vector<float> image(24);
      for (int y = 0; y < 3; ++y)
        for (int x = 0; x < 4; ++x) {
          const bool cut = y >= top && y < top + 2 && x >= left && x < left + 2;
          for (int c = 0; c < 2; ++c) {
            const auto at = static_cast<size_t>((y * 4 + x) * 2 + c);
            image[at] = cut ? 0.0F : images.pixels[24 + at];
          }
        }
      expected.insert(image);
    }
  EXPECT_EQ(seen, expected) << "a square around each pixel, cut off at the edge";
}

}  // namespace
}  // namespace canopy::data
