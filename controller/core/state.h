#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/core/core.h"

namespace canopy::controller {

// The core's memory. Ordered containers only: what is iterated decides, and decisions must replay.

struct LiveAttempt {
  model::AttemptRecord record;
  int64_t granted_ms = 0, expires_ms = 0;
  // When its worker last spoke of it; `heard` is false where nobody could since: the controller restarted, or
  // stood still.
  int64_t heard_ms = 0;
  bool heard = true;
  int64_t step = 0, total_steps = 0;
  int64_t check_ms = 0;  // when a tick looks at it next; the index's own
};

// Of a campaign's live attempts, so that their device time so far needs no look at each.
struct RunningDevices {
  double share = 0, began = 0;  // of those that were heard of; the sum of shares, and of each times its begin
  double before = 0;            // of the others: device time, in milliseconds
};

// PENDING trials, in the order in which they are given out: probe, search, finals, tests, measurements.
class WaitingTrials {
 public:
  using Key = std::pair<int, int64_t>;  // the purpose's rank, the id
  // What a trial asks of its worker beside what its campaign does: the first of those that ask the same
  // stands for all of them.
  struct Needs {
    std::string worker;  // that has its weights or checkpoint; empty: any
    bool resumes =
        false;  // it goes on from a checkpoint: how much is left to train, each trial has for itself
    int64_t more_memory_than = -1;
    std::vector<std::string> crash_hosts;
    auto operator<=>(const Needs&) const = default;
  };
  using ByNeeds = std::map<Needs, std::set<Key>>;

  static int Rank(model::Purpose purpose);
  static Needs NeedsOf(const model::TrialRecord& trial);
  void Add(const model::TrialRecord& trial);
  // Whatever it needs by now.
  void Remove(const model::TrialRecord& trial);
  bool empty() const { return by_needs_.empty(); }
  const ByNeeds& by_needs() const { return by_needs_; }
  // Those that the worker's disk binds to it; of an empty id, those that any worker may take.
  std::pair<ByNeeds::const_iterator, ByNeeds::const_iterator> Of(const std::string& worker_id) const;
  // How many need more than their campaign does.
  size_t particular() const { return particular_.size(); }
  // Where trials that wait have crashed, and how many there.
  const std::map<std::string, int64_t>& crash_hosts() const { return crash_hosts_; }

 private:
  ByNeeds by_needs_;
  std::map<int64_t, Needs> particular_;  // by trial
  std::map<std::string, int64_t> crash_hosts_;
};

// `trials`, `attempts` and `expired` change by the functions of indices.cc alone.
struct Campaign {
  LiveCampaign live;  // `trials` and `attempts` are moved into the maps below
  std::map<int64_t, model::TrialRecord> trials;
  std::map<int64_t, LiveAttempt> attempts;
  // By trial: the newest attempt of a PENDING one, where it expired. Its worker may still bring the result,
  // or show that it goes on, until another is given the trial.
  std::map<int64_t, LiveAttempt> expired;
  WaitingTrials waiting;
  std::unique_ptr<FidelitySchedule> schedule;          // has seen all accepted reports
  std::vector<int64_t> rungs;                          // of the settled fidelity
  FidelitySchedule::Waiting paused;                    // PAUSED trials by rung
  std::map<int64_t, model::RungReportRecord> reports;  // the newest of each trial
  uint64_t reports_digest = 0;                         // of all that the schedule has seen, for DurableText
  std::map<int64_t, int64_t> resumable;                // PENDING trials with a checkpoint, and since when
  std::map<std::pair<model::Purpose, model::TrialState>, int64_t> counts;  // of `trials`
  std::optional<std::pair<size_t, int64_t>> place;                         // its key in Impl::grantable
  bool offered = false;                                                    // it is in Impl::offered, too
  int64_t counted_priority = 0;                                            // in Impl::priorities
  int64_t offered_expected_ms = 0;     // ExpectedMs when parked polls last heard of it
  model::CampaignRecord lease_record;  // what leases carry of live.campaign: without its texts
  int64_t active_mark_ms = 0;          // monotonic time up to which progress.active_ms and served_ms count
  // Leases since proposals were asked for, until they came; and what that was lately, at its most.
  int64_t taken_meanwhile = 0, demand = 0;
  RunningDevices running_devices;
  bool held_back = false;      // a parked poll found RestIsTaken
  int64_t slots_known_ms = 0;  // from then on, after a restart, its workers have had time to come
  bool refill_failed = false;  // the open refill was answered with an error: resuming asks again
  // PENDING trials that ran out of memory, and since when no connected worker has more.
  std::map<int64_t, int64_t> waits_for_memory;
  int64_t idle_since_ms = 0;  // since when work waits and nothing runs; 0: not so

