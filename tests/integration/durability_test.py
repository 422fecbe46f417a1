"""kill -9 of any process at any time: nothing acknowledged is lost, nothing is counted twice.

    durability_test.py BUILD [--kills N] [--seed S]

A fake trainer answers at once, so that kills fall into writes and exchanges as well as into trainings.
First a run without kills, then the same campaign with kills spread over controller, agent and trainers:
with one worker and one slot the candidates are equal. Then two agents of two slots.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from cluster import Cluster, Programs, wait_until

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = """canopy: 1
campaign: {{name: durable, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 100}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: regularized_evolution, population: 10, sample: 3}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: {trials}}}
seed: 7
"""


def candidates(cluster):
    rows = cluster.rows("SELECT decisions_json FROM trial WHERE purpose = 'SEARCH' ORDER BY number")
    return [row[0] for row in rows]


def trainer_pids(cluster):
    """Trainer processes of this cluster: they carry its folder in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program = os.readlink(entry / "exe")
            home = f"HOME={cluster.folder}\0".encode() in (entry / "environ").read_bytes()
        except OSError:
            continue
        if home and Path(program).name in ("fake_trainer", "canopy-trainer"):
            found.append(int(entry.name))
    return found


def kill_something(cluster, generator, counts):
    victim = generator.choice(["controller", "agent", "trainer"])
    if victim == "trainer":
        pids = trainer_pids(cluster)
        if not pids:
            return
        try:
            os.kill(generator.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return
    elif victim == "controller":
        cluster.controller.kill()
        cluster.controller.start()
    else:
        agent = generator.choice(list(cluster.agents.values()))
        agent.kill()
        agent.start()
    counts[victim] = counts.get(victim, 0) + 1


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


def run(programs, agents, slots, trials, kills, seed):
    environment = {"CANOPY_FAKE_TRAINER_RECORD": "", "CANOPY_FAKE_TRAINER_STEPS": "20"}
    generator = random.Random(seed)
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        record = cluster.folder / "trained.txt"
        cluster.environment["CANOPY_FAKE_TRAINER_RECORD"] = str(record)
        file = cluster.folder / "campaign.yaml"
        file.write_text(CAMPAIGN.format(space=ROOT / "search_spaces/catalog/nas_bench_201.yaml", trials=trials))
        for index in range(agents):
            cluster.add_agent(f"agent{index}", slots)
        cluster.start()
        cluster.wait_for_workers(agents)
        cluster.cli("launch", file, "--quiet")
        counts = {}
        for index in range(kills):
            goal = min(trials - 1, (index + 1) * trials // (kills + 1))
            wait_until(lambda: cluster.rows("SELECT count(*) FROM result")[0][0] >= goal, 180,
                       f"{goal} results after kills {counts}")
            kill_something(cluster, generator, counts)
        cluster.wait_for_end(300, keep_alive=False)
        assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
        check_rows(cluster, programs, trials)
        if record.exists():  # the workers' own record: what the database counts was trained
            trained = {json.loads(line)["attempt_id"] for line in record.read_text().splitlines() if line}
            counted = {str(row[0]) for row in cluster.rows("SELECT attempt_id FROM result")}
            assert counted <= trained, counted - trained
        print(f"{agents} agents x {slots} slots: {trials} trials, kills {counts or 'none'}")
        return candidates(cluster)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    calm = run(programs, 1, 1, arguments.trials, 0, arguments.seed)
    killed = run(programs, 1, 1, arguments.trials, arguments.kills, arguments.seed)
    assert calm == killed, "with one worker and one slot the candidates equal those of an uninterrupted run"
    run(programs, 2, 2, arguments.trials, arguments.kills // 2, arguments.seed + 1)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
