#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "search_spaces/mix.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

std::vector<std::string> AttributeNames(const Operator& op) {
  std::vector<std::string> names;
  for (const AttributeSpec& spec : op.attributes()) names.emplace_back(spec.name);
  return names;
}

Status CheckNames(const Operator& op, std::span<const GivenAttribute> given) {
  const auto specs = op.attributes();
  for (const auto& attribute : given) {
    const std::string_view name = attribute.name;
    const auto known =
        std::any_of(specs.begin(), specs.end(), [&](const AttributeSpec& spec) { return spec.name == name; });
    if (known) continue;
    const auto names = AttributeNames(op);
    const std::string list = names.empty() ? "no attributes" : "one of " + Join(names, ", ");
    return InvalidArgument("expected " + list + ", found '" + std::string(name) + "'" +
                           DidYouMean(name, names));
  }
  return {};
}

StatusOr<Attributes> Complete(const Operator& op, std::span<const GivenAttribute> given) {
  CANOPY_RETURN_IF_ERROR(CheckNames(op, given));
  Attributes attributes;
  for (const AttributeSpec& spec : op.attributes()) {
    const auto it =
        std::find_if(given.begin(), given.end(), [&](const auto& g) { return g.name == spec.name; });
    if (it != given.end()) {
      CANOPY_ASSIGN_OR_RETURN(Value value, NormalizeAttribute(spec, *it->value));
      attributes.emplace(spec.name, std::move(value));
    } else if (spec.fallback) {
      attributes.emplace(spec.name, *spec.fallback);
    } else if (!spec.derived) {
      return InvalidArgument("expected '" + std::string(spec.name) + "', found none");
    }
  }
  op.Complete(attributes);
  // Derived attributes keep their bounds as well.
  for (const AttributeSpec& spec : op.attributes()) {
    if (spec.derived) CANOPY_RETURN_IF_ERROR(NormalizeAttribute(spec, attributes.at(spec.name)).status());
  }
  attributes.Seal();
  return attributes;
}

// What a thread completed last: networks repeat few attributes many times.
class RecentlyCompleted {
 public:
  StatusOr<Attributes> Get(const Operator& op, std::span<const GivenAttribute> given) {
    Entry& entry = entries_[Place(op, given)];
    if (entry.op == &op && Same(entry.given, given)) return entry.complete;
    CANOPY_ASSIGN_OR_RETURN(Attributes complete, Complete(op, given));
    std::vector<std::pair<std::string, Value>> copy;
    for (const auto& [name, value] : given) copy.emplace_back(name, *value);
    entry = {&op, std::move(copy), complete};
    return complete;
  }

 private:
  static constexpr size_t kEntries = 256;
  using Given = std::vector<std::pair<std::string, Value>>;
  struct Entry {
    const Operator* op = nullptr;
    Given given;
    Attributes complete;
  };

  static size_t Place(const Operator& op, std::span<const GivenAttribute> given) {
    uint64_t state = std::hash<const Operator*>()(&op);
    for (const auto& [name, value] : given) {
      state = Mix(state, HashOf(*value));
    }
    return Mix(state, 0) % kEntries;
  }
  static bool Same(const Given& known, std::span<const GivenAttribute> given) {
    return std::equal(
        known.begin(), known.end(), given.begin(), given.end(),
        [](const auto& k, const GivenAttribute& g) { return k.first == g.name && k.second == *g.value; });
  }

  std::array<Entry, kEntries> entries_;
};

StatusOr<Value> NormalizeWord(const AttributeSpec& spec, Value value) {
  const auto* word = std::get_if<std::string>(&value);
  if (word && std::count(spec.words.begin(), spec.words.end(), *word)) return value;
  const std::vector<std::string> words(spec.words.begin(), spec.words.end());
  return InvalidArgument("expected one of " + Join(words, ", ") + " for '" + std::string(spec.name) +
                         "', found " + DisplayText(value) + (word ? DidYouMean(*word, words) : ""));
}

}  // namespace

StatusOr<Attributes> CompleteAttributes(const Operator& op, std::span<const GivenAttribute> given) {
  if (given.empty() && op.attributes().empty()) return Attributes();
  thread_local RecentlyCompleted recent;
  return recent.Get(op, given);
}

StatusOr<Value> NormalizeAttribute(const AttributeSpec& spec, Value value) {
  using Type = AttributeSpec::Type;
  if (spec.type == Type::kWord) return NormalizeWord(spec, std::move(value));
  const auto expected = [&](const std::string& what) {
    return InvalidArgument("expected " + what + " for '" + std::string(spec.name) + "', found " +
                           DisplayText(value));
  };
  if (spec.type == Type::kSwitch) {
    if (std::holds_alternative<bool>(value)) return value;
    return expected("true or false");
  }
  const std::string what = (spec.type == Type::kInteger ? "an integer from " : "a number from ") +
                           CanonicalText(spec.low) + " to " + CanonicalText(spec.high);
  if (!IsNumber(value)) return expected(what);
  const double number = AsDouble(value);
  if (!(number >= spec.low && number <= spec.high)) return expected(what);
  if (spec.type == Type::kNumber) return Value(number);
  if (std::holds_alternative<int64_t>(value)) return value;
  const auto integer = static_cast<int64_t>(number);
  if (number != static_cast<double>(integer)) return expected(what);
  return Value(integer);
}

}  // namespace canopy::search_space