  const model::CampaignSettings& settings() const { return live.campaign.settings; }
  model::CampaignProgress& progress() { return live.progress; }
  const model::CampaignProgress& progress() const { return live.progress; }
  int64_t id() const { return live.campaign.id; }
  // The proposals that were asked for and are not logged.
  RequestProposals OpenRefill() const {
    return {id(), progress().refill_count, progress().refill_seen_seq, live.campaign.space_version};
  }
  // Leases are granted and time counts.
  bool active() const {
    return live.progress.state == model::CampaignState::kRunning ||
           live.progress.state == model::CampaignState::kFinalizing;
  }
  // After each change of live.campaign.
  void MakeLeaseRecord();
  void ShowSchedule(const model::RungScore& score);
  // After the fidelity was settled.
  void MakeRungs() { rungs = schedule->Rungs(live.progress.epochs); }
  int64_t Count(model::Purpose purpose, std::optional<model::TrialState> state = std::nullopt) const;
  // Running time so far, which the last commit need not know.
  int64_t ActiveMs(const Now& now) const;
  int64_t ServedMs(const Now& now) const;
};

struct ParkedPoll {
  uint64_t token = 0;
  std::string worker_id, request_id;
  int64_t slot = 0;
  uint64_t arrival = 0;  // ParkedPolls' own: older ones have lower numbers
};

// Requests for work that wait, at most one of a slot.
class ParkedPolls {
 public:
  // REQUIRES that the slot has none.
  const ParkedPoll& Add(ParkedPoll poll);
  std::optional<ParkedPoll> TakeOfSlot(const std::string& worker_id, int64_t slot);
  std::optional<ParkedPoll> TakeByToken(uint64_t token);
  bool Has(const std::string& worker_id) const;
  std::vector<const ParkedPoll*> Of(const std::string& worker_id) const;
  const ParkedPoll* Find(uint64_t token) const;
  const std::map<uint64_t, ParkedPoll>& by_arrival() const { return by_arrival_; }
  bool empty() const { return by_arrival_.empty(); }

 private:
  std::optional<ParkedPoll> Take(uint64_t arrival);

  uint64_t next_arrival_ = 1;
  std::map<uint64_t, ParkedPoll> by_arrival_;
  std::map<uint64_t, uint64_t> by_token_;
  std::map<std::pair<std::string, int64_t>, uint64_t> by_slot_;
};

// Workers that can run the same trials, as far as weights, checkpoints and crashes do not bind these to a
// worker or host. Who lasts longest comes first: what that one can't run, none of its kind can.
struct WorkerKind {
  std::string key;
  bool drained = false;
  int64_t slots = 0;
  std::set<std::pair<int64_t, std::string>> workers;  // by Worker::order
  std::set<std::pair<int64_t, uint64_t>> polls;       // theirs that are parked, by order and arrival
};

struct Worker {
  model::WorkerRecord record;
  int64_t seen_ms = 0;
  void Seen(const Now& now) {
    seen_ms = now.monotonic_ms;
    record.last_seen_us = now.wall_us;
  }
  std::map<std::string, std::string> labels;
  // When it ends; nullopt: not known.
  std::optional<int64_t> ends_ms;
  bool Ended(const Now& now) const { return ends_ms && *ends_ms <= now.monotonic_ms; }
  int64_t counted_slots = 0;  // in Impl::known_slots
  std::string drained;        // why it is given no new lease; empty: it may be
  bool sick = false;          // it is drained for its health: it is given what no other can run
  // Datasets that failed here since the last Hello: not eligible for them.
  std::set<std::string> failed_datasets;
  WorkerKind* kind = nullptr;  // in Impl::kinds
  int64_t order = 0;           // in its kind: lower for a later end
};

// Of an attempt that ran before a restore and was adopted after it.
inline constexpr int64_t kNoSlot = -1;

// What an event's handling shares.
struct Core::Impl {
  Impl(CoreState state, const CoreLimits& limits, ScheduleFactory make_schedule, const Now& now);

