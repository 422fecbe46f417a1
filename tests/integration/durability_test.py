"""kill -9 of any process at any time: nothing acknowledged is lost, nothing is counted twice.

    durability_test.py BUILD [--kills N] [--seed S]

A fake trainer answers at once, so that kills fall into writes and exchanges as well as into trainings.
First a run without kills, then the same campaign with kills spread over controller, agent and trainers, some
of them while the last victim still recovers: with one worker and one slot the candidates are equal. Then two
agents of two slots, and at last the real trainer, whose zygote is killed too.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster import Cluster, Programs, wait_until, write_images

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = """canopy: 1
campaign: {{name: durable, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 100}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: regularized_evolution, population: 10, sample: 3}}
fidelity: {{epochs: {epochs}}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: {trials}}}
seed: 7
"""


def candidates(cluster):
    rows = cluster.rows("SELECT decisions_json FROM trial WHERE purpose = 'SEARCH' ORDER BY number")
    return [row[0] for row in rows]


def trainer_pids(cluster, kind):
    """This cluster's trainers, or its zygotes: trainer programs whose parent is no trainer program but which
    have forked one. They carry the cluster's folder in their environment."""
    programs = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program = os.readlink(entry / "exe")
            home = f"HOME={cluster.folder}\0".encode() in (entry / "environ").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # One that an agent asks for its version as it starts trains nothing.
        if home and b"--version" not in arguments and Path(program).name in ("fake_trainer", "canopy-trainer"):
            programs[int(entry.name)] = (parent, b"--zygote" in arguments)
    zygotes = {pid for pid, (parent, zygote) in programs.items() if zygote and parent not in programs}
    return sorted(zygotes if kind == "zygote" else programs.keys() - zygotes)


