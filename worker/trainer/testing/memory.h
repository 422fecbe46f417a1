#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace canopy::trainer {

// The bytes that LibTorch's CPU allocator has given out on this thread while this object lives, and at most.
// It is what LibTorch's own profiler sees: tensors, and what oneDNN takes by way of LibTorch (reordered
// weights and scratch); not what a BLAS takes from the C library, nor std::vector.
class AllocatorMeter {
 public:
  AllocatorMeter() : guard_(c10::DebugInfoKind::PROFILER_STATE, report_) {}

  int64_t current() const { return report_->current; }
  int64_t peak() const { return report_->peak; }
  // The peak becomes what is allocated now.
  void ResetPeak() { report_->peak = report_->current; }

 private:
  // The type of the totals, which is int64_t before LibTorch 2.1 and size_t since.
  template <typename T>
  struct TotalOf;
  template <typename T>
  struct TotalOf<void (c10::MemoryReportingInfoBase::*)(void*, int64_t, T, T, c10::Device)> {
    using Type = T;
  };
  using Total = TotalOf<decltype(&c10::MemoryReportingInfoBase::reportMemoryUsage)>::Type;

  struct Report final : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void*, int64_t bytes, Total, Total, c10::Device) override {
      current += bytes;
      peak = std::max(peak, current);
    }
    bool memoryProfilingEnabled() const override { return true; }
    int64_t current = 0, peak = 0;
  };

  std::shared_ptr<Report> report_ = std::make_shared<Report>();
  c10::DebugInfoGuard guard_;
};

}  // namespace canopy::trainer
