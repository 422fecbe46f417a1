#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "cli/nouns.h"
#include "cli/table.h"

namespace canopy::cli {

void AddConfig(CLI::App& app, Context& context) {
  CLI::App* noun = AddNoun(app, "config", "Show the program's settings");
  auto format = std::make_shared<Format>(Format::kTable);
  CLI::App* show = AddVerb(*noun, context, "show", "Print each setting with its value and origin",
                           "canopy config show --format json", [&context, format]() -> Status {
                             CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
                             Table table({{"setting"}, {"value"}, {"origin"}});
                             for (const config::Setting& setting : settings.all()) {
                               table.AddRow({setting.name, setting.value, setting.origin});
                             }
                             table.Print(std::cout, *format, TerminalWidth(1));
                             return {};
                           });
  AddFormat(show, *format);
  for (const config::SettingSpec& spec : config::SettingSpecs()) AddSetting(show, context, spec.name);
}

}  // namespace canopy::cli
