#pragma once

// What a shared library with operators of one's own includes (docs/own_operators.md); installed as
// <canopy/operator_plugin.h>. It needs LibTorch's ATen and nothing else of Canopy, and C++17.
//
// A library is built with the LibTorch release and C++ library of the trainer that loads it, which refuses
// another. It links LibTorch and the system's libraries; it starts no thread while it is loaded, because
// trainers are forked from a process of one thread.

#include <ATen/ATen.h>
#include <torch/version.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

// Raised whenever something below changes.
#define CANOPY_OPERATOR_ABI 2

namespace canopy::operator_plugin {

using Attribute = std::variant<bool, int64_t, double, std::string>;

// One place of a network at which an operator stands: what the space file's rules gave. Shapes are without
// the batch: {channels, height, width}, {tokens, features} or {features}.
struct Application {
  std::vector<std::pair<std::string, Attribute>> attributes;  // all that the definition has
  std::vector<int64_t> input, output;

  // The attribute; std::invalid_argument where the definition has none of that name and type.
  int64_t Integer(std::string_view name) const { return Get<int64_t>(name); }
  double Number(std::string_view name) const { return Get<double>(name); }
  bool Flag(std::string_view name) const { return Get<bool>(name); }
  std::string Word(std::string_view name) const { return Get<std::string>(name); }

 private:
  template <typename T>
  T Get(std::string_view name) const {
    for (const auto& [key, value] : attributes)
      if (key == name && std::holds_alternative<T>(value)) return std::get<T>(value);
    throw std::invalid_argument("the space file's definition has no attribute '" + std::string(name) +
                                "' of the type that the library asks for");
  }
};

// A trainable tensor. The trainer holds, initialises and stores it, so that equal seeds give equal numbers.
struct Parameter {
  enum class Start {
    kConstant,  // `value`
    kNormal,    // mean 0, standard deviation `value`
    kUniform    // from -`value` to `value`
  };
  std::string name;  // in the operator: "weight"
  std::vector<int64_t> shape;
  Start start = Start::kConstant;
  double value = 0;
  bool decays = false;  // takes part in weight decay, as convolution and linear weights do
};

// Numbers that training updates without gradients, such as running means; fp32.
struct Buffer {
  std::string name;
  int64_t size = 0;
  float value = 0;
};

// What one call of an operator computes with. Images lie in channels-last memory.
struct Call {
  const at::Tensor& input;                    // [batch, ...]
  const std::vector<at::Tensor>& parameters;  // in the order of Module::parameters()
  const std::vector<at::Tensor>& buffers;     // to be changed in place, in training alone
  bool training = false;
  uint64_t seed = 0;  // in training, of whatever is drawn; another at each call
};

// An operator at one place of a network. One thread calls it; gradients are those of autograd.
class Module {
 public:
  virtual ~Module() = default;
  // Together as many numbers as the definition's `parameters` says.
  virtual std::vector<Parameter> parameters() const { return {}; }
  virtual std::vector<Buffer> buffers() const { return {}; }
  // True where bf16 has too few bits for it: it then gets fp32 whatever the numeric mode is.
  virtual bool needs_float() const { return false; }
  // [batch, output...], in any layout. Draws from call.seed alone, so that training repeats.
  virtual at::Tensor Forward(const Call& call) const = 0;
};

// std::exception where the application has a fault: the candidate is then infeasible, with its message.
using MakeModule = std::unique_ptr<Module> (*)(const Application& application);

struct Entry {
  const char* name;  // as in the space file
  MakeModule make;
};

// What a library says of itself. The first fields keep their places in every version.
struct Library {
  uint32_t abi;
  uint32_t cxx11_abi;  // _GLIBCXX_USE_CXX11_ABI
  const char* libtorch_version;
  uint64_t entry_count;
  const Entry* entries;
};

}  // namespace canopy::operator_plugin

#ifndef _GLIBCXX_USE_CXX11_ABI
#define _GLIBCXX_USE_CXX11_ABI 0
#endif

// Once in a library, at namespace scope: CANOPY_OPERATORS({"mixer", MakeMixer}, {"gate", MakeGate})
#define CANOPY_OPERATORS(...)                                                                                \
  extern "C" __attribute__((visibility("default"))) const ::canopy::operator_plugin::Library*                \
  canopy_operator_library() {                                                                                \
    static const ::canopy::operator_plugin::Entry entries[] = {__VA_ARGS__};                                 \
    static const ::canopy::operator_plugin::Library library = {CANOPY_OPERATOR_ABI, _GLIBCXX_USE_CXX11_ABI,  \
                                                               TORCH_VERSION,                                \
                                                               sizeof entries / sizeof entries[0], entries}; \
    return &library;                                                                                         \
  }
