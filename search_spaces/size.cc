#include "search_spaces/size.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "absl/container/inlined_vector.h"

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

namespace {

// A natural number of any size, in digits of base 10^9, lowest first.
class BigInteger {
 public:
  explicit BigInteger(uint64_t value) {
    do {
      digits_.push_back(static_cast<uint32_t>(value % kBase));
      value /= kBase;
    } while (value > 0);
  }

  BigInteger& operator+=(const BigInteger& other) {
    digits_.resize(std::max(digits_.size(), other.digits_.size()) + 1);
    uint64_t carry = 0;
    for (size_t i = 0; i < digits_.size(); ++i) {
      carry += digits_[i] + (i < other.digits_.size() ? uint64_t{other.digits_[i]} : 0);
      digits_[i] = static_cast<uint32_t>(carry % kBase);
      carry /= kBase;
    }
    Trim();
    return *this;
  }

  BigInteger operator*(const BigInteger& other) const {
    BigInteger product(0);
    product.digits_.assign(digits_.size() + other.digits_.size(), 0);
    for (size_t i = 0; i < digits_.size(); ++i) {
      uint64_t carry = 0;
      for (size_t k = 0; k < other.digits_.size() || carry > 0; ++k) {
        const uint64_t factor = k < other.digits_.size() ? other.digits_[k] : 0;
        carry += product.digits_[i + k] + uint64_t{digits_[i]} * factor;
        product.digits_[i + k] = static_cast<uint32_t>(carry % kBase);
        carry /= kBase;
      }
    }
    product.Trim();
    return product;
  }

  size_t bytes() const { return digits_.size() * sizeof(uint32_t); }

  std::string ToString() const {
    std::string text = std::to_string(digits_.back());
    for (size_t i = digits_.size() - 1; i-- > 0;) {
      const std::string digits = std::to_string(digits_[i]);
      text += std::string(9 - digits.size(), '0') + digits;
    }
    return text;
  }

 private:
  static constexpr uint64_t kBase = 1000000000;
  void Trim() {
    while (digits_.size() > 1 && digits_.back() == 0) digits_.pop_back();
  }
  std::vector<uint32_t> digits_;
};

// Splits the decisions into groups that no condition connects, and counts a group by assigning its first
// decision each of its values: what is settled then connects nothing any more. A group's count depends on
// the settled decisions that its conditions name only and is kept for them, so that the chains and trees of
// conditions that blocks make are counted in time quadratic in their size.
class Counter {
 public:
  // What takes more than these is not counted to the end: decisions visited, values tried, and the memory
  // of counts.
  static constexpr int64_t kMaxVisits = 1'000'000, kMaxValues = 100'000;
  static constexpr size_t kMaxCounts = 100'000, kMaxCountBytes = 16 << 20;

  Counter(const std::vector<Decision>& decisions,
          const std::vector<std::vector<ResolvedCondition>>& conditions)
      : decisions_(decisions),
        conditions_(conditions),
        values_(decisions.size()),
        controls_(decisions.size()) {
    for (const auto& list : conditions) {
      for (const auto& condition : list) {
        for (const int slot : condition.slots) controls_[slot] = true;
      }
    }
  }

  bool exhausted() const {
    return visits_ > kMaxVisits || tried_ > kMaxValues || counts_.size() > kMaxCounts ||
           count_bytes_ > kMaxCountBytes;
  }

  BigInteger CountAll() {
    std::vector<int> all(decisions_.size());
    std::iota(all.begin(), all.end(), 0);
    settled_.assign(decisions_.size(), false);
    return Count(all);
  }

 private:
  // The number of assignments to the unsettled `members`, in rising order.
  BigInteger Count(const std::vector<int>& members) {
    visits_ += static_cast<int64_t>(members.size());
    BigInteger product(1);
    for (const auto& group : Groups(members)) {
      if (exhausted()) break;
      const std::string key = StateOf(group);
      auto known = counts_.find(key);
      if (known == counts_.end()) {
        known = counts_.emplace(key, CountGroup(group)).first;
        count_bytes_ += key.size() + known->second.bytes();
      }
      product = product * known->second;
    }
    return product;
  }

  // The group and the values of the settled decisions that its conditions name.
  std::string StateOf(const std::vector<int>& group) const {
    std::string state;
    for (const int i : group) {
      state += std::to_string(i) + ',';
      for (const auto& condition : conditions_[i]) {
        for (const int slot : condition.slots) {
          if (!settled_[slot]) continue;
          state += std::to_string(slot) + '=' + (values_[slot] ? CanonicalText(*values_[slot]) : "") + ';';
        }
      }
    }
    return state;
  }

