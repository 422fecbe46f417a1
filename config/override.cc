#include "config/override.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace canopy::config {

// Changes a document's tree in place. Nodes are reached by value pointers to const, but all of them stand in
// the document, which is not const here.
class YamlEditor {
 public:
  YamlEditor(YamlDocument& document, const std::string& override_text)
      : document_(document), file_(std::make_shared<const std::string>("--set " + override_text)) {}

  // Puts a copy of `value`'s tree at `path`.
  Status Set(std::string_view path, const YamlNode& value) {
    CANOPY_ASSIGN_OR_RETURN(const std::vector<Step> steps, ReadPath(path));
    YamlNode* node = Mutable(document_.root_);
    for (const Step& step : steps) {
      CANOPY_ASSIGN_OR_RETURN(node, Child(*node, step));
    }
    Copy(value, *node);
    return {};
  }

 private:
  struct Step {
    std::string key;     // of a map
    int64_t index = -1;  // in a list, where it is not negative
  };

  static YamlNode* Mutable(const YamlNode* node) { return const_cast<YamlNode*>(node); }

  Status Malformed(std::string_view path) const {
    return InvalidArgument(*file_ +
                           ": expected a path such as strategy.population or constraints[0], found '" +
                           std::string(path) + "'");
  }

  StatusOr<std::vector<Step>> ReadPath(std::string_view path) const {
    std::vector<Step> steps;
    for (const std::string& part : Split(path, '.')) {
      size_t bracket = part.find('[');
      const std::string key = part.substr(0, bracket);
      if (key.empty()) return Malformed(path);
      steps.push_back({key});
      while (bracket != std::string::npos) {
        const size_t end = part.find(']', bracket);
        const auto index = ParseInt(std::string_view(part).substr(bracket + 1, end - bracket - 1));
        if (end == std::string::npos || !index || *index < 0) return Malformed(path);
        steps.push_back({"", *index});
        bracket = end + 1 == part.size() ? std::string::npos : end + 1;
        if (bracket != std::string::npos && part[bracket] != '[') return Malformed(path);
      }
    }
    return steps;
  }

  YamlNode* NewChild(YamlNode& parent, size_t index) {
    YamlNode& child = document_.nodes_.emplace_back();
    child.file_ = file_;
    child.parent_ = &parent;
    child.index_in_parent_ = index;
    return &child;
  }

  // The child that `step` names, added where there is none.
  StatusOr<YamlNode*> Child(YamlNode& parent, const Step& step) {
    if (step.index >= 0) {
      if (parent.kind_ == YamlNode::Kind::kNull) parent.kind_ = YamlNode::Kind::kSequence;
      const auto size = static_cast<int64_t>(parent.items_.size());
      if (!parent.is_sequence() || step.index > size) {
        return InvalidArgument(*file_ + ": expected a list with an item " + std::to_string(step.index) +
                               " at " + parent.location().path + ", found " + parent.Describe());
      }
      if (step.index == size) parent.items_.push_back(NewChild(parent, parent.items_.size()));
      return Mutable(parent.items_[step.index]);
    }
    if (parent.kind_ == YamlNode::Kind::kNull) parent.kind_ = YamlNode::Kind::kMap;
    if (!parent.is_map()) {
      return InvalidArgument(*file_ + ": expected a map with '" + step.key + "' at " +
                             parent.location().path + ", found " + parent.Describe());
    }
    if (const YamlNode* child = parent.Find(step.key)) return Mutable(child);
    parent.entries_.push_back({step.key, NewChild(parent, parent.entries_.size()), 1, 1});
    return Mutable(parent.entries_.back().value);
  }

  void Copy(const YamlNode& from, YamlNode& to) {
    to.kind_ = from.kind_;
    to.plain_ = from.plain_;
    to.line_ = from.line_;
    to.column_ = from.column_;
    to.text_ = from.text_;
    to.file_ = file_;
    to.items_.clear();
    to.entries_.clear();
    for (const YamlNode* item : from.items_) {
      YamlNode* child = NewChild(to, to.items_.size());
      to.items_.push_back(child);
      Copy(*item, *child);
    }
    for (const YamlNode::Entry& entry : from.entries_) {
      YamlNode* child = NewChild(to, to.entries_.size());
      to.entries_.push_back({entry.key, child, entry.line, entry.column});
      Copy(*entry.value, *child);
    }
  }

  YamlDocument& document_;
  std::shared_ptr<const std::string> file_;
};

Status ApplyOverrides(YamlDocument& document, std::span<const std::string> overrides) {
  for (const std::string& text : overrides) {
    const size_t equals = text.find('=');
    const std::string_view value =
        equals == std::string::npos ? "" : Trim(std::string_view(text).substr(equals + 1));
    if (value.empty()) {
      return InvalidArgument("--set " + text + ": expected path=value, such as budget.duration=5m");
    }
    CANOPY_ASSIGN_OR_RETURN(const YamlDocument parsed, ParseYaml(value, "--set " + text));
    YamlEditor editor(document, text);
    CANOPY_RETURN_IF_ERROR(editor.Set(Trim(std::string_view(text).substr(0, equals)), parsed.root()));
  }
  return {};
}

}  // namespace canopy::config
