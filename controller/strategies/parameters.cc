#include "controller/strategies/parameters.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace canopy::strategies {

Status ReadParameters(std::string_view kind, std::string_view json, const std::vector<IntegerParameter>& parameters) {
  const auto object = nlohmann::json::parse(json, nullptr, false);
  const std::string where = "strategy '" + std::string(kind) + "': ";
  if (!object.is_object()) return InvalidArgument(where + "expected an object of parameters");
  std::vector<std::string> names;
  for (const IntegerParameter& parameter : parameters) names.push_back(parameter.name);
  for (const auto& [name, value] : object.items()) {
    const auto parameter = std::find_if(parameters.begin(), parameters.end(),
                                        [&, &name = name](const auto& known) { return known.name == name; });
    if (parameter == parameters.end()) {
      const std::string expected = names.empty() ? "it takes none" : "expected one of " + Join(names, ", ");
      return InvalidArgument(where + "unknown parameter '" + name + "'" + DidYouMean(name, names) + "; " + expected);
    }
    if (!value.is_number_integer() || value.get<int64_t>() < parameter->low || value.get<int64_t>() > parameter->high) {
      return InvalidArgument(where + name + ": expected an integer from " + std::to_string(parameter->low) + " to " +
                             std::to_string(parameter->high) + ", found " + value.dump());
    }
    *parameter->value = value.get<int64_t>();
  }
  return {};
}

}  // namespace canopy::strategies
