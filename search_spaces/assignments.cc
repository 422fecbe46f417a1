#include "search_spaces/assignments.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/check.h"
#include "search_spaces/big_integer.h"

namespace canopy::search_space {

bool ResolvedCondition::Holds(const std::vector<const Value*>& values) const {
  absl::InlinedVector<const Value*, 4> named;
  for (const int slot : slots) {
    if (!values[slot]) return false;
    named.push_back(values[slot]);
  }
  const auto value = expression.Evaluate(named);
  if (!value.ok()) return false;
  const bool* flag = std::get_if<bool>(&*value);
  return flag && *flag;
}

// Splits the decisions into groups that no condition connects, and takes a group apart by assigning its first
// decision each of its values: what is settled then connects nothing any more. A group depends on the settled
// decisions that its conditions name only and is kept for them, so that the chains and trees of conditions
// that blocks make take time quadratic in their size.
class Assignments::Builder {
 public:
  // What takes more than these is not counted to the end: decisions visited, values tried, and the memory
  // of counts.
  static constexpr int64_t kMaxVisits = 1'000'000, kMaxValues = 100'000;
  static constexpr size_t kMaxCounts = 100'000, kMaxCountBytes = 16 << 20;

  Builder(std::span<const Decision> decisions, std::span<const std::vector<ResolvedCondition>> conditions,
          std::deque<Group>& made)
      : decisions_(decisions),
        conditions_(conditions),
        made_(made),
        values_(decisions.size()),
        ordinals_(decisions.size()),
        controls_(decisions.size()),
        controllers_(decisions.size()),
        settled_(decisions.size()),
        parent_(decisions.size(), kNoMember),
        seen_(decisions.size()) {
    for (size_t i = 0; i < conditions.size(); ++i) {
      std::vector<int>& controllers = controllers_[i];
      for (const auto& condition : conditions[i]) {
        for (const int slot : condition.slots) {
          controls_[slot] = true;
          if (std::find(controllers.begin(), controllers.end(), slot) == controllers.end())
            controllers.push_back(slot);
        }
      }
    }
  }

  bool exhausted() const {
    return visits_ > kMaxVisits || tried_ > kMaxValues || known_.size() > kMaxCounts ||
           count_bytes_ > kMaxCountBytes;
  }

  BigInteger CountAll(Product& root) {
    std::vector<int> all(decisions_.size());
    std::iota(all.begin(), all.end(), 0);
    return Count(all, root);
  }

 private:
  static constexpr int kNoMember = -1;

  struct Known {
    BigInteger count;
    const Group* group;
  };

  // Counts of 2^128 and more are parts of larger ones, by which nothing is numbered.
  static absl::uint128 Saturated(const BigInteger& count) {
    return count.ToUint128().value_or(absl::Uint128Max());
  }

  // The number of assignments to the unsettled `members`, in rising order.
  BigInteger Count(const std::vector<int>& members, Product& product) {
    visits_ += static_cast<int64_t>(members.size());
    BigInteger count(1);
    for (const auto& group : Groups(members)) {
      if (exhausted()) break;
      const std::string key = StateOf(group);
      auto known = known_.find(key);
      if (known == known_.end()) {
        Group made;
        BigInteger size = CountGroup(group, made);
        count_bytes_ += key.size() + size.bytes();
        made.count = Saturated(size);
        made_.push_back(std::move(made));
        known = known_.emplace(key, Known{std::move(size), &made_.back()}).first;
      }
      count = count * known->second.count;
      product.groups.push_back(known->second.group);
    }
    product.count = Saturated(count);
    return count;
  }

  // The group and the values of the settled decisions that its conditions name, as bytes.
  std::string StateOf(const std::vector<int>& group) {
    std::string state;
    const auto append = [&](const auto& number) {
      state.append(reinterpret_cast<const char*>(&number), sizeof(number));
    };
    append(group.size());
    for (const int i : group) append(i);
    ++visit_;
    for (const int i : group) {
      for (const int slot : controllers_[i]) {
        if (!settled_[slot] || seen_[slot] == visit_) continue;
        seen_[slot] = visit_;
        append(slot);
        append(values_[slot] ? ordinals_[slot] : kInactive);
      }
    }
    return state;
  }

