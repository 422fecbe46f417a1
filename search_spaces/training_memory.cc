#include "search_spaces/training_memory.h"

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

// What is allocated, and the most that ever was.
class Ledger {
 public:
  // A tensor with one owner.
  int New(Count bytes) {
    Hold(bytes);
    tensors_.push_back({bytes, 1});
    return static_cast<int>(tensors_.size()) - 1;
  }
  int Share(int tensor) {
    ++tensors_[static_cast<size_t>(tensor)].owners;
    return tensor;
  }
  void Drop(int tensor) {
    Tensor& entry = tensors_[static_cast<size_t>(tensor)];
    if (--entry.owners == 0) Release(entry.bytes);
  }
  void Hold(Count bytes) {
    live_ += bytes;
    Touch(0);
  }
  void Release(Count bytes) { live_ += bytes * -1; }
  // So much more for a moment.
  void Touch(Count bytes) {
    const Count now = live_ + bytes;
    peak_ =
        now.value() && peak_.value() ? Count(std::max(*now.value(), *peak_.value())) : Count(std::nullopt);
  }

  Count peak() const { return peak_; }

 private:
  struct Tensor {
    Count bytes;
    int owners;
  };
  std::vector<Tensor> tensors_;
  Count live_, peak_;
};

// A step of the trainer: a node, with the ReLU behind it where that is part of it.
struct Step {
  bool exists = false;  // not of a ReLU that is part of the node before it
  bool with_relu = false;
  bool scaled_by_reader = false;  // a batch norm that is part of the sum behind it
  bool learns = false, needs_input_gradient = false;
  int last_use = 0;
  int value = -1;  // tensors of the ledger
  absl::InlinedVector<int, 2> gradients;
  OperatorMemory memory;
};

// Plays a training step of worker/trainer/graph_module.cc with tensors that are sizes alone.
class Rehearsal {
 public:
  Rehearsal(const NetworkGraph& graph, const TrainingSetup& setup)
      : graph_(graph), setup_(setup), steps_(graph.nodes.size()), made_by_(graph.nodes.size()) {}

  StatusOr<int64_t> Peak() {
    Fuse();
    HoldParameters();
    Forward();
    Backward();
    if (ledger_.peak().value()) return *ledger_.peak().value();
    return InvalidArgument(
        "expected a network whose memory in training fits in 64 bits: reduce its channels, features or "
        "input, "
        "or the batch");
  }

 private:
  const Node& NodeOf(int i) const { return graph_.nodes[static_cast<size_t>(i)]; }
  Step& StepOf(int node) { return steps_[static_cast<size_t>(made_by_[static_cast<size_t>(node)])]; }
  int count() const { return static_cast<int>(graph_.nodes.size()); }
  Count ForBatch(const Count& bytes) const { return bytes * setup_.batch_size; }
  Count Bytes(const Shape& shape) const {
    return ForBatch(Count(CheckedProduct(shape)) * BytesOf(setup_.type));
  }

  // As GraphModule::AddSteps does it.
  void Fuse() {
    std::vector<int> readers(steps_.size());
    for (const Node& node : graph_.nodes)
      for (const int input : node.inputs) ++readers[static_cast<size_t>(input)];
    ++readers[static_cast<size_t>(graph_.output)];
    for (int i = 0; i < count(); ++i) {
      const Node& node = NodeOf(i);
      made_by_[static_cast<size_t>(i)] = i;
      const int first = node.inputs.empty() ? -1 : node.inputs[0];
      if (node.op == "relu" && readers[static_cast<size_t>(first)] == 1 &&
          (NodeOf(first).op == "batch_norm" || NodeOf(first).op == "add")) {
        made_by_[static_cast<size_t>(i)] = first;
        StepOf(i).with_relu = true;
        continue;
      }
      StepOf(i).exists = true;
      if (node.op != "add") continue;
      for (const int input : node.inputs) {
        if (readers[static_cast<size_t>(input)] == 1 && NodeOf(input).op == "batch_norm")
          StepOf(input).scaled_by_reader = true;
      }
    }
  }

  void HoldParameters() {
    Count params, statistics;
    std::vector<const Shape*> shapes;
    for (int i = 1; i < count(); ++i) {
      Step& step = steps_[static_cast<size_t>(i)];
      if (!step.exists) continue;
      const Node& node = NodeOf(i);
      shapes.clear();
      for (const int input : node.inputs) {
        shapes.push_back(&NodeOf(input).shape);
        StepOf(input).last_use = i;
        step.needs_input_gradient |= StepOf(input).learns;
      }
      const auto cost = node.op->Cost(node.attributes, shapes, node.shape);
      // A linear layer that makes the logits computes in fp32, of a copy of its input.
      const bool exact = setup_.type == NumberType::kBf16 && i == graph_.output && node.op == "linear";
      const NumberType type = exact ? NumberType::kFp32 : setup_.type;
      const Application application{node.attributes, shapes, node.shape, cost->params, type};
      step.memory = node.op->Memory(application);
      if (exact) {
        step.memory.keeps_inputs = false;
        step.memory.kept += application.InputBytes();
        step.memory.backward += application.InputBytes();
      }
      step.learns = step.needs_input_gradient || cost->params > 0;
      params += cost->params;
      if (node.op == "batch_norm") statistics += Count(2) * ChannelsOf(node.shape);
      if (step.scaled_by_reader) step.memory.shares_output = true;
      if (node.op == "add" && step.with_relu) step.memory.keeps_output = true;
    }
    StepOf(graph_.output).last_use = count();
    const int64_t for_each = 4 * (2 + (setup_.adamw ? 2 : 1)) + (setup_.type == NumberType::kBf16 ? 2 : 0);
    ledger_.Hold(params * for_each + statistics * 4);
  }

