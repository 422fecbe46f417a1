#include "search_spaces/candidate.h"

#include <algorithm>

namespace canopy::search_space {

const Value* Candidate::Find(std::string_view decision) const {
  const auto it = std::find_if(assignments_.begin(), assignments_.end(),
                               [&](const Assignment& a) { return a.decision == decision; });
  return it == assignments_.end() ? nullptr : &it->value;
}

std::string Candidate::ToJson() const {
  std::string out = "{";
  for (const Assignment& assignment : assignments_) {
    if (out.size() > 1) out += ',';
    out += QuoteJson(assignment.decision) + ":" + CanonicalText(assignment.value);
  }
  return out + "}";
}

}  // namespace canopy::search_space