class Killer:
    """Kills processes of a cluster while its campaign runs; `counts` says how many of each kind."""

    def __init__(self, cluster, generator):
        self.cluster = cluster
        self.generator = generator
        self.counts = collections.Counter()

    def kill(self, kind):
        assert self.cluster.campaign_state() == "RUNNING", f"it ended before all kills: {dict(self.counts)}"
        if kind in ("trainer", "zygote"):
            wait_until(lambda: self.kill_trainer(kind), 60, f"a {kind} to kill")
        else:
            daemon = self.cluster.controller
            if kind == "agent":
                daemon = self.generator.choice(list(self.cluster.agents.values()))
            assert daemon.running(), f"{daemon.log.name} ended by itself:\n{daemon.tail()}"
            daemon.kill()
            daemon.start()
        self.counts[kind] += 1

    def kill_trainer(self, kind):
        pids = trainer_pids(self.cluster, kind)
        if not pids:
            return False
        try:
            os.kill(self.generator.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return False  # it ended meanwhile: another one
        return True

    def kill_all(self, kinds, trials):
        """Each of `kinds` once, in random order, over the whole campaign and at random moments."""
        kinds = list(kinds)
        self.generator.shuffle(kinds)
        for index, kind in enumerate(kinds):
            if index > 0 and self.generator.random() < 1 / 3:
                time.sleep(self.generator.uniform(0, 0.3))  # into the recovery from the kill before
            else:
                goal = index * trials * 3 // (len(kinds) * 4)  # the last quarter outlasts the last kills
                wait_until(lambda: self.cluster.rows("SELECT count(*) FROM result")[0][0] >= goal, 180,
                           f"{goal} results after kills {dict(self.counts)}")
                time.sleep(self.generator.uniform(0, 0.1))
            self.kill(kind)
        assert self.counts == collections.Counter(kinds)


def check_rows(cluster, programs, trials):
    assert cluster.rows("PRAGMA integrity_check") == [("ok",)]
    assert cluster.rows("PRAGMA foreign_key_check") == []
    states = dict(cluster.rows("SELECT state, count(*) FROM trial WHERE purpose = 'SEARCH' GROUP BY state"))
    assert states == {"COMPLETED": trials}, states
    [(results, distinct)] = cluster.rows("SELECT count(*), count(DISTINCT trial_id) FROM result")
    assert results == distinct == trials, (results, distinct)
    twice = cluster.rows("""SELECT trial_id, count(*) FROM attempt WHERE state = 'SUCCEEDED'
                            GROUP BY trial_id HAVING count(*) > 1""")
    assert twice == [], twice
    fences = [row[0] for row in cluster.rows("SELECT fence FROM attempt ORDER BY id")]
    assert fences == sorted(set(fences)), "fences grow"
    sequence = [row[0] for row in cluster.rows("SELECT seq FROM result ORDER BY seq")]
    assert sequence == list(range(1, trials + 1)), sequence
    done = subprocess.run([str(programs.replay), str(cluster.database)], capture_output=True, text=True)
    assert done.returncode == 0, "the replayed log gives other proposals:\n" + done.stdout + done.stderr


def launch(cluster, agents, slots, space, trials, epochs=1):
    file = cluster.folder / "campaign.yaml"
    file.write_text(CAMPAIGN.format(space=ROOT / "search_spaces/catalog" / space, trials=trials, epochs=epochs))
    for index in range(agents - len(cluster.agents)):
        cluster.add_agent(f"agent{index}", slots)
    cluster.start()
    cluster.wait_for_workers(agents)
    cluster.cli("launch", file, "--quiet")


def finish(cluster, programs, trials, what, counts):
    cluster.wait_for_end(300)
    assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
    check_rows(cluster, programs, trials)
    print(f"{what}: {trials} trials, kills {dict(counts) or 'none'}", flush=True)


def run(programs, agents, slots, trials, kills, seed):
    environment = {"CANOPY_FAKE_TRAINER_RECORD": "", "CANOPY_FAKE_TRAINER_STEPS": "20",
                   "CANOPY_FAKE_TRAINER_STEP_MS": str(5 * agents * slots)}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        record = cluster.folder / "trained.txt"
        cluster.environment["CANOPY_FAKE_TRAINER_RECORD"] = str(record)
        launch(cluster, agents, slots, "nas_bench_201.yaml", trials)
        killer = Killer(cluster, random.Random(seed))
        killer.kill_all(("controller", "agent", "trainer") * (kills // 3), trials)
        finish(cluster, programs, trials, f"{agents} agents x {slots} slots", killer.counts)
        # The workers' own record: what the database counts was trained.
        trained = {json.loads(line)["attempt_id"] for line in record.read_text().splitlines() if line}
        counted = {str(row[0]) for row in cluster.rows("SELECT attempt_id FROM result")}
        assert counted and counted <= trained, counted - trained
        return candidates(cluster), killer.counts


def run_real(programs, trials, seed):
    """The real trainer, forked by its zygote."""
    with Cluster(programs) as cluster:
        data = cluster.folder / "data"
        write_images(data, training=400, test=10)
        cluster.data = f"fashion-mnist={data}"
        launch(cluster, 1, 2, "fashion_macro.yaml", trials, epochs=10)  # about 0.2 s each
        killer = Killer(cluster, random.Random(seed))
        killer.kill_all(("trainer", "zygote", "controller", "agent", "trainer", "zygote"), trials)
        finish(cluster, programs, trials, "the real trainer", killer.counts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=21)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    calm, _ = run(programs, 1, 1, arguments.trials, 0, arguments.seed)
    killed, counts = run(programs, 1, 1, arguments.trials, arguments.kills, arguments.seed)
    assert sum(counts.values()) >= 20 and min(counts[kind] for kind in ("controller", "agent", "trainer")) >= 5
    assert calm == killed, "with one worker and one slot the candidates equal those of an uninterrupted run"
    run(programs, 2, 2, arguments.trials, arguments.kills // 3, arguments.seed + 1)
    run_real(programs, 24, arguments.seed + 2)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
