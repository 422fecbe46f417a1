#include "cli/architecture_drawing.h"

#include <algorithm>
#include <cstdint>

#include "cli/table.h"
#include "search_spaces/graph.h"

namespace canopy::cli {
namespace {

using search_space::NetworkGraph;
using search_space::Node;

// One line: nodes that follow each other without a fork.
struct Step {
  std::string text;
  std::vector<int> inputs;  // indices of earlier steps
  std::vector<int64_t> shape;
};

int64_t Integer(const Node& node, const char* name, int64_t otherwise) {
  const auto it = node.attributes.find(name);
  const int64_t* value = it == node.attributes.end() ? nullptr : std::get_if<int64_t>(&it->second);
  return value ? *value : otherwise;
}

std::string WindowText(const Node& node) {
  const auto kernel = search_space::ExtentOf(node.attributes, "kernel");
  std::string text = std::to_string(kernel.height) + "x" + std::to_string(kernel.width);
  if (const int64_t stride = Integer(node, "stride", 1); stride > 1) text += " /" + std::to_string(stride);
  if (const int64_t dilation = Integer(node, "dilation", 1); dilation > 1) {
    text += " dilated " + std::to_string(dilation);
  }
  return text;
}

std::string NodeText(const Node& node, const NetworkGraph& graph) {
  if (node.op == "conv2d") {
    const int64_t groups = Integer(node, "groups", 1);
    const bool depthwise = groups > 1 && groups == graph.nodes[node.inputs[0]].shape[0];
    std::string text = (depthwise ? "depthwise conv " : "conv ") + WindowText(node);
    if (groups > 1 && !depthwise) text += " in " + std::to_string(groups) + " groups";
    return text + ", " + std::to_string(node.shape[0]);
  }
  if (node.op == "linear") return "linear, " + std::to_string(node.shape.back());
  if (node.op == "batch_norm") return "bn";
  if (node.op == "channel_shuffle")
    return "channel shuffle in " + std::to_string(Integer(node, "groups", 1)) + " groups";
  if (node.op == "window_attention") {
    const std::string window = std::to_string(Integer(node, "window", 1));
    const int64_t shift = Integer(node, "shift", 0);
    return "window attention " + window + "x" + window +
           (shift > 0 ? " shifted " + std::to_string(shift) : "");
  }
  if (node.op == "max_pool" || node.op == "avg_pool")
    return std::string(node.op.name().substr(0, 3)) + " pool " + WindowText(node);
  std::string text(node.op);
  for (const auto& [name, value] : node.attributes) {
    if (const auto* word = std::get_if<std::string>(&value)) text += ", " + *word;
  }
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

bool JoinsTheLineAbove(const Node& node) {
  static constexpr std::string_view kFollowers[] = {"batch_norm", "relu",       "relu6",   "gelu",   "silu",
                                                    "tanh",       "hard_swish", "sigmoid", "dropout"};
  return std::find(std::begin(kFollowers), std::end(kFollowers), node.op) != std::end(kFollowers);
}

std::vector<Step> Steps(const NetworkGraph& graph) {
  std::vector<int> uses(graph.nodes.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const int input : node.inputs) ++uses[input];
  }
  std::vector<Step> steps;
  std::vector<int> step_of;
  int last = -1;  // the node that ends the newest step
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    if (i > 0 && JoinsTheLineAbove(node) && node.inputs[0] == last && last > 0 && uses[last] == 1) {
      steps.back().text += " + " + NodeText(node, graph);
      steps.back().shape = node.shape;
    } else {
      Step step{NodeText(node, graph), {}, node.shape};
      for (const int input : node.inputs) step.inputs.push_back(step_of[input]);
      steps.push_back(std::move(step));
    }
    last = i;
    step_of.push_back(static_cast<int>(steps.size()) - 1);
  }
  return steps;
}

// Whether the steps from `a` and from `b` are `length` times the same, inputs counted from where each stands.
bool Alike(const std::vector<Step>& steps, int a, int b, int length) {
  for (int i = 0; i < length; ++i) {
    const Step &x = steps[a + i], &y = steps[b + i];
    if (x.text != y.text || x.shape != y.shape || x.inputs.size() != y.inputs.size()) return false;
    for (size_t k = 0; k < x.inputs.size(); ++k) {
      if (a + i - x.inputs[k] != b + i - y.inputs[k]) return false;
    }
  }
  return true;
}

struct Repetition {
  int length = 0, times = 1;
};

// The repetition from `start` that saves most lines.
Repetition FindRepetition(const std::vector<Step>& steps, int start) {
  const int size = static_cast<int>(steps.size());
  constexpr int kLongest = 64;
  Repetition best;
  int best_saving = 1;
  for (int length = 1; length <= kLongest && start + 2 * length <= size; ++length) {
    int times = 1;
    while (start + (times + 1) * length <= size && Alike(steps, start, start + times * length, length))
      ++times;
    if (const int saving = (times - 1) * length - 1; saving > best_saving) {
      best = {length, times};
      best_saving = saving;
    }
  }
  return best;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

std::string InputsText(const Step& step, int index) {
  if (step.inputs.empty() || (step.inputs.size() == 1 && step.inputs[0] == index - 1)) return "";
  std::string text;
  for (const int input : step.inputs) text += (text.empty() ? "  of " : ", ") + std::to_string(input + 1);
  return text;
}

}  // namespace

StatusOr<std::vector<std::string>> DrawArchitecture(std::string_view graph_json) {
  CANOPY_ASSIGN_OR_RETURN(const NetworkGraph graph, NetworkGraph::FromJson(graph_json));
  const std::vector<Step> steps = Steps(graph);
  struct Line {
    std::string left, right;
  };
  std::vector<Line> lines;
  const auto draw = [&](int i) {
    std::string number = std::to_string(i + 1);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, ' ');
    lines.push_back({number + "  " + steps[i].text + InputsText(steps[i], i), ShapeText(steps[i].shape)});
  };
  for (int i = 0; i < static_cast<int>(steps.size());) {
    const Repetition repetition = FindRepetition(steps, i);
    if (repetition.times == 1) {
      draw(i++);
      continue;
    }
    for (int k = 0; k < repetition.length; ++k) draw(i + k);
    const int again = repetition.times - 1;
    lines.push_back({"      ... " + std::to_string(again) + " more of " +
                         (repetition.length == 1 ? "this" : "these " + std::to_string(repetition.length)),
                     ""});
    i += repetition.length * repetition.times;
  }
  size_t left = 0, right = 0;
  for (const Line& line : lines) {
    left = std::max(left, DisplayWidth(line.left));
    right = std::max(right, line.right.size());
  }
  std::vector<std::string> texts;
  for (const Line& line : lines) {
    std::string text = line.left;
    if (!line.right.empty()) {
      text.append(left - DisplayWidth(line.left) + 2 + right - line.right.size(), ' ');
      text += line.right;
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

StatusOr<std::string> DrawArchitectureSvg(std::string_view graph_json) {
  CANOPY_ASSIGN_OR_RETURN(const NetworkGraph graph, NetworkGraph::FromJson(graph_json));
  const std::vector<Step> steps = Steps(graph);
  constexpr int kRow = 44, kBox = 28, kTop = 12, kCharacter = 8, kLane = 14, kMostLanes = 12;
  size_t longest = 0;
  for (const Step& step : steps)
    longest = std::max(longest, step.text.size() + ShapeText(step.shape).size() + 3);
  const int left = kLane * (kMostLanes + 1), width = static_cast<int>(longest) * kCharacter + 16;
  const auto middle = [&](int i) { return kTop + i * kRow + kBox / 2; };
  const int height = kTop * 2 + static_cast<int>(steps.size()) * kRow;
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
                    std::to_string(left + width + kTop) + "\" height=\"" + std::to_string(height) +
                    "\" font-family=\"monospace\" font-size=\"13\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  for (int i = 0; i < static_cast<int>(steps.size()); ++i) {
    for (const int input : steps[i].inputs) {
      std::string path;
      if (input == i - 1) {
        path = "M " + std::to_string(left + 24) + ' ' + std::to_string(middle(input) + kBox / 2) + " V " +
               std::to_string(middle(i) - kBox / 2);
      } else {
        // Longer edges run further out, so that they do not hide each other.
        const int lane = std::min(i - input - 1, kMostLanes);
        path = "M " + std::to_string(left) + ' ' + std::to_string(middle(input)) + " H " +
               std::to_string(left - lane * kLane) + " V " + std::to_string(middle(i)) + " H " +
               std::to_string(left);
      }
      svg += "<path d=\"" + path + "\" fill=\"none\" stroke=\"#777\"/>\n";
    }
  }
  for (int i = 0; i < static_cast<int>(steps.size()); ++i) {
    const std::string y = std::to_string(middle(i) - kBox / 2);
    svg += "<rect x=\"" + std::to_string(left) + "\" y=\"" + y + "\" width=\"" + std::to_string(width) +
           "\" height=\"" + std::to_string(kBox) +
           "\" rx=\"4\" fill=\"#eef3f8\" stroke=\"#456\"/>\n<text x=\"" + std::to_string(left + 8) +
           "\" y=\"" + std::to_string(middle(i) + 5) + "\">" + steps[i].text + " <tspan fill=\"#777\">" +
           ShapeText(steps[i].shape) + "</tspan></text>\n";
  }
  return svg + "</svg>\n";
}

}  // namespace canopy::cli
