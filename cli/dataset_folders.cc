#include "cli/dataset_folders.h"

#include <filesystem>

#include "base/strings.h"

namespace canopy::cli {

StatusOr<std::map<std::string, std::string>> ReadDatasetFolders(const std::string& text) {
  std::map<std::string, std::string> folders;
  if (text.empty()) return folders;
  for (const std::string& part : Split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == part.size()) {
      return InvalidArgument("data: expected name=path, such as fashion-mnist=/data/fashion-mnist, found '" +
                             part + "'");
    }
    folders[part.substr(0, equals)] = std::filesystem::absolute(part.substr(equals + 1)).lexically_normal();
  }
  return folders;
}

}  // namespace canopy::cli
