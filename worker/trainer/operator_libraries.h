#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "worker/trainer/operator_plugin.h"

namespace canopy::trainer {

// A shared library that may be loaded: no other file, and no other content.
struct AllowedLibrary {
  std::string path;
  std::string sha256;  // hexadecimal
};

// "path=sha256,path=sha256". InvalidArgument says what was expected.
StatusOr<std::vector<AllowedLibrary>> ParseAllowedLibraries(std::string_view text);

// The operators that shared libraries bring (worker/trainer/operator_plugin.h). Libraries stay loaded until
// the process ends.
class OperatorLibraries {
 public:
  OperatorLibraries() = default;
  // Loads each of them. What is loaded is a sealed copy of the bytes that were hashed, so that nobody can
  // change a file in between. Runs the libraries' initialisers; called once, before the zygote forks.
  // FailedPrecondition, with the path and the remedy, for another content, plug-in ABI, LibTorch or C++
  // library, and for an operator that two libraries have.
  static StatusOr<OperatorLibraries> Load(std::span<const AllowedLibrary> allowed);

  // nullptr where no library has it.
  const operator_plugin::Entry* Find(std::string_view name) const;
  std::vector<std::string> names() const;
  // Of all contents together, for the trainer's build; empty where there is none.
  const std::string& digest() const { return digest_; }

 private:
  Status Add(const AllowedLibrary& allowed);

  std::map<std::string, const operator_plugin::Entry*, std::less<>> entries_;
  std::map<std::string, std::string> origins_;  // of each operator: its library's path
  std::string digest_;
};

// What a trainer without libraries has.
const OperatorLibraries& NoOperatorLibraries();

}  // namespace canopy::trainer
