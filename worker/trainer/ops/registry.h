#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "worker/trainer/operator_libraries.h"
#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {

// The operators that the built-in trainer builds, by the names of the search-space language.
std::vector<std::string> OperationNames();

// InvalidArgument for an unknown operator lists the known ones. `libraries` have what space files define.
StatusOr<std::unique_ptr<Operation>> BuildOperation(
    const BuildContext& context, const OperatorLibraries& libraries = NoOperatorLibraries());

}  // namespace canopy::trainer
