#include <memory>
#include <string>
#include <utility>

#include "search_spaces/blocks/expander.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

// The stride that takes `from` to `to` rows (rounded up); 0 where none does.
int64_t StrideBetween(int64_t from, int64_t to) {
  if (to < 1 || to > from) return 0;
  const int64_t stride = (from + to - 1) / to;
  return (from + stride - 1) / stride == to ? stride : 0;
}

class Residual final : public Block {
 public:
  Residual(std::unique_ptr<Block> body, std::unique_ptr<Block> shortcut, const v1::Position& position)
      : body_(std::move(body)), shortcut_(std::move(shortcut)), position_(position) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    CANOPY_ASSIGN_OR_RETURN(const int body, body_->Lower(lowering, input));
    auto shortcut = shortcut_ ? shortcut_->Lower(lowering, input) : AutomaticShortcut(lowering, input, body);
    if (!shortcut.ok()) return shortcut.status();
    return At(lowering, AppendNode(lowering.graph, "add", {}, {body, *shortcut}));
  }

 private:
  // The identity, or a projection to the shape of `body` (He et al. 2016, option B).
  StatusOr<int> AutomaticShortcut(Lowering& lowering, int input, int body) const {
    const Shape from = lowering.graph.nodes[input].shape, to = lowering.graph.nodes[body].shape;
    if (from == to) return input;
    if (from.size() == 3) return ProjectImage(lowering, input, from, to);
    const bool alike = from.size() == to.size() && (from.size() == 1 || from[0] == to[0]);
    if (!alike) return Mismatch(lowering, "a linear layer gives", from, to);
    return At(lowering,
              AppendNode(lowering.graph, "linear", {{"features", to.back()}, {"bias", false}}, {input}));
  }

  StatusOr<int> ProjectImage(Lowering& lowering, int input, const Shape& from, const Shape& to) const {
    const int64_t stride = to.size() == 3 ? StrideBetween(from[1], to[1]) : 0;
    if (stride == 0 || (from[2] + stride - 1) / stride != to[2])
      return Mismatch(lowering, "a strided 1x1 convolution gives", from, to);
    CANOPY_ASSIGN_OR_RETURN(
        const int projected,
        At(lowering,
           AppendNode(lowering.graph, "conv2d",
                      {{"out_channels", to[0]}, {"kernel", int64_t{1}}, {"stride", stride}, {"bias", false}},
                      {input})));
    return At(lowering, AppendNode(lowering.graph, "batch_norm", {}, {projected}));
  }

  Status Mismatch(const Lowering& lowering, const std::string& what, const Shape& from,
                  const Shape& to) const {
    return ErrorAt(lowering.file, position_,
                   "expected a body whose shape " + what + ", found " + ShapeText(from) + " to " +
                       ShapeText(to) + ": write a `shortcut`");
  }

  StatusOr<int> At(const Lowering& lowering, StatusOr<int> node) const {
    if (node.ok()) return node;
    return ErrorAt(lowering.file, position_, "residual: " + Message(node.status()));
  }

  std::unique_ptr<Block> body_;
  std::unique_ptr<Block> shortcut_;  // null: automatic
  const v1::Position& position_;
};

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandResidual(const v1::ResidualBlock& block, const v1::Position& position,
                                                Expander& expander, Scope& scope) {
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  Scope named(scope, block.name());
  Scope& inner = block.name().empty() ? scope : named;
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Block> body, expander.Expand(block.body(), inner));
  std::unique_ptr<Block> shortcut;
  if (block.has_shortcut()) {
    CANOPY_ASSIGN_OR_RETURN(shortcut, expander.Expand(block.shortcut(), inner));
  }
  return std::make_unique<Residual>(std::move(body), std::move(shortcut), position);
}

}  // namespace canopy::search_space
