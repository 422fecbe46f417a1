#pragma once

#include <cstdint>
#include <span>

namespace canopy::trainer {

// Element-wise passes over dense memory, for fp32 and bf16 elements (16 bits each, given as uint16_t).
// Vectorised, single-threaded, deterministic. NaN passes through.

// y = max(x, 0).
void Relu(const float* x, int64_t count, float* y);
void Relu(const uint16_t* x, int64_t count, uint16_t* y);

// dx = dy where the ReLU's output y is not 0, else 0.
void ReluBackward(const float* y, const float* dy, int64_t count, float* dx);
void ReluBackward(const uint16_t* y, const uint16_t* dy, int64_t count, uint16_t* dx);

// out = the sum of the inputs, rounded once. REQUIRES at least one input.
void Sum(std::span<const float* const> inputs, int64_t count, float* out);
void Sum(std::span<const uint16_t* const> inputs, int64_t count, uint16_t* out);

}  // namespace canopy::trainer
