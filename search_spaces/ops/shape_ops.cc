#include "search_spaces/ops/shape_ops.h"

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kZeroAttributes[] = {{"stride", Type::kInteger, int64_t{1}, 1}};
const AttributeSpec kDropoutAttributes[] = {{"rate", Type::kNumber, std::nullopt, 0, 0.999}};

class InputOperator final : public Operator {
 public:
  std::string_view name() const override { return "input"; }
  Arity arity() const override { return {0, 0}; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const>) const override {
    return InvalidArgument(
        "expected 'input' as the first node only: a block continues from the one before it");
  }
};

class IdentityOperator final : public Operator {
 public:
  std::string_view name() const override { return "identity"; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  bool IsIdentity(const Attributes&, const Shape&) const override { return true; }
  OperatorMemory Memory(const Application&) const override {
    return {.shares_output = true, .shares_gradient = true};
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

class FlattenOperator final : public Operator {
 public:
  std::string_view name() const override { return "flatten"; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    const auto features = CheckedProduct(*inputs[0]);
    if (!features)
      return InvalidArgument("expected fewer than 2^63 features, found " + ShapeText(*inputs[0]));
    return Shape{*features};
  }
  bool IsIdentity(const Attributes&, const Shape& input) const override { return input.size() == 1; }
  // Images lie with channels innermost, so that theirs are copied.
  OperatorMemory Memory(const Application& at) const override {
    const bool image = at.inputs[0]->size() == 3;
    return {.shares_output = !image, .shares_gradient = !image};
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

class ZeroOperator final : public Operator {
 public:
  std::string_view name() const override { return "zero"; }
  std::span<const AttributeSpec> attributes() const override { return kZeroAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const int64_t stride = IntegerOf(a, "stride");
    Shape shape = *inputs[0];
    if (shape.size() != 3 && stride != 1) {
      return InvalidArgument("expected stride 1 for an input of shape " + ShapeText(shape) + ", found " +
                             std::to_string(stride));
    }
    if (stride == 1) return shape;
    for (size_t axis = 1; axis < shape.size(); ++axis) shape[axis] = (shape[axis] + stride - 1) / stride;
    return shape;
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

class DropoutOperator final : public Operator {
 public:
  explicit DropoutOperator(std::string_view name) : name_(name) {}
  std::string_view name() const override { return name_; }
  std::span<const AttributeSpec> attributes() const override { return kDropoutAttributes; }
  bool pure() const override { return false; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  bool IsIdentity(const Attributes& a, const Shape&) const override { return NumberOf(a, "rate") == 0; }
  // The mask: one number for each value or, of drop_path, each example.
  OperatorMemory Memory(const Application& at) const override {
    const Count mask = name_ == "dropout" ? CheckedProduct(at.output) : 1;
    return {.kept = mask * BytesOf(at.type), .forward = at.type == NumberType::kFp32 ? 0 : mask * 4};
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }

 private:
  std::string_view name_;
};

}  // namespace

const Operator* Input() {
  static const InputOperator instance;
  return &instance;
}
const Operator* Identity() {
  static const IdentityOperator instance;
  return &instance;
}
const Operator* Flatten() {
  static const FlattenOperator instance;
  return &instance;
}
const Operator* Zero() {
  static const ZeroOperator instance;
  return &instance;
}
const Operator* Dropout() {
  static const DropoutOperator instance("dropout");
  return &instance;
}
const Operator* DropPath() {
  static const DropoutOperator instance("drop_path");
  return &instance;
}

}  // namespace canopy::search_space
