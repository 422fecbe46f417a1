#include "config/recipe.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <variant>
#include <vector>

#include "base/strings.h"
#include "nlohmann/json.hpp"

namespace canopy::config {
namespace {

struct Flag {};
struct Integer {
  int64_t low, high;
};
// Above `low`, or from it where `low_included`; below `high`.
struct Number {
  double low, high;
  bool low_included = true;
};
struct Words {
  std::vector<std::string> words;
};
using Domain = std::variant<Flag, Integer, Number, Words>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const std::map<std::string, Domain, std::less<>>& Domains() {
  static const auto* const domains = new std::map<std::string, Domain, std::less<>>{
      {"optimizer", Words{{"sgd", "adamw"}}},
      {"learning_rate", Number{0, kInfinity, false}},
      {"momentum", Number{0, 1}},
      {"weight_decay", Number{0, kInfinity}},
      {"decay_all", Flag{}},
      {"batch_size", Integer{1, 65536}},
      {"label_smoothing", Number{0, 1}},
      {"warmup_fraction", Number{0, 1}},
      {"schedule", Words{{"cosine", "linear", "step", "constant"}}},
      {"random_crop", Integer{0, 64}},
      {"random_flip", Flag{}},
      {"cutout", Integer{0, 224}},
  };
  return *domains;
}

std::string Describe(const Domain& domain) {
  if (const auto* integer = std::get_if<Integer>(&domain)) {
    return "an integer from " + std::to_string(integer->low) + " to " + std::to_string(integer->high);
  }
  if (const auto* words = std::get_if<Words>(&domain)) {
    if (words->words.size() == 1) return words->words.front();
    return "one of " + Join(words->words, ", ");
  }
  if (const auto* number = std::get_if<Number>(&domain)) {
    std::string text = std::string("a number ") + (number->low_included ? "from " : "above ");
    text += FormatDouble(number->low);
    if (number->high < kInfinity) text += " to below " + FormatDouble(number->high);
    return text;
  }
  return "true or false";
}

bool Holds(const Domain& domain, const nlohmann::json& value) {
  if (const auto* integer = std::get_if<Integer>(&domain)) {
    return value.is_number_integer() && value.get<int64_t>() >= integer->low &&
           value.get<int64_t>() <= integer->high;
  }
  if (const auto* words = std::get_if<Words>(&domain)) {
    return value.is_string() && std::find(words->words.begin(), words->words.end(),
                                          value.get<std::string>()) != words->words.end();
  }
  if (const auto* number = std::get_if<Number>(&domain)) {
    if (!value.is_number()) return false;
    const double v = value.get<double>();
    return (number->low_included ? v >= number->low : v > number->low) && v < number->high;
  }
  return value.is_boolean();
}

}  // namespace

nlohmann::json DefaultRecipe(std::string_view optimizer) {
  const bool adamw = optimizer == "adamw";
  return {{"optimizer", adamw ? "adamw" : "sgd"},
          {"learning_rate", adamw ? 0.001 : 0.1},
          {"momentum", 0.9},
          {"weight_decay", adamw ? 0.01 : 0.0005},
          {"decay_all", false},
          {"batch_size", 128},
          {"label_smoothing", 0.0},
          {"warmup_fraction", 0.05},
          {"schedule", "cosine"},
          {"random_crop", 0},
          {"random_flip", false}};
}

Status CheckRecipeKey(std::string_view key) {
  if (Domains().find(key) != Domains().end()) return {};
  std::vector<std::string> keys;
  for (const auto& [name, domain] : Domains()) keys.push_back(name);
  return InvalidArgument("expected one of " + Join(keys, ", ") + ", found '" + std::string(key) + "'" +
                         DidYouMean(key, keys));
}

bool TakesIntegers(std::string_view key) {
  return std::holds_alternative<Integer>(Domains().find(key)->second);
}

Status CheckRecipeValue(std::string_view key, const nlohmann::json& value) {
  const Domain& domain = Domains().find(key)->second;
  if (Holds(domain, value)) return {};
  std::string message = "expected " + Describe(domain) + ", found " +
                        value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (const auto* words = std::get_if<Words>(&domain); words && value.is_string()) {
    message += DidYouMean(value.get<std::string>(), words->words);
  }
  return InvalidArgument(message);
}

}  // namespace canopy::config
