#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::config {

// One of the program's settings. Each can be given by a flag (--state-dir), a variable of the environment
// (CANOPY_STATE_DIR), or a line of the configuration file (state_dir: ...), the first of these that is there.
struct SettingSpec {
  std::string name;           // lower_snake
  std::string default_value;  // empty: none
  std::string help;
};

// Every setting of the program, in the order in which `canopy config show` prints them.
const std::vector<SettingSpec>& SettingSpecs();

// "--state-dir" for "state_dir".
std::string FlagOf(std::string setting);

struct Setting {
  std::string name;
  std::string value;
  // "flag --slots", "environment CANOPY_SLOTS", "/etc/canopy/canopy.yaml:3", "default".
  std::string origin;
};

// The settings of one run of the program. Immutable.
class Settings {
 public:
  // Where configuration comes from; main fills it from argv and the environment.
  struct Sources {
    std::map<std::string, std::string> flags;        // by setting name: those given
    std::map<std::string, std::string> environment;  // the variables that begin with CANOPY_
    std::string file;                                // of the configuration; empty or absent: none
    bool file_required = false;                      // it was named, so it must be there
  };
  // InvalidArgument for a file with an unknown setting (with the nearest name) or a wrong type, NotFound
  // where a required file is missing. Blocks on disk.
  static StatusOr<Settings> Load(const Sources& sources);

  // REQUIRES a name of SettingSpecs().
  const Setting& Find(std::string_view name) const;
  const std::string& Get(std::string_view name) const { return Find(name).value; }
  // The value as an integer of at least `low`; InvalidArgument says where it comes from.
  StatusOr<int64_t> GetInt(std::string_view name, int64_t low) const;
  // The value ("90s", "2h"; 0: none) in milliseconds, with the same errors.
  StatusOr<int64_t> GetDurationMs(std::string_view name) const;
  // A copy with that setting in the place of its own. REQUIRES a name of SettingSpecs().
  Settings With(Setting setting) const;
  const std::vector<Setting>& all() const { return settings_; }

 private:
  std::vector<Setting> settings_;
};

// $XDG_CONFIG_HOME/canopy/canopy.yaml, else ~/.config/canopy/canopy.yaml.
std::string DefaultConfigurationFile();

}  // namespace canopy::config
