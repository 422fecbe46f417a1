#pragma once

#include <map>
#include <string>

#include "storage/model/records.h"

namespace canopy::controller {

// The name to value pairs of a worker's labels; what is no text is left out.
std::map<std::string, std::string> LabelsOf(const std::string& labels_json);

// The worker, with these labels, has what the placement asks for; otherwise `why` says what is missing.
bool MeetsPlacement(const model::WorkerRecord& worker, const std::map<std::string, std::string>& labels,
                    const model::Placement& placement, std::string* why);

}  // namespace canopy::controller
