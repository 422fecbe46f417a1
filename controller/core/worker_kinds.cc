// Thousands of workers are of a few kinds: what asks whether any worker can run a trial asks one of each
// kind.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/state.h"

namespace canopy::controller {
namespace {

// Unlike any other list's.
class Key {
 public:
  Key& Add(const std::string& text) {
    text_ += std::to_string(text.size()) + ":" + text;
    return *this;
  }
  Key& Add(int64_t number) { return Add(std::to_string(number)); }
  template <typename Texts>
  Key& AddAll(const Texts& texts) {
    Add(static_cast<int64_t>(texts.size()));
    for (const auto& text : texts) Add(text);
    return *this;
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::string Core::Impl::KindKey(const Worker& worker) {
  const model::WorkerRecord& record = worker.record;
  Key key;
  key.Add(worker.drained.empty() ? 0 : 1).Add(record.rungs ? 1 : 0).Add(record.memory_bytes);
  key.Add(record.fast_numeric_mode)
      .Add(record.device_kind)
      .Add(record.device_model)
      .Add(record.trainer_build);
  key.AddAll(record.numeric_modes).AddAll(record.operators).AddAll(worker.failed_datasets);
  key.Add(static_cast<int64_t>(worker.labels.size()));
  for (const auto& [name, value] : worker.labels) key.Add(name).Add(value);
  for (const model::DatasetOnWorker& dataset : record.datasets)
    key.Add(dataset.name).Add(dataset.digest).AddAll(dataset.input_shape).Add(dataset.classes);
  return key.Take();
}

void Core::Impl::KeepKind(Worker& worker) {
  ForgetKind(worker);
  std::string key = KindKey(worker);
  WorkerKind& kind = kinds[key];
  kind.key = std::move(key);
  kind.drained = !worker.drained.empty();
  worker.kind = &kind;
  worker.order = -worker.ends_ms.value_or(INT64_MAX);
  kind.slots += worker.record.slots;
  kind.workers.emplace(worker.order, worker.record.id);
  for (const ParkedPoll* const poll : polls.Of(worker.record.id))
    kind.polls.emplace(worker.order, poll->arrival);
}

void Core::Impl::ForgetKind(Worker& worker) {
  WorkerKind* const kind = std::exchange(worker.kind, nullptr);
  if (kind == nullptr) return;
  kind->slots -= worker.record.slots;
  kind->workers.erase({worker.order, worker.record.id});
  for (const ParkedPoll* const poll : polls.Of(worker.record.id))
    kind->polls.erase({worker.order, poll->arrival});
  if (kind->workers.empty()) kinds.erase(std::string(kind->key));
}

std::vector<const Worker*> Core::Impl::StandIns(const WaitingTrials::Needs& needs) const {
  if (const auto bound = workers.find(needs.worker); bound != workers.end()) return {&bound->second};
  std::vector<const Worker*> stand_ins;
  for (const auto& [key, kind] : kinds) stand_ins.push_back(&StandIn(kind, needs));
  return stand_ins;
}

const Worker& Core::Impl::StandIn(const WorkerKind& kind, const WaitingTrials::Needs& needs) const {
  const std::vector<std::string>& hosts = needs.crash_hosts;
  const auto elsewhere = std::find_if(kind.workers.begin(), kind.workers.end(), [&](const auto& entry) {
    return std::find(hosts.begin(), hosts.end(), workers.at(entry.second).record.host) == hosts.end();
  });
  return workers.at((elsewhere == kind.workers.end() ? kind.workers.begin() : elsewhere)->second);
}

bool Core::Impl::AnyFits(const Campaign& campaign, const model::TrialRecord& trial) const {
  WaitingTrials::Needs needs = WaitingTrials::NeedsOf(trial);
  needs.crash_hosts.clear();
  const std::vector<const Worker*> asked = StandIns(needs);
  return std::any_of(asked.begin(), asked.end(), [&](const Worker* worker) {
    std::string ignored;
    return Fits(*worker, campaign, trial, &ignored);
  });
}

}  // namespace canopy::controller
