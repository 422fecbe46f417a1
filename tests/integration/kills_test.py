"""Kills, zombies and a network that fails, all at once, and nothing acknowledged is lost or counted twice.

    kills_test.py BUILD [--kills 200] [--seed 1]        # --kills 1000: the long form

Three agents of two slots reach the controller through proxies. While their campaign runs, controller, agents
and trainers are killed with -9, often while the last victim still recovers; agents are stopped until their
leases have long been given to others and then go on; the controller is stopped for a moment; connections are
cut, delayed and swallowed. Then all faults end and the campaign has to. What agents and trainers wrote down
themselves is compared with the database.
"""

import argparse
import collections
import json
import os
import random
import signal
import sys
import time

from cluster import Cluster, Programs
from durability_test import check_rows, launch, trainer_pids
from unix_proxy import UnixProxy

LEASE_TTL_S = 2
AGENTS, SLOTS = 3, 2
LAST_TRIALS = 20  # after the last fault


class Chaos:
    """Faults of a running cluster; `counts` says how many of each."""

    def __init__(self, cluster, proxies, generator):
        self.cluster, self.proxies, self.generator = cluster, proxies, generator
        self.counts = collections.Counter()
        self.recoveries = []  # (when, what to do)
        self.stopped = set()  # agents under SIGSTOP: not killed meanwhile, so that they wake as zombies

    def kill(self):
        kind = self.generator.choices(("controller", "agent", "trainer"), (3, 4, 3))[0]
        if kind == "trainer":
            pids = trainer_pids(self.cluster, "trainer")
            if not pids:
                return
            try:
                os.kill(self.generator.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                return  # it ended meanwhile
        else:
            daemon = self.cluster.controller if kind == "controller" else self.awake_agent()
            if daemon is None:
                return
            assert daemon.running(), f"{daemon.log.name} ended by itself:\n{daemon.tail()}"
            daemon.kill()
            daemon.start()
        self.counts[kind] += 1

    def awake_agent(self):
        awake = [name for name in self.cluster.agents if name not in self.stopped]
        return self.cluster.agents[self.generator.choice(awake)] if awake else None

    def disturb(self):
        kind = self.generator.choices(("zombie", "suspended controller", "cut", "delay", "swallow"),
                                      (2, 2, 4, 3, 2))[0]
        now = time.monotonic()
        if kind == "zombie":
            name = self.generator.choice(list(self.cluster.agents))
            daemon = self.cluster.agents[name]
            if name in self.stopped or len(self.stopped) + 1 == AGENTS or not daemon.running():
                return
            self.stopped.add(name)
            daemon.process.send_signal(signal.SIGSTOP)
            until = now + self.generator.uniform(0.5, 2.5) * LEASE_TTL_S
            self.recoveries.append((until, lambda: self.wake(name)))
        elif kind == "suspended controller":
            process = self.cluster.controller.process
            process.send_signal(signal.SIGSTOP)
            time.sleep(self.generator.uniform(0.05, 0.5))
            process.send_signal(signal.SIGCONT)
        else:
            proxy = self.generator.choice(self.proxies)
            if kind == "cut":
                proxy.cut()
            elif kind == "delay":
                proxy.delay_s = self.generator.uniform(0.01, 0.3)
            else:
                proxy.swallow()
            self.recoveries.append((now + self.generator.uniform(0.3, 2) * LEASE_TTL_S, proxy.restore))
        self.counts[kind] += 1

    def wake(self, name):
        self.cluster.agents[name].process.send_signal(signal.SIGCONT)
        self.stopped.discard(name)

    def recover(self, now=float("inf")):
        due = [entry for entry in self.recoveries if entry[0] <= now]
        self.recoveries = [entry for entry in self.recoveries if entry[0] > now]
        for _, action in due:
            action()

    def run(self, kills):
        while sum(self.counts[kind] for kind in ("controller", "agent", "trainer")) < kills:
            assert self.cluster.campaign_state() == "RUNNING"
            self.kill()
            if self.generator.random() < 0.3:
                self.disturb()
            if self.generator.random() < 0.6:  # the others fall into the recovery from this one
                time.sleep(self.generator.expovariate(3))
            self.recover(time.monotonic())
        self.recover()


def check_records(cluster, record):
    """What the workers wrote down themselves is in the database, and the other way round."""
    trained = {}
    for line in record.read_text().splitlines():
        entry = json.loads(line)
        trained[entry["attempt_id"]] = entry
    results = cluster.rows("""SELECT attempt_id, result.correct, decisions_json
                              FROM result JOIN trial ON trial.id = trial_id""")
    assert results
    for attempt_id, correct, decisions in results:
        own = trained[str(attempt_id)]
        assert own["correct"] == correct and own["decisions"] == json.loads(decisions), (attempt_id, own)

    known = {row[0] for row in cluster.rows("SELECT result_id FROM attempt")}
    archived = {row[0] for row in cluster.rows("SELECT result_id FROM archived_outcome")}
    verdicts = collections.Counter()
    for agent in cluster.agents.values():
        for line in agent.log.read_text(errors="replace").splitlines():
            if '"an outcome was acknowledged"' not in line or not line.endswith("}"):
                continue
            entry = json.loads(line)
            verdict = entry["verdict"].removeprefix("OUTCOME_VERDICT_")
            assert entry["result_id"] in (archived if verdict == "ARCHIVED" else known), entry
            verdicts[verdict] += 1
    return len(trained), verdicts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    environment = {"CANOPY_FAKE_TRAINER_STEPS": "10", "CANOPY_FAKE_TRAINER_STEP_MS": "30",
                   "CANOPY_LOG_LEVEL": "debug"}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment,
                 lease_ttl_s=LEASE_TTL_S) as cluster:
        record = cluster.folder / "trained.txt"
        cluster.environment["CANOPY_FAKE_TRAINER_RECORD"] = str(record)
        proxies = []
        for index in range(AGENTS):
            socket = cluster.folder / f"proxy{index}.sock"
            proxies.append(UnixProxy(socket, cluster.state / "controller/run/controller.sock"))
            cluster.add_agent(f"agent{index}", SLOTS, ["--controller", f"unix:{socket}"])
        launch(cluster, AGENTS, SLOTS, "nas_bench_201.yaml", 15_625)
        chaos = Chaos(cluster, proxies, random.Random(arguments.seed))
        start = time.monotonic()
        chaos.run(arguments.kills)
        seconds = time.monotonic() - start

        cluster.wait_for_controller()
        trials = cluster.rows("SELECT count(*) FROM trial")[0][0] + LAST_TRIALS
        file = cluster.folder / "campaign.yaml"
        file.write_text(file.read_text().replace("trials: 15625", f"trials: {trials}"))
        cluster.cli("launch", "--update", file)
        cluster.wait_for_end(300)
        check_rows(cluster, programs, trials)
        trained, verdicts = check_records(cluster, record)
        attempts = dict(cluster.rows("SELECT state, count(*) FROM attempt GROUP BY state"))
        print(f"{trials} trials, {trained} trainings in {seconds:.0f} s of faults {dict(chaos.counts)}")
        print(f"attempts {attempts}, acknowledged {dict(verdicts)}")
        for proxy in proxies:
            proxy.close()
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
