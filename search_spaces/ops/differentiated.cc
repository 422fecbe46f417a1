#include "search_spaces/ops/differentiated.h"

namespace canopy::search_space {

OperatorMemory DifferentiatedMemory(const Application& at) {
  return {
      .keeps_inputs = true, .keeps_output = true, .scratch_backward = Count(at.params) * BytesOf(at.type)};
}

OperatorMemory ExactDifferentiatedMemory(const Application& at) {
  OperatorMemory memory = DifferentiatedMemory(at);
  memory.scratch_backward = Count(at.params) * 4;
  if (at.type == NumberType::kFp32) return memory;
  memory.kept = at.InputBytes() * 2;
  memory.forward = at.OutputBytes() * 2;
  memory.backward = at.InputBytes() * 2 + at.OutputBytes() * 2;
  return memory;
}

}  // namespace canopy::search_space
