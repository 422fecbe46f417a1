#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "search_spaces/candidate.h"
#include "search_spaces/space.h"

namespace canopy::search_space {

// Candidates as vectors of one length a space, for predictors: docs/search_spaces.md has the layouts. Equal
// candidates have equal vectors. See White, Neiswanger, Nolen and Savani, "A Study on Encodings for Neural
// Architecture Search", NeurIPS 2020. Immutable, safe to share between threads.
class Encoding {
 public:
  struct Options {
    int max_nodes = 512;  // of the adjacency encoding
    int buckets = 512;    // of the path encoding
  };
  virtual ~Encoding() = default;
  // What each place of a vector is.
  virtual std::vector<std::string> columns() const = 0;
  // InvalidArgument where the network cannot be built, or does not fit. REQUIRES a candidate of the space.
  virtual StatusOr<std::vector<double>> Encode(const Candidate& candidate) const = 0;
};

// `numeric` (the decisions), `adjacency` or `path` (the simplified network). InvalidArgument for another
// name, or an option below 1 or above 65,536.
StatusOr<std::unique_ptr<Encoding>> MakeEncoding(std::string_view kind, const SearchSpace& space,
                                                 const TaskShape& task,
                                                 const Encoding::Options& options = {});
std::vector<std::string> EncodingKinds();

}  // namespace canopy::search_space
