#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/table.h"
#include "config/settings.h"

namespace CLI {
class App;
}

namespace canopy::cli {

// What the verbs share: the flags that stand for settings, and the verb that the command line names.
struct Context {
  std::string program;                       // this program's own path, for starting itself
  std::string invoked_as;                    // as the user calls it: argv[0]
  std::map<std::string, std::string> flags;  // by setting name: those given
  std::string config_file;                   // --config, empty: the default one
  std::function<Status()> action;            // of the chosen verb
};

// Adds a verb to `parent`; `example` is shown under its --help. `action` runs once the line is parsed.
CLI::App* AddVerb(CLI::App& parent, Context& context, const std::string& name, const std::string& description,
                  const std::string& example, std::function<Status()> action);
// A group of verbs: `canopy campaign ...`.
CLI::App* AddNoun(CLI::App& parent, const std::string& name, const std::string& description);
// A flag that stands for a setting of that name.
void AddSetting(CLI::App* verb, Context& context, const std::string& setting);
// --state-dir, --controller and --credentials.
void AddConnectionSettings(CLI::App* verb, Context& context);
// --format table|json|jsonl|csv into `format`.
void AddFormat(CLI::App* verb, Format& format);

// The settings; where the controller is to be here, a state directory on a network file system is replaced by
// one on a local disk (OnLocalDisk).
StatusOr<config::Settings> LoadSettings(const Context& context);
// A command line for this program as a child, which reads the same configuration file.
std::vector<std::string> OwnArguments(const Context& context, std::vector<std::string> line);
// <state_dir>/<role> as an absolute path, where role is "controller" or "agent".
std::string StateDirectory(const config::Settings& settings, const std::string& role);

// A command line to suggest: `canopy <line>` as the user calls the program, with the flags that say which
// controller is meant.
std::string Suggestion(const Context& context, const std::string& line);

// The terminal's width where that descriptor is one, else 0.
int TerminalWidth(int descriptor);

}  // namespace canopy::cli
