#include "search_spaces/ops/window_attention.h"

#include "search_spaces/checked.h"
#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

// Pairs of pixels are counted in 64 bits, and their distances in a table.
constexpr double kMostWindow = 4096;

const AttributeSpec kAttributes[] = {
    {"heads", Type::kInteger, std::nullopt, 1},
    {"window", Type::kInteger, std::nullopt, 1, kMostWindow},
    {"shift", Type::kInteger, int64_t{0}, 0, kMostWindow},
    {"bias", Type::kSwitch, true},
};

class WindowAttentionOperator final : public Operator {
 public:
  std::string_view name() const override { return "window_attention"; }
  std::span<const AttributeSpec> attributes() const override { return kAttributes; }
  int layers() const override { return 2; }
  bool pure() const override { return false; }

  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireImage(in));
    const int64_t heads = IntegerOf(a, "heads"), window = IntegerOf(a, "window");
    const int64_t shift = IntegerOf(a, "shift");
    if (in[0] % heads != 0) {
      return InvalidArgument("expected heads that divide " + std::to_string(in[0]) + " channels, found " +
                             std::to_string(heads));
    }
    if (in[1] % window != 0 || in[2] % window != 0) {
      return InvalidArgument("expected a window that divides height and width of " + ShapeText(in) +
                             ", found " + std::to_string(window));
    }
    if (shift >= window) {
      return InvalidArgument("expected a shift below the window of " + std::to_string(window) + ", found " +
                             std::to_string(shift));
    }
    return in;
  }

  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    const int64_t channels = out[0], window = IntegerOf(a, "window"), distances = 2 * window - 1;
    const auto weights = CheckedProduct(Shape{4, channels, channels});
    const auto positions = CheckedProduct(Shape{IntegerOf(a, "heads"), distances, distances});
    const auto biases = SwitchOf(a, "bias") ? CheckedMultiply(4, channels) : 0;
    const auto places = PlacesOf(out);
    if (!weights || !positions || !biases || !places) return std::nullopt;
    const auto more = CheckedAdd(*positions, *biases);
    const auto params = more ? CheckedAdd(*weights, *more) : std::nullopt;
    const auto projections = CheckedMultiply(*weights, *places);
    const auto products = CheckedProduct(Shape{2, window * window, channels, *places});
    if (!params || !projections || !products) return std::nullopt;
    const auto macs = CheckedAdd(*projections, *products);
    if (!macs) return std::nullopt;
    return OperatorCost{*params, *macs};
  }
  // The windows' pixels in rows, queries, keys, values and what is attended, and the weights of pairs of
  // pixels, which are made in fp32.
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = DifferentiatedMemory(at);
    const int64_t window = IntegerOf(at.attributes, "window");
    const Count pairs =
        Count(IntegerOf(at.attributes, "heads")) * Count(PlacesOf(at.output)) * window * window;
    memory.kept = at.InputBytes() * 5 + pairs * (at.type == NumberType::kFp32 ? 4 : 6);
    memory.forward = pairs * 4 + at.InputBytes();
    memory.backward = pairs * 4 + at.InputBytes() * 2;
    return memory;
  }
  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

}  // namespace

const Operator* WindowAttention() {
  static const WindowAttentionOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