  BigInteger CountGroup(const std::vector<int>& group, Group& made) {
    const int first = group.front();
    const std::vector<int> rest(group.begin() + 1, group.end());
    // Conditions name earlier decisions only, so that those of the first are settled.
    const auto& conditions = conditions_[first];
    const bool active = std::all_of(conditions.begin(), conditions.end(),
                                    [&](const ResolvedCondition& c) { return c.Holds(values_); });
    made.decision = first;
    made.active = active;
    settled_[first] = true;
    BigInteger sum(0);
    const auto follow = [&](uint64_t ordinal, uint64_t values) {
      Branch branch{ordinal, values, {}};
      sum += BigInteger(values) * Count(rest, branch.rest);
      made.branches.push_back(std::move(branch));
    };
    if (!active) {
      follow(0, 1);
    } else if (rest.empty() || !controls_[first]) {
      follow(0, decisions_[first].Cardinality());
    } else {
      const auto try_values = [&](uint64_t ordinal, uint64_t values) {
        ++tried_;
        const Value value = decisions_[first].ValueAt(ordinal);
        values_[first] = &value;
        ordinals_[first] = ordinal;
        follow(ordinal, values);
        values_[first] = nullptr;
      };
      if (const auto& alikes = AlikesOf(first)) {
        for (auto alike = alikes->begin(); alike != alikes->end() && !exhausted(); ++alike)
          try_values(alike->first, alike->values);
      } else {
        for (uint64_t i = 0; i < decisions_[first].Cardinality() && !exhausted(); ++i) try_values(i, 1);
      }
    }
    settled_[first] = false;
    return sum;
  }

  // Values between which no condition tells a difference.
  struct Alike {
    uint64_t first, values;  // ordinals
  };

  // nullopt where every integer of a range is to be tried.
  const std::optional<std::vector<Alike>>& AlikesOf(int index) {
    const auto known = alikes_.find(index);
    if (known != alikes_.end()) return known->second;
    const Decision& decision = decisions_[index];
    auto& alikes = alikes_[index];
    const auto constants = ComparedWith(index);
    if (decision.kind == DecisionKind::kInteger) {
      if (constants) alikes = Intervals(decision, *constants);
      return alikes;
    }
    alikes.emplace();
    for (uint64_t i = 0; i < decision.Cardinality(); ++i) {
      const bool more = i > 0 && constants && AreAlike(decision, i - 1, i, *constants);
      if (more) {
        ++alikes->back().values;
      } else {
        alikes->push_back({i, 1});
      }
    }
    return alikes;
  }

  // The numbers with which conditions compare the decision; nullopt where one of them computes with it.
  std::optional<std::vector<double>> ComparedWith(int index) const {
    std::vector<double> all;
    for (size_t i = 0; i < conditions_.size(); ++i) {
      if (std::find(controllers_[i].begin(), controllers_[i].end(), index) == controllers_[i].end()) continue;
      for (const auto& condition : conditions_[i]) {
        if (std::find(condition.slots.begin(), condition.slots.end(), index) == condition.slots.end())
          continue;
        const auto constants = condition.expression.ConstantsComparedWith(decisions_[index].name);
        if (!constants) return std::nullopt;
        all.insert(all.end(), constants->begin(), constants->end());
      }
    }
    return all;
  }

  static bool AreAlike(const Decision& decision, uint64_t a, uint64_t b,
                       const std::vector<double>& constants) {
    const Value x = decision.ValueAt(a), y = decision.ValueAt(b);
    if (!IsNumber(x) || !IsNumber(y)) return false;
    return std::all_of(constants.begin(), constants.end(), [&](double constant) {
      return (AsDouble(x) <=> constant) == (AsDouble(y) <=> constant);
    });
  }

  // The intervals into which the constants cut the range.
  static std::vector<Alike> Intervals(const Decision& decision, const std::vector<double>& constants) {
    const auto low = static_cast<int64_t>(decision.low), high = static_cast<int64_t>(decision.high);
    std::set<int64_t> starts = {low};
    const auto cut = [&](double at) {
      if (at > static_cast<double>(low) && at <= static_cast<double>(high))
        starts.insert(static_cast<int64_t>(at));
    };
    for (const double constant : constants) {
      cut(std::ceil(constant));
      cut(std::floor(constant) + 1);
    }
    std::vector<Alike> alikes;
    for (auto start = starts.begin(); start != starts.end(); ++start) {
      const int64_t end = std::next(start) == starts.end() ? high + 1 : *std::next(start);
      alikes.push_back({static_cast<uint64_t>(*start - low), static_cast<uint64_t>(end - *start)});
    }
    return alikes;
  }

