#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "search_spaces/checked.h"
#include "search_spaces/expression.h"
#include "search_spaces/ops/differentiated.h"
#include "search_spaces/ops/operator_definition.h"
#include "search_spaces/reserved_names.h"

namespace canopy::search_space {
namespace {

using Input = OperatorDefinition::Input;
using Type = AttributeSpec::Type;

constexpr size_t kMaxAttributes = 64, kMaxConditions = 64, kMaxWords = 64;
constexpr int64_t kMaxLayers = 64;
// Beyond it a double is no exact integer.
constexpr double kMaxExact = 9007199254740992.0;

// What rules call the sizes of the input and the output.
enum ShapeName {
  kInChannels,
  kInPlaces,
  kInHeight,
  kInWidth,
  kInTokens,
  kOutPlaces,
  kOutHeight,
  kOutWidth,
  kOutTokens
};
constexpr std::string_view kShapeNames[] = {"in_channels", "in_places", "in_height",
                                            "in_width",    "in_tokens", "out_places",
                                            "out_height",  "out_width", "out_tokens"};
constexpr size_t kShapeNameCount = std::size(kShapeNames);

// A rule and what its names stand for: an attribute's place, or -1 minus that of a shape's name.
struct Rule {
  std::string part;  // "output[1]"
  Expression expression;
  std::vector<int> slots;
};

Input InputOf(size_t rank) { return UsualInput(rank); }

// Whether an input or output of that kind has what the name says.
bool Has(Input kind, ShapeName height, ShapeName width, ShapeName tokens, size_t name) {
  if (name == height || name == width) return kind == Input::kImage;
  return name != tokens || kind == Input::kTokens;
}

std::vector<std::string> ShapeNamesFor(const OperatorDefinition& d, bool with_output) {
  const Input output = d.output.empty() ? d.input : InputOf(d.output.size());
  std::vector<std::string> names;
  for (size_t i = 0; i < kShapeNameCount; ++i) {
    const bool of_output = i >= kOutPlaces;
    if (of_output && !with_output) continue;
    if (!of_output && !Has(d.input, kInHeight, kInWidth, kInTokens, i)) continue;
    if (of_output && !Has(output, kOutHeight, kOutWidth, kOutTokens, i)) continue;
    names.emplace_back(kShapeNames[i]);
  }
  return names;
}

std::string Canonical(const OperatorDefinition& d) {
  const auto list = [](const std::vector<std::string>& texts) {
    std::vector<std::string> quoted;
    for (const std::string& text : texts) quoted.push_back(QuoteJson(text));
    return "[" + Join(quoted, ",") + "]";
  };
  std::vector<std::string> attributes;
  for (const auto& a : d.attributes) {
    std::string text = "{";
    if (a.fallback) text += "\"default\":" + CanonicalText(*a.fallback) + ",";
    if (a.type == Type::kInteger || a.type == Type::kNumber)
      text += "\"max\":" + CanonicalText(a.high) + ",\"min\":" + CanonicalText(a.low) + ",";
    text += "\"name\":" + QuoteJson(a.name) + ",\"type\":\"" + std::string(ToString(a.type)) + "\"";
    attributes.push_back(text + (a.words.empty() ? "" : ",\"words\":" + list(a.words)) + "}");
  }
  return "{\"attributes\":[" + Join(attributes, ",") + "],\"conditions\":" + list(d.conditions) +
         ",\"input\":\"" + std::string(ToString(d.input)) + "\",\"layers\":" + std::to_string(d.layers) +
         ",\"macs\":" + QuoteJson(d.macs) +
         ",\"output\":" + (d.output.empty() ? "\"same\"" : list(d.output)) +
         ",\"parameters\":" + QuoteJson(d.parameters) + "}";
}

class DefinedOperator final : public Operator {
 public:
  static StatusOr<std::unique_ptr<DefinedOperator>> Make(OperatorDefinition definition, std::string& fault) {
    fault.clear();
    std::unique_ptr<DefinedOperator> op(new DefinedOperator(std::move(definition)));
    CANOPY_RETURN_IF_ERROR(op->CheckDefinition(fault));
    CANOPY_RETURN_IF_ERROR(op->ParseRules(fault));
    fault.clear();
    return op;
  }

