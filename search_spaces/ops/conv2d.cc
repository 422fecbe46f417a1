#include "search_spaces/ops/conv2d.h"

#include "search_spaces/checked.h"
#include "search_spaces/ops/window.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"out_channels", Type::kInteger, std::nullopt, 1},
    {"kernel", Type::kInteger, std::nullopt, 1},
    {"stride", Type::kInteger, int64_t{1}, 1},
    {"padding", Type::kInteger, std::nullopt, 0, 2147483647, true},
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
    if (attributes.count("padding")) return;
    attributes["padding"] = IntegerOf(attributes, "dilation") * (IntegerOf(attributes, "kernel") - 1) / 2;
  }

  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireImage(in));
    const int64_t out_channels = IntegerOf(a, "out_channels"), groups = IntegerOf(a, "groups");
    if (in[0] % groups != 0 || out_channels % groups != 0) {
      return InvalidArgument("expected groups that divide " + std::to_string(in[0]) + " input and " +
                             std::to_string(out_channels) + " output channels, found " +
                             std::to_string(groups));
    }
    Window window{IntegerOf(a, "kernel"), IntegerOf(a, "stride"), IntegerOf(a, "padding"),
                  IntegerOf(a, "dilation")};
    return SlideWindow(window, in, out_channels);
  }

  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const> inputs,
                                   const Shape& out) const override {
    const int64_t kernel = IntegerOf(a, "kernel");
    const auto weights =
        CheckedProduct(Shape{out[0], (*inputs[0])[0] / IntegerOf(a, "groups"), kernel, kernel});
    if (!weights) return std::nullopt;
    const auto params = CheckedAdd(*weights, SwitchOf(a, "bias") ? out[0] : 0);
    const auto macs = CheckedProduct(Shape{*weights, out[1], out[2]});
    if (!params || !macs) return std::nullopt;
    return OperatorCost{*params, *macs};
  }

  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

}  // namespace

const Operator* Conv2d() {
  static const Conv2dOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
