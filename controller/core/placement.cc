#include "controller/core/placement.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace canopy::controller {

std::map<std::string, std::string> LabelsOf(const std::string& labels_json) {
  std::map<std::string, std::string> labels;
  const nlohmann::json parsed = nlohmann::json::parse(labels_json, nullptr, false);
  if (parsed.is_object())
    for (const auto& [name, value] : parsed.items())
      if (value.is_string()) labels[name] = value.get<std::string>();
  return labels;
}

bool MeetsPlacement(const model::WorkerRecord& worker, const std::map<std::string, std::string>& labels,
                    const model::Placement& placement, std::string* why) {
  const auto lacks = [&](const std::string& what) {
    *why = "no connected worker has " + what + ", which the campaign's placement asks for";
    return false;
  };
  for (const auto& [name, value] : placement.labels) {
    const auto label = labels.find(name);
    if (label == labels.end() || label->second != value) return lacks("the label " + name + "=" + value);
  }
  if (!placement.device_kind.empty() && worker.device_kind != placement.device_kind)
    return lacks("a device of kind " + placement.device_kind);
  if (worker.memory_bytes < placement.min_memory)
    return lacks(FormatCount(placement.min_memory) + " bytes of memory");
  return true;
}

}  // namespace canopy::controller
