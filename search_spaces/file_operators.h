#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "canopy/v1/search_space.pb.h"
#include "config/bind.h"
#include "config/yaml.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// The operators that a space file may use: the built-in ones, and those that it or a file that it includes
// defines under `operators:`.
class FileOperators {
 public:
  // Reads the definitions of the document and of the texts that it has under `included`. InvalidArgument,
  // with its place, for one that is wrong or of a name that is taken.
  static StatusOr<FileOperators> Read(const config::YamlDocument& document, const std::string& file);

  // nullptr where there is none of that name.
  const Operator* Find(std::string_view name) const;
  // Of all of them.
  std::vector<std::string> Names() const;

 private:
  Status Add(const config::YamlDocument& document);

  std::map<std::string, const Operator*, std::less<>> own_;
};

// The words that stand where an operator may and mean another block.
const std::vector<std::string>& BlockWords();

// What the schema says otherwise than field by field: `kernel: int` and `output: same`.
void SetOperatorHooks(config::Binder& binder);

}  // namespace canopy::search_space