  void Forward() {
    const bool tokens = std::any_of(graph_.nodes.begin(), graph_.nodes.end(),
                                    [](const Node& node) { return node.op->reads_tokens(); });
    const Count batch = Bytes(NodeOf(0).shape) * (tokens ? 8 / BytesOf(setup_.type) : 1);
    StepOf(0).value = ledger_.New(batch);
    const int caller = ledger_.Share(StepOf(0).value);
    for (int i = 1; i < count(); ++i) {
      Step& step = steps_[static_cast<size_t>(i)];
      if (!step.exists) continue;
      const Node& node = NodeOf(i);
      const OperatorMemory& memory = step.memory;
      step.value =
          memory.shares_output ? ledger_.Share(StepOf(node.inputs[0]).value) : ledger_.New(Bytes(node.shape));
      ledger_.Hold(ForBatch(memory.kept));
      ledger_.Touch(ForBatch(memory.forward) + memory.scratch_forward);
      if (memory.keeps_output) ledger_.Share(step.value);
      for (const int input : node.inputs) {
        if (memory.keeps_inputs) ledger_.Share(StepOf(input).value);
      }
      DropValues(i);
    }
    ledger_.Drop(caller);
  }

  // Those that no step after `node` reads.
  void DropValues(int node) {
    for (const int input : NodeOf(node).inputs) {
      Step& step = StepOf(input);
      if (step.last_use != node) continue;
      ledger_.Drop(step.value);
      step.last_use = -1;  // an operator may read it twice
    }
  }

  void Backward() {
    const int of_loss = ledger_.New(Bytes(NodeOf(graph_.output).shape));
    StepOf(graph_.output).gradients.push_back(ledger_.Share(of_loss));  // the loss holds it, too
    for (int i = count() - 1; i > 0; --i) {
      Step& step = steps_[static_cast<size_t>(i)];
      if (!step.exists || step.gradients.empty()) continue;
      const Node& node = NodeOf(i);
      const OperatorMemory& memory = step.memory;
      if (step.gradients.size() > 1) step.gradients.push_back(ledger_.New(Bytes(node.shape)));
      const int gradient = step.gradients.back();
      PassGradient(node, step, gradient);
      ledger_.Touch(ForBatch(memory.backward) + memory.scratch_backward);
      ledger_.Release(ForBatch(memory.kept));
      if (memory.keeps_output) ledger_.Drop(step.value);
      for (const int input : node.inputs) {
        if (memory.keeps_inputs) ledger_.Drop(StepOf(input).value);
      }
      for (const int part : step.gradients) ledger_.Drop(part);
    }
  }

  void PassGradient(const Node& node, const Step& step, int gradient) {
    if (node.op == "zero") return;
    if (step.memory.shares_gradient) {
      // Behind a ReLU that is part of the sum it is another tensor, for all inputs alike.
      const int shared = step.with_relu ? ledger_.New(Bytes(node.shape)) : ledger_.Share(gradient);
      for (const int input : node.inputs) StepOf(input).gradients.push_back(ledger_.Share(shared));
      ledger_.Drop(shared);
    } else if (step.needs_input_gradient) {
      for (const int input : node.inputs)
        StepOf(input).gradients.push_back(ledger_.New(Bytes(NodeOf(input).shape)));
    }
  }

  const NetworkGraph& graph_;
  const TrainingSetup& setup_;
  std::vector<Step> steps_;
  std::vector<int> made_by_;  // the node whose step makes each node's value
  Ledger ledger_;
};

}  // namespace

TrainingSetup TrainingSetup::With(const Candidate& recipe) const {
  TrainingSetup setup = *this;
  const Value* const size = recipe.Find("batch_size");
  if (const auto* integer = size ? std::get_if<int64_t>(size) : nullptr) setup.batch_size = *integer;
  if (const auto* number = size ? std::get_if<double>(size) : nullptr)
    setup.batch_size = static_cast<int64_t>(*number);
  if (const Value* const optimizer = recipe.Find("optimizer"))
    setup.adamw = *optimizer == Value(std::string("adamw"));
  return setup;
}

StatusOr<int64_t> TrainingMemory(const NetworkGraph& graph, const TrainingSetup& setup) {
  return Rehearsal(graph, setup).Peak();
}

}  // namespace canopy::search_space
