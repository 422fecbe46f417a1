#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "search_spaces/checked.h"
#include "search_spaces/graph.h"

namespace canopy::search_space {

// An attribute that an operator takes. A lowered node has all of them.
struct AttributeSpec {
  enum class Type { kSwitch, kInteger, kNumber, kWord };
  std::string_view name;
  Type type = Type::kInteger;
  // Taken where the attribute is not given; without one it is required, unless it is derived.
  std::optional<Value> fallback;
  double low = 0, high = 2147483647;  // both included; for kInteger and kNumber
  // Where it is not given, Complete fills it from the others.
  bool derived = false;
  std::span<const std::string_view> words = {};  // for kWord: those that it takes
  // Of kInteger: also [height, width]; see Extent for what a node has then.
  bool per_axis = false;
};

struct OperatorCost {
  int64_t params = 0;
  int64_t macs = 0;
};

// What the built-in trainer holds in memory of an operator in a training step, in bytes, beside its inputs
// and output while other nodes need them and the gradients that pass along the graph.
struct OperatorMemory {
  // Needed by backward, so that they stay until then.
  bool keeps_inputs = false, keeps_output = false;
  // The output is the input's memory, and the input's gradient the output's.
  bool shares_output = false, shares_gradient = false;
  // For each example: of its own from forward to backward, more during forward, more during backward.
  Count kept, forward, backward;
  // For a batch of any size: more during forward (weights in the layout of the library) and backward (the
  // gradients of parameters on their way to where they are collected).
  Count scratch_forward, scratch_backward;
};

// The type that a network computes in; sums that need more are in fp32 in either.
enum class NumberType { kFp32, kBf16 };
inline int64_t BytesOf(NumberType type) { return type == NumberType::kFp32 ? 4 : 2; }

// An operator where it stands in a network.
struct Application {
  const Attributes& attributes;
  std::span<const Shape* const> inputs;
  const Shape& output;
  int64_t params = 0;
  NumberType type = NumberType::kFp32;

  // Bytes of one example's values.
  Count InputBytes() const;  // of the first input
  Count OutputBytes() const;
};

// How many inputs an operator takes; {1, kAnyNumber} for merges.
inline constexpr int kAnyNumber = 1 << 30;
struct Arity {
  int least = 1, most = 1;
};

// An operator of network graphs: its attributes and its shape and cost rules, without an implementation;
// worker/trainer/ops builds the same operator of LibTorch. Stateless; one instance each in AllOperators().
// "Function" below means the function of the input for every value of the parameters, in training and in
// inference.
class Operator {
 public:
  virtual ~Operator() = default;
  virtual std::string_view name() const = 0;
  virtual std::span<const AttributeSpec> attributes() const { return {}; }
  virtual Arity arity() const { return {}; }
  // Its inputs may be exchanged.
  virtual bool commutative() const { return false; }
  // How many layers of the network's depth it is: convolutions and linear layers one after another.
  virtual int layers() const { return 0; }
  // Its input is the network's own, and that is token numbers. At most the embedding.
  virtual bool reads_tokens() const { return false; }
  // It holds no parameters or statistics and draws nothing: two of them on equal inputs are one.
  virtual bool pure() const { return true; }
  // The rules of an operator that a space file defines, as canonical JSON; empty for a built-in one.
  virtual std::string_view definition() const { return {}; }

  // Fills the derived attributes that are absent; REQUIRES all others.
  virtual void Complete(Attributes&) const {}
  // REQUIRES attributes that fit the specs and a number of inputs that fits the arity. InvalidArgument says
  // what was expected of the inputs.
  virtual StatusOr<Shape> InferShape(const Attributes& attributes,
                                     std::span<const Shape* const> inputs) const = 0;
  // REQUIRES that InferShape gave `output`. nullopt where a count leaves 64 bits.
  virtual std::optional<OperatorCost> Cost(const Attributes&, std::span<const Shape* const>,
                                           const Shape&) const {
    return OperatorCost{};
  }

  // What worker/trainer/ops holds of it; by default nothing. REQUIRES what Cost does, and its parameters.
  virtual OperatorMemory Memory(const Application&) const { return {}; }

  // Its function is the identity on an input of that shape (REQUIRES one input).
  virtual bool IsIdentity(const Attributes&, const Shape&) const { return false; }
  // The same operator behind itself, with the attributes `before` in front, on an input of that shape, is the
  // identity (REQUIRES one input and that InferShape gave both shapes).
  virtual bool Undoes(const Attributes&, const Attributes& /*before*/, const Shape&) const { return false; }
  // Its function maps all-zero inputs to zero.
  virtual bool ZeroPreserving(const Attributes&) const { return false; }
};

// Every operator, by name. A new one is added to the list in registry.cc.
std::span<const Operator* const> AllOperators();
// nullptr where there is none of that name.
const Operator* FindOperator(std::string_view name);
std::vector<std::string> OperatorNames();

// The spec of an attribute, or of one axis of a per-axis one, under that name, which has to outlive it.
std::optional<AttributeSpec> FindSpec(const Operator& op, std::string_view name);
// The value with the attribute's type where nothing is lost (2 as 2.0, 2.0 as 2); InvalidArgument where it is
// not one that the attribute takes.
StatusOr<Value> NormalizeAttribute(const AttributeSpec& spec, Value value);

// An attribute as it was given: its value may be of another type than the operator's.
struct GivenAttribute {
  std::string_view name;
  const Value* value;
};
// All attributes of the operator: the given ones, and defaults for the others. InvalidArgument for one that
// it does not have (with the nearest name), that has a wrong value or that is missing. Attributes that many
// nodes have are made once for each thread.
StatusOr<Attributes> CompleteAttributes(const Operator& op, std::span<const GivenAttribute> given);

// "{3, 32, 32}", for messages.
std::string ShapeText(std::span<const int64_t> sizes);
// OK for {channels, height, width}.
Status RequireImage(const Shape& shape);
// OK for {tokens, features}.
Status RequireTokens(const Shape& shape);
// Where a shape has its channels or features: last in {tokens, features}, first in {features} and
// {channels, height, width}.
size_t ChannelAxis(const Shape& shape);
int64_t ChannelsOf(const Shape& shape);
// At how many places it has them: 1 for {features}, else the tokens or pixels. nullopt beyond 64 bits.
std::optional<int64_t> PlacesOf(const Shape& shape);

}  // namespace canopy::search_space
