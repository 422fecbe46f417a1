#include "search_spaces/ops/channels.h"

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kSliceAttributes[] = {{"channels", Type::kInteger, std::nullopt, 1}};
const AttributeSpec kShuffleAttributes[] = {{"groups", Type::kInteger, std::nullopt, 1}};

class SliceOperator final : public Operator {
 public:
  explicit SliceOperator(std::string_view name) : name_(name) {}
  std::string_view name() const override { return name_; }
  std::span<const AttributeSpec> attributes() const override { return kSliceAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    Shape shape = *inputs[0];
    const int64_t channels = IntegerOf(a, "channels");
    int64_t& all = shape[ChannelAxis(shape)];
    if (channels > all) {
      return InvalidArgument("expected at most the " + std::to_string(all) +
                             " channels of the input, found " + std::to_string(channels));
    }
    all = channels;
    return shape;
  }
  bool IsIdentity(const Attributes& a, const Shape& input) const override {
    return IntegerOf(a, "channels") == ChannelsOf(input);
  }
  // The zeros of the channels that are left out, and all of an image before they lie with channels innermost.
  OperatorMemory Memory(const Application& at) const override {
    const int copies = at.inputs[0]->size() == 3 ? 2 : 1;
    return {.backward = at.InputBytes() * copies + at.OutputBytes() * -1};
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }

 private:
  std::string_view name_;
};

class ChannelShuffleOperator final : public Operator {
 public:
  std::string_view name() const override { return "channel_shuffle"; }
  std::span<const AttributeSpec> attributes() const override { return kShuffleAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const int64_t channels = ChannelsOf(*inputs[0]), groups = IntegerOf(a, "groups");
    if (channels % groups == 0) return *inputs[0];
    return InvalidArgument("expected groups that divide " + std::to_string(channels) + " channels, found " +
                           std::to_string(groups));
  }
  bool IsIdentity(const Attributes& a, const Shape& input) const override {
    const int64_t groups = IntegerOf(a, "groups");
    return groups == 1 || groups == ChannelsOf(input);
  }
  bool Undoes(const Attributes& a, const Attributes& before, const Shape& input) const override {
    return CheckedMultiply(IntegerOf(a, "groups"), IntegerOf(before, "groups")) == ChannelsOf(input);
  }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* FirstChannels() {
  static const SliceOperator instance("first_channels");
  return &instance;
}
const Operator* LastChannels() {
  static const SliceOperator instance("last_channels");
  return &instance;
}
const Operator* ChannelShuffle() {
  static const ChannelShuffleOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
