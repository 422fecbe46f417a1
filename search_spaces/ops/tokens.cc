#include "search_spaces/ops/tokens.h"

#include "search_spaces/checked.h"
#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

const AttributeSpec kEmbeddingAttributes[] = {
    {"vocabulary", Type::kInteger, std::nullopt, 1},
    {"features", Type::kInteger, std::nullopt, 1},
};
const AttributeSpec kPatchAttributes[] = {
    {"features", Type::kInteger, std::nullopt, 1},
    {"patch", Type::kInteger, std::nullopt, 1},
    {"bias", Type::kSwitch, true},
};
const AttributeSpec kPositionAttributes[] = {{"learned", Type::kSwitch, true}};
const AttributeSpec kLastTokensAttributes[] = {{"tokens", Type::kInteger, std::nullopt, 1}};
const AttributeSpec kSelectAttributes[] = {{"index", Type::kInteger, int64_t{0}, -2147483647}};

class EmbeddingOperator final : public Operator {
 public:
  std::string_view name() const override { return "embedding"; }
  std::span<const AttributeSpec> attributes() const override { return kEmbeddingAttributes; }
  bool pure() const override { return false; }
  bool reads_tokens() const override { return true; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    if (inputs[0]->size() != 1) {
      return InvalidArgument("expected an input of shape {tokens}, found " + ShapeText(*inputs[0]));
    }
    return Shape{(*inputs[0])[0], IntegerOf(a, "features")};
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    const auto params = CheckedMultiply(IntegerOf(a, "vocabulary"), out[1]);
    if (!params) return std::nullopt;
    return OperatorCost{*params, 0};
  }
  OperatorMemory Memory(const Application& at) const override { return DifferentiatedMemory(at); }
};

class PatchEmbeddingOperator final : public Operator {
 public:
  std::string_view name() const override { return "patch_embedding"; }
  std::span<const AttributeSpec> attributes() const override { return kPatchAttributes; }
  int layers() const override { return 1; }
  bool pure() const override { return false; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireImage(in));
    const int64_t patch = IntegerOf(a, "patch");
    if (in[1] % patch != 0 || in[2] % patch != 0) {
      return InvalidArgument("expected a patch that divides height and width of " + ShapeText(in) +
                             ", found " + std::to_string(patch));
    }
    const auto tokens = CheckedMultiply(in[1] / patch, in[2] / patch);
    if (!tokens) return InvalidArgument("expected fewer than 2^63 tokens, found " + ShapeText(in));
    return Shape{*tokens, IntegerOf(a, "features")};
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const> inputs,
                                   const Shape& out) const override {
    const int64_t patch = IntegerOf(a, "patch");
    const auto weights = CheckedProduct(Shape{(*inputs[0])[0], patch, patch, out[1]});
    if (!weights) return std::nullopt;
    const auto params = CheckedAdd(*weights, SwitchOf(a, "bias") ? out[1] : 0);
    const auto macs = CheckedMultiply(*weights, out[0]);
    if (!params || !macs) return std::nullopt;
    return OperatorCost{*params, *macs};
  }
  OperatorMemory Memory(const Application& at) const override {
    OperatorMemory memory = DifferentiatedMemory(at);
    memory.scratch_forward = Count(at.params) * BytesOf(at.type);
    memory.scratch_backward = Count(at.params) * (BytesOf(at.type) + 8);
    return memory;
  }
  bool ZeroPreserving(const Attributes& a) const override { return !SwitchOf(a, "bias"); }
};

class PositionalEncodingOperator final : public Operator {
 public:
  std::string_view name() const override { return "positional_encoding"; }
  std::span<const AttributeSpec> attributes() const override { return kPositionAttributes; }
  bool pure() const override { return false; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    CANOPY_RETURN_IF_ERROR(RequireTokens(*inputs[0]));
    return *inputs[0];
  }
  std::optional<OperatorCost> Cost(const Attributes& a, std::span<const Shape* const>,
                                   const Shape& out) const override {
    if (!SwitchOf(a, "learned")) return OperatorCost{};
    const auto params = CheckedProduct(out);
    if (!params) return std::nullopt;
    return OperatorCost{*params, 0};
  }
  OperatorMemory Memory(const Application& at) const override { return DifferentiatedMemory(at); }
};

class ClassTokenOperator final : public Operator {
 public:
  std::string_view name() const override { return "class_token"; }
  bool pure() const override { return false; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    CANOPY_RETURN_IF_ERROR(RequireTokens(*inputs[0]));
    return Shape{(*inputs[0])[0] + 1, (*inputs[0])[1]};
  }
  std::optional<OperatorCost> Cost(const Attributes&, std::span<const Shape* const>,
                                   const Shape& out) const override {
    return OperatorCost{out[1], 0};
  }
  OperatorMemory Memory(const Application& at) const override { return DifferentiatedMemory(at); }
};

class LastTokensOperator final : public Operator {
 public:
  std::string_view name() const override { return "last_tokens"; }
  std::span<const AttributeSpec> attributes() const override { return kLastTokensAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireTokens(in));
    const int64_t tokens = IntegerOf(a, "tokens");
    if (tokens > in[0]) {
      return InvalidArgument("expected at most the " + std::to_string(in[0]) +
                             " tokens of the input, found " + std::to_string(tokens));
    }
    return Shape{tokens, in[1]};
  }
  bool IsIdentity(const Attributes& a, const Shape& input) const override {
    return IntegerOf(a, "tokens") == input[0];
  }
  OperatorMemory Memory(const Application& at) const override { return DifferentiatedMemory(at); }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

class TransposeTokensOperator final : public Operator {
 public:
  std::string_view name() const override { return "transpose_tokens"; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireTokens(in));
    return Shape{in[1], in[0]};
  }
  bool IsIdentity(const Attributes&, const Shape& input) const override {
    return input[0] == 1 && input[1] == 1;
  }
  bool Undoes(const Attributes&, const Attributes&, const Shape&) const override { return true; }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

class SelectTokenOperator final : public Operator {
 public:
  std::string_view name() const override { return "select_token"; }
  std::span<const AttributeSpec> attributes() const override { return kSelectAttributes; }
  StatusOr<Shape> InferShape(const Attributes& a, std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(RequireTokens(in));
    const int64_t index = IntegerOf(a, "index");
    if (index >= in[0] || index < -in[0]) {
      return InvalidArgument("expected an index of one of " + std::to_string(in[0]) + " tokens, found " +
                             std::to_string(index));
    }
    return Shape{in[1]};
  }
  // LibTorch's result is a view of the input.
  OperatorMemory Memory(const Application&) const override { return {.keeps_inputs = true}; }
  bool ZeroPreserving(const Attributes&) const override { return true; }
};

}  // namespace

const Operator* Embedding() {
  static const EmbeddingOperator instance;
  return &instance;
}
const Operator* PatchEmbedding() {
  static const PatchEmbeddingOperator instance;
  return &instance;
}
const Operator* PositionalEncoding() {
  static const PositionalEncodingOperator instance;
  return &instance;
}
const Operator* ClassToken() {
  static const ClassTokenOperator instance;
  return &instance;
}
const Operator* LastTokens() {
  static const LastTokensOperator instance;
  return &instance;
}
const Operator* TransposeTokens() {
  static const TransposeTokensOperator instance;
  return &instance;
}
const Operator* SelectToken() {
  static const SelectTokenOperator instance;
  return &instance;
}

}  // namespace canopy::search_space