  Effects Step(const Now& now, Event event);

  // campaigns.cc
  void Handle(LaunchCampaign event);
  void Handle(CommandCampaign event);
  void Handle(Tick event);
  void SetState(Campaign& campaign, model::CampaignState state, const std::string& reason,
                const std::string& event_kind, const std::string& principal = "controller");
  // Moves the campaign on as far as its trials allow: refill, closing of the search, finals, the end.
  void Advance(Campaign& campaign);

  // revisions.cc
  void Handle(ReviseCampaign event);
  // Live trials are `set_aside` or count again, and another strategy proposes.
  void BeginVersion(Campaign& campaign, const model::SetAsideList& set_aside);
  // Writes the version that the newest event began.
  void WriteVersion(const Campaign& campaign, model::SetAsideList set_aside, const std::string& principal);

  // search.cc
  void Handle(ProposalsReady event);
  void AcceptProposal(Campaign& campaign, Proposal proposal, int64_t seen_seq);
  void Refill(Campaign& campaign);
  void SettleFidelity(Campaign& campaign, const model::ResultRecord& result, const std::string& worker_id);
  // Gives the trial its id, number, campaign and time, and writes it; returns the id.
  int64_t AddTrial(Campaign& campaign, model::TrialRecord trial);

  // budgets.cc
  // What a trial takes: of a slot's time, and of a device's.
  struct Cost {
    int64_t busy_ms = 0, device_ms = 0;
  };
  Cost MeanSearch(const Campaign& campaign) const;
  Cost NextSearch(const Campaign& campaign) const;
  bool SearchIsClosed(const Campaign& campaign, std::string* why) const;
  static bool HasDeadline(const Campaign& campaign) {
    return campaign.settings().budget_duration_ms > 0 || campaign.settings().budget_until_us > 0;
  }
  static bool HasDeviceBudget(const Campaign& campaign) { return campaign.settings().budget_device_ms > 0; }
  // Until the end of the duration or the date, whichever is first; negative after it. REQUIRES HasDeadline.
  int64_t LeftMs(const Campaign& campaign) const {
    return std::min(DurationLeftMs(campaign), DateLeftMs(campaign));
  }
  int64_t DurationLeftMs(const Campaign& campaign) const;
  int64_t DateLeftMs(const Campaign& campaign) const;
  // From the launch to there.
  int64_t SpanMs(const Campaign& campaign) const;
  // Device time of live attempts so far.
  int64_t DeviceRunningMs(const Campaign& campaign) const;
  // What no attempt has had; negative where they had more. REQUIRES HasDeviceBudget.
  int64_t DeviceLeftMs(const Campaign& campaign) const;
  // In which the finals would run: those known, and those that run what a restart found.
  int64_t PlannedSlots(const Campaign& campaign) const {
    return std::max(KnownSlots(), static_cast<int64_t>(campaign.attempts.size()));
  }
  // Workers have had the time to find the controller, and some have: how long the finals take can be said.
  bool SlotsAreKnown(const Campaign& campaign) const {
    return now.monotonic_ms >= campaign.slots_known_ms && PlannedSlots(campaign) > 0;
  }
  // A SEARCH trial that started now would not end before the finals must begin.
  bool NoTimeForAnother(const Campaign& campaign) const;
  // It would use device time that the finals need.
  bool NoDeviceForAnother(const Campaign& campaign) const;
  bool NothingForAnother(const Campaign& campaign) const {
    return NoTimeForAnother(campaign) || NoDeviceForAnother(campaign);
  }
  // It would, if the running ones take what is expected of them: it waits for their ends.
  bool RestIsTaken(const Campaign& campaign) const;
  // What is left of the budgets, in all slots; each has that share of a device.
  double SlotSeconds(const Campaign& campaign, double share) const;
  // A step of the wall clock counts for dates once it has lasted.
  void FollowWallClock();
  void CountRunning(Campaign& campaign, const LiveAttempt& attempt, int sign);
  // Nobody knows what became of it since then, until its worker speaks of it again.
  void SetUnheard(Campaign& campaign, LiveAttempt& attempt, int64_t since_ms);
  // The attempt's worker speaks of it: its lease is renewed.
  void Heard(Campaign& campaign, LiveAttempt& attempt);
  // Ends an attempt without a word of its worker, and charges it. It is written by the caller.
  void EndAttempt(Campaign& campaign, LiveAttempt& attempt, model::AttemptState state,
                  const std::string& why);

