#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/numeric/int128.h"
#include "search_spaces/decision.h"

namespace canopy::search_space {

// A decision's condition with its names resolved to indices of earlier decisions.
struct ResolvedCondition {
  Expression expression;
  std::vector<int> slots;

  // Whether it holds under `values`, where nullptr is an inactive decision. An expression that cannot be
  // evaluated does not hold.
  bool Holds(const std::vector<const Value*>& values) const;
};

// All assignments to a list of decisions under their conditions, counted and numbered from 0: a diagram in
// which each branch knows how many assignments follow it, so that one is found by its number without the
// others. Decisions that no condition connects multiply; their digits follow the list's order, the first the
// most significant. Immutable.
class Assignments {
 public:
  // ordinals[i] of an assignment: the number of decision i's value (Decision::ValueAt).
  static constexpr uint64_t kInactive = UINT64_MAX;

  // conditions[i] are those of decisions[i] and name decisions of the same list.
  Assignments(std::span<const Decision> decisions,
              std::span<const std::vector<ResolvedCondition>> conditions);

  // The exact number in decimal digits; "infinite" where a decision is a range of floats, "more than <n>"
  // where conditions are too entangled to count in bounded time.
  const std::string& count() const { return count_; }
  // The number; nullopt where it is infinite, unknown, or 2^128 or more.
  std::optional<absl::uint128> size() const { return size_; }
  // How many there are in the list.
  size_t decisions() const { return decisions_; }

  // The assignment of that number; REQUIRES index < *size().
  std::vector<uint64_t> At(absl::uint128 index) const;
  // The inverse. REQUIRES a size, and an assignment that keeps the conditions.
  absl::uint128 IndexOf(std::span<const uint64_t> ordinals) const;

 private:
  class Builder;
  struct Group;
  // Independent of each other.
  struct Product {
    std::vector<const Group*> groups;
    absl::uint128 count = 1;
  };
  // Values of a decision that are followed by the same.
  struct Branch {
    uint64_t first = 0, values = 1;  // ordinals
    Product rest;
  };
  // Decisions that conditions connect: the first of them, and what is left of the group after each value.
  struct Group {
    int decision = 0;
    bool active = true;  // else one branch
    std::vector<Branch> branches;
    absl::uint128 count = 0;
  };

  static void Fill(const Product& product, absl::uint128 index, std::vector<uint64_t>& ordinals);
  static void Fill(const Group& group, absl::uint128 index, std::vector<uint64_t>& ordinals);
  static absl::uint128 Rank(const Product& product, std::span<const uint64_t> ordinals);
  static absl::uint128 Rank(const Group& group, std::span<const uint64_t> ordinals);

  size_t decisions_ = 0;
  std::deque<Group> groups_;  // where products point to
  Product root_;
  std::string count_;
  std::optional<absl::uint128> size_;
};

}  // namespace canopy::search_space