  std::string_view name() const override { return definition_.name; }
  std::span<const AttributeSpec> attributes() const override { return specs_; }
  int layers() const override { return static_cast<int>(definition_.layers); }
  bool pure() const override { return false; }
  // What its module keeps beside input and output is not known.
  OperatorMemory Memory(const Application& at) const override { return DifferentiatedMemory(at); }
  std::string_view definition() const override { return canonical_; }

  StatusOr<Shape> InferShape(const Attributes& attributes,
                             std::span<const Shape* const> inputs) const override {
    const Shape& in = *inputs[0];
    CANOPY_RETURN_IF_ERROR(CheckInput(in));
    Values values(*this, attributes);
    CANOPY_RETURN_IF_ERROR(values.SetShape(in, /*output=*/false));
    for (const Rule& rule : conditions_) {
      CANOPY_ASSIGN_OR_RETURN(const Value holds, values.Compute(rule));
      if (!std::get<bool>(holds))
        return InvalidArgument("expected " + rule.expression.text() + ", found " + values.Describe(rule));
    }
    Shape out;
    for (const Rule& rule : output_) {
      CANOPY_ASSIGN_OR_RETURN(const int64_t size, values.Count(rule, 1));
      out.push_back(size);
    }
    if (output_.empty()) out = in;
    CANOPY_RETURN_IF_ERROR(values.SetShape(out, /*output=*/true));
    // Here, where there is a message for what is no count; Cost then has one.
    for (const Rule& rule : costs_) CANOPY_RETURN_IF_ERROR(values.Count(rule, 0).status());
    return out;
  }

  std::optional<OperatorCost> Cost(const Attributes& attributes, std::span<const Shape* const> inputs,
                                   const Shape& out) const override {
    Values values(*this, attributes);
    if (!values.SetShape(*inputs[0], false).ok() || !values.SetShape(out, true).ok()) return std::nullopt;
    const auto params = values.Count(costs_[0], 0), macs = values.Count(costs_[1], 0);
    if (!params.ok() || !macs.ok()) return std::nullopt;
    return OperatorCost{*params, *macs};
  }

 private:
  // What names stand for while an operator is applied.
  class Values {
   public:
    Values(const DefinedOperator& op, const Attributes& attributes) : op_(op), attributes_(attributes) {}

    Status SetShape(const Shape& shape, bool output) {
      const auto places = PlacesOf(shape);
      if (!places) return InvalidArgument("expected fewer than 2^63 places, found " + ShapeText(shape));
      if (!output) shape_[kInChannels] = ChannelsOf(shape);
      shape_[output ? kOutPlaces : kInPlaces] = *places;
      if (shape.size() == 2) shape_[output ? kOutTokens : kInTokens] = shape[0];
      if (shape.size() != 3) return {};
      shape_[output ? kOutHeight : kInHeight] = shape[1];
      shape_[output ? kOutWidth : kInWidth] = shape[2];
      return {};
    }

    StatusOr<Value> Compute(const Rule& rule) const {
      absl::InlinedVector<const Value*, 8> values;
      for (const int slot : rule.slots) values.push_back(&At(slot));
      auto value = rule.expression.Evaluate(values);
      if (!value.ok()) return WithContext(value.status(), rule.part);
      return value;
    }

    // The rule's value as a count of at least `low`.
    StatusOr<int64_t> Count(const Rule& rule, int64_t low) const {
      CANOPY_ASSIGN_OR_RETURN(const Value value, Compute(rule));
      const auto* integer = std::get_if<int64_t>(&value);
      const double number = AsDouble(value);
      const bool whole = integer || (std::abs(number) <= kMaxExact && number == std::floor(number));
      const int64_t count = integer ? *integer : whole ? static_cast<int64_t>(number) : 0;
      if (whole && count >= low) return count;
      return InvalidArgument(rule.part + ": expected an integer of " + std::to_string(low) + " or more of '" +
                             rule.expression.text() + "', found " + CanonicalText(value) +
                             (rule.slots.empty() ? "" : " with " + Describe(rule)));
    }

    // "in_channels = 30, groups = 4".
    std::string Describe(const Rule& rule) const {
      std::vector<std::string> texts;
      for (size_t i = 0; i < rule.slots.size(); ++i)
        texts.push_back(rule.expression.names()[i] + " = " + DisplayText(At(rule.slots[i])));
      return Join(texts, ", ");
    }

   private:
    const Value& At(int slot) const {
      return slot >= 0 ? attributes_.at(op_.definition_.attributes[slot].name) : shape_[-1 - slot];
    }

