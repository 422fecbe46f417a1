#include "worker/trainer/ops/dense.h"

#include <type_traits>

#include "worker/trainer/kernels/elementwise.h"

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
  at::Tensor dense =
      EmptyImages(tensor.size(0), tensor.size(1), tensor.size(2), tensor.size(3), tensor.scalar_type());
  dense.copy_(tensor);
  return dense;
}

at::Tensor SumOf(const std::vector<at::Tensor>& tensors) {
  if (tensors.size() == 1) return tensors[0];
  std::vector<at::Tensor> dense;
  for (const at::Tensor& tensor : tensors) dense.push_back(Dense(tensor));
  at::Tensor sum = at::empty_like(dense[0]);
  WithElements(sum, [&](auto elements) {
    using Element = std::remove_pointer_t<decltype(elements(sum))>;
    std::vector<const Element*> inputs;
    for (const at::Tensor& tensor : dense) inputs.push_back(elements(tensor));
    Sum(inputs, sum.numel(), elements(sum));
  });
  return sum;
}

}  // namespace canopy::trainer
