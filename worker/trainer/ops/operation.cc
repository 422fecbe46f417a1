#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {
namespace {

bool IsDense(const at::Tensor& tensor) {
  if (tensor.dim() != 4) return tensor.is_contiguous();
  int64_t expected = 1;
  for (const int64_t d : {1, 3, 2, 0}) {
    if (tensor.stride(d) != expected) return false;
    expected *= tensor.size(d);
  }
  return true;
}

}  // namespace

at::Tensor EmptyImages(int64_t count, int64_t channels, int64_t height, int64_t width, at::ScalarType type) {
  return at::empty_strided({count, channels, height, width},
                           {channels * height * width, 1, width * channels, channels}, type);
}

at::Tensor Dense(const at::Tensor& tensor) {
  if (IsDense(tensor)) return tensor;
  if (tensor.dim() != 4) return tensor.contiguous();
  at::Tensor dense = EmptyImages(tensor.size(0), tensor.size(1), tensor.size(2), tensor.size(3),
                                 tensor.scalar_type());
  dense.copy_(tensor);
  return dense;
}

}  // namespace canopy::trainer
