#pragma once

#include <cstdint>

namespace canopy::trainer {

// This process's largest resident set since it started or since ResetPeakMemory, in bytes; 0 where the
// kernel doesn't tell.
int64_t PeakMemoryBytes();
void ResetPeakMemory();

// Freed memory stays with the process from now on: giving a step's activations back to the kernel and
// getting them again, zeroed, costs up to a third of the time.
void KeepFreedMemory();

}  // namespace canopy::trainer
