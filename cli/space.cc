#include "search_spaces/space.h"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/nouns.h"
#include "cli/space_options.h"
#include "cli/table.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space_summary.h"

namespace canopy::cli {
namespace {

using search_space::Candidate;
using search_space::Decision;
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

void PrintRange(const char* name, const std::vector<int64_t>& sorted) {
  std::cout << name << FormatCount(sorted.front()) << " to " << FormatCount(sorted.back()) << ", median "
            << FormatCount(sorted[sorted.size() / 2]) << '\n';
}

// What candidates are like: how many differ, and a sample's range of costs.
void PrintSummary(const SearchSpace& space, const TaskShape& task, const SpaceOptions& options) {
  constexpr int64_t kQuickly = 500, kAtMost = 100'000, kDrawn = 100;
  if (const auto distinct = CountDistinct(space, task, options.distinct ? kAtMost : kQuickly)) {
    std::cout << "distinct      " << FormatCount(*distinct) << '\n';
  } else if (options.distinct) {
    std::cout << "distinct      unknown: more than " << FormatCount(kAtMost) << " architectures\n";
  }
  const auto sample = search_space::SummarizeSample(space, task, kDrawn, options.setup);
  std::cout << "sample        " << sample.drawn << " drawn, " << sample.rejected() << " rejected";
  std::string reasons;
  const auto add = [&](int64_t count, const char* reason) {
    if (count > 0) reasons += (reasons.empty() ? " (" : ", ") + std::to_string(count) + ' ' + reason;
  };
  add(sample.broken, "break a constraint");
  add(sample.not_built, "cannot be built");
  add(sample.no_input, "do not depend on their input");
  std::cout << reasons << (reasons.empty() ? "\n" : ")\n");
  if (sample.params.empty()) return;
  PrintRange("  params      ", sample.params);
  PrintRange("  MACs        ", sample.macs);
  PrintRange("  memory      ", sample.activation_memory);
  PrintRange("  in training ", sample.training_memory);
}

Status Check(const SpaceOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, ReadSpace(options));
  CANOPY_ASSIGN_OR_RETURN(const TaskShape task, TaskOf(space, options));
  CANOPY_RETURN_IF_ERROR(search_space::CheckSpace(space, task, {}));
  Table table({{"decision"}, {"role"}, {"kind"}, {"values"}, {"conditions"}});
  for (const Decision& decision : space.decisions()) {
    std::vector<std::string> conditions;
    for (const auto& condition : decision.conditions) conditions.push_back(condition.text());
    table.AddRow({decision.name, std::string(ToString(decision.role)), std::string(ToString(decision.kind)),
                  decision.DescribeValues(), Join(conditions, " and ")});
  }
  if (options.format == Format::kTable) {
    std::cout << "space         " << Printable(space.name()) << "\nhash          " << space.content_hash()
              << "\ncandidates    " << space.Size() << "\narchitectures " << space.Size(true) << '\n';
    for (const auto& constraint : space.constraints())
      std::cout << "constraint    " << constraint.text() << '\n';
    if (space.reference()) {
      CANOPY_ASSIGN_OR_RETURN(const Evaluation reference, Evaluate(space, *space.reference(), task));
      std::cout << "reference     " << FormatCount(reference.costs.params) << " parameters, "
                << FormatCount(reference.costs.macs) << " MACs\n";
    }
    PrintSummary(space, task, options);
    std::cout << '\n';
  }
  table.Print(std::cout, options.format, TerminalWidth(1));
  return {};
}

std::vector<Cell> CostRow(const Candidate& candidate, const Evaluation& evaluation) {
  return {evaluation.costs.params,
          evaluation.costs.macs,
          evaluation.costs.activation_memory,
          evaluation.costs.training_memory,
          evaluation.costs.depth,
          evaluation.costs_as_written.params,
          evaluation.costs_as_written.macs,
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
                        "canopy space check macro.yaml", Check);
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
