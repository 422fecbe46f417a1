#include "config/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/strings.h"
#include "config/yaml.h"

namespace canopy::config {
namespace {

std::string VariableName(const std::string& setting) {
  std::string name = "CANOPY_";
  for (const char c : setting) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

// The file's settings, with where each stands.
StatusOr<std::map<std::string, Setting>> ReadConfiguration(const std::string& path) {
  CANOPY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  CANOPY_ASSIGN_OR_RETURN(const YamlDocument document, ParseYaml(text, path));
  CANOPY_RETURN_IF_ERROR(CheckFormatVersion(document));
  std::vector<std::string> names;
  for (const SettingSpec& spec : SettingSpecs()) names.push_back(spec.name);
  std::map<std::string, Setting> settings;
  for (const YamlNode::Entry& entry : document.root().entries()) {
    if (entry.key == "canopy") continue;
    if (std::find(names.begin(), names.end(), entry.key) == names.end())
      return document.root().UnknownKey(entry, names);
    if (!entry.value->is_scalar()) return entry.value->Expected("a text or number");
    settings[entry.key] = {entry.key, entry.value->text(), path + ":" + std::to_string(entry.line)};
  }
  return settings;
}

}  // namespace

std::string FlagOf(std::string setting) {
  std::replace(setting.begin(), setting.end(), '_', '-');
  return "--" + setting;
}

const std::vector<SettingSpec>& SettingSpecs() {
  static const auto* const specs = new std::vector<SettingSpec>{
      {"state_dir", std::filesystem::path(DefaultStateDirectory("controller")).parent_path(),
       "folder that holds what the controller and the agent keep (controller/, agent/)"},
      {"controller", "", "host:port of a controller on another machine; empty: the one in state_dir"},
      {"credentials", "", "folder with the certificate and key that `canopy cluster` made"},
      {"listen", "", "host:port at which the controller also serves over TCP; empty: its Unix socket only"},
      {"http_port", "0", "loopback port of /healthz, /readyz and /metrics; 0: none"},
      {"lease_ttl", "30",
       "seconds without a sign of life after which a worker's trial may be given to another; 2 or more"},
      {"project_shares", "",
       "slots of projects beside each other, as name=share,name=share; 1 for the others"},
      {"backup_interval", "1h",
       "time between two verified copies of the database in the controller's backups/; 0: none"},
      {"backup_keep", "24", "how many of the newest of them stay, beside one a day for 30 days"},
      {"slots", "0", "candidates that an agent trains at once; 0: as many as it has cores"},
      {"labels", "", "what placement can ask an agent for, as name=value,name=value"},
      {"walltime", "",
       "after which an agent is ended by others, such as 4h; empty: SLURM_JOB_END_TIME says it, or no end is "
       "known"},
      {"trainer", "", "path of canopy-trainer; empty: beside this program"},
      {"operator_libraries", "",
       "shared libraries with operators that trainers may load, as path=sha256,path=sha256; no other is"},
      {"data", "", "folders of datasets, as name=path,name=path; others stand where Debian installs them"},
      {"log_level", "info", "debug, info, warning or error"},
  };
  return *specs;
}

StatusOr<Settings> Settings::Load(const Sources& sources) {
  std::map<std::string, Setting> from_file;
  if (!sources.file.empty() && (sources.file_required || FileExists(sources.file))) {
    CANOPY_ASSIGN_OR_RETURN(from_file, ReadConfiguration(sources.file));
  }
  Settings settings;
  for (const SettingSpec& spec : SettingSpecs()) {
    const std::string variable = VariableName(spec.name);
    if (const auto flag = sources.flags.find(spec.name); flag != sources.flags.end()) {
      settings.settings_.push_back({spec.name, flag->second, "flag " + FlagOf(spec.name)});
    } else if (const auto set = sources.environment.find(variable); set != sources.environment.end()) {
      settings.settings_.push_back({spec.name, set->second, "environment " + variable});
    } else if (const auto line = from_file.find(spec.name); line != from_file.end()) {
      settings.settings_.push_back(line->second);
    } else {
      settings.settings_.push_back({spec.name, spec.default_value, "default"});
    }
  }
  return settings;
}

const Setting& Settings::Find(std::string_view name) const {
  const auto it =
      std::find_if(settings_.begin(), settings_.end(), [&](const Setting& s) { return s.name == name; });
  CANOPY_CHECK(it != settings_.end(), name);
  return *it;
}

Settings Settings::With(Setting setting) const {
  Settings settings = *this;
  for (Setting& own : settings.settings_) {
    if (own.name == setting.name) own = setting;
  }
  return settings;
}

StatusOr<int64_t> Settings::GetInt(std::string_view name, int64_t low) const {
  const Setting& setting = Find(name);
  const auto value = ParseInt(setting.value);
  if (value && *value >= low) return *value;
  return InvalidArgument(setting.origin + ": " + setting.name + ": expected an integer of " +
                         std::to_string(low) + " or more, found '" + setting.value + "'");
}

StatusOr<int64_t> Settings::GetDurationMs(std::string_view name) const {
  const Setting& setting = Find(name);
  if (setting.value == "0") return 0;
  const auto ms = ParseDurationMs(setting.value);
  if (ms && *ms >= 1000) return *ms;
  return InvalidArgument(setting.origin + ": " + setting.name +
                         ": expected a duration of a second or more (90s, 30m, 2h) or 0, found '" +
                         setting.value + "'");
}

std::string DefaultConfigurationFile() {
  const char* xdg = std::getenv("XDG_CONFIG_HOME");
  if (xdg && *xdg) return std::string(xdg) + "/canopy/canopy.yaml";
  const char* home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.config/canopy/canopy.yaml" : "";
}

}  // namespace canopy::config
