#include "controller/strategies/regularized_evolution.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "search_spaces/exploration.h"

namespace canopy::strategies {

using controller::Observation;
using nlohmann::ordered_json;

RegularizedEvolution::RegularizedEvolution(const Parameters& parameters, search_space::SearchSpace space,
                                           search_space::TaskShape task, Rng rng)
    : parameters_(parameters), space_(std::move(space)), task_(std::move(task)), rng_(rng) {
  CANOPY_CHECK(parameters.sample >= 1 && parameters.sample <= parameters.population);
}

bool RegularizedEvolution::Member::IsWorseThan(const Member& other) const {
  const auto key = [](const Member& member) {
    const int64_t reached = member.rung == 0 ? std::numeric_limits<int64_t>::max() : member.rung;
    return std::tuple(member.feasible, member.feasible ? reached : 0, member.score);
  };
  return key(*this) < key(other);
}

StatusOr<search_space::Candidate> RegularizedEvolution::Propose() {
  // Without members there is nobody to choose a parent from, however slow the first results are.
  if (initial_proposals_ < parameters_.population || population_.empty()) {
    ++initial_proposals_;
    return space_.Sample(rng_);
  }
  const search_space::Candidate& parent = BestOfSample();
  // Without crossover nothing is drawn for it.
  if (parameters_.crossover == 0 || rng_.Double() >= parameters_.crossover) return Mutated(parent);
  return Mutated(search_space::Crossover(space_, parent, BestOfSample(), rng_));
}

const search_space::Candidate& RegularizedEvolution::BestOfSample() {
  const size_t sample = std::min<size_t>(static_cast<size_t>(parameters_.sample), population_.size());
  const Member* best = nullptr;
  for (const size_t index : rng_.SampleWithoutReplacement(population_.size(), sample)) {
    const Member& member = population_[index];
    if (best == nullptr || best->IsWorseThan(member)) best = &member;
  }
  return best->candidate;
}

search_space::Candidate RegularizedEvolution::Mutated(const search_space::Candidate& parent) {
  if (parameters_.mutation == Mutation::kNetwork) {
    auto child = search_space::MutateNetwork(space_, task_, parent, rng_);
    if (child.ok()) return *std::move(child);
  }
  // Where no mutation gives another network, a further name of this one may have such mutations.
  return search_space::Mutate(space_, parent, rng_);
}

void RegularizedEvolution::Record(const Observation& observation) {
  if (observation.kind == Observation::Kind::kRejected) {
    // The first population is to be as large as it was asked for.
    if (initial_proposals_ > 0 && initial_proposals_ <= parameters_.population &&
        population_.size() < static_cast<size_t>(parameters_.population))
      --initial_proposals_;
    return;
  }
  const bool feasible = observation.kind != Observation::Kind::kInfeasible;
  population_.push_back({observation.candidate, feasible, feasible ? observation.score : 0,
                         observation.kind == Observation::Kind::kStopped ? observation.rung : 0});
  if (population_.size() > static_cast<size_t>(parameters_.population)) population_.pop_front();
  // What others proposed, before the space changed, stands for a random one.
  initial_proposals_ = std::max(initial_proposals_, static_cast<int64_t>(population_.size()));
}

std::string RegularizedEvolution::Save() const {
  ordered_json members = ordered_json::array();
  for (const Member& member : population_) {
    members.push_back({ordered_json::parse(member.candidate.ToJson()), member.feasible, member.score});
    if (member.rung > 0) members.back().push_back(member.rung);
  }
  return ordered_json{
      {"rng", rng_.Save()}, {"initial_proposals", initial_proposals_}, {"population", members}}
      .dump();
}

Status RegularizedEvolution::Restore(std::string_view state) {
  const auto damaged = [](const std::string& what) {
    return DataLoss("the state of regularized evolution is damaged: " + what);
  };
  const ordered_json root = ordered_json::parse(state, nullptr, false);
  if (!root.is_object() || !root.contains("rng") || !root["rng"].is_string() ||
      !root.contains("initial_proposals") || !root["initial_proposals"].is_number_integer() ||
      !root.contains("population") || !root["population"].is_array())
    return damaged("expected an object with rng, initial_proposals and population");
  std::deque<Member> population;
  for (const ordered_json& entry : root["population"]) {
    const bool complete = entry.is_array() &&
                          (entry.size() == 3 || (entry.size() == 4 && entry[3].is_number_integer())) &&
                          entry[1].is_boolean() && entry[2].is_number();
    if (!complete)
      return damaged("expected [candidate, feasible, score] for each member, and the rung of a stopped one");
    auto candidate = space_.ParseCandidate(entry[0].dump());
    if (!candidate.ok()) return damaged(Message(candidate.status()));
    population.push_back({*std::move(candidate), entry[1].get<bool>(), entry[2].get<double>(),
                          entry.size() == 4 ? entry[3].get<int64_t>() : 0});
  }
  const auto rng = Rng::Restore(root["rng"].get<std::string>());
  if (!rng.ok()) return damaged(Message(rng.status()));
  rng_ = *rng;
  initial_proposals_ = root["initial_proposals"].get<int64_t>();
  population_ = std::move(population);
  return absl::OkStatus();
}

}  // namespace canopy::strategies
