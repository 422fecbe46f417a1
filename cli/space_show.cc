#include <iostream>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "base/file.h"
#include "base/strings.h"
#include "cli/architecture_drawing.h"
#include "cli/space_options.h"
#include "cli/space_source.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space_summary.h"

namespace canopy::cli {
namespace {

using search_space::Candidate;
using search_space::Difference;
using search_space::Evaluation;
using search_space::SearchSpace;
using search_space::TaskShape;

struct ShowOptions : SpaceOptions {
  std::string candidate, other;
  std::string svg;
  bool as_written = false;
};

Status Show(const ShowOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, ReadSpace(options));
  CANOPY_ASSIGN_OR_RETURN(const TaskShape task, TaskOf(space, options));
  CANOPY_ASSIGN_OR_RETURN(const Candidate candidate, ReadCandidate(space, options.candidate));
  CANOPY_ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(space, candidate, task, options.setup));
  std::string graph = evaluation.graph.ToJson();
  if (options.as_written) {
    CANOPY_ASSIGN_OR_RETURN(const auto written, space.Lower(candidate, task));
    graph = written.ToJson();
  }
  if (!options.svg.empty()) {
    CANOPY_ASSIGN_OR_RETURN(const std::string drawing, DrawArchitectureSvg(graph));
    CANOPY_RETURN_IF_ERROR(WriteFileDurably(options.svg, drawing));
  }
  const auto& costs = options.as_written ? evaluation.costs_as_written : evaluation.costs;
  std::cout << "params  " << FormatCount(costs.params) << "\nMACs    " << FormatCount(costs.macs)
            << "\nmemory  " << FormatCount(costs.activation_memory) << " bytes, "
            << FormatCount(evaluation.costs.training_memory) << " in training\ndepth   " << costs.depth
            << "\ngraph   " << evaluation.graph_hash << "\n\n";
  CANOPY_ASSIGN_OR_RETURN(const auto lines, DrawArchitecture(graph));
  for (const std::string& line : lines) std::cout << Printable(line) << '\n';
  return {};
}

void PrintDifferences(const std::vector<Difference>& differences, Format format) {
  if (differences.empty() && format == Format::kTable) {
    std::cout << "no difference\n";
    return;
  }
  Table table({{"what"}, {"first"}, {"second"}});
  const auto cell = [](const std::string& text) { return text.empty() ? Cell() : Cell(text); };
  for (const Difference& d : differences) table.AddRow({d.what, cell(d.first), cell(d.second)});
  table.Print(std::cout, format, TerminalWidth(1));
}

Status Diff(const ShowOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, ReadSpace(options));
  if (options.other.empty()) {
    CANOPY_ASSIGN_OR_RETURN(const SpaceSource source, FindSpace(options.candidate));
    CANOPY_ASSIGN_OR_RETURN(const SearchSpace second, SearchSpace::Parse(source.text, source.file));
    PrintDifferences(CompareSpaces(space, second), options.format);
    return {};
  }
  CANOPY_ASSIGN_OR_RETURN(const TaskShape task, TaskOf(space, options));
  CANOPY_ASSIGN_OR_RETURN(const Candidate first, ReadCandidate(space, options.candidate));
  CANOPY_ASSIGN_OR_RETURN(const Candidate second, ReadCandidate(space, options.other));
  CANOPY_ASSIGN_OR_RETURN(const auto differences,
                          CompareCandidates(space, task, first, second, options.setup));
  PrintDifferences(differences, options.format);
  return {};
}

}  // namespace

void AddSpaceShow(CLI::App& noun, Context& context) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* verb =
      AddVerb(noun, context, "show", "Draw a candidate's network, as text and as SVG",
              "canopy space show resnet reference --svg resnet50.svg", [options] { return Show(*options); });
  verb->add_option("SPACE", options->space, "a space file, or the name of a built-in space")->required();
  verb->add_option("CANDIDATE", options->candidate, "a JSON object, a file with one, or `reference`")
      ->required();
  verb->add_option("--svg", options->svg, "write the drawing to this file, too");
  verb->add_flag("--as-written", options->as_written, "the network before it is simplified");
  AddTask(verb, *options);
}

void AddSpaceDiff(CLI::App& noun, Context& context) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* verb =
      AddVerb(noun, context, "diff", "Say what differs between two candidates, or two spaces",
              "canopy space diff macro.yaml reference other.json\n  canopy space diff old.yaml new.yaml",
              [options] { return Diff(*options); });
  verb->add_option("SPACE", options->space, "a space file, or the name of a built-in space")->required();
  verb->add_option("FIRST", options->candidate,
                   "a candidate (a JSON object, a file with one, or `reference`), or another space")
      ->required();
  verb->add_option("SECOND", options->other, "another candidate; none where two spaces are compared");
  AddFormat(verb, options->format);
  AddTask(verb, *options);
}

}  // namespace canopy::cli
