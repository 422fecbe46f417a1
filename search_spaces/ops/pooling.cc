#include "search_spaces/ops/pooling.h"

#include "search_spaces/checked.h"
#include "search_spaces/ops/window.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

// Trainers keep a position in the window in 16 bits.
constexpr double kMaxKernel = 255;

const AttributeSpec kMaxAttributes[] = {
    {"kernel", Type::kInteger, std::nullopt, 1, kMaxKernel},
    {"stride", Type::kInteger, std::nullopt, 1, 2147483647, true},
    {"padding", Type::kInteger, int64_t{0}, 0},
};
const AttributeSpec kAvgAttributes[] = {
    kMaxAttributes[0],
    kMaxAttributes[1],
    kMaxAttributes[2],
    {"count_include_pad", Type::kSwitch, true},
};

class Pooling final : public Operator {
 public:
  Pooling(std::string_view name, std::span<const AttributeSpec> attributes)
      : name_(name), attributes_(attributes) {}
  std::string_view name() const override { return name_; }
  std::span<const AttributeSpec> attributes() const override { return attributes_; }

  void Complete(Attributes& attributes) const override {
    attributes.emplace("stride", IntegerOf(attributes, "kernel"));
  }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    CANOPY_RETURN_IF_ERROR(RequireImage(*inputs[0]));
    const int64_t kernel = IntegerOf(a, "kernel"), padding = IntegerOf(a, "padding");
    if (2 * padding > kernel) {
      return InvalidArgument("expected a padding of at most half the kernel, " + std::to_string(kernel / 2) +
                             ", found " + std::to_string(padding));
    }
    return SlideWindow({{kernel, kernel}, IntegerOf(a, "stride"), {padding, padding}, 1}, *inputs[0],
                       (*inputs[0])[0]);
  }
  // The maximum's place in each window, in 16 bits.
  OperatorMemory Memory(const Application& at) const override {
    return {.kept = name_ == "max_pool" ? Count(CheckedProduct(at.output)) * 2 : 0};
  }
  bool IsIdentity(const Attributes& a, const Shape&) const override {
    return IntegerOf(a, "kernel") == 1 && IntegerOf(a, "stride") == 1;
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }

 private:
  std::string_view name_;
  std::span<const AttributeSpec> attributes_;
};

class GlobalAvgPoolOperator final : public Operator {
 public:
  std::string_view name() const override { return "global_avg_pool"; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    if (inputs[0]->size() == 1) {
      return InvalidArgument(
          "expected an input of shape {channels, height, width} or {tokens, features}, found " +
          ShapeText(*inputs[0]));
    }
    return Shape{ChannelsOf(*inputs[0])};
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* AvgPool() {
  static const Pooling instance("avg_pool", kAvgAttributes);
  return &instance;
}
const Operator* MaxPool() {
  static const Pooling instance("max_pool", kMaxAttributes);
  return &instance;
}
const Operator* GlobalAvgPool() {
  static const GlobalAvgPoolOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
