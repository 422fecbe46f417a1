#include "config/yaml.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/strings.h"
#include "config/yaml_bounds.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/mark.h"
#include "yaml-cpp/parser.h"

namespace canopy::config {

namespace {

// What is said of a file is for people, however long its names are.
constexpr size_t kMaxPathBytes = 512, kMaxMessageBytes = 2048;

bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The text without its middle where it is longer; characters stay whole.
std::string Shortened(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  size_t head = bytes / 2, tail = text.size() - bytes / 2;
  while (head > 0 && ContinuesCharacter(text[head])) --head;
  while (tail < text.size() && ContinuesCharacter(text[tail])) ++tail;
  return std::string(text.substr(0, head)) + " ... " + std::string(text.substr(tail));
}

}  // namespace

Status Location::Error(std::string_view message) const {
  std::string text = file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": ";
  if (!path.empty()) text += path + ": ";
  return InvalidArgument(text + Shortened(message, kMaxMessageBytes));
}

const YamlNode* YamlNode::Find(std::string_view key) const {
  const auto it =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  return it == entries_.end() ? nullptr : it->value;
}

Location YamlNode::location() const {
  // Every message of a file has one of these.
  absl::InlinedVector<const YamlNode*, kMaxDepth + 1> nodes;
  for (const YamlNode* node = this; node->parent_; node = node->parent_) nodes.push_back(node);
  std::string path;
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const YamlNode& parent = *(*it)->parent_;
    if (parent.is_sequence()) {
      path.append("[").append(std::to_string((*it)->index_in_parent_)).append("]");
    } else {
      path.append(parent.parent_ ? "." : "").append(parent.entries_[(*it)->index_in_parent_].key);
    }
  }
  return {*file_, line_, column_, Shortened(path, kMaxPathBytes)};
}

Location YamlNode::KeyLocation(const Entry& entry) const {
  Location location = this->location();
  location.line = entry.line;
  location.column = entry.column;
  return location;
}

Status YamlNode::Expected(std::string_view expected) const {
  return Error("expected " + std::string(expected) + ", found " + Describe());
}

Status YamlNode::UnknownKey(const Entry& entry, std::span<const std::string> known) const {
  // Flow style takes `{a: min(1, 2)}` for the keys `a` and `2)`.
  const auto count = [&](char c) { return std::count(entry.key.begin(), entry.key.end(), c); };
  const std::string hint = count(')') > count('(')
                               ? " (within {...} a comma ends a value: put the value in quotes)"
                               : DidYouMean(entry.key, known);
  return KeyLocation(entry).Error("expected one of " +
                                  Join(std::vector<std::string>(known.begin(), known.end()), ", ") +
                                  ", found '" + entry.key + "'" + hint);
}

std::string YamlNode::Describe() const {
  constexpr size_t kShown = 60;
  switch (kind_) {
    case Kind::kNull:
      return "nothing";
    case Kind::kSequence: {
      if (items_.empty()) return "an empty list";
      std::string list;
      for (const YamlNode* item : items_) {
        if (!item->is_scalar() || list.size() > kShown) return "a list";
        list += (list.empty() ? "" : ", ") + item->text_;
      }
      return list.size() > kShown ? "a list" : "[" + list + "]";
    }
    case Kind::kMap:
      return "a map";
    case Kind::kScalar:
      break;
  }
  if (text_.size() > kShown) return "'" + text_.substr(0, kShown) + "...'";
  return "'" + text_ + "'";
}

Location YamlDocument::Locate(std::string_view path) const {
  const YamlNode* node = root_;
  size_t at = 0;
  while (at < path.size()) {
    const YamlNode* next = nullptr;
    size_t end;
    if (path[at] == '[') {
      end = std::min(path.find(']', at), path.size());
      const auto index = ParseInt(path.substr(at + 1, end - at - 1));
      if (index && *index >= 0 && static_cast<size_t>(*index) < node->items().size()) {
        next = node->items()[*index];
      }
      end = std::min(end + 1, path.size());
    } else {
      if (path[at] == '.') ++at;
      end = std::min(path.find_first_of(".[", at), path.size());
      next = node->Find(path.substr(at, end - at));
    }
    if (!next) break;
    node = next;
    at = end;
  }
  Location location = node->location();
  location.path = std::string(path);
  return location;
}

// Builds the tree from the parser's events. The parser reports problems by exceptions; ours leaves the same
// way, so that parsing stops at the first error.
class YamlBuilder final : public YAML::EventHandler {
 public:
  struct Refused {
    Status status;
  };

  YamlBuilder(const std::string& file, YamlDocument& document)
      : file_(std::make_shared<const std::string>(file)), document_(document) {}

