#include "worker/agent/verified_datasets.h"

#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"

namespace canopy::agent {
namespace {

using data::DatasetDescription;
using nlohmann::json;

// Datasets that a distribution may have installed (worker/data/dataset.h knows where).
constexpr const char* kInstalledDatasets[] = {"fashion-mnist"};

// Changes when a file of the folder does.
StatusOr<std::string> Fingerprint(const std::string& folder) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return FromErrno(error.value(), "read dataset folder " + folder);
  std::map<std::string, std::string> files;
  for (const auto& entry : entries) {
    struct stat info {};
    if (::stat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    files[entry.path().filename().string()] = std::to_string(info.st_size) + " " +
                                              std::to_string(info.st_mtim.tv_sec) + "." +
                                              std::to_string(info.st_mtim.tv_nsec);
  }
  std::string text;
  for (const auto& [name, state] : files) text += name + "\t" + state + "\n";
  return Sha256Hex(text);
}

std::optional<DatasetDescription> ReadCached(const std::string& path, const std::string& fingerprint) {
  const auto text = ReadFile(path, 64 * 1024);
  if (!text.ok()) return std::nullopt;
  const json cached = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!cached.is_object()) return std::nullopt;
  try {
    if (cached.at("fingerprint") != fingerprint) return std::nullopt;
    return DatasetDescription{.channels = cached.at("channels"),
                              .height = cached.at("height"),
                              .width = cached.at("width"),
                              .class_count = cached.at("class_count"),
                              .train_count = cached.at("train_count"),
                              .test_count = cached.at("test_count"),
                              .digest = cached.at("digest")};
  } catch (const json::exception&) {
    return std::nullopt;  // an older form: it is read anew
  }
}

void WriteCached(const std::string& path, const std::string& fingerprint,
                 const DatasetDescription& description) {
  const json cached = {{"fingerprint", fingerprint},
                       {"channels", description.channels},
                       {"height", description.height},
                       {"width", description.width},
                       {"class_count", description.class_count},
                       {"train_count", description.train_count},
                       {"test_count", description.test_count},
                       {"digest", description.digest}};
  const Status written = WriteFileDurably(path, cached.dump() + "\n", 0600);
  if (!written.ok()) CANOPY_LOG(Warning, "a dataset's digest was not cached: " + Message(written));
}

StatusOr<VerifiedDataset> Verify(const std::string& folder, const std::string& cache_folder) {
  CANOPY_ASSIGN_OR_RETURN(const std::string fingerprint, Fingerprint(folder));
  const std::string cache = cache_folder + "/dataset-" + Sha256Hex(folder).substr(0, 32) + ".json";
  if (auto cached = ReadCached(cache, fingerprint)) return VerifiedDataset{folder, *std::move(cached)};
  CANOPY_ASSIGN_OR_RETURN(DatasetDescription description, data::DescribeDataset(folder));
  WriteCached(cache, fingerprint, description);
  return VerifiedDataset{folder, std::move(description)};
}

}  // namespace

StatusOr<std::map<std::string, VerifiedDataset>> VerifyDatasets(
    const std::map<std::string, std::string>& configured, const std::string& cache_folder) {
  std::map<std::string, VerifiedDataset> verified;
  for (const auto& [name, path] : configured) {
    auto dataset = Verify(path, cache_folder);
    if (!dataset.ok()) return WithContext(dataset.status(), "dataset '" + name + "'");
    verified.emplace(name, *std::move(dataset));
  }
  for (const char* name : kInstalledDatasets) {
    if (verified.contains(name)) continue;
    CANOPY_ASSIGN_OR_RETURN(const std::string folder, data::DatasetFolder(name, ""));
    auto dataset = Verify(folder, cache_folder);
    if (dataset.ok()) {
      verified.emplace(name, *std::move(dataset));
    } else {
      CANOPY_LOG(Info, "dataset '" + std::string(name) + "' is not offered: " + Message(dataset.status()));
    }
  }
  return verified;
}

}  // namespace canopy::agent
