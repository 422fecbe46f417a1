#pragma once

// The one place for what differs between the LibTorch releases that build: 1.13 (Debian 12), 2.6
// (Debian 13) and later.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

// torch defines logging macros of these names; ours are CANOPY_CHECK and CANOPY_LOG.
#undef CHECK
#undef LOG

namespace canopy::trainer {

inline std::string LibtorchVersion() { return TORCH_VERSION; }

// An undefined tensor where an optional one is expected: c10::optional before 2.5, std::optional since.
inline auto OptionalTensor(const at::Tensor& tensor) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 5)
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
#else
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
#endif
}

}  // namespace canopy::trainer
