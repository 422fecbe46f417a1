#include "search_spaces/ops/conv_transpose2d.h"

#include <algorithm>

#include "search_spaces/checked.h"
#include "search_spaces/ops/convolution.h"
#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kAttributes[] = {
    {"out_channels", Type::kInteger, std::nullopt, 1},
    {"kernel", Type::kInteger, std::nullopt, 1},
    {"stride", Type::kInteger, int64_t{1}, 1},
    {"padding", Type::kInteger, std::nullopt, 0, 2147483647, true},
    {"output_padding", Type::kInteger, std::nullopt, 0, 2147483647, true},
    {"dilation", Type::kInteger, int64_t{1}, 1},
    {"groups", Type::kInteger, int64_t{1}, 1},
    {"bias", Type::kSwitch, true},
};

// Attributes are below 2^31, so that neither this nor what follows leaves 64 bits.
int64_t Reach(const Attributes& a) { return IntegerOf(a, "dilation") * (IntegerOf(a, "kernel") - 1) + 1; }

class ConvTranspose2dOperator final : public Operator {
 public:
  std::string_view name() const override { return "conv_transpose2d"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  int layers() const override { return 1; }
  bool pure() const override { return false; }

  void Complete(Attributes& attributes) const override {
    const int64_t stride = IntegerOf(attributes, "stride"), excess = Reach(attributes) - stride;
    // At stride 1 there is no room for output padding.
    attributes.emplace("padding", excess <= 0 ? 0 : (stride == 1 ? excess : excess + 1) / 2);
    const int64_t missing = 2 * IntegerOf(attributes, "padding") - excess;
    attributes.emplace("output_padding", std::clamp<int64_t>(missing, 0, stride - 1));
  }

  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireGroups(a, in));
    const int64_t stride = IntegerOf(a, "stride"), extra = IntegerOf(a, "output_padding");
    if (extra >= std::max(stride, IntegerOf(a, "dilation"))) {
      return InvalidArgument("expected an output_padding below the stride or the dilation, found " +
                             std::to_string(extra));
    }
    Shape out{IntegerOf(a, "out_channels"), 0, 0};
    for (int axis = 1; axis <= 2; ++axis) {
      out[axis] = (in[axis] - 1) * stride - 2 * IntegerOf(a, "padding") + Reach(a) + extra;
      if (out[axis] < 1) {
        return InvalidArgument("expected a padding that leaves something of " + ShapeText(in) + ", found " +
                               std::to_string(IntegerOf(a, "padding")));
      }
    }
    return out;
  }

  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const> inputs,
                                   const Shape& out) const override {
    return ConvolutionCost(a, *inputs[0], out, *inputs[0]);
  }
  // LibTorch computes it with rows outermost, from copies, and one example at a time by way of columns.
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = ExactDifferentiatedMemory(at);
    const int64_t kernel = IntegerOf(at.attributes, "kernel");
    const Count columns =
        Count(at.output[0]) * kernel * kernel * CheckedMultiply((*at.inputs[0])[1], (*at.inputs[0])[2]) * 4;
    const Count values = Count(CheckedProduct(*at.inputs[0])) * 4 + Count(CheckedProduct(at.output)) * 4;
    memory.forward += values;
    memory.backward += values;
    memory.scratch_forward += columns + Count(at.params) * 4;
    memory.scratch_backward += columns + Count(at.params) * 4;
    return memory;
  }

  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

}  // namespace

const Operator* ConvTranspose2d() {
  static const ConvTranspose2dOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
