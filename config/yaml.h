#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::config {

// Where a value stands: file, line and column (from 1) and its path in the file ("network[2].conv2d"); both
// ends of a long one.
struct Location {
  std::string file;
  int line = 1;
  int column = 1;
  std::string path;

  // InvalidArgument "file:line:column: path: message", of a long message both ends.
  Status Error(std::string_view message) const;
};

// A value of a YAML file. Lives as long as its document; immutable once parsed.
class YamlNode {
 public:
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Entry {
    std::string key;
    const YamlNode* value;
    int line, column;  // of the key
  };

  Kind kind() const { return kind_; }
  bool is_map() const { return kind_ == Kind::kMap; }
  bool is_sequence() const { return kind_ == Kind::kSequence; }
  bool is_scalar() const { return kind_ == Kind::kScalar; }
  // A scalar's text, and whether it stands there without quotes: only plain scalars are numbers or
  // switches.
  const std::string& text() const { return text_; }
  bool plain() const { return plain_; }
  // A sequence's values, in order.
  const std::vector<const YamlNode*>& items() const { return items_; }
  // A map's entries, in the file's order; keys are unique.
  const std::vector<Entry>& entries() const { return entries_; }
  // The map's value of that key, nullptr where it has none or this is no map.
  const YamlNode* Find(std::string_view key) const;

  Location location() const;
  Location KeyLocation(const Entry& entry) const;
  Status Error(std::string_view message) const { return location().Error(message); }
  // "file:line:column: path: expected <expected>, found <what stands here>".
  Status Expected(std::string_view expected) const;
  // "file:line:column: path: expected one of <known>, found <key>", with the nearest of them: of an entry of
  // this map whose key is none of them.
  Status UnknownKey(const Entry& entry, std::span<const std::string> known) const;
  // "a map", "[1, 2]", "nothing", "'text'": what stands here, for messages.
  std::string Describe() const;

 private:
  friend class YamlBuilder;
  friend class YamlEditor;
  Kind kind_ = Kind::kNull;
  bool plain_ = true;
  int line_ = 1, column_ = 1;
  std::string text_;
  std::vector<const YamlNode*> items_;
  std::vector<Entry> entries_;
  const YamlNode* parent_ = nullptr;
  size_t index_in_parent_ = 0;
  std::shared_ptr<const std::string> file_;
};

// A parsed file. Movable; nodes keep their addresses.
class YamlDocument {
 public:
  const YamlNode& root() const { return *root_; }
  // Where the value with that path stands ("strategy.population", "objectives[0].metric"); where the file
  // does not have it, the closest enclosing value, with the whole path.
  Location Locate(std::string_view path) const;

 private:
  friend class YamlBuilder;
  friend class YamlEditor;
  std::deque<YamlNode> nodes_;
  const YamlNode* root_ = nullptr;
};

// Bounds that every file keeps; what breaks one is refused before the YAML parser sees it.
inline constexpr size_t kMaxFileBytes = 256 * 1024;
inline constexpr int kMaxDepth = 64;
inline constexpr size_t kMaxTokens = 16384;
inline constexpr size_t kMaxKeyBytes = 128;

// Parses one YAML (or JSON) document; `file` is the name that messages show. InvalidArgument for what is
// not YAML, a broken bound, an alias, anchor or tag, a key used twice, a second document.
StatusOr<YamlDocument> ParseYaml(std::string_view text, const std::string& file);

// OK where the document is a map whose first entry is `canopy: 1`, as in every file of the project.
Status CheckFormatVersion(const YamlDocument& document);

}  // namespace canopy::config
