#pragma once

#include "cli/command.h"

namespace canopy::cli {

// One function a noun (or short form), each in a file of its name; main calls them all.
void AddRun(CLI::App& app, Context& context);
void AddLaunch(CLI::App& app, Context& context);
void AddStatus(CLI::App& app, Context& context);  // status, watch, best
void AddQuery(CLI::App& app, Context& context);
void AddController(CLI::App& app, Context& context);
void AddWorker(CLI::App& app, Context& context);
void AddCampaign(CLI::App& app, Context& context);
void AddTrial(CLI::App& app, Context& context);
void AddSpace(CLI::App& app, Context& context);
void AddCluster(CLI::App& app, Context& context);
void AddDb(CLI::App& app, Context& context);
void AddDoctor(CLI::App& app, Context& context);
void AddConfig(CLI::App& app, Context& context);

}  // namespace canopy::cli
