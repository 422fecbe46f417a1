#include "search_spaces/blocks/definitions.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/strings.h"
#include "search_spaces/blocks/block.h"
#include "search_spaces/reserved_names.h"

namespace canopy::search_space {
namespace {

constexpr int64_t kMuch = Definitions::kMuch;

int64_t SaturatingSum(int64_t a, int64_t b) { return std::min(a + b, kMuch); }

// The largest count that is written out; 1 for an expression, which is checked once it is known.
int64_t WrittenCount(const v1::SpaceValue& count) {
  int64_t most = 1;
  const auto take = [&](const v1::Literal& literal) {
    if (literal.has_integer()) most = std::max(most, literal.integer());
  };
  if (count.has_literal()) take(count.literal());
  if (count.has_int_()) most = std::max(most, count.int_().high());
  for (const auto& value : count.choice().values()) take(value);
  for (const auto& value : count.ordinal().values()) take(value);
  return most;
}

// Calls visit(child, copies) for each block directly within `block`: each of `copies` is expanded.
template <typename Visit>
void ForEachChild(const v1::Block& block, Visit visit) {
  switch (block.kind_case()) {
    case v1::Block::kSequence:
      for (const auto& child : block.sequence().blocks()) visit(child, 1);
      break;
    case v1::Block::kOneOf:
      for (const auto& choice : block.one_of().choices()) visit(choice.value(), 1);
      break;
    case v1::Block::kRepeat:
      visit(block.repeat().body(), WrittenCount(block.repeat().count()));
      break;
    case v1::Block::kResidual:
      visit(block.residual().body(), 1);
      if (block.residual().has_shortcut()) visit(block.residual().shortcut(), 1);
      break;
    case v1::Block::kOptional:
      visit(block.optional().body(), 1);
      break;
    case v1::Block::kBranches:
      for (const auto& body : block.branches().bodies().bodies()) visit(body.value(), 1);
      break;
    case v1::Block::kCell: {
      const int64_t nodes = std::max(block.cell().nodes(), 0), edges = SaturatingProduct(nodes, nodes);
      for (const auto& choice : block.cell().edge_choices()) visit(choice.value(), edges);
      for (const auto& choice : block.cell().node_choices()) visit(choice.value(), nodes);
      for (const auto& child : block.cell().preprocess()) visit(child, 1);
      break;
    }
    default:
      break;
  }
}

// What a block takes besides the blocks within it.
int64_t OwnCount(const v1::Block& block) {
  if (!block.has_cell()) return 1;
  const int64_t nodes = std::max(block.cell().nodes(), 0);
  return SaturatingSum(1, SaturatingProduct(nodes, nodes));
}

Status CheckParameters(const v1::BlockDefinition& definition, const std::string& file) {
  std::set<std::string> names;
  for (const std::string& name : definition.parameters()) {
    if (!IsLowerSnake(name) || !ReservedFor("", name).empty() || !names.insert(name).second) {
      return ErrorAt(file, definition.position(),
                     "expected parameters of lower-case letters, digits and _, each once and none a word of "
                     "expressions, found '" +
                         name + "'");
    }
  }
  for (const auto& value : definition.defaults()) {
    if (names.count(value.name())) continue;
    const std::vector<std::string> known(names.begin(), names.end());
    return ErrorAt(file, value.position(),
                   "expected the default of a parameter, found '" + value.name() + "'" +
                       DidYouMean(value.name(), known));
  }
  return {};
}

}  // namespace

int64_t SaturatingProduct(int64_t copies, int64_t count) {
  if (copies <= 0 || count <= 0) return 0;
  return copies > kMuch / count ? kMuch : std::min(copies * count, kMuch);
}

StatusOr<Definitions> Definitions::Make(const v1::SearchSpaceFile& message, const std::string& file) {
  Definitions definitions;
  for (const v1::NamedBlockDefinition& block : message.blocks()) {
    if (!IsLowerSnake(block.name())) {
      return ErrorAt(
          file, block.position(),
          "expected a name of lower-case letters, digits and _ that begins with a letter, found '" +
              block.name() + "'");
    }
    Entry& entry = definitions.entries_[block.name()];
    if (entry.definition) {
      return ErrorAt(file, block.position(), "expected each block once, found '" + block.name() + "' again");
    }
    entry.definition = &block;
    CANOPY_RETURN_IF_ERROR(CheckParameters(block.value(), file));
  }
  std::vector<std::string> path;
  for (const v1::NamedBlockDefinition& block : message.blocks()) {
    CANOPY_RETURN_IF_ERROR(definitions.Visit(definitions.entries_.find(block.name())->second, file, path));
  }
  int depth = 0;
  CANOPY_RETURN_IF_ERROR(definitions.VisitUses(message.network(), file, path, depth));
  for (const auto& [name, entry] : definitions.entries_) {
    // An included file is for others, too.
    if (entry.used || !entry.definition->position().file().empty()) continue;
    return ErrorAt(file, entry.definition->position(),
                   "expected a block that something uses, found '" + name + "': `use` it or remove it");
  }
  return definitions;
}

Status Definitions::Visit(Entry& entry, const std::string& file, std::vector<std::string>& path) {
  if (entry.done) return {};
  const v1::NamedBlockDefinition& definition = *entry.definition;
  path.push_back(definition.name());
  if (static_cast<int>(path.size()) > kMaxDepth) {
    return ErrorAt(file, definition.position(),
                   "expected named blocks that use each other at most " + std::to_string(kMaxDepth) +
                       " deep, found " + Join(path, " > "));
  }
  entry.open = true;
  int depth = 0;
  CANOPY_RETURN_IF_ERROR(VisitUses(definition.value().body(), file, path, depth));
  entry.depth = depth + 1;
  if (entry.depth > kMaxDepth) {
    return ErrorAt(file, definition.position(),
                   "expected named blocks that use each other at most " + std::to_string(kMaxDepth) +
                       " deep, found '" + definition.name() + "' above " + std::to_string(depth));
  }
  entry.count = Count(definition.value().body());
  entry.open = false;
  entry.done = true;
  path.pop_back();
  return {};
}

Status Definitions::VisitUses(const v1::Block& block, const std::string& file, std::vector<std::string>& path,
                              int& depth) {
  if (block.has_use()) {
    CANOPY_RETURN_IF_ERROR(Find(block.use(), file).status());
    Entry& used = entries_.find(block.use().block())->second;
    if (used.open) {
      return ErrorAt(file, block.use().position(),
                     "expected a block that does not use itself, found " + Join(path, " > ") + " > " +
                         block.use().block());
    }
    CANOPY_RETURN_IF_ERROR(Visit(used, file, path));
    used.used = true;
    depth = std::max(depth, used.depth);
  }
  Status status;
  ForEachChild(block, [&](const v1::Block& child, int64_t) {
    if (status.ok()) status = VisitUses(child, file, path, depth);
  });
  return status;
}

StatusOr<const v1::BlockDefinition*> Definitions::Find(const v1::UseBlock& use,
                                                       const std::string& file) const {
  const auto it = entries_.find(use.block());
  if (it != entries_.end()) return &it->second.definition->value();
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return ErrorAt(file, use.position(),
                 "expected the name of one of the file's `blocks`, found '" + use.block() + "'" +
                     DidYouMean(use.block(), names));
}

int64_t Definitions::Count(const v1::Block& block) const {
  int64_t count = OwnCount(block);
  if (block.has_use()) {
    const auto it = entries_.find(block.use().block());
    if (it != entries_.end()) count = SaturatingSum(count, it->second.count);
  }
  ForEachChild(block, [&](const v1::Block& child, int64_t copies) {
    if (copies > 0) count = SaturatingSum(count, SaturatingProduct(copies, Count(child)));
  });
  return count;
}

}  // namespace canopy::search_space