  bool built() const { return document_.root_ != nullptr; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, "", anchor, YamlNode::Kind::kNull);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "expected a value, found an alias: write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (AwaitsKey()) return SetKey(mark, tag, anchor, value);
    YamlNode& node = Add(mark, tag, anchor, YamlNode::Kind::kScalar);
    node.text_ = value;
    node.plain_ = tag == kPlainTag;
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Add(mark, tag, anchor, YamlNode::Kind::kSequence));
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Add(mark, tag, anchor, YamlNode::Kind::kMap));
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  // What yaml-cpp gives as the tag of a value that has none.
  static constexpr std::string_view kPlainTag = "?";
  static constexpr std::string_view kQuotedTag = "!";

  struct OpenNode {
    YamlNode* node;
    std::set<std::string> keys;
    bool awaits_key;
  };

  bool AwaitsKey() const { return !open_.empty() && open_.back().awaits_key; }

  [[noreturn]] void Refuse(const YAML::Mark& mark, std::string_view message) const {
    Location location = open_.empty() ? Location{*file_} : open_.back().node->location();
    location.line = mark.line + 1;
    location.column = mark.column + 1;
    throw Refused{location.Error(message)};
  }

  void CheckPlain(const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor) const {
    if (anchor != 0) Refuse(mark, "expected a value, found an anchor: write the value out where it is used");
    if (!tag.empty() && tag != kPlainTag && tag != kQuotedTag) {
      Refuse(mark, "expected a value without a tag, found tag '" + std::string(tag) + "'");
    }
  }

  void SetKey(const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor, const std::string& key) {
    CheckPlain(mark, tag, anchor);
    if (key.size() > kMaxKeyBytes) {
      Refuse(mark, "expected a key of at most " + std::to_string(kMaxKeyBytes) + " bytes, found " +
                       std::to_string(key.size()));
    }
    OpenNode& map = open_.back();
    if (!map.keys.insert(key).second) {
      Refuse(mark, "expected each key once, found '" + key + "' again: remove one");
    }
    map.node->entries_.push_back({key, nullptr, mark.line + 1, mark.column + 1});
    map.awaits_key = false;
  }

  YamlNode& Add(const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (AwaitsKey()) Refuse(mark, "expected a word as the key, found something else");
    CheckPlain(mark, tag, anchor);
    YamlNode& node = document_.nodes_.emplace_back();
    node.kind_ = kind;
    node.line_ = mark.line + 1;
    node.column_ = mark.column + 1;
    node.file_ = file_;
    if (open_.empty()) {
      document_.root_ = &node;
      return node;
    }
    YamlNode& parent = *open_.back().node;
    node.parent_ = &parent;
    if (parent.is_map()) {
      node.index_in_parent_ = parent.entries_.size() - 1;
      parent.entries_.back().value = &node;
      open_.back().awaits_key = true;
    } else {
      node.index_in_parent_ = parent.items_.size();
      parent.items_.push_back(&node);
    }
    return node;
  }

  void Open(YamlNode& node) {
    if (open_.size() >= static_cast<size_t>(kMaxDepth)) {
      Refuse({}, "expected at most " + std::to_string(kMaxDepth) + " levels of nesting, found more");
    }
    open_.push_back({&node, {}, node.is_map()});
  }

  std::shared_ptr<const std::string> file_;
  YamlDocument& document_;
  std::vector<OpenNode> open_;
};

StatusOr<YamlDocument> ParseYaml(std::string_view text, const std::string& file) {
  CANOPY_RETURN_IF_ERROR(CheckYamlBounds(text, file));
  YamlDocument document;
  YamlBuilder builder(file, document);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder) || !builder.built()) {
      return Location{file}.Error("expected a map that begins with `canopy: 1`, found an empty file");
    }
    if (parser) {
      YamlDocument second;
      YamlBuilder second_builder(file, second);
      if (parser.HandleNextDocument(second_builder) && second_builder.built()) {
        return second.root().Error("expected one document, found a second: remove it and its '---'");
      }
    }
  } catch (const YamlBuilder::Refused& refused) {
    return refused.status;
  } catch (const YAML::Exception& error) {
    const YAML::Mark& mark = error.mark;
    return Location{file, mark.line + 1, mark.column + 1, ""}.Error("expected valid YAML, found: " +
                                                                    error.msg);
  }
  return document;
}

Status CheckFormatVersion(const YamlDocument& document) {
  const YamlNode& root = document.root();
  if (!root.is_map()) return root.Expected("a map that begins with `canopy: 1`");
  if (root.entries().empty() || root.entries().front().key != "canopy") {
    return root.Error("expected `canopy: 1`, the format's version, as the first entry, found " +
                      (root.entries().empty() ? "nothing" : "'" + root.entries().front().key + "'"));
  }
  const YamlNode& version = *root.entries().front().value;
  if (version.is_scalar() && version.text() == "1") return {};
  return version.Expected("1, the only version that this program reads");
}

}  // namespace canopy::config
