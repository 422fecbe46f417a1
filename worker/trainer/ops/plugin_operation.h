#pragma once

#include <memory>

#include "base/status.h"
#include "worker/trainer/operator_libraries.h"
#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {

// An operator that a space file defines, computed by a library's module. InvalidArgument where no library has
// it, its module cannot be made, or it has another number of parameters than the file's rule says.
StatusOr<std::unique_ptr<Operation>> BuildPluginOperation(const BuildContext& context,
                                                          const OperatorLibraries& libraries);

// Computes the operation of that node on a batch of zeros. InvalidArgument where that fails or gives another
// shape than the file's rule. REQUIRES that the store has allocated its tensors.
Status ProbePluginOperation(Operation& operation, const search_space::Node& node,
                            const search_space::Node& input, at::ScalarType compute_type);

}  // namespace canopy::trainer
