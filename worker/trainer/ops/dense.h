#pragma once

#include <cstdint>
#include <vector>

#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {

// Tensors as the operations hand them on: fp32 or bf16, images [N, C, H, W] dense in channels-last memory,
// vectors [N, features] and tokens [N, tokens, features] row-major. Token numbers, which embeddings alone
// read, are integers [N, tokens].

// The tensor itself where its memory is like that, else a copy that is. `contiguous(ChannelsLast)` is no
// substitute: it leaves images of one channel or of one pixel as they are.
at::Tensor Dense(const at::Tensor& tensor);
// The dimension of channels or features.
inline int64_t ChannelAxis(const at::Tensor& tensor) { return tensor.dim() == 3 ? 2 : 1; }
// An uninitialised image tensor.
at::Tensor EmptyImages(int64_t count, int64_t channels, int64_t height, int64_t width, at::ScalarType type);
// REQUIRES at least one tensor, all of one shape and type. A single one is given back as it is.
at::Tensor SumOf(const std::vector<at::Tensor>& tensors);

// Calls body(elements), where elements(tensor) is the tensor's memory as the kernels take it: float*, or
// uint16_t* for bf16.
template <typename Body>
void WithElements(const at::Tensor& like, const Body& body) {
  if (like.scalar_type() == at::kFloat) {
    body([](const at::Tensor& tensor) { return static_cast<float*>(tensor.data_ptr()); });
  } else {
    body([](const at::Tensor& tensor) { return static_cast<uint16_t*>(tensor.data_ptr()); });
  }
}

}  // namespace canopy::trainer
