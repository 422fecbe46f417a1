#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "config/campaign.h"

namespace canopy::cli {

// What `run` and `launch` are asked to launch.
struct LaunchOptions {
  std::string file;
  std::vector<std::string> overrides;  // --set
  std::string name;                    // --name, empty: the file's
};

// A campaign file with its space, read, and checked as far as files alone allow.
struct CampaignFiles {
  config::CampaignFile campaign;
  std::string full_name;  // "default/fashion-macro", with --name applied
  v1::LaunchRequest request;
};

// Blocks on disk. NotFound where a file is missing, InvalidArgument where one is refused.
StatusOr<CampaignFiles> ReadCampaignFiles(const LaunchOptions& options);

// OK where the built-in trainer can train candidates of the space on that dataset: reads it, and lowers
// some candidates to its shape. NotFound names the path and the remedy.
Status CheckDatasetHere(const CampaignFiles& files, const std::string& dataset_folder);

}  // namespace canopy::cli
