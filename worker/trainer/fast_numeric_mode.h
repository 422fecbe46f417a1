#pragma once

#include "base/status.h"
#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {

// The numeric mode in which this host trains fastest: kFloat or kBFloat16. bf16 is tried where the processor
// has instructions for it, and taken where training steps of a small convolutional network are faster by a
// tenth: on some processors with AVX512_BF16 the bf16 products have half of the throughput of fp32's. Takes
// some 100 ms. REQUIRES one thread.
StatusOr<at::ScalarType> FastNumericMode();

}  // namespace canopy::trainer