    const DefinedOperator& op_;
    const Attributes& attributes_;
    std::array<Value, kShapeNameCount> shape_;
  };

  explicit DefinedOperator(OperatorDefinition definition)
      : definition_(std::move(definition)), canonical_(Canonical(definition_)) {
    for (const auto& a : definition_.attributes) {
      const auto& words = words_.emplace_back(a.words.begin(), a.words.end());
      specs_.push_back({a.name, a.type, a.fallback, a.low, a.high, false, words});
    }
  }

  Status CheckInput(const Shape& in) const {
    switch (definition_.input) {
      case Input::kImage:
        return RequireImage(in);
      case Input::kTokens:
        return RequireTokens(in);
      case Input::kFeatures:
        if (in.size() != 1)
          return InvalidArgument("expected an input of shape {features}, found " + ShapeText(in));
        return {};
      case Input::kAny:
        break;
    }
    return {};
  }

  Status CheckDefinition(std::string& fault) {
    const OperatorDefinition& d = definition_;
    if (!IsLowerSnake(d.name) || !ReservedFor("", d.name).empty() || FindOperator(d.name)) {
      return InvalidArgument(
          "expected a name of lower-case letters, digits and _ that begins with a letter and is neither a "
          "built-in operator's nor a word of expressions, found '" +
          d.name + "'");
    }
    fault = "layers";
    if (d.layers < 0 || d.layers > kMaxLayers)
      return InvalidArgument("expected from 0 to " + std::to_string(kMaxLayers) + " layers, found " +
                             std::to_string(d.layers));
    fault = "attributes";
    if (d.attributes.size() > kMaxAttributes)
      return InvalidArgument("expected at most " + std::to_string(kMaxAttributes) + " attributes");
    for (size_t i = 0; i < specs_.size(); ++i) {
      fault = "attributes." + d.attributes[i].name;
      CANOPY_RETURN_IF_ERROR(CheckAttribute(i));
    }
    fault = "output";
    if (d.output.size() > 3)
      return InvalidArgument(
          "expected the rules of [features], [tokens, features] or [channels, height, width], or `same`; "
          "found " +
          std::to_string(d.output.size()) + " rules");
    fault = "conditions";
    if (d.conditions.size() > kMaxConditions)
      return InvalidArgument("expected at most " + std::to_string(kMaxConditions) + " conditions");
    return {};
  }

  Status CheckAttribute(size_t index) {
    AttributeSpec& spec = specs_[index];
    const std::string name(spec.name);
    const bool taken =
        name == "name" || !ReservedFor("", name).empty() ||
        std::find(std::begin(kShapeNames), std::end(kShapeNames), name) != std::end(kShapeNames);
    const bool twice = std::any_of(specs_.begin(), specs_.begin() + static_cast<int64_t>(index),
                                   [&](const AttributeSpec& other) { return other.name == name; });
    if (!IsLowerSnake(name) || taken || twice) {
      return InvalidArgument(
          "expected attributes of lower-case letters, digits and _, each once and none called `name`, a word "
          "of "
          "expressions or one of " +
          Join(std::vector<std::string>(std::begin(kShapeNames), std::end(kShapeNames)), ", ") + "; found '" +
          name + "'");
    }
    if (!(spec.low <= spec.high)) {
      return InvalidArgument("expected a min that is at most the max, found " + CanonicalText(spec.low) +
                             " and " + CanonicalText(spec.high));
    }
    CANOPY_RETURN_IF_ERROR(CheckWords(definition_.attributes[index]));
    if (!spec.fallback) return {};
    CANOPY_ASSIGN_OR_RETURN(spec.fallback, NormalizeAttribute(spec, *spec.fallback));
    return {};
  }

  static Status CheckWords(const OperatorDefinition::Attribute& attribute) {
    const std::vector<std::string>& words = attribute.words;
    if ((attribute.type == Type::kWord) != !words.empty())
      return InvalidArgument("expected `type: word` and `words` together");
    if (words.size() > kMaxWords)
      return InvalidArgument("expected at most " + std::to_string(kMaxWords) + " words");
    for (auto word = words.begin(); word != words.end(); ++word) {
      // `true` and `false` are switches wherever they stand.
      const bool fits = IsLowerSnake(*word) && *word != "true" && *word != "false";
      if (fits && std::find(words.begin(), word, *word) == word) continue;
      return InvalidArgument(
          "expected words of lower-case letters, digits and _, a letter first, each once and none `true` or "
          "`false`; found '" +
          *word + "'");
    }
    return {};
  }

