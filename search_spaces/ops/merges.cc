#include "search_spaces/ops/merges.h"

#include <algorithm>

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

class Elementwise final : public Operator {
 public:
  explicit Elementwise(std::string_view name) : name_(name) {}
  std::string_view name() const override { return name_; }
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
  bool ZeroPreserving(const Attributes&) const override { return true; }

 private:
  std::string_view name_;
};

class ConcatOperator final : public Operator {
 public:
  std::string_view name() const override { return "concat"; }
  Arity arity() const override { return {1, kAnyNumber}; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    Shape shape = *inputs[0];
    shape[0] = 0;
    for (const Shape* input : inputs) {
      if (input->size() != shape.size() || !std::equal(input->begin() + 1, input->end(), shape.begin() + 1)) {
        return InvalidArgument("expected inputs of equal height and width, found " + ShapeText(*inputs[0]) +
                               " and " + ShapeText(*input));
      }
      const auto channels = CheckedAdd(shape[0], (*input)[0]);
      if (!channels) return InvalidArgument("expected fewer than 2^63 channels");
      shape[0] = *channels;
    }
    return shape;
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* Add() {
  static const Elementwise instance("add");
  return &instance;
}
const Operator* Concat() {
  static const ConcatOperator instance;
  return &instance;
}
const Operator* Multiply() {
  static const Elementwise instance("multiply");
  return &instance;
}

}  // namespace canopy::search_space