  // rungs.cc
  void Handle(RungReport event);
  // REQUIRES that the attempt is live and that nothing was accepted for this rung of its trial.
  StatusOr<model::RungAction> TakeReport(Campaign& campaign, const LiveAttempt& attempt, RungReport event);
  std::unique_ptr<FidelitySchedule> MakeSchedule(const Campaign& campaign) const;
  // Carries out what the schedule decides about trials that wait at a rung.
  void JudgePaused(Campaign& campaign);
  void Pause(Campaign& campaign, model::TrialRecord& trial);
  // An attempt that stopped or paused at a rung.
  void TakeSegment(Campaign& campaign, model::TrialRecord& trial, const model::AttemptRecord& attempt,
                   const AttemptOutcome& outcome);
  // The trial's result is its newest report's; what is known beside the figures is `known`'s.
  void EndStopped(Campaign& campaign, model::TrialRecord& trial, model::ResultRecord known,
                  const std::string& principal, const std::string& reason);
  // The same without an outcome that says where the figures come from.
  void EndStopped(Campaign& campaign, model::TrialRecord& trial, const std::string& reason);
  // A trial that will not be trained further: STOPPED where it has reported, CANCELLED otherwise.
  void EndEarly(Campaign& campaign, int64_t trial_id, const std::string& reason);
  // Lets trials begin anew whose checkpoint's worker is gone, may not run them or is busy for too long.
  void GiveUpCheckpoints(Campaign& campaign);
  // How long the trial still waits for a worker that runs others, rather than begin anew elsewhere.
  int64_t PatienceMs(const Campaign& campaign, const model::TrialRecord& trial) const;
  void GiveUpCheckpoint(Campaign& campaign, model::TrialRecord& trial, const std::string& why);

  // finals.cc
  void CloseSearch(Campaign& campaign, const std::string& why);
  void AdvanceFinals(Campaign& campaign);
  void AddFinalists(Campaign& campaign);
  // What the budget leaves nothing for: SEARCH trials before the finalists are chosen, then FINAL trials
  // that a complete finalist makes dispensable, then MEASURE trials.
  void TrimSearch(Campaign& campaign);
  void TrimFinals(Campaign& campaign);
  void TrimMeasurements(Campaign& campaign);
  void ChooseWinner(Campaign& campaign);
  void AddFinals(Campaign& campaign, int64_t parent_trial_id, const model::CandidateFacts& candidate);
  Cost FinalsReserve(const Campaign& campaign) const;
  // What one FINAL trial of the candidate is expected to take.
  Cost FinalCost(const Campaign& campaign, const std::string& candidate_hash) const;
  // Device time that live attempts are expected to take yet, where they train what the finals do.
  int64_t DeviceToCome(const Campaign& campaign) const;
  bool IsControl(const Campaign& campaign, const std::string& candidate_hash) const;

