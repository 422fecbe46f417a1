#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "controller/core/strategy.h"

namespace canopy::simulation {

// A strategy whose state tells which results it has seen and in what order, for the oracle to compare.
class ChainedStrategy final : public controller::Strategy {
 public:
  explicit ChainedStrategy(std::unique_ptr<controller::Strategy> inner) : inner_(std::move(inner)) {}
  StatusOr<search_space::Candidate> Propose() override { return inner_->Propose(); }
  void Record(const controller::Observation& observation) override;
  std::string Save() const override { return chain_ + "\n" + inner_->Save(); }
  Status Restore(std::string_view state) override;

  // The chain after one more result; empty before the first.
  static std::string Link(const std::string& chain, const std::string& candidate_json, bool feasible,
                          double score);
  static std::string ChainOf(std::string_view state) {
    return std::string(state.substr(0, state.find('\n')));
  }

 private:
  const std::unique_ptr<controller::Strategy> inner_;
  std::string chain_;
};

}  // namespace canopy::simulation