  BigInteger CountGroup(const std::vector<int>& group) {
    const int first = group.front();
    const std::vector<int> rest(group.begin() + 1, group.end());
    // Conditions name earlier decisions only, so that those of the first are settled.
    const auto& conditions = conditions_[first];
    const bool active = std::all_of(conditions.begin(), conditions.end(),
                                    [&](const ResolvedCondition& c) { return c.Holds(values_); });
    settled_[first] = true;
    BigInteger sum(0);
    if (!active) {
      sum = Count(rest);
    } else if (rest.empty() || !controls_[first]) {
      sum = BigInteger(decisions_[first].Cardinality()) * Count(rest);
    } else {
      const auto try_value = [&](const Value& value, uint64_t count) {
        ++tried_;
        values_[first] = &value;
        sum += BigInteger(count) * Count(rest);
      };
      const Decision& decision = decisions_[first];
      if (const auto& alikes = AlikesOf(first)) {
        for (auto alike = alikes->begin(); alike != alikes->end() && !exhausted(); ++alike)
          try_value(alike->value, alike->count);
      } else {
        const auto high = static_cast<int64_t>(decision.high);
        for (auto i = static_cast<int64_t>(decision.low); i <= high && !exhausted(); ++i) try_value(i, 1);
      }
      values_[first] = nullptr;
    }
    settled_[first] = false;
    return sum;
  }

  // Values between which no condition tells a difference: one of them, and how many they are.
  struct Alike {
    Value value;
    uint64_t count;
  };

  // nullopt where every integer of a range is to be tried.
  const std::optional<std::vector<Alike>>& AlikesOf(int index) {
    const auto known = alikes_.find(index);
    if (known != alikes_.end()) return known->second;
    const Decision& decision = decisions_[index];
    auto& alikes = alikes_[index];
    if (decision.kind != DecisionKind::kInteger) {
      alikes.emplace();
      for (const Value& value : decision.choices) alikes->push_back({value, 1});
      // A range of floats that is counted has one value.
      if (decision.kind == DecisionKind::kFloat) alikes->push_back({decision.low, 1});
      return alikes;
    }
    const auto low = static_cast<int64_t>(decision.low), high = static_cast<int64_t>(decision.high);
    const auto starts = Intervals(index, low, high);
    if (!starts) return alikes;
    alikes.emplace();
    for (auto start = starts->begin(); start != starts->end(); ++start) {
      const int64_t end = std::next(start) == starts->end() ? high + 1 : *std::next(start);
      alikes->push_back({*start, static_cast<uint64_t>(end - *start)});
    }
    return alikes;
  }

  // Where the intervals begin into which the conditions cut the range; nullopt where one of them computes
  // with the decision instead of comparing it with numbers.
  std::optional<std::set<int64_t>> Intervals(int index, int64_t low, int64_t high) const {
    std::set<int64_t> starts = {low};
    const auto cut = [&](double at) {
      if (at > static_cast<double>(low) && at <= static_cast<double>(high))
        starts.insert(static_cast<int64_t>(at));
    };
    for (const auto& list : conditions_) {
      for (const auto& condition : list) {
        if (std::find(condition.slots.begin(), condition.slots.end(), index) == condition.slots.end())
          continue;
        const auto constants = condition.expression.ConstantsComparedWith(decisions_[index].name);
        if (!constants) return std::nullopt;
        for (const double constant : *constants) {
          cut(std::ceil(constant));
          cut(std::floor(constant) + 1);
        }
      }
    }
    return starts;
  }

  std::vector<std::vector<int>> Groups(const std::vector<int>& members) const {
    std::map<int, int> parent;  // union-find among the members
    for (const int i : members) parent[i] = i;
    const auto root = [&](int i) {
      while (parent[i] != i) i = parent[i] = parent[parent[i]];
      return i;
    };
    for (const int i : members) {
      for (const auto& condition : conditions_[i]) {
        for (const int slot : condition.slots) {
          if (!settled_[slot] && parent.count(slot)) parent[root(i)] = root(slot);
        }
      }
    }
    std::map<int, std::vector<int>> groups;
    for (const int i : members) groups[root(i)].push_back(i);
    std::vector<std::vector<int>> result;
    for (auto& [leader, group] : groups) result.push_back(std::move(group));
    return result;
  }

  const std::vector<Decision>& decisions_;
  const std::vector<std::vector<ResolvedCondition>>& conditions_;
  std::vector<const Value*> values_;
  std::vector<bool> controls_;
  std::vector<bool> settled_;
  std::map<std::string, BigInteger> counts_;
  std::map<int, std::optional<std::vector<Alike>>> alikes_;
  size_t count_bytes_ = 0;
  int64_t visits_ = 0, tried_ = 0;
};

}  // namespace

std::string CountAssignments(const std::vector<Decision>& decisions,
                             const std::vector<std::vector<ResolvedCondition>>& conditions) {
  for (const Decision& decision : decisions) {
    if (decision.Cardinality() == 0) return "infinite";
  }
  Counter counter(decisions, conditions);
  const std::string count = counter.CountAll().ToString();
  return counter.exhausted() ? "more than " + count : count;
}

}  // namespace canopy::search_space
