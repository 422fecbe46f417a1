#include "search_spaces/ops/merges.h"

#include <algorithm>

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

class AddOperator final : public Operator {
 public:
  std::string_view name() const override { return "add"; }
  Arity arity() const override { return {1, kAnyNumber}; }
  bool commutative() const override { return true; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    for (const Shape* input : inputs) {
      if (*input != *inputs[0]) {
        return InvalidArgument("expected inputs of equal shapes, found " + ShapeText(*inputs[0]) + " and " +
                               ShapeText(*input));
      }
    }
    return *inputs[0];
  }
  OperatorMemory Memory(const Application&) const override { return {.shares_gradient = true}; }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

class MultiplyOperator final : public Operator {
 public:
  std::string_view name() const override { return "multiply"; }
  Arity arity() const override { return {1, kAnyNumber}; }
  bool commutative() const override { return true; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    const Shape& largest =
        **std::max_element(inputs.begin(), inputs.end(), [](const Shape* a, const Shape* b) {
          return a->size() != b->size() ? a->size() < b->size() : PlacesOf(*a) < PlacesOf(*b);
        });
    const Shape per_channel{ChannelsOf(largest)}, image_per_channel{ChannelsOf(largest), 1, 1};
    for (const Shape* input : inputs) {
      if (*input == largest || *input == per_channel || (largest.size() == 3 && *input == image_per_channel))
        continue;
      return InvalidArgument("expected inputs of equal shapes, or of one number per channel beside " +
                             ShapeText(largest) + ", found " + ShapeText(*input));
    }
    return largest;
  }
  // Products on the way: of all but the last factor, and, of one number per channel, before they are summed.
  OperatorMemory Memory(const Application& at) const override {
    const bool spread = std::any_of(at.inputs.begin(), at.inputs.end(),
                                    [&](const Shape* input) { return *input != at.output; });
    const bool more = at.inputs.size() > 2;
    return {.keeps_inputs = true,
            .forward = more ? at.OutputBytes() : 0,
            .backward = spread || more ? at.OutputBytes() : 0};
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

class ConcatOperator final : public Operator {
 public:
  std::string_view name() const override { return "concat"; }
  Arity arity() const override { return {1, kAnyNumber}; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    Shape shape = *inputs[0];
    const size_t axis = ChannelAxis(shape);
    int64_t sum = 0;
    for (const Shape* input : inputs) {
      shape[axis] = ChannelsOf(*input);
      if (*input != shape) {
        return InvalidArgument(std::string("expected inputs of equal ") +
                               (shape.size() == 2 ? "numbers of tokens" : "height and width") + ", found " +
                               ShapeText(*inputs[0]) + " and " + ShapeText(*input));
      }
      const auto channels = CheckedAdd(sum, shape[axis]);
      if (!channels) return InvalidArgument("expected fewer than 2^63 channels");
      sum = *channels;
    }
    shape[axis] = sum;
    return shape;
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* Add() {
  static const AddOperator instance;
  return &instance;
}
const Operator* Concat() {
  static const ConcatOperator instance;
  return &instance;
}
const Operator* Multiply() {
  static const MultiplyOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
