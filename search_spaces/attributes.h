#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "search_spaces/value.h"

namespace canopy::search_space {

// An operator's attribute: a switch, a count, a rate or a word.
using Attribute = Value;

// An operator's attributes by name, in the order of their names. Copies share their values until one of them
// is changed, so that a network's nodes are cheap to copy and to compare.
class Attributes {
 public:
  using value_type = std::pair<std::string, Attribute>;
  using const_iterator = const value_type*;

  Attributes() = default;
  // Of a name given twice the first counts.
  Attributes(std::initializer_list<value_type> entries);

  size_t size() const { return shared_ ? shared_->entries.size() : 0; }
  bool empty() const { return size() == 0; }
  const_iterator begin() const { return shared_ ? shared_->entries.data() : nullptr; }
  const_iterator end() const { return begin() + size(); }

  // REQUIRES a name that is not empty.
  const_iterator find(std::string_view name) const {
    const_iterator it = begin();
    // Most names differ in their lengths or their first letters: memcmp is for the one that is meant.
    while (it != end() && (it->first.size() != name.size() || it->first[0] != name[0] || it->first != name))
      ++it;
    return it;
  }
  size_t count(std::string_view name) const { return find(name) == end() ? 0 : 1; }
  // REQUIRES that there is one.
  const Attribute& at(std::string_view name) const {
    const const_iterator it = find(name);
    CANOPY_CHECK(it != end(), name);
    return it->second;
  }

  // Adds the attribute where there is none of that name.
  void emplace(std::string_view name, Attribute value);
  // The attribute to be changed, before this object is copied again; added where there is none.
  Attribute& operator[](std::string_view name);

  // Computes hash() and text() once for all copies, until the next change.
  void Seal();
  // Equal for equal attributes, on every machine.
  uint64_t hash() const { return sealed() ? shared_->hash : ComputeHash(); }
  // "bias=false kernel=3": canonical.
  std::string text() const { return sealed() ? shared_->text : ComputeText(); }

  friend bool operator==(const Attributes& a, const Attributes& b) {
    return a.shared_ == b.shared_ || (a.hash() == b.hash() && a.EqualEntries(b));
  }

 private:
  struct Shared {
    std::vector<value_type> entries;
    uint64_t hash = 0;
    std::string text;
    bool sealed = false;
  };

  bool sealed() const { return shared_ && shared_->sealed; }

  // This object's own entries, to be changed.
  std::vector<value_type>& Own();
  uint64_t ComputeHash() const;
  std::string ComputeText() const;
  bool EqualEntries(const Attributes& other) const;

  std::shared_ptr<Shared> shared_;
};

// Attribute access; REQUIRES that the attribute is there with that type.
inline int64_t IntegerOf(const Attributes& attributes, std::string_view name) {
  const auto* value = std::get_if<int64_t>(&attributes.at(name));
  CANOPY_CHECK(value, name);
  return *value;
}
inline double NumberOf(const Attributes& attributes, std::string_view name) {
  const auto* value = std::get_if<double>(&attributes.at(name));
  CANOPY_CHECK(value, name);
  return *value;
}
inline const std::string& WordOf(const Attributes& attributes, std::string_view name) {
  const auto* value = std::get_if<std::string>(&attributes.at(name));
  CANOPY_CHECK(value, name);
  return *value;
}
inline bool SwitchOf(const Attributes& attributes, std::string_view name) {
  const auto* value = std::get_if<bool>(&attributes.at(name));
  CANOPY_CHECK(value, name);
  return *value;
}

// What is of height and of width: the attribute `name` for both, or `<name>_height` and `<name>_width` where
// they differ.
struct Extent {
  int64_t height = 1;
  int64_t width = 1;
};
// "kernel_height" and "kernel_width" of "kernel".
struct AxisNames {
  explicit AxisNames(std::string_view name)
      : height(std::string(name) + "_height"), width(std::string(name) + "_width") {}
  std::string height, width;
};
// REQUIRES that the attribute is there in one of the two ways.
Extent ExtentOf(const Attributes& attributes, std::string_view name);
// REQUIRES that it is there in neither.
void SetExtent(Attributes& attributes, std::string_view name, const Extent& extent);

}  // namespace canopy::search_space
