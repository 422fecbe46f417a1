#include "cli/campaign_files.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "base/strings.h"
#include "cli/space_source.h"
#include "config/yaml.h"
#include "controller/core/proposer.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"
#include "worker/agent/spawn.h"
#include "worker/data/dataset.h"

namespace canopy::cli {
namespace {

using search_space::Constraint;
using search_space::SearchSpace;

// The user's name, else the number.
std::string UserName() {
  const passwd* user = getpwuid(getuid());
  return user ? user->pw_name : std::to_string(getuid());
}

// The commit of the repository that holds `folder`, with "+" behind where files differ; empty outside one.
std::string GitCommit(const std::string& folder) {
  constexpr int64_t kTimeoutMs = 5'000;
  constexpr char kCommand[] =
      "git -C \"$1\" describe --always --abbrev=40 '--exclude=*' --dirty=+ 2>/dev/null || exit 0";
  const auto described = agent::OutputOf("/bin/sh", {"-c", kCommand, "sh", folder}, kTimeoutMs);
  return described.ok() ? std::string(Trim(*described)) : "";
}

StatusOr<std::vector<Constraint>> ParseConstraints(const config::CampaignFile& campaign,
                                                   const SearchSpace& space) {
  std::vector<Constraint> constraints;
  for (size_t i = 0; i < campaign.settings.constraints.size(); ++i) {
    auto constraint = Constraint::Parse(campaign.settings.constraints[i], space);
    if (!constraint.ok()) return campaign.constraint_positions[i].Error(Message(constraint.status()));
    constraints.push_back(*std::move(constraint));
  }
  return constraints;
}

}  // namespace

StatusOr<CampaignFiles> ReadCampaignFiles(const LaunchOptions& options) {
  CampaignFiles files;
  CANOPY_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.file, config::kMaxFileBytes));
  CANOPY_ASSIGN_OR_RETURN(files.campaign, config::ParseCampaign(text, options.file, options.overrides));
  const std::string folder = std::filesystem::path(options.file).parent_path();
  auto space = FindSpace(files.campaign.space, folder);
  if (!space.ok()) {
    const config::Location place = files.campaign.Locate("space");
    return WithContext(space.status(), place.file + ":" + std::to_string(place.line) + ":" +
                                           std::to_string(place.column) + ": space");
  }
  const std::string& name = options.name.empty() ? files.campaign.name : options.name;
  if (!IsResourceName(name)) {
    return InvalidArgument(
        "--name: expected at most 63 of a-z, 0-9 and -, beginning with a letter or digit, found '" + name +
        "'");
  }
  files.full_name = files.campaign.project + "/" + name;
  files.request.set_request_id(NewUuid());
  files.request.set_campaign_file(options.file);
  files.request.set_campaign_text(text);
  files.request.set_space_file(space->file);
  files.request.set_space_text(space->text);
  for (const std::string& override_text : options.overrides) files.request.add_overrides(override_text);
  files.request.set_owner(UserName());
  files.request.set_git_commit(GitCommit(folder.empty() ? "." : folder));
  files.request.set_name(options.name);
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace parsed, SearchSpace::Parse(space->text, space->file));
  CANOPY_RETURN_IF_ERROR(ParseConstraints(files.campaign, parsed).status());
  return files;
}

Status CheckDatasetHere(const CampaignFiles& files, const std::string& dataset_folder) {
  CANOPY_ASSIGN_OR_RETURN(const std::string folder,
                          data::DatasetFolder(files.campaign.settings.task.dataset, dataset_folder));
  CANOPY_ASSIGN_OR_RETURN(const data::DatasetDescription dataset, data::DescribeDataset(folder));
  if (files.campaign.settings.task.validation_count >= dataset.train_count) {
    return files.campaign.Locate("task.validation.count")
        .Error("expected fewer than the " + FormatCount(dataset.train_count) + " training examples of " +
               files.campaign.settings.task.dataset + ", found " +
               FormatCount(files.campaign.settings.task.validation_count));
  }
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space,
                          SearchSpace::Parse(files.request.space_text(), files.request.space_file()));
  CANOPY_ASSIGN_OR_RETURN(const std::vector<Constraint> constraints, ParseConstraints(files.campaign, space));
  return search_space::CheckSpace(space,
                                  {{dataset.channels, dataset.height, dataset.width}, dataset.class_count},
                                  constraints, controller::TrainingSetupOf(files.campaign.settings));
}

}  // namespace canopy::cli