  static ValueKind KindOf(Type type) {
    if (type == Type::kWord) return ValueKind::kWord;
    return type == Type::kSwitch ? ValueKind::kSwitch : ValueKind::kNumber;
  }

  Status ParseRules(std::string& fault) {
    const OperatorDefinition& d = definition_;
    for (size_t i = 0; i < d.conditions.size(); ++i) {
      CANOPY_ASSIGN_OR_RETURN(Rule rule, ParseRule("conditions[" + std::to_string(i) + "]", d.conditions[i],
                                                   /*with_output=*/false, ValueKind::kSwitch, fault));
      conditions_.push_back(std::move(rule));
    }
    for (size_t i = 0; i < d.output.size(); ++i) {
      CANOPY_ASSIGN_OR_RETURN(Rule rule, ParseRule("output[" + std::to_string(i) + "]", d.output[i],
                                                   /*with_output=*/false, ValueKind::kNumber, fault));
      output_.push_back(std::move(rule));
    }
    for (const auto& [part, text] : {std::pair("parameters", &d.parameters), std::pair("macs", &d.macs)}) {
      CANOPY_ASSIGN_OR_RETURN(Rule rule,
                              ParseRule(part, *text, /*with_output=*/true, ValueKind::kNumber, fault));
      costs_.push_back(std::move(rule));
    }
    return {};
  }

  StatusOr<Rule> ParseRule(std::string part, const std::string& text, bool with_output, ValueKind kind,
                           std::string& fault) const {
    fault = part;
    CANOPY_ASSIGN_OR_RETURN(Expression expression, Expression::Parse(text));
    std::vector<std::string> known = ShapeNamesFor(definition_, with_output);
    std::vector<int> slots;
    std::vector<ValueKind> kinds;
    for (const std::string& name : expression.names()) {
      const auto spec =
          std::find_if(specs_.begin(), specs_.end(), [&](const AttributeSpec& s) { return s.name == name; });
      if (spec != specs_.end()) {
        slots.push_back(static_cast<int>(spec - specs_.begin()));
        kinds.push_back(KindOf(spec->type));
        continue;
      }
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        const std::string sizes = Join(known, ", ");
        for (const AttributeSpec& s : specs_) known.emplace_back(s.name);
        return InvalidArgument("expected an attribute of the operator or one of " + sizes + ", found '" +
                               name + "'" + DidYouMean(name, known));
      }
      const auto at = std::find(std::begin(kShapeNames), std::end(kShapeNames), name);
      slots.push_back(-1 - static_cast<int>(at - std::begin(kShapeNames)));
      kinds.push_back(ValueKind::kNumber);
    }
    CANOPY_ASSIGN_OR_RETURN(const ValueKind found, expression.Kind(kinds));
    if (found != kind) {
      return InvalidArgument(std::string("expected ") +
                             (kind == ValueKind::kSwitch ? "a condition" : "a number") + ", found '" +
                             expression.text() + "'");
    }
    return Rule{std::move(part), std::move(expression), std::move(slots)};
  }

  const OperatorDefinition definition_;
  const std::string canonical_;
  std::deque<std::vector<std::string_view>> words_;  // of each attribute; the definition's
  std::vector<AttributeSpec> specs_;                 // names are the definition's, words those above
  std::vector<Rule> conditions_, output_;
  std::vector<Rule> costs_;  // parameters, MACs
};

// Every operator that was defined in this process, by name and definition.
class DefinedOperators {
 public:
  StatusOr<const Operator*> Get(OperatorDefinition definition, std::string& fault) CANOPY_EXCLUDES(mutex_) {
    CANOPY_ASSIGN_OR_RETURN(auto made, DefinedOperator::Make(std::move(definition), fault));
    const MutexLock lock(mutex_);
    auto& known = operators_[std::string(made->name()) + ' ' + std::string(made->definition())];
    if (!known) known = std::move(made);
    return known.get();
  }

 private:
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<DefinedOperator>> operators_ CANOPY_GUARDED_BY(mutex_);
};

}  // namespace

StatusOr<const Operator*> DefineOperator(OperatorDefinition definition, std::string& fault) {
  // Graphs outlive the spaces that they are of, and threads' memories of attributes both: never freed.
  static auto* const operators = new DefinedOperators;
  return operators->Get(std::move(definition), fault);
}

}  // namespace canopy::search_space
