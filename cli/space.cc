#include "search_spaces/space.h"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/nouns.h"
#include "cli/space_check.h"
#include "cli/space_options.h"
#include "cli/table.h"
#include "search_spaces/evaluation.h"

namespace canopy::cli {
namespace {

using search_space::Candidate;
using search_space::Evaluation;
using search_space::SearchSpace;
using search_space::TaskShape;

std::string ViolationsText(const Evaluation& evaluation) {
  std::vector<std::string> texts;
  for (const auto& violation : evaluation.violations) {
    texts.push_back(violation.constraint + " by " + FormatDouble(violation.amount));
  }
  return Join(texts, "; ");
}

std::vector<Cell> CostRow(const Candidate& candidate, const Evaluation& evaluation) {
  return {evaluation.costs.params,
          evaluation.costs.macs,
          evaluation.costs.activation_memory,
          evaluation.costs.training_memory,
          evaluation.costs.depth,
          evaluation.costs_as_written.params,
          evaluation.costs_as_written.macs,
          evaluation.costs_as_written.activation_memory,
          evaluation.costs_as_written.depth,
          std::string(evaluation.depends_on_input ? "yes" : "no"),
          ViolationsText(evaluation),
          evaluation.graph_hash,
          evaluation.candidate_hash,
          candidate.ToJson()};
}

Status Cost(const SpaceOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, ReadSpace(options));
  CANOPY_ASSIGN_OR_RETURN(const TaskShape task, TaskOf(space, options));
  Table table({{"params", Display::kCount},
               {"macs", Display::kCount},
               {"activation_memory", Display::kCount},
               {"training_memory", Display::kCount},
               {"depth", Display::kCount},
               {"params_as_written", Display::kCount},
               {"macs_as_written", Display::kCount},
               {"activation_memory_as_written", Display::kCount},
               {"depth_as_written", Display::kCount},
               {"depends_on_input"},
               {"violations"},
               {"graph_hash"},
               {"candidate_hash"},
               {"candidate"}});
  CANOPY_RETURN_IF_ERROR(ReadCandidates(space, options.from, [&](const Candidate& candidate) -> Status {
    CANOPY_ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(space, candidate, task, options.setup));
    table.AddRow(CostRow(candidate, evaluation));
    return {};
  }));
  table.Print(std::cout, options.format, TerminalWidth(1));
  return {};
}

}  // namespace

void AddSpace(CLI::App& app, Context& context) {
  CLI::App* noun =
      AddNoun(app, "space", "Check, sample, count, draw and compare search spaces, without a controller");
  auto options = std::make_shared<SpaceOptions>();
  const auto add = [&](const std::string& name, const std::string& description, const std::string& example,
                       Status (*action)(const SpaceOptions&)) {
    CLI::App* verb =
        AddVerb(*noun, context, name, description, example, [options, action] { return action(*options); });
    verb->add_option("SPACE", options->space, "a space file, or the name of a built-in space")->required();
    AddFormat(verb, options->format);
    return verb;
  };
  CLI::App* check = add("check", "Check a space file; print its size and decisions",
                        "canopy space check macro.yaml", CheckSpaceFile);
  check->add_flag("--distinct", options->distinct,
                  "count the different networks of up to 100,000 architectures, which can take minutes "
                  "(default: of up to 500)");
  AddTask(check, *options);
  AddSpaceSample(*noun, context);
  CLI::App* cost =
      add("cost", "Count parameters, MACs and memory of candidates, one JSON object a line",
          "canopy space sample nas_bench_201 --format jsonl | canopy space cost nas_bench_201 --format csv",
          Cost);
  AddFrom(cost, *options);
  AddTask(cost, *options);
  AddSpaceEncode(*noun, context);
  AddSpaceShow(*noun, context);
  AddSpaceDiff(*noun, context);
}

}  // namespace canopy::cli
