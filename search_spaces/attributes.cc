#include "search_spaces/attributes.h"

#include <algorithm>

#include "search_spaces/mix.h"

namespace canopy::search_space {
namespace {

auto Place(std::vector<Attributes::value_type>& entries, std::string_view name) {
  return std::lower_bound(
      entries.begin(), entries.end(), name,
      [](const Attributes::value_type& entry, std::string_view n) { return entry.first < n; });
}

}  // namespace

Attributes::Attributes(std::initializer_list<value_type> entries) {
  if (entries.size() > 0) Own().reserve(entries.size());
  for (const auto& [name, value] : entries) emplace(name, value);
}

void Attributes::emplace(std::string_view name, Attribute value) {
  auto& entries = Own();
  const auto at = Place(entries, name);
  if (at != entries.end() && at->first == name) return;
  entries.emplace(at, std::string(name), std::move(value));
}

Attribute& Attributes::operator[](std::string_view name) {
  auto& entries = Own();
  auto at = Place(entries, name);
  if (at == entries.end() || at->first != name) at = entries.emplace(at, std::string(name), Attribute());
  return at->second;
}

void Attributes::Seal() {
  if (!shared_ || shared_->sealed) return;
  Own();
  shared_->hash = ComputeHash();
  shared_->text = ComputeText();
  shared_->sealed = true;
}

std::vector<Attributes::value_type>& Attributes::Own() {
  if (!shared_) {
    shared_ = std::make_shared<Shared>();
  } else if (shared_.use_count() > 1) {
    shared_ = std::make_shared<Shared>(Shared{shared_->entries});
  }
  shared_->sealed = false;
  return shared_->entries;
}

uint64_t Attributes::ComputeHash() const {
  uint64_t state = size();
  for (const auto& [name, value] : *this) {
    state = Mix(Mix(state, MixText(name)), HashOf(value));
  }
  return state;
}

std::string Attributes::ComputeText() const {
  std::string text;
  for (const auto& [name, value] : *this) {
    text += (text.empty() ? "" : " ") + name + '=' + CanonicalText(value);
  }
  return text;
}

bool Attributes::EqualEntries(const Attributes& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

Extent ExtentOf(const Attributes& attributes, std::string_view name) {
  if (attributes.count(name)) {
    const int64_t both = IntegerOf(attributes, name);
    return {both, both};
  }
  const AxisNames axes(name);
  return {IntegerOf(attributes, axes.height), IntegerOf(attributes, axes.width)};
}

void SetExtent(Attributes& attributes, std::string_view name, const Extent& extent) {
  if (extent.height == extent.width) {
    attributes.emplace(name, extent.height);
    return;
  }
  const AxisNames axes(name);
  attributes.emplace(axes.height, extent.height);
  attributes.emplace(axes.width, extent.width);
}

}  // namespace canopy::search_space