  // indices.cc
  model::TrialRecord& KeepTrial(Campaign& campaign, model::TrialRecord trial);
  void SetTrialState(Campaign& campaign, model::TrialRecord& trial, model::TrialState state);
  void ForgetTrial(Campaign& campaign, int64_t trial_id);
  LiveAttempt& KeepAttempt(Campaign& campaign, LiveAttempt attempt);
  LiveAttempt ForgetAttempt(Campaign& campaign, int64_t attempt_id);
  void KeepExpired(Campaign& campaign, LiveAttempt attempt);
  void ForgetExpired(Campaign& campaign, int64_t trial_id);
  void KeepWorkerIndices(Worker& worker);
  void ForgetWorkerIndices(Worker& worker);
  void Park(ParkedPoll poll);
  // Takes it away; nullopt: there is none.
  std::optional<ParkedPoll> UnparkSlot(const std::string& worker_id, int64_t slot);
  std::optional<ParkedPoll> UnparkToken(uint64_t token);
  std::optional<ParkedPoll> LeaveKind(std::optional<ParkedPoll> poll);
  // After a change of what decides whether and when the campaign's trials are given out: its state, its
  // settled fidelity, its waiting trials, its attempts.
  void Place(Campaign& campaign);
  // Parked polls are tried against the campaign once more: it has work for them that it had not.
  void Offer(const Campaign& campaign);
  // The same for a trial alone.
  void Offer(const Campaign& campaign, const model::TrialRecord& trial);
  // Workers came, went or changed: what crashed and waits for another host may have none any more.
  void OfferCrashed();
  void TryPollsOf(const std::string& worker_id);
  void ForgetEndedCampaigns();
  // What the indices have otherwise than a scan finds; empty where they are right.
  std::string IndexErrors() const;

  // worker_kinds.cc
  // After a change of what decides which trials the worker can run: its kind and its place there.
  void KeepKind(Worker& worker);
  void ForgetKind(Worker& worker);
  static std::string KindKey(const Worker& worker);
  // Some workers, of which one can run what has these needs where any worker can: the one that it is bound
  // to; else the longest-lasting one of each kind, on a host where it has not crashed if the kind has such a
  // host.
  std::vector<const Worker*> StandIns(const WaitingTrials::Needs& needs) const;
  const Worker& StandIn(const WorkerKind& kind, const WaitingTrials::Needs& needs) const;
  // Some worker can run the trial, crashes on its host aside.
  bool AnyFits(const Campaign& campaign, const model::TrialRecord& trial) const;

  // leasing.cc
  void Handle(WorkerHello event);
  void Handle(WorkerExchange event);
  void Handle(PollEnded event);
  void Handle(WorkerHeartbeat event);

  // dispatch.cc
  // Gives parked polls what they can run.
  void Dispatch();
  // Tries parked polls against `offered`: of each kind of worker the first, and those behind it while they
  // are given something.
  void TryKinds();
  using Places = std::set<std::pair<size_t, int64_t>>;
  // The campaigns of `places`, in the order of their shares.
  bool TryGrant(const ParkedPoll& poll, const Places& places);
  void Grant(const ParkedPoll& poll, const Worker& worker, Campaign& campaign, model::TrialRecord& trial);
  // The trial runs on the worker from now on, under a new fence.
  const LiveAttempt& BeginAttempt(const std::string& request_id, int64_t slot, const Worker& worker,
                                  Campaign& campaign, model::TrialRecord& trial);
  // The trial of the campaign that the worker is given.
  std::optional<int64_t> Choose(const Worker& worker, const Campaign& campaign) const;

  // shares.cc
  // The campaigns of `places`, the one first whose turn it is; docs/campaign_file.md has the rule.
  std::vector<int64_t> InOrderOfShares(const Places& places) const;
  // Counts a lease of the campaign.
  void ChargeShare(Campaign& campaign);
  int64_t ShareOf(const std::string& project) const;
  // After a change of the campaign's state or priority.
  void CountPriority(Campaign& campaign);

