#include "search_spaces/cost.h"

#include <algorithm>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "search_spaces/checked.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

constexpr int64_t kBytesPerNumber = 4;

Status TooLarge(const char* what) {
  return InvalidArgument(std::string("expected a network whose ") + what +
                         " fit in 64 bits: reduce its channels, features or input");
}

StatusOr<int64_t> PeakActivationBytes(const NetworkGraph& graph) {
  const int count = static_cast<int>(graph.nodes.size());
  std::vector<int> last_use(count);
  for (int i = 0; i < count; ++i) {
    last_use[i] = i;
    for (const int input : graph.nodes[i].inputs) last_use[input] = i;
  }
  last_use[graph.output] = count;
  // The nodes that each node is the last to use, as lists through `next`.
  std::vector<int> freed(count + 1, -1), next(count);
  for (int i = 0; i < count; ++i) {
    next[i] = freed[last_use[i]];
    freed[last_use[i]] = i;
  }
  std::vector<int64_t> bytes(count);
  int64_t live = 0, peak = 0;
  for (int i = 0; i < count; ++i) {
    const auto numbers = CheckedProduct(graph.nodes[i].shape);
    const auto size = numbers ? CheckedMultiply(*numbers, kBytesPerNumber) : std::nullopt;
    const auto sum = size ? CheckedAdd(live, *size) : std::nullopt;
    if (!sum) return TooLarge("activations");
    bytes[i] = *size;
    live = *sum;
    peak = std::max(peak, live);
    for (int node = freed[i]; node >= 0; node = next[node]) live -= bytes[node];
  }
  return peak;
}

}  // namespace

StatusOr<Costs> ComputeCosts(const NetworkGraph& graph) {
  // An embedding looks token numbers up; nothing else can compute with them. A zero takes a shape only.
  const Node* embedding = nullptr;
  const Node* other = nullptr;
  Costs costs;
  std::vector<int64_t> depth(graph.nodes.size());
  absl::InlinedVector<const Shape*, 8> shapes;
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const Operator& op = *node.op;
    shapes.clear();
    for (const int input : node.inputs) {
      shapes.push_back(&graph.nodes[input].shape);
      depth[i] = std::max(depth[i], depth[input]);
      if (op.reads_tokens() && input != 0) {
        return InvalidArgument(std::string(node.op.name()) +
                               ": expected the network's input before it, found '" +
                               std::string(graph.nodes[input].op.name()) + "'");
      }
      if (input == 0 && node.op != "zero") (op.reads_tokens() ? embedding : other) = &node;
    }
    depth[i] += op.layers();
    const auto cost = op.Cost(node.attributes, shapes, node.shape);
    if (!cost) return TooLarge("parameters and MACs");
    const auto params = CheckedAdd(costs.params, cost->params);
    const auto macs = CheckedAdd(costs.macs, cost->macs);
    if (!params || !macs) return TooLarge("parameters and MACs");
    costs.params = *params;
    costs.macs = *macs;
  }
  if (embedding && other) {
    return InvalidArgument(std::string(other->op.name()) +
                           ": expected an embedding in between: the network's input is token numbers");
  }
  costs.depth = depth[graph.output];
  CANOPY_ASSIGN_OR_RETURN(costs.activation_memory, PeakActivationBytes(graph));
  return costs;
}

}  // namespace canopy::search_space
