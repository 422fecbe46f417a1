#include "search_spaces/ops/normalization.h"

#include "search_spaces/checked.h"
#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kBatchNormAttributes[] = {
    {"eps", Type::kNumber, 1e-5, 0, 1},
    {"momentum", Type::kNumber, 0.1, 0, 1},
    {"affine", Type::kSwitch, true},
};
// A place may have one value alone, whose variance is 0.
const AttributeSpec kLayerNormAttributes[] = {
    {"eps", Type::kNumber, 1e-5, 1e-12, 1},
    {"affine", Type::kSwitch, true},
};
const AttributeSpec kGroupNormAttributes[] = {
    {"groups", Type::kInteger, std::nullopt, 1},
    kLayerNormAttributes[0],
    kLayerNormAttributes[1],
};

// What the three have in common.
class Normalization : public Operator {
 public:
  bool pure() const override { return false; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    const auto params = CheckedMultiply(SwitchOf(a, "affine") ? 2 : 0, ChannelsOf(out));
    if (!params) return std::nullopt;
    return OperatorCost{*params, 0};
  }
};

class BatchNormOperator final : public Normalization {
 public:
  std::string_view name() const override { return "batch_norm"; }
  std::span<const AttributeSpec> attributes() const override { return kBatchNormAttributes; }
  OperatorMemory Memory(const Application&) const override { return {.keeps_inputs = true}; }
};

class LayerNormOperator final : public Normalization {
 public:
  std::string_view name() const override { return "layer_norm"; }
  std::span<const AttributeSpec> attributes() const override { return kLayerNormAttributes; }
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = ExactDifferentiatedMemory(at);
    memory.kept += Count(PlacesOf(at.output)) * 8;  // mean and deviation
    return memory;
  }
  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "affine"); }
};

class GroupNormOperator final : public Normalization {
 public:
  std::string_view name() const override { return "group_norm"; }
  std::span<const AttributeSpec> attributes() const override { return kGroupNormAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    CANOPY_RETURN_IF_ERROR(RequireImage(*inputs[0]));
    const int64_t groups = IntegerOf(a, "groups"), channels = ChannelsOf(*inputs[0]);
    if (channels % groups != 0) {
      return InvalidArgument("expected groups that divide " + std::to_string(channels) + " channels, found " +
                             std::to_string(groups));
    }
    return *inputs[0];
  }
  // From copies with pixels in a row to copies, in both directions.
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = ExactDifferentiatedMemory(at);
    memory.keeps_output = false;
    memory.kept += at.OutputBytes();
    if (at.type == NumberType::kFp32) memory.kept += at.InputBytes();  // in bf16 the fp32 copy is this one
    memory.backward += Count(CheckedProduct(at.output)) * (at.type == NumberType::kFp32 ? 8 : 4);
    return memory;
  }
  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "affine"); }
};

}  // namespace

const Operator* BatchNorm() {
  static const BatchNormOperator instance;
  return &instance;
}
const Operator* LayerNorm() {
  static const LayerNormOperator instance;
  return &instance;
}
const Operator* GroupNorm() {
  static const GroupNormOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
