#pragma once

namespace canopy {

// Rules that tests/simulation breaks one at a time, in builds of its own, to see that it notices. Every other
// build breaks none.
enum class Mutant {
  kNone,
  kAcknowledgeBeforeCommit,
  kSkipFence,
  kSkipDuplicateCheck,
  kIgnoreIncarnation,
  kForgetRandomState,
  kForgetRungDecision,
  kIgnoreDuration,
  kIgnoreDeviceBudget,
  kAdoptUnlike,
  kIgnoreFullDisk,
  kForgetShare,
};

#ifdef CANOPY_MUTANT
inline constexpr Mutant kMutant = Mutant::CANOPY_MUTANT;
#else
inline constexpr Mutant kMutant = Mutant::kNone;
#endif

}  // namespace canopy
