#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "canopy/v1/search_space.pb.h"
#include "config/yaml.h"
#include "search_spaces/expression.h"
#include "search_spaces/graph.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/value.h"

namespace canopy::search_space {

// InvalidArgument "file:line:column: path: message" for a place in a space file.
Status ErrorAt(const std::string& file, const v1::Position& position, std::string_view message);
config::Location LocationAt(const std::string& file, const v1::Position& position);

// The state of turning one candidate into a graph.
struct Lowering {
  // The candidate's value of each decision of the space, nullptr where it is inactive.
  const std::vector<const Value*>& values;
  int64_t classes;
  const std::string& file;
  NetworkGraph graph;

  int64_t channels(int node) const { return ChannelsOf(graph.nodes[node].shape); }
  // The input of the cell of two inputs that was lowered last, -1 before the first: what the next one takes
  // beside its own.
  int previous_cell_input = -1;
};

// Where an attribute's value comes from: a constant, a decision, or an expression over decisions,
// in_channels, in_height, in_width and in_tokens (of the block's input) and classes.
class ValueSource {
 public:
  // What a name of an expression stands for: a decision's index or one of these.
  static constexpr int kInChannels = -1;
  static constexpr int kClasses = -2;
  static constexpr int kInHeight = -3;
  static constexpr int kInWidth = -4;
  static constexpr int kInTokens = -5;

  explicit ValueSource(Value constant) : source_(std::move(constant)) {}
  ValueSource(int decision, std::string name) : source_(Referred{decision, std::move(name)}) {}
  // slots[i] is what expression.names()[i] stands for, `kind` that of its values.
  ValueSource(Expression expression, std::vector<int> slots, ValueKind kind)
      : source_(Computed{std::move(expression), std::move(slots), kind}) {}

  // The constant, nullptr where it is none; the decision's index, -1 where it is none.
  const Value* constant() const { return std::get_if<Value>(&source_); }
  int decision() const {
    const auto* referred = std::get_if<Referred>(&source_);
    return referred ? referred->decision : -1;
  }

  // What kind of value an expression has, nullopt where it is none.
  std::optional<ValueKind> kind() const {
    const auto* computed = std::get_if<Computed>(&source_);
    return computed ? std::optional(computed->kind) : std::nullopt;
  }

  // InvalidArgument where a decision that it needs is inactive, or the expression has no value.
  StatusOr<Value> Get(const Lowering& lowering, int input) const;

 private:
  struct Referred {
    int decision;
    std::string name;  // for messages
  };
  struct Computed {
    Expression expression;
    std::vector<int> slots;
    ValueKind kind;
  };
  std::variant<Value, Referred, Computed> source_;
};

// A name that expressions of the network know besides decisions.
struct ShapeName {
  std::string_view name;
  int slot;
  std::string_view meaning;
};
std::span<const ShapeName> ShapeNames();

// A part of a network that decisions shape, expanded from the file: each copy of a repeat that has
// decisions of its own is a block of its own. Immutable.
class Block {
 public:
  virtual ~Block() = default;
  // Appends the block's operators after node `input` and returns the node of its result.
  virtual StatusOr<int> Lower(Lowering& lowering, int input) const = 0;
};

}  // namespace canopy::search_space
