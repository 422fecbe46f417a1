#pragma once

#include <functional>
#include <string>
#include <vector>

#include "worker/trainer/testing/graphs.h"
#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {

// What an operator is compared with.
struct OperationCase {
  using Tensors = std::vector<at::Tensor>;
  std::string name;  // of the test; the operator's name comes first
  std::string op;
  GraphBuilder::Attributes attributes;
  std::vector<std::vector<int64_t>> inputs;  // per example
  // The reference from inputs and parameters (in the order they were added).
  std::function<at::Tensor(const Tensors& inputs, const Tensors& parameters)> reference;
};

// Operators of images and vectors, and of {tokens, features}.
std::vector<OperationCase> ImageCases();
std::vector<OperationCase> TokenCases();

}  // namespace canopy::trainer