  // leasing.cc
  // The worker can run the campaign's trials, drains and its end aside.
  bool FitsCampaign(const Worker& worker, const Campaign& campaign, std::string* why) const;
  // The worker can run the trial, its end and crashes on its host aside.
  bool MayRun(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
              std::string* why) const;
  // The worker can run the trial, crashes on its host aside.
  bool Fits(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
            std::string* why) const;
  bool Eligible(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
                std::string* why) const;
  // The dataset, build and device of the campaign's first worker are those of all later ones.
  void Pin(Campaign& campaign, const model::WorkerRecord& worker);
  Lease MakeLease(const Campaign& campaign, const model::TrialRecord& trial,
                  const LiveAttempt& attempt) const;
  void LoseAttempt(Campaign& campaign, int64_t attempt_id, model::AttemptState state, const std::string& why,
                   model::FailureClass failure = model::FailureClass::kWorkerLost);
  std::pair<Campaign*, LiveAttempt*> FindAttempt(int64_t attempt_id);
  // Live attempts of the worker, in the order of their campaigns and ids.
  std::vector<std::pair<Campaign*, int64_t>> AttemptsOf(const std::string& worker_id) const;
  bool SlotIsTaken(const std::string& worker_id, int64_t slot) const;
  // The worker's live attempt of that fence, one that expired and whose trial nobody was given since
  // included: it lives again. nullptr: it has to stop.
  LiveAttempt* Claim(const std::string& worker_id, int64_t attempt_id, int64_t fence);
  int64_t KnownSlots() const { return known_slots; }

  // fleet.cc
  void Handle(DrainWorker event);
  // Of the worker, its device or its host; nullptr: none.
  const model::Drain* DrainOf(const model::WorkerRecord& worker) const;
  // A failure that may be the device's fault: if the trial passes elsewhere, it speaks against the device.
  void NoteFailedOn(model::TrialRecord& trial, const model::AttemptRecord& attempt);
  void NotePassed(const Campaign& campaign, const model::TrialRecord& trial,
                  const model::AttemptRecord& attempt);
  void DrainWhereSick(const model::DevicePlace& place);
  // Some campaign has no other worker than those of that device, or of that host where the UUID is empty.
  bool IsLast(const model::DevicePlace& place) const;
  // Forgets what speaks against that device, or that host's where the UUID is empty.
  void Forgive(const model::DevicePlace& place);
  // Ends what has waited too long for a worker with more memory.
  void EndWaitsForMemory(Campaign& campaign);
  void SetDrain(const model::Drain& drain, const std::string& worker_id);
  // Says to every worker whether it is drained.
  void NoteDrains();
  // What one of the campaign's trials is expected to take; 0: nothing is known.
  int64_t ExpectedMs(const Campaign& campaign) const;
  // After a change of that: workers that end may have time for it now.
  void NoteExpected(Campaign& campaign);
  void SetEnd(Worker& worker, std::optional<int64_t> remaining_ms);
  // After a change of whether the worker is given leases.
  void CountSlots(Worker& worker);
  // The worker lasts until the trial is expected to end.
  bool HasTimeFor(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
                  std::string* why) const;
  // Hands on at once what a worker that leaves does not list.
  void LetGo(const Worker& worker, const std::vector<AttemptProgress>& kept);
  WorkerGlance Glance(const Worker& worker) const;
  FleetGlance Fleet() const;

  // explain.cc
  TrialOutlook Explain(int64_t trial_id);

  // kept_results.cc
  // A worker offers a result from an earlier incarnation of this database, whose lease a restore has lost.
  // Where the trial lives and would measure the same, gives the worker an attempt for it, in no slot, and
  // makes the outcome that attempt's; what else runs of the trial is superseded. Otherwise says why not.
  std::string AdoptKept(const std::string& worker_id, AttemptOutcome& outcome);

