#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

using Tensors = AutogradOperation::Tensors;

// Of the table of biases, as Swin starts it.
constexpr double kBiasDeviation = 0.02;

struct Windows {
  int64_t heads = 1, size = 1, shift = 0;
  int64_t pixels() const { return size * size; }
};

// For each pair of a window's pixels the row of the table that has their distance.
at::Tensor Distances(int64_t size) {
  at::Tensor rows = at::empty({size * size, size * size}, at::kLong);
  auto* row = rows.data_ptr<int64_t>();
  for (int64_t from = 0; from < size * size; ++from) {
    for (int64_t to = 0; to < size * size; ++to) {
      const int64_t down = from / size - to / size + size - 1;
      const int64_t right = from % size - to % size + size - 1;
      *row++ = down * (2 * size - 1) + right;
    }
  }
  return rows.flatten();
}

// [N, H, W, C] to [N H W / size^2, size^2, C], window by window.
at::Tensor Tile(const at::Tensor& rows, int64_t size) {
  const int64_t height = rows.size(1) / size, width = rows.size(2) / size;
  return rows.reshape({rows.size(0), height, size, width, size, rows.size(3)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({-1, size * size, rows.size(3)});
}

// Whether two pixels of a window may not see each other: where the image is rolled, its last window of each
// axis has pixels from both borders. [windows, pixels, pixels].
at::Tensor Separated(int64_t height, int64_t width, const Windows& windows) {
  const auto regions = [&](int64_t size) {
    at::Tensor region = at::zeros({size}, at::kLong);
    region.slice(0, size - windows.shift).fill_(1);
    return region;
  };
  const at::Tensor ids = regions(height).unsqueeze(1) * 2 + regions(width).unsqueeze(0);
  const at::Tensor tiles = Tile(ids.view({1, height, width, 1}), windows.size).squeeze(2);
  return tiles.unsqueeze(1).ne(tiles.unsqueeze(2));
}

}  // namespace

BuiltOperation BuildWindowAttention(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const auto& shape = context.node.shape;
  const int64_t channels = shape[0];
  const Windows windows{search_space::IntegerOf(attributes, "heads"),
                        search_space::IntegerOf(attributes, "window"),
                        search_space::IntegerOf(attributes, "shift")};
  const int64_t distances = (2 * windows.size - 1) * (2 * windows.size - 1);
  std::vector<Parameter*> parameters = {
      &context.store.Add(context.prefix + "in_proj.weight", {3 * channels, channels}, /*decays=*/true,
                         FanInUniform(channels)),
      &context.store.Add(context.prefix + "out_proj.weight", {channels, channels}, /*decays=*/true,
                         FanInUniform(channels)),
      &context.store.Add(context.prefix + "position_bias", {distances, windows.heads}, /*decays=*/false,
                         Normal(kBiasDeviation))};
  if (search_space::SwitchOf(attributes, "bias")) {
    parameters.push_back(
        &context.store.Add(context.prefix + "in_proj.bias", {3 * channels}, /*decays=*/false, Constant(0)));
    parameters.push_back(
        &context.store.Add(context.prefix + "out_proj.bias", {channels}, /*decays=*/false, Constant(0)));
  }
  // Autograd keeps them, which it refuses of what is made under InferenceMode.
  const c10::InferenceMode with_autograd(false);
  const at::Tensor pairs = Distances(windows.size);
  const at::Tensor separated = windows.shift ? Separated(shape[1], shape[2], windows) : at::Tensor();
  const auto forward = [=](const Tensors& x, const Tensors& p, const ForwardMode&) {
    const auto bias = [&](size_t index) {
      return OptionalTensor(index < p.size() ? p[index] : at::Tensor());
    };
    const at::Tensor rows = x[0].permute({0, 2, 3, 1});
    const int64_t shift = windows.shift, pixels = windows.pixels(), heads = windows.heads;
    const at::Tensor tiles = Tile(shift ? at::roll(rows, {-shift, -shift}, {1, 2}) : rows, windows.size);
    const int64_t count = tiles.size(0), size = channels / heads;
    const at::Tensor projected =
        at::linear(tiles, p[0], bias(3)).view({count, pixels, 3, heads, size}).permute({2, 0, 3, 1, 4});
    const double scale = 1 / std::sqrt(static_cast<double>(size));
    const at::Tensor positions = p[2].index_select(0, pairs).view({pixels, pixels, heads}).permute({2, 0, 1});
    // Softmax in fp32, as of attention.
    at::Tensor scores =
        at::matmul(projected[0] * scale, projected[1].transpose(-2, -1)).to(at::kFloat) + positions;
    if (shift) {
      const at::Tensor hidden = separated.unsqueeze(1).repeat({count / separated.size(0), 1, 1, 1});
      scores = scores.masked_fill(hidden, -std::numeric_limits<float>::infinity());
    }
    const at::Tensor attended = at::matmul(at::softmax(scores, -1).to(projected.scalar_type()), projected[2]);
    const at::Tensor out =
        at::linear(attended.transpose(1, 2).reshape({count, pixels, channels}), p[1], bias(4));
    const int64_t height = rows.size(1) / windows.size, width = rows.size(2) / windows.size;
    const at::Tensor image = out.view({rows.size(0), height, width, windows.size, windows.size, channels})
                                 .permute({0, 1, 3, 2, 4, 5})
                                 .reshape(rows.sizes());
    return (shift ? at::roll(image, {shift, shift}, {1, 2}) : image).permute({0, 3, 1, 2});
  };
  return std::make_unique<AutogradOperation>(context, parameters, forward);
}

}  // namespace canopy::trainer
