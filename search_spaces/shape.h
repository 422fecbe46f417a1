#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "base/check.h"

namespace canopy::search_space {

// The sizes of a value's axes, per example and without the batch: {channels, height, width} for images,
// {features} for vectors. Held in place: networks have thousands of them.
class Shape {
 public:
  using value_type = int64_t;
  using const_iterator = const int64_t*;
  static constexpr size_t kMaxRank = 6;

  Shape() = default;
  // REQUIRES at most kMaxRank sizes.
  Shape(std::initializer_list<int64_t> sizes) : Shape(sizes.begin(), sizes.end()) {}
  template <typename Iterator>
  Shape(Iterator begin, Iterator end) {
    for (; begin != end; ++begin) push_back(*begin);
  }
  void push_back(int64_t size) {
    CANOPY_CHECK(rank_ < kMaxRank);
    sizes_[rank_++] = size;
  }

  size_t size() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  int64_t operator[](size_t axis) const { return sizes_[axis]; }
  int64_t& operator[](size_t axis) { return sizes_[axis]; }
  int64_t front() const { return sizes_[0]; }
  int64_t back() const { return sizes_[rank_ - 1]; }
  int64_t& back() { return sizes_[rank_ - 1]; }
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return begin() + rank_; }

  operator std::vector<int64_t>() const { return {begin(), end()}; }
  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  friend bool operator==(const Shape& a, const std::vector<int64_t>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::array<int64_t, kMaxRank> sizes_{};
  size_t rank_ = 0;
};

}  // namespace canopy::search_space
