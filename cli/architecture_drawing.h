#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::cli {

// A network graph (its JSON form) as lines of plain text, one for each step: a convolution or linear layer
// with the batch norm and activation behind it is one step. A step that takes its input from elsewhere than
// the line above says from which steps; repetitions are drawn once.
//    1  input                          1x28x28
//    2  conv 3x3, 16 + bn + relu      16x28x28
StatusOr<std::vector<std::string>> DrawArchitecture(std::string_view graph_json);

// The same as a picture: a box for each step, without leaving out repetitions, and lines for the inputs.
StatusOr<std::string> DrawArchitectureSvg(std::string_view graph_json);

}  // namespace canopy::cli
