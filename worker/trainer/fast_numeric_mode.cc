#include "worker/trainer/fast_numeric_mode.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

#include "search_spaces/graph.h"
#include "worker/trainer/graph_module.h"

namespace canopy::trainer {
namespace {

constexpr int64_t kImages = 32, kChannels = 32, kSize = 14, kClasses = 10;
constexpr double kFasterBy = 1.1;

// What the kernel lists is what programs may use.
bool HasBf16Instructions() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("flags"))
      return line.find("avx512_bf16") != std::string::npos || line.find("amx_bf16") != std::string::npos;
  return false;
}

StatusOr<search_space::NetworkGraph> ProbeNetwork() {
  CANOPY_ASSIGN_OR_RETURN(auto graph, search_space::InputGraph({kChannels, kSize, kSize}));
  int node = 0;
  for (int layer = 0; layer < 2; ++layer) {
    CANOPY_ASSIGN_OR_RETURN(
        node, AppendNode(graph, "conv2d",
                         {{"out_channels", kChannels}, {"kernel", int64_t{3}}, {"bias", false}}, {node}));
    CANOPY_ASSIGN_OR_RETURN(node, AppendNode(graph, "batch_norm", {}, {node}));
    CANOPY_ASSIGN_OR_RETURN(node, AppendNode(graph, "relu", {}, {node}));
  }
  CANOPY_ASSIGN_OR_RETURN(node, AppendNode(graph, "global_avg_pool", {}, {node}));
  CANOPY_ASSIGN_OR_RETURN(graph.output, AppendNode(graph, "linear", {{"features", kClasses}}, {node}));
  return graph;
}

// The fastest of several steps: other programs only ever slow one down.
StatusOr<double> StepSeconds(const search_space::NetworkGraph& graph, at::ScalarType type) {
  constexpr int kSteps = 8;
  CANOPY_ASSIGN_OR_RETURN(const auto network, GraphModule::Build(graph, type, /*seed=*/1));
  const at::Tensor images = EmptyImages(kImages, kChannels, kSize, kSize, type).fill_(0.5);
  Rng noise(1);
  double fastest = 0;
  for (int step = 0; step < kSteps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    const at::Tensor logits = network->ForwardTraining(images, noise);
    network->Backward(at::full_like(logits, 0.01));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    fastest = step == 0 ? seconds : std::min(fastest, seconds);
  }
  return fastest;
}

}  // namespace

StatusOr<at::ScalarType> FastNumericMode() {
  if (!HasBf16Instructions()) return at::kFloat;
  const c10::InferenceMode no_autograd;
  CANOPY_ASSIGN_OR_RETURN(const auto graph, ProbeNetwork());
  CANOPY_ASSIGN_OR_RETURN(const double fp32, StepSeconds(graph, at::kFloat));
  CANOPY_ASSIGN_OR_RETURN(const double bf16, StepSeconds(graph, at::kBFloat16));
  return fp32 >= kFasterBy * bf16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace canopy::trainer
