#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "canopy/v1/search_space.pb.h"
#include "search_spaces/assignments.h"
#include "search_spaces/blocks/block.h"
#include "search_spaces/space.h"

namespace canopy::search_space {

// What a SearchSpace shares among its copies.
struct SearchSpace::Parsed {
  v1::SearchSpaceFile message;  // blocks refer to positions in it
  std::string file;
  std::string name, description, content_hash;
  std::map<std::string, config::Location, std::less<>> places;  // of parts of the file; see LocationOf
  int64_t blocks = 0;                                           // after expansion
  std::vector<Decision> decisions;
  std::vector<std::vector<ResolvedCondition>> conditions;  // of each decision
  std::map<std::string, int, std::less<>> index;           // of decisions by name
  std::unique_ptr<Block> network;
  std::vector<std::string> own_operators;
  std::vector<Constraint> constraints;
  std::optional<TaskShape> default_task;
  std::optional<Candidate> reference;
};

}  // namespace canopy::search_space
