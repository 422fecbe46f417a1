#include "cli/command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "CLI/CLI.hpp"
#include "base/check.h"
#include "cli/local_disk.h"

extern char** environ;

namespace canopy::cli {

CLI::App* AddVerb(CLI::App& parent, Context& context, const std::string& name, const std::string& description,
                  const std::string& example, std::function<Status()> action) {
  CLI::App* verb = parent.add_subcommand(name, description);
  verb->footer("Example:\n  " + example);
  verb->callback([&context, action = std::move(action)] { context.action = action; });
  return verb;
}

CLI::App* AddNoun(CLI::App& parent, const std::string& name, const std::string& description) {
  CLI::App* noun = parent.add_subcommand(name, description);
  noun->require_subcommand(1);
  noun->footer("See `canopy " + name + " VERB --help` for each verb, with an example.");
  return noun;
}

void AddSetting(CLI::App* verb, Context& context, const std::string& setting) {
  const auto& specs = config::SettingSpecs();
  const auto spec =
      std::find_if(specs.begin(), specs.end(), [&](const auto& s) { return s.name == setting; });
  CANOPY_CHECK(spec != specs.end(), setting);
  verb->add_option_function<std::string>(
      config::FlagOf(setting),
      [&context, setting](const std::string& value) { context.flags[setting] = value; }, spec->help);
}

void AddConnectionSettings(CLI::App* verb, Context& context) {
  for (const char* setting : {"state_dir", "controller", "credentials"}) AddSetting(verb, context, setting);
}

void AddFormat(CLI::App* verb, Format& format) {
  verb->add_option_function<std::string>(
          "--format", [&format](const std::string& name) { format = *ParseFormat(name); },
          "table, json, jsonl or csv (default: table)")
      ->check(CLI::IsMember({"table", "json", "jsonl", "csv"}));
}

StatusOr<config::Settings> LoadSettings(const Context& context) {
  config::Settings::Sources sources;
  sources.flags = context.flags;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (text.substr(0, 7) != "CANOPY_" || equals == std::string_view::npos) continue;
    sources.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  const auto named = sources.environment.find("CANOPY_CONFIG");
  sources.file = !context.config_file.empty()         ? context.config_file
                 : named != sources.environment.end() ? named->second
                                                      : config::DefaultConfigurationFile();
  sources.file_required = sources.file != config::DefaultConfigurationFile();
  CANOPY_ASSIGN_OR_RETURN(config::Settings settings, config::Settings::Load(sources));
  // The database is elsewhere.
  if (!settings.Get("controller").empty()) return settings;
  const std::string base = std::filesystem::path(StateDirectory(settings, "controller")).parent_path();
  CANOPY_ASSIGN_OR_RETURN(const std::string local, OnLocalDisk(base));
  if (local == base) return settings;
  return settings.With(
      {"state_dir", local, "a local disk, instead of " + base + " on a network file system"});
}

std::vector<std::string> OwnArguments(const Context& context, std::vector<std::string> line) {
  if (!context.config_file.empty()) line.insert(line.begin(), {"--config", context.config_file});
  return line;
}

std::string StateDirectory(const config::Settings& settings, const std::string& role) {
  return std::filesystem::absolute(settings.Get("state_dir") + "/" + role).lexically_normal();
}

std::string Suggestion(const Context& context, const std::string& line) {
  std::string text = context.invoked_as + " " + line;
  for (const char* setting : {"state_dir", "controller", "credentials"}) {
    const auto flag = context.flags.find(setting);
    if (flag == context.flags.end()) continue;
    std::string name = setting;
    std::replace(name.begin(), name.end(), '_', '-');
    text += " --" + name + " " + flag->second;
  }
  return text;
}

int TerminalWidth(int descriptor) {
  if (!isatty(descriptor)) return 0;
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace canopy::cli
