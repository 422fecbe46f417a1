#include "search_spaces/ops/conv2d.h"

#include "search_spaces/ops/convolution.h"
#include "search_spaces/ops/window.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"out_channels", Type::kInteger, std::nullopt, 1},
    {"kernel", Type::kInteger, std::nullopt, 1, 2147483647, false, {}, /*per_axis=*/true},
    {"stride", Type::kInteger, int64_t{1}, 1},
    {"padding", Type::kInteger, std::nullopt, 0, 2147483647, true, {}, /*per_axis=*/true},
    {"dilation", Type::kInteger, int64_t{1}, 1},
    {"groups", Type::kInteger, int64_t{1}, 1},
    {"bias", Type::kSwitch, true},
};

class Conv2dOperator final : public Operator {
 public:
  std::string_view name() const override { return "conv2d"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  int layers() const override { return 1; }
  bool pure() const override { return false; }

  void Complete(Attributes& attributes) const override {
    if (attributes.count("padding") || attributes.count("padding_height")) return;
    const Extent kernel = ExtentOf(attributes, "kernel");
    const int64_t dilation = IntegerOf(attributes, "dilation");
    SetExtent(attributes, "padding", {dilation * (kernel.height - 1) / 2, dilation * (kernel.width - 1) / 2});
  }

  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireGroups(a, in));
    const Window window{ExtentOf(a, "kernel"), IntegerOf(a, "stride"), ExtentOf(a, "padding"),
                        IntegerOf(a, "dilation")};
    CANOPY_RETURN_IF_ERROR(RequirePaddingWithinWindow(window));
    return SlideWindow(window, in, IntegerOf(a, "out_channels"));
  }

  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const> inputs,
                                   const Shape& out) const override {
    return ConvolutionCost(a, *inputs[0], out, out);
  }
  OperatorMemory Memory(const Application& at) const override {
    return {.keeps_inputs = true,
            .scratch_forward = ConvolutionScratchForward(at),
            .scratch_backward = ConvolutionScratchBackward(at)};
  }

  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

}  // namespace

const Operator* Conv2d() {
  static const Conv2dOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
