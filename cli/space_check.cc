#include "cli/space_check.h"

#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "cli/table.h"
#include "nlohmann/json.hpp"
#include "search_spaces/assignments.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space_summary.h"

namespace canopy::cli {
namespace {

using nlohmann::ordered_json;
using search_space::Costs;
using search_space::Decision;
using search_space::SampleSummary;
using search_space::SearchSpace;
using search_space::TaskShape;

constexpr int64_t kDistinctQuickly = 500, kDistinctAtMost = 100'000, kDrawn = 100;

// What `space check` says of a space besides its decisions.
struct Summary {
  std::string candidates, architectures;  // exact, "infinite" or "more than <n>"
  std::optional<Costs> reference;
  std::optional<int64_t> distinct;  // none: more architectures than were asked for
  SampleSummary sample;
};

StatusOr<Summary> Summarize(const SearchSpace& space, const TaskShape& task, const SpaceOptions& options) {
  // Counting takes time where conditions are entangled, so that it is done once where one count is both.
  const auto architectures = space.CountAssignments(/*architectures_only=*/true);
  const bool all = architectures.decisions() == space.decisions().size();
  Summary summary{all ? architectures.count() : space.Size(), architectures.count()};
  if (space.reference()) {
    CANOPY_ASSIGN_OR_RETURN(const auto reference, Evaluate(space, *space.reference(), task, options.setup));
    summary.reference = reference.costs;
  }
  const int64_t most = options.distinct ? kDistinctAtMost : kDistinctQuickly;
  if (architectures.size() && *architectures.size() <= static_cast<uint64_t>(most))
    summary.distinct = CountDistinct(space, task, most);
  summary.sample = search_space::SummarizeSample(space, task, kDrawn, options.setup);
  return summary;
}

Table DecisionTable(const SearchSpace& space) {
  Table table({{"decision"}, {"role"}, {"kind"}, {"values"}, {"conditions"}});
  for (const Decision& decision : space.decisions()) {
    std::vector<std::string> conditions;
    for (const auto& condition : decision.conditions) conditions.push_back(condition.text());
    table.AddRow({decision.name, std::string(ToString(decision.role)), std::string(ToString(decision.kind)),
                  decision.DescribeValues() + (decision.log ? ", log" : ""), Join(conditions, " and ")});
  }
  return table;
}

void PrintRange(const char* name, const std::vector<int64_t>& sorted) {
  std::cout << name << FormatCount(sorted.front()) << " to " << FormatCount(sorted.back()) << ", median "
            << FormatCount(sorted[sorted.size() / 2]) << '\n';
}

void PrintSample(const SampleSummary& sample) {
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

void PrintText(const SearchSpace& space, const Summary& summary, bool all_distinct) {
  std::cout << "space         " << Printable(space.name()) << "\nhash          " << space.content_hash()
            << "\ncandidates    " << summary.candidates << "\narchitectures " << summary.architectures
            << '\n';
  for (const auto& constraint : space.constraints())
    std::cout << "constraint    " << constraint.text() << '\n';
  if (summary.reference) {
    std::cout << "reference     " << FormatCount(summary.reference->params) << " parameters, "
              << FormatCount(summary.reference->macs) << " MACs\n";
  }
  if (summary.distinct) {
    std::cout << "distinct      " << FormatCount(*summary.distinct) << '\n';
  } else if (all_distinct) {
    std::cout << "distinct      unknown: more than " << FormatCount(kDistinctAtMost) << " architectures\n";
  }
  PrintSample(summary.sample);
  std::cout << '\n';
}

ordered_json RangeJson(const std::vector<int64_t>& sorted) {
  if (sorted.empty()) return nullptr;
  return {{"least", sorted.front()}, {"median", sorted[sorted.size() / 2]}, {"most", sorted.back()}};
}

void PrintJson(const SearchSpace& space, const Summary& summary) {
  ordered_json constraints = ordered_json::array();
  for (const auto& constraint : space.constraints()) constraints.push_back(constraint.text());
  ordered_json reference, distinct;
  if (summary.reference) {
    reference = {{"params", summary.reference->params},
                 {"macs", summary.reference->macs},
                 {"activation_memory", summary.reference->activation_memory},
                 {"training_memory", summary.reference->training_memory},
                 {"depth", summary.reference->depth}};
  }
  if (summary.distinct) distinct = *summary.distinct;
  const SampleSummary& sample = summary.sample;
  ordered_json object = {{"space", space.name()},
                         {"hash", space.content_hash()},
                         {"candidates", summary.candidates},
                         {"architectures", summary.architectures},
                         {"constraints", constraints},
                         {"reference", reference},
                         {"distinct", distinct},
                         {"sample",
                          {{"drawn", sample.drawn},
                           {"broken", sample.broken},
                           {"not_built", sample.not_built},
                           {"no_input", sample.no_input},
                           {"params", RangeJson(sample.params)},
                           {"macs", RangeJson(sample.macs)},
                           {"activation_memory", RangeJson(sample.activation_memory)},
                           {"training_memory", RangeJson(sample.training_memory)}}}};
  const std::string head = object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  std::cout << head.substr(0, head.size() - 1) << ",\"decisions\":";
  DecisionTable(space).Print(std::cout, Format::kJson);
  std::cout << "}\n";
}

}  // namespace

Status CheckSpaceFile(const SpaceOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, ReadSpace(options));
  CANOPY_ASSIGN_OR_RETURN(const TaskShape task, TaskOf(space, options));
  CANOPY_RETURN_IF_ERROR(search_space::CheckSpace(space, task, {}));
  const bool rows_alone = options.format == Format::kJsonl || options.format == Format::kCsv;
  if (!rows_alone) {
    CANOPY_ASSIGN_OR_RETURN(const Summary summary, Summarize(space, task, options));
    if (options.format == Format::kJson) {
      PrintJson(space, summary);
      return {};
    }
    PrintText(space, summary, options.distinct);
  }
  DecisionTable(space).Print(std::cout, options.format, TerminalWidth(1));
  return {};
}

}  // namespace canopy::cli
