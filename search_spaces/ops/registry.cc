#include <algorithm>
#include <array>

#include "search_spaces/ops/activations.h"
#include "search_spaces/ops/conv2d.h"
#include "search_spaces/ops/linear.h"
#include "search_spaces/ops/merges.h"
#include "search_spaces/ops/normalization.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/ops/pooling.h"
#include "search_spaces/ops/shape_ops.h"

namespace canopy::search_space {

// In alphabetical order, which FindOperator needs. To add an operator: docs/network_graph.md.
std::span<const Operator* const> AllOperators() {
  static const std::array<const Operator*, 22> operators = {
      Add(),  AvgPool(),       BatchNorm(), Concat(),   Conv2d(), Dropout(), FirstChannels(), Flatten(),
      Gelu(), GlobalAvgPool(), HardSwish(), Identity(), Input(),  Linear(),  MaxPool(),       Multiply(),
      Relu(), Relu6(),         Sigmoid(),   Silu(),     Tanh(),   Zero(),
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

std::string ShapeText(const Shape& shape) {
  std::string text = "{";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "}";
}

Status RequireImage(const Shape& shape) {
  if (shape.size() == 3) return {};
  return InvalidArgument("expected an input of shape {channels, height, width}, found " + ShapeText(shape));
}

}  // namespace canopy::search_space
