#include <string>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

template <typename T>
const T& Get(const Attributes& attributes, const char* name) {
  const auto it = attributes.find(name);
  CANOPY_CHECK(it != attributes.end() && std::holds_alternative<T>(it->second), name);
  return std::get<T>(it->second);
}

}  // namespace

int64_t IntegerOf(const Attributes& attributes, const char* name) { return Get<int64_t>(attributes, name); }
double NumberOf(const Attributes& attributes, const char* name) { return Get<double>(attributes, name); }
bool SwitchOf(const Attributes& attributes, const char* name) { return Get<bool>(attributes, name); }

StatusOr<Value> NormalizeAttribute(const AttributeSpec& spec, Value value) {
  using Type = AttributeSpec::Type;
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
