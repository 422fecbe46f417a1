#pragma once

#include <string>

#include "base/status.h"
#include "search_spaces/decision.h"

namespace canopy::search_space {

// OK where an expression may compare the decision with that word: it is one of its choices, or the decision
// is of another kind, with which expressions compare no words.
Status CheckComparedWord(const Decision& decision, const std::string& word);

}  // namespace canopy::search_space
