#include "worker/trainer/ops/plugin_operation.h"

#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/strings.h"
#include "search_spaces/checked.h"
#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/autograd_operation.h"

namespace canopy::trainer {
namespace {

using operator_plugin::Application;
using operator_plugin::Module;

std::string ShapeText(at::IntArrayRef sizes) {
  return search_space::ShapeText(std::span<const int64_t>(sizes.data(), sizes.size()));
}

// The first line: what LibTorch appends is a stack trace.
std::string FirstLine(const std::exception& error) { return Split(error.what(), '\n')[0]; }

Application ApplicationOf(const BuildContext& context) {
  Application application;
  for (const auto& [name, value] : context.node.attributes) {
    if (const auto* flag = std::get_if<bool>(&value)) {
      application.attributes.emplace_back(name, *flag);
    } else if (const auto* integer = std::get_if<int64_t>(&value)) {
      application.attributes.emplace_back(name, *integer);
    } else if (const auto* number = std::get_if<double>(&value)) {
      application.attributes.emplace_back(name, *number);
    } else {
      application.attributes.emplace_back(name, std::get<std::string>(value));
    }
  }
  application.input = context.inputs[0]->shape;
  application.output = context.node.shape;
  return application;
}

Initializer InitializerOf(const operator_plugin::Parameter& parameter) {
  using Start = operator_plugin::Parameter::Start;
  switch (parameter.start) {
    case Start::kNormal:
      return Normal(parameter.value);
    case Start::kUniform:
      return [bound = parameter.value](Rng& rng, std::vector<float>& values) {
        for (float& value : values) value = static_cast<float>(rng.Float(-bound, bound));
      };
    case Start::kConstant:
      break;
  }
  return Constant(static_cast<float>(parameter.value));
}

// OK where the module has as many trainable numbers as the definition's rule gives.
Status CheckParameters(const BuildContext& context,
                       const std::vector<operator_plugin::Parameter>& parameters) {
  int64_t count = 0;
  for (const operator_plugin::Parameter& parameter : parameters) {
    for (const int64_t size : parameter.shape)
      if (size < 1)
        return InvalidArgument("its parameter '" + parameter.name + "' has shape " +
                               ShapeText(parameter.shape));
    const auto numbers = search_space::CheckedProduct(parameter.shape);
    const auto sum = numbers ? search_space::CheckedAdd(count, *numbers) : std::nullopt;
    if (!sum) return InvalidArgument("its parameters do not fit in 64 bits");
    count = *sum;
  }
  const search_space::Shape* input = &context.inputs[0]->shape;
  const auto cost = context.node.op->Cost(context.node.attributes, std::span(&input, 1), context.node.shape);
  if (cost && cost->params == count) return absl::OkStatus();
  return InvalidArgument("expected " + (cost ? FormatCount(cost->params) : "no") +
                         " parameters, as the space file's rule says, found " + FormatCount(count) +
                         " in the library's module: make the two equal");
}

StatusOr<std::shared_ptr<Module>> MakeModule(const operator_plugin::Entry& entry,
                                             const BuildContext& context) {
  try {
    std::shared_ptr<Module> module = entry.make(ApplicationOf(context));
    if (module == nullptr) return InvalidArgument("its library made no module");
    return module;
  } catch (const std::exception& error) {
    return InvalidArgument(FirstLine(error));
  }
}

// What AutogradOperation computes. The expected shape is without the batch.
AutogradOperation::Function FunctionOf(std::shared_ptr<Module> module, std::vector<Buffer*> buffers,
                                       std::string name, std::vector<int64_t> expected) {
  return [module = std::move(module), buffers = std::move(buffers), name = std::move(name),
          expected = std::move(expected)](const AutogradOperation::Tensors& inputs,
                                          const AutogradOperation::Tensors& parameters,
                                          const ForwardMode& mode) {
    std::vector<at::Tensor> state;
    // Of the same memory, but tensors of the mode that this call runs in.
    for (const Buffer* buffer : buffers)
      state.push_back(at::from_blob(buffer->value.data_ptr(), buffer->value.sizes(), at::kFloat));
    const uint64_t seed = mode.training ? mode.noise->Next() : 0;
    const at::Tensor output = module->Forward({inputs[0], parameters, state, mode.training, seed});
    std::vector<int64_t> sizes = expected;
    sizes.insert(sizes.begin(), inputs[0].size(0));
    if (!output.defined() || output.sizes() != at::IntArrayRef(sizes)) {
      throw std::runtime_error("operator '" + name + "': expected an output of " + ShapeText(sizes) +
                               ", as the space file's rule says, found " +
                               (output.defined() ? ShapeText(output.sizes()) : std::string("none")) +
                               " from the library's module: make the two equal");
    }
    return output;
  };
}

}  // namespace

StatusOr<std::unique_ptr<Operation>> BuildPluginOperation(const BuildContext& context,
                                                          const OperatorLibraries& libraries) {
  const std::string name(context.node.op);
  const std::string where = "operator '" + name + "'";
  const operator_plugin::Entry* entry = libraries.Find(name);
  if (entry == nullptr) {
    const auto names = libraries.names();
    return InvalidArgument(where + ": this trainer has no library with it" + DidYouMean(name, names) +
                           "; name one under operator_libraries in the worker's configuration "
                           "(docs/own_operators.md)");
  }
  auto module = MakeModule(*entry, context);
  if (!module.ok()) return WithContext(module.status(), where);
  const auto declared = (*module)->parameters();
  if (const Status fits = CheckParameters(context, declared); !fits.ok()) return WithContext(fits, where);
  std::vector<Parameter*> parameters;
  for (const operator_plugin::Parameter& parameter : declared)
    parameters.push_back(&context.store.Add(context.prefix + parameter.name, parameter.shape,
                                            parameter.decays, InitializerOf(parameter)));
  std::vector<Buffer*> buffers;
  for (const operator_plugin::Buffer& buffer : (*module)->buffers()) {
    if (buffer.size < 1) return InvalidArgument(where + ": its buffer '" + buffer.name + "' is empty");
    buffers.push_back(&context.store.AddBuffer(context.prefix + buffer.name, buffer.size, buffer.value));
  }
  const auto precision = (*module)->needs_float() ? AutogradOperation::Precision::kFloat
                                                  : AutogradOperation::Precision::kNetwork;
  return std::make_unique<AutogradOperation>(
      context, std::move(parameters),
      FunctionOf(*std::move(module), std::move(buffers), name, context.node.shape), precision);
}

Status ProbePluginOperation(Operation& operation, const search_space::Node& node,
                            const search_space::Node& input, at::ScalarType compute_type) {
  constexpr int64_t kBatch = 2;  // of one, a wrong dimension could hide
  const c10::InferenceMode inference;
  std::vector<int64_t> sizes = input.shape;
  sizes.insert(sizes.begin(), kBatch);
  const at::Tensor zeros = Dense(at::zeros(sizes, compute_type));
  try {
    operation.Forward({&zeros, 1}, {});
  } catch (const std::exception& error) {
    const std::string where = "operator '" + std::string(node.op) + "'", text = FirstLine(error);
    return InvalidArgument(text.starts_with(where) ? text : where + ": " + text);
  }
  return absl::OkStatus();
}

}  // namespace canopy::trainer
