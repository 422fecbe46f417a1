#include "search_spaces/blocks/block.h"

#include "absl/container/inlined_vector.h"
#include "config/yaml.h"

namespace canopy::search_space {

std::span<const ShapeName> ShapeNames() {
  static constexpr ShapeName kNames[] = {
      {"in_channels", ValueSource::kInChannels, "channels or features of the block's input"},
      {"in_height", ValueSource::kInHeight, "rows of the block's input, an image"},
      {"in_width", ValueSource::kInWidth, "columns of the block's input, an image"},
      {"in_tokens", ValueSource::kInTokens, "tokens of the block's input, {tokens, features}"},
      {"classes", ValueSource::kClasses, "the task's number of classes"},
  };
  return kNames;
}

Status ErrorAt(const std::string& file, const v1::Position& position, std::string_view message) {
  return LocationAt(file, position).Error(message);
}

config::Location LocationAt(const std::string& file, const v1::Position& position) {
  return {position.file().empty() ? file : position.file(), position.line(), position.column(),
          position.path()};
}

StatusOr<Value> ValueSource::Get(const Lowering& lowering, int input) const {
  if (const Value* value = constant()) return *value;
  if (const int index = decision(); index >= 0) {
    if (lowering.values[index]) return *lowering.values[index];
    return InvalidArgument("expected a decision that is active wherever this block is, found '" +
                           std::get<Referred>(source_).name + "', which has a `when` or stands in a choice");
  }
  const Computed& computed = std::get<Computed>(source_);
  const Shape& shape = lowering.graph.nodes[input].shape;
  const bool image = shape.size() == 3;
  const Value in_channels = lowering.channels(input), in_height = image ? shape[1] : 0,
              in_width = image ? shape[2] : 0, in_tokens = shape[0];
  const Value classes = lowering.classes;
  absl::InlinedVector<const Value*, 4> values;
  for (size_t i = 0; i < computed.slots.size(); ++i) {
    const int slot = computed.slots[i];
    if ((slot == kInHeight || slot == kInWidth) && !image) {
      return InvalidArgument("expected an input of shape {channels, height, width} for '" +
                             computed.expression.text() + "'");
    }
    if (slot == kInTokens && shape.size() != 2) {
      return InvalidArgument("expected an input of shape {tokens, features} for '" +
                             computed.expression.text() + "'");
    }
    const Value* value = slot == kInChannels ? &in_channels
                         : slot == kInHeight ? &in_height
                         : slot == kInWidth  ? &in_width
                         : slot == kInTokens ? &in_tokens
                         : slot == kClasses  ? &classes
                                             : lowering.values[slot];
    if (!value) {
      return InvalidArgument("expected decisions that are active here in '" + computed.expression.text() +
                             "', found '" + computed.expression.names()[i] + "', which is not");
    }
    values.push_back(value);
  }
  return computed.expression.Evaluate(values);
}

}  // namespace canopy::search_space
