#include "controller/strategies/strategies.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/strings.h"
#include "controller/strategies/random_search.h"
#include "controller/strategies/regularized_evolution.h"

namespace canopy::strategies {
namespace {

using controller::Strategy;
using nlohmann::json;
using search_space::SearchSpace;
using search_space::TaskShape;

// Reads parameters and refuses what the kind does not know.
class Parameters {
 public:
  Parameters(std::string_view kind, std::string_view text) : kind_(kind), object_(Parse(text)) {
    if (!object_.is_object())
      status_ = InvalidArgument("strategy " + kind_ + ": expected a map of parameters");
  }

  int64_t Integer(const std::string& name, int64_t fallback, int64_t low) {
    names_.push_back(name);
    if (!status_.ok() || !object_.contains(name)) return fallback;
    const json& value = object_[name];
    if (!value.is_number_integer() || value.get<int64_t>() < low) {
      status_ = InvalidArgument("strategy " + kind_ + ": " + name + ": expected an integer from " +
                                std::to_string(low) + ", found " + value.dump());
      return fallback;
    }
    return value.get<int64_t>();
  }

  // From 0 to 1.
  double Probability(const std::string& name, double fallback) {
    names_.push_back(name);
    if (!status_.ok() || !object_.contains(name)) return fallback;
    const json& value = object_[name];
    if (value.is_number() && value.get<double>() >= 0 && value.get<double>() <= 1) return value.get<double>();
    status_ = InvalidArgument("strategy " + kind_ + ": " + name + ": expected a number from 0 to 1, found " +
                              value.dump());
    return fallback;
  }

  // The place of the word in `words`, the first of which is the default.
  size_t Word(const std::string& name, const std::vector<std::string>& words) {
    names_.push_back(name);
    if (!status_.ok() || !object_.contains(name)) return 0;
    const json& value = object_[name];
    const std::string word = value.is_string() ? value.get<std::string>() : value.dump();
    const auto at = std::find(words.begin(), words.end(), word);
    if (value.is_string() && at != words.end()) return static_cast<size_t>(at - words.begin());
    status_ = InvalidArgument("strategy " + kind_ + ": " + name + ": expected one of " + Join(words, ", ") +
                              ", found '" + word + "'" + DidYouMean(word, words));
    return 0;
  }

  Status Finish() const {
    if (!status_.ok()) return status_;
    for (const auto& [name, value] : object_.items())
      if (std::find(names_.begin(), names_.end(), name) == names_.end())
        return InvalidArgument("strategy " + kind_ + ": unknown parameter '" + name + "'" +
                               DidYouMean(name, names_) + "; expected " +
                               (names_.empty() ? "none" : Join(names_, ", ")));
    return absl::OkStatus();
  }

 private:
  static json Parse(std::string_view text) {
    return text.empty() ? json::object() : json::parse(text, nullptr, false);
  }

  const std::string kind_;
  const json object_;
  std::vector<std::string> names_;
  Status status_;
};

StatusOr<std::unique_ptr<Strategy>> MakeRandom(Parameters parameters, const SearchSpace& space,
                                               const TaskShape&, Rng rng) {
  using Sampling = RandomSearch::Sampling;
  constexpr Sampling kSamplings[] = {Sampling::kAuto, Sampling::kUniform, Sampling::kDistinct};
  const Sampling sampling = kSamplings[parameters.Word("sampling", {"auto", "uniform", "distinct"})];
  CANOPY_RETURN_IF_ERROR(parameters.Finish());
  auto strategy = RandomSearch::Make(sampling, space, rng);
  if (!strategy.ok()) return WithContext(strategy.status(), "strategy random: sampling");
  return std::unique_ptr<Strategy>(*std::move(strategy));
}

StatusOr<std::unique_ptr<Strategy>> MakeEvolution(Parameters parameters, const SearchSpace& space,
                                                  const TaskShape& task, Rng rng) {
  RegularizedEvolution::Parameters evolution;
  evolution.population = parameters.Integer("population", evolution.population, 1);
  evolution.sample = parameters.Integer("sample", evolution.sample, 1);
  using Mutation = RegularizedEvolution::Mutation;
  constexpr Mutation kMutations[] = {Mutation::kOneDecision, Mutation::kNetwork};
  evolution.mutation = kMutations[parameters.Word("mutation", {"one_decision", "network"})];
  evolution.crossover = parameters.Probability("crossover", evolution.crossover);
  CANOPY_RETURN_IF_ERROR(parameters.Finish());
  if (evolution.sample > evolution.population)
    return InvalidArgument("strategy regularized_evolution: sample: expected at most the population, " +
                           std::to_string(evolution.population) + ", found " +
                           std::to_string(evolution.sample));
  return std::unique_ptr<Strategy>(std::make_unique<RegularizedEvolution>(evolution, space, task, rng));
}

struct Kind {
  const char* name;
  StatusOr<std::unique_ptr<Strategy>> (*make)(Parameters, const SearchSpace&, const TaskShape&, Rng);
};
// A new strategy adds its file pair and a line here.
constexpr std::array<Kind, 2> kKinds = {{
    {"random", MakeRandom},
    {"regularized_evolution", MakeEvolution},
}};

}  // namespace

std::vector<std::string> StrategyKinds() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  return names;
}

StatusOr<std::unique_ptr<Strategy>> MakeStrategy(std::string_view kind, std::string_view parameters_json,
                                                 const SearchSpace& space, const TaskShape& task,
                                                 uint64_t seed) {
  for (const Kind& known : kKinds)
    if (kind == known.name)
      return known.make(Parameters(kind, parameters_json), space, task, Rng::Derive(seed, "strategy"));
  const std::vector<std::string> names = StrategyKinds();
  return InvalidArgument("unknown strategy '" + std::string(kind) + "'" + DidYouMean(kind, names) +
                         "; expected one of " + Join(names, ", "));
}

}  // namespace canopy::strategies
