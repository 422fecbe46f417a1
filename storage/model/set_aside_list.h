#pragma once

#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "storage/model/records.h"

namespace canopy::model {

// What a version sets aside, by trial. It may have millions of entries and goes from thread to thread:
// copies share them until one of them is added to.
class SetAsideList {
 public:
  SetAsideList() = default;
  SetAsideList(std::vector<SetAside> trials)  // NOLINT: a list of the same
      : trials_(std::make_shared<std::vector<SetAside>>(std::move(trials))) {}
  SetAsideList(std::initializer_list<SetAside> trials) : SetAsideList(std::vector<SetAside>(trials)) {}

  const std::vector<SetAside>& trials() const { return *trials_; }
  void push_back(SetAside trial) {
    if (trials_.use_count() > 1) trials_ = std::make_shared<std::vector<SetAside>>(*trials_);
    trials_->push_back(std::move(trial));
  }

 private:
  std::shared_ptr<std::vector<SetAside>> trials_ = std::make_shared<std::vector<SetAside>>();
};

}  // namespace canopy::model
