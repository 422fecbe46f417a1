#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"

namespace canopy::engine {

// Keeps a full disk from stopping the controller in the middle of something: says when new work has to be
// refused, long before the disk is full, and holds a file whose space it gives back to the batch that is open
// when it fills all the same. One thread calls Look; low() is for all.
class DiskGuard {
 public:
  struct Options {
    std::string folder;                        // of the database; empty: no guard
    int64_t low_bytes = int64_t{64} << 20;     // less than this is free: new work is refused
    int64_t reserve_bytes = int64_t{8} << 20;  // of the file <folder>/reserve
    // What is free in the folder; empty: as the file system says.
    std::function<StatusOr<int64_t>()> free_bytes;
  };
  explicit DiskGuard(Options options);

  // Before each batch: sees what is free, makes the reserve where there is room for it, and gives it back
  // where less is free than a batch may write. Blocks on disk.
  void Look();
  // New work is refused until the reserve has its room again.
  bool low() const { return low_.load(std::memory_order_relaxed); }
  // Why, for who is refused.
  Status Refusal() const;

 private:
  void MakeReserve();
  void GiveReserveBack();

  const Options options_;
  const std::string path_;
  std::atomic<bool> low_{false};
  bool held_ = false;
};

}  // namespace canopy::engine