  std::vector<std::vector<int>> Groups(const std::vector<int>& members) {
    for (const int i : members) parent_[i] = i;  // union-find among the members
    const auto root = [&](int i) {
      while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
      return i;
    };
    for (const int i : members) {
      for (const int slot : controllers_[i]) {
        if (parent_[slot] != kNoMember) parent_[root(i)] = root(slot);
      }
    }
    std::map<int, std::vector<int>> groups;
    for (const int i : members) groups[root(i)].push_back(i);
    for (const int i : members) parent_[i] = kNoMember;
    std::vector<std::vector<int>> result;
    for (auto& [leader, group] : groups) result.push_back(std::move(group));
    return result;
  }

  const std::span<const Decision> decisions_;
  const std::span<const std::vector<ResolvedCondition>> conditions_;
  std::deque<Group>& made_;
  std::vector<const Value*> values_;
  std::vector<uint64_t> ordinals_;  // of the values
  std::vector<char> controls_;
  std::vector<std::vector<int>> controllers_;  // of each decision: those that its conditions name
  std::vector<char> settled_;
  std::vector<int> parent_;
  std::vector<int64_t> seen_;  // the last visit that saw each decision
  int64_t visit_ = 0;
  std::unordered_map<std::string, Known> known_;  // never iterated
  std::map<int, std::optional<std::vector<Alike>>> alikes_;
  size_t count_bytes_ = 0;
  int64_t visits_ = 0, tried_ = 0;
};

Assignments::Assignments(std::span<const Decision> decisions,
                         std::span<const std::vector<ResolvedCondition>> conditions)
    : decisions_(decisions.size()), count_("infinite") {
  for (const Decision& decision : decisions) {
    if (decision.Cardinality() == 0) return;
  }
  Builder builder(decisions, conditions, groups_);
  const BigInteger count = builder.CountAll(root_);
  count_ = count.ToString();
  if (builder.exhausted()) {
    count_ = "more than " + count_;
    root_ = {};
    groups_.clear();
    return;
  }
  size_ = count.ToUint128();
}

std::vector<uint64_t> Assignments::At(absl::uint128 index) const {
  CANOPY_CHECK(size_ && index < *size_, "an index beyond the last assignment");
  std::vector<uint64_t> ordinals(decisions_, kInactive);
  Fill(root_, index, ordinals);
  return ordinals;
}

absl::uint128 Assignments::IndexOf(std::span<const uint64_t> ordinals) const {
  CANOPY_CHECK(size_ && ordinals.size() == decisions_, "assignments that have no numbers");
  return Rank(root_, ordinals);
}

void Assignments::Fill(const Product& product, absl::uint128 index, std::vector<uint64_t>& ordinals) {
  for (size_t i = product.groups.size(); i-- > 0;) {
    const Group& group = *product.groups[i];
    Fill(group, index % group.count, ordinals);
    index /= group.count;
  }
}

void Assignments::Fill(const Group& group, absl::uint128 index, std::vector<uint64_t>& ordinals) {
  for (const Branch& branch : group.branches) {
    // Not above the group's count, so that it stays below 2^128.
    const absl::uint128 here = branch.rest.count * branch.values;
    if (index >= here) {
      index -= here;
      continue;
    }
    if (group.active) {
      ordinals[group.decision] = branch.first + absl::Uint128Low64(index / branch.rest.count);
    }
    return Fill(branch.rest, index % branch.rest.count, ordinals);
  }
}

absl::uint128 Assignments::Rank(const Product& product, std::span<const uint64_t> ordinals) {
  absl::uint128 index = 0;
  for (const Group* group : product.groups) index = index * group->count + Rank(*group, ordinals);
  return index;
}

absl::uint128 Assignments::Rank(const Group& group, std::span<const uint64_t> ordinals) {
  absl::uint128 before = 0;
  const uint64_t ordinal = group.active ? ordinals[group.decision] : 0;
  for (const Branch& branch : group.branches) {
    if (ordinal >= branch.first && ordinal - branch.first < branch.values) {
      return before + branch.rest.count * (ordinal - branch.first) + Rank(branch.rest, ordinals);
    }
    before += branch.rest.count * branch.values;
  }
  CheckFailed(__FILE__, __LINE__, "ordinal", "an assignment of another space");
}

}  // namespace canopy::search_space