  // outcomes.cc
  OutcomeVerdict TakeOutcome(const std::string& worker_id, AttemptOutcome outcome);
  void AcceptResult(Campaign& campaign, model::TrialRecord& trial, const model::AttemptRecord& attempt,
                    const AttemptOutcome& outcome);
  void InsertAndLog(const model::ResultRecord& result, const model::TrialRecord& trial,
                    const std::string& principal);
  void AddToBest(Campaign& campaign, double objective, const model::TrialRecord& trial);
  // REQUIRES attempt.failure.
  void ApplyFailure(Campaign& campaign, model::TrialRecord& trial, const model::AttemptRecord& attempt);
  // Writes the result of a trial whose candidate cannot be trained, and ends it.
  void EndInfeasible(Campaign& campaign, model::TrialRecord& trial, int64_t attempt_id,
                     const std::string& principal, const std::string& reason);
  void ApplyCrash(Campaign& campaign, model::TrialRecord& trial, const std::string& host,
                  const std::string& reason);
  void Requeue(Campaign& campaign, model::TrialRecord& trial, const std::string& why);
  // Writes the trial's last state and drops it from memory.
  void EndTrial(Campaign& campaign, int64_t trial_id, model::TrialState state, const std::string& reason);
  // Stops what runs of it, too.
  void CancelTrial(Campaign& campaign, int64_t trial_id, const std::string& reason);
  void NoteSignature(Campaign& campaign, const model::AttemptRecord& attempt,
                     const std::string& candidate_hash);
  void PauseIfAllFailAlike(Campaign& campaign);

  // What every handler writes through.
  void Write(controller::Write write) { effects.writes.push_back(std::move(write)); }
  void Log(int64_t campaign_id, int64_t trial_id, int64_t attempt_id, const std::string& kind,
           const std::string& payload_json, const std::string& principal = "controller");
  // Writes what changes of a trial.
  void WriteTrial(model::TrialRecord& trial);
  void Answer(uint64_t token, StatusOr<ReplyBody> body);
  void SaveProgress(Campaign& campaign);

  // durable_text.cc
  std::string DurableText() const;
  std::string WaitingReason(const Campaign& campaign) const;
  CampaignGlance Glance(const Campaign& campaign) const;

  const CoreLimits limits;
  const ScheduleFactory make_schedule;
  const std::string database_id;
  const int64_t incarnation;
  SaveCounters counters;
  std::map<int64_t, Campaign> campaigns;    // live ones
  std::map<std::string, Worker> workers;    // heard of since the start
  std::map<std::string, WorkerKind> kinds;  // of `workers`; none is empty
  ParkedPolls polls;
  std::map<std::pair<model::DrainScope, std::string>, model::Drain> drains;
  std::map<model::DevicePlace, model::DeviceHealth> health;  // of devices that something speaks against
  int64_t last_tick_ms = 0;                                  // 0: none yet
  // From the monotonic to the wall clock, for dates; as it was last seen, and since when it is that.
  int64_t wall_offset_ms = 0, stepped_offset_ms = 0, stepped_since_ms = 0;
  bool started = false;  // unanswered refills were asked for again

  // Indices of the above. Campaigns stay where they are in memory while they live.
  std::map<int64_t, Campaign*> campaign_by_trial, campaign_by_attempt;
  std::map<int64_t, std::pair<Campaign*, int64_t>> expired_by_attempt;              // campaign and trial
  std::map<std::string, std::set<std::pair<int64_t, int64_t>>> attempts_by_worker;  // campaign, attempt
  std::set<std::pair<int64_t, int64_t>> lease_checks;  // check_ms and attempt, of live ones
  std::map<std::string, std::set<std::string>> workers_by_host;
  int64_t known_slots = 0;                    // of `workers` that are given leases
  std::map<std::string, int64_t> priorities;  // of active campaigns, by project
  std::map<std::string, int64_t> running;     // attempts, by project
  std::vector<int64_t> ended;                 // campaigns that did in this step
  // Active campaigns with waiting trials that may run. They share: the one with the fewest running attempts
  // comes first.
  Places grantable, offered;
  // Nothing in `grantable` is for a parked poll, but for changed campaigns and untried polls.
  std::set<int64_t> changed;
  std::vector<uint64_t> untried;  // tokens, in order of arrival

  const int64_t start_ms;  // when this core began

  // Of the step that runs.
  Now now;
  Effects effects;
  bool counters_changed = false;

  mutable int64_t fit_checks = 0;  // MayRun's calls
};

}  // namespace canopy::controller
