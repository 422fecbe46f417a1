#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "controller/core/events.h"
#include "controller/core/space_mapping.h"
#include "controller/service/launch_files.h"
#include "storage/reader.h"

namespace canopy::controller {

// What `launch --update` is about to do: the files of a launch compared with a campaign that has its name.
class UpdatePlan {
 public:
  // May change: the space, constraints, budget, finals, description, notes and labels. Overrides of the
  // launch stay in force; those of the request come after them. InvalidArgument with the position of what is
  // wrong, or of what may not change.
  static StatusOr<UpdatePlan> Make(const v1::LaunchRequest& request, const std::string& principal,
                                   const storage::CampaignRow& row);

  // Decides about the campaign's trials, or about those that it was given since the last call. Blocks on
  // disk; takes about as long as proposing the trials took.
  Status MapTrials(storage::Reader& reader);

  // Of those that were mapped since it was asked last: what the version before set aside, and this one
  // counts.
  std::vector<int64_t> TakeReturned() { return std::exchange(returned_, {}); }

  // Field by field, in the order of the files; empty: nothing to do.
  const std::vector<v1::Change>& changes() const { return changes_; }
  // "budget.trials (30 -> 60), space: width (...)", cut after a few.
  std::string Summary() const;
  const ReviseCampaign& event() const { return event_; }
  // What it does to the trials that were mapped.
  v1::LaunchReply Reply() const;

 private:
  explicit UpdatePlan(SpaceMapping mapping) : mapping_(std::move(mapping)) {}

  const SpaceMapping mapping_;
  std::string name_;
  std::vector<v1::Change> changes_;
  ReviseCampaign event_;

  int64_t last_trial_id_ = 0;
  std::vector<int64_t> returned_;
  // SEARCH trials, as of when they were read: a campaign that goes on is asked for again and again, and may
  // have millions.
  int64_t carried_ = 0, cancelled_ = 0, running_on_ = 0;
  struct Left {
    std::string example;
    int64_t trials = 0;
  };
  std::map<std::string, Left> left_;  // by reason
};

}  // namespace canopy::controller
