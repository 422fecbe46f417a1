#include <algorithm>

#include "search_spaces/checked.h"
#include "search_spaces/ops/activations.h"
#include "search_spaces/ops/attention.h"
#include "search_spaces/ops/channels.h"
#include "search_spaces/ops/conv2d.h"
#include "search_spaces/ops/conv_transpose2d.h"
#include "search_spaces/ops/layer_scale.h"
#include "search_spaces/ops/linear.h"
#include "search_spaces/ops/merges.h"
#include "search_spaces/ops/mlp.h"
#include "search_spaces/ops/normalization.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/ops/pooling.h"
#include "search_spaces/ops/shape_ops.h"
#include "search_spaces/ops/space_to_depth.h"
#include "search_spaces/ops/squeeze_excite.h"
#include "search_spaces/ops/tokens.h"
#include "search_spaces/ops/upsample.h"
#include "search_spaces/ops/window_attention.h"

namespace canopy::search_space {

// In alphabetical order, which FindOperator needs. To add an operator: docs/network_graph.md.
std::span<const Operator* const> AllOperators() {
  static const Operator* const operators[] = {
      Add(),
      Attention(),
      AvgPool(),
      BatchNorm(),
      ChannelShuffle(),
      ClassToken(),
      Concat(),
      Conv2d(),
      ConvTranspose2d(),
      DropPath(),
      Dropout(),
      Elu(),
      Embedding(),
      FirstChannels(),
      Flatten(),
      Gelu(),
      GlobalAvgPool(),
      GroupNorm(),
      HardSigmoid(),
      HardSwish(),
      Identity(),
      Input(),
      LastChannels(),
      LastTokens(),
      LayerNorm(),
      LayerScale(),
      LeakyRelu(),
      Linear(),
      MaxPool(),
      Mish(),
      Mlp(),
      Multiply(),
      PatchEmbedding(),
      PositionalEncoding(),
      Relu(),
      Relu6(),
      SelectToken(),
      Sigmoid(),
      Silu(),
      SpaceToDepth(),
      SqueezeExcite(),
      Tanh(),
      TransposeTokens(),
      Upsample(),
      WindowAttention(),
      Zero(),
  };
  return operators;
}

const Operator* FindOperator(std::string_view name) {
  const auto all = AllOperators();
  const auto it = std::lower_bound(all.begin(), all.end(), name,
                                   [](const Operator* op, std::string_view n) { return op->name() < n; });
  return it != all.end() && (*it)->name() == name ? *it : nullptr;
}

std::vector<std::string> OperatorNames() {
  std::vector<std::string> names;
  for (const Operator* op : AllOperators()) names.emplace_back(op->name());
  return names;
}

std::string_view OperatorRef::name() const { return op_->name(); }

Count Application::InputBytes() const { return Count(CheckedProduct(*inputs[0])) * BytesOf(type); }
Count Application::OutputBytes() const { return Count(CheckedProduct(output)) * BytesOf(type); }

std::string ShapeText(std::span<const int64_t> sizes) {
  std::string text = "{";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + "}";
}

Status RequireImage(const Shape& shape) {
  if (shape.size() == 3) return {};
  return InvalidArgument("expected an input of shape {channels, height, width}, found " + ShapeText(shape));
}

Status RequireTokens(const Shape& shape) {
  if (shape.size() == 2) return {};
  return InvalidArgument("expected an input of shape {tokens, features}, found " + ShapeText(shape));
}

size_t ChannelAxis(const Shape& shape) { return shape.size() == 2 ? 1 : 0; }
int64_t ChannelsOf(const Shape& shape) { return shape[ChannelAxis(shape)]; }

std::optional<int64_t> PlacesOf(const Shape& shape) {
  if (shape.size() == 1) return 1;
  return shape.size() == 2 ? std::optional(shape[0]) : CheckedMultiply(shape[1], shape[2]);
}

}  // namespace canopy::search_space
