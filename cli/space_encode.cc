#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/space_options.h"
#include "cli/table.h"
#include "search_spaces/encoding.h"

namespace canopy::cli {
namespace {

using search_space::Candidate;
using search_space::Encoding;
using search_space::SearchSpace;
using search_space::TaskShape;

struct EncodeOptions : SpaceOptions {
  std::string kind = "numeric";
  Encoding::Options limits;
};

std::string Row(const std::vector<double>& code) {
  std::string row;
  for (const double value : code) row += (row.empty() ? "" : ",") + FormatDouble(value);
  return row;
}

// A candidate's vector is a line as soon as it is known: those of large networks are long.
Status Encode(const EncodeOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, ReadSpace(options));
  // The numeric encoding sees no network.
  TaskShape task;
  if (options.kind != "numeric") {
    CANOPY_ASSIGN_OR_RETURN(task, TaskOf(space, options));
  }
  CANOPY_ASSIGN_OR_RETURN(const auto encoding, MakeEncoding(options.kind, space, task, options.limits));
  const bool csv = options.format == Format::kCsv, json = options.format == Format::kJson;
  if (csv) {
    std::string header;
    for (const std::string& column : encoding->columns())
      header += (header.empty() ? "" : ",") + CsvText(column);
    std::cout << header << '\n';
  }
  bool first = true;
  CANOPY_RETURN_IF_ERROR(ReadCandidates(space, options.from, [&](const Candidate& candidate) -> Status {
    CANOPY_ASSIGN_OR_RETURN(const std::vector<double> code, encoding->Encode(candidate));
    if (json) std::cout << (first ? "[\n " : ",\n ");
    std::cout << (csv ? "" : "[") << Row(code) << (csv ? "" : "]") << (json ? "" : "\n");
    first = false;
    return {};
  }));
  if (json) std::cout << (first ? "[]\n" : "\n]\n");
  return {};
}

}  // namespace

void AddSpaceEncode(CLI::App& noun, Context& context) {
  auto options = std::make_shared<EncodeOptions>();
  CLI::App* verb = AddVerb(noun, context, "encode",
                           "Turn candidates, one JSON object a line, into vectors of numbers for predictors",
                           "canopy space sample nas_bench_201 --n 500 --format jsonl | canopy space encode "
                           "nas_bench_201 --format csv",
                           [options] { return Encode(*options); });
  verb->add_option("SPACE", options->space, "a space file, or the name of a built-in space")->required();
  AddFormat(verb, options->format);
  verb->add_option("--encoding", options->kind,
                   "numeric: the decisions (default); adjacency or path: the simplified network")
      ->check(CLI::IsMember(search_space::EncodingKinds()));
  verb->add_option("--max-nodes", options->limits.max_nodes,
                   "of adjacency: larger networks are refused (default: 512)");
  verb->add_option("--buckets", options->limits.buckets, "of path: the length of a vector (default: 512)");
  AddFrom(verb, *options);
  AddTask(verb, *options);
}

}  // namespace canopy::cli
