#pragma once

#include <memory>
#include <string>

#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {

// A decision called `name` between blocks: one_of, and each edge of a cell. The decisions within a choice
// are prefixed with `branch_prefix` and the choice's name, and active only where it is chosen.
StatusOr<std::unique_ptr<Block>> ExpandChoice(
    const google::protobuf::RepeatedPtrField<v1::NamedBlock>& choices, const std::string& name,
    const std::string& branch_prefix, const v1::Position& position, Expander& expander, Scope& scope);

}  // namespace canopy::search_space
