"""Trainings that report at rungs, pause there, go on and stop, with real processes and kills.

    rungs_test.py BUILD [--kills N] [--seed S]

The controller is one whose schedule lets the best of three go on at each of two rungs. First fake trainers of two
agents, with kills spread over controller, agents and trainers. Then the real trainer: what it reaches in several
parts is, bit for bit, what it reaches in one.
"""

import argparse
import json
import random
import sys

from cluster import Cluster, Daemon, Programs, wait_until, write_images
from durability_test import Killer, launch

LEASE_TTL_S = 2
EPOCHS = 4


def use_rungs(cluster, build):
    cluster.controller = Daemon([build / "tests" / "rungs_controller", cluster.state / "controller", LEASE_TTL_S],
                                cluster.folder / "controller.log", cluster.environment)


def check(cluster, trials):
    assert cluster.rows("PRAGMA integrity_check") == [("ok",)]
    assert cluster.rows("PRAGMA foreign_key_check") == []
    states = dict(cluster.rows("SELECT state, count(*) FROM trial WHERE purpose = 'SEARCH' GROUP BY state"))
    assert set(states) == {"COMPLETED", "STOPPED"} and sum(states.values()) == trials, states
    bad = cluster.rows("""SELECT t.number, t.state, t.rung, r.rung, r.epochs FROM trial t LEFT JOIN result r
                          ON r.trial_id = t.id WHERE r.rung IS NOT CASE t.state WHEN 'STOPPED' THEN t.rung ELSE 0 END
                          OR r.epochs IS NOT CASE t.state WHEN 'STOPPED' THEN t.rung ELSE ? END""", EPOCHS)
    assert bad == [], bad
    # Whatever was sent again or trained again: one report for each rung, in the log as in the table.
    [(reports, logged)] = cluster.rows("""SELECT (SELECT count(*) FROM rung_report),
                                          (SELECT count(*) FROM event WHERE kind = 'rung_reported')""")
    assert reports == logged and reports > trials, (reports, logged)
    skipped = cluster.rows("""SELECT trial_id FROM rung_report GROUP BY trial_id
                              HAVING max(rung) <> count(*) AND max(rung) = 2 AND min(rung) <> 2""")
    assert skipped == [], skipped
    sequence = [row[0] for row in cluster.rows("SELECT seq FROM result ORDER BY seq")]
    assert sequence == list(range(1, trials + 1)), sequence
    cluster.cli("db", "check")
    return states


def run_killed(build, programs, kills, seed):
    trials = 40
    environment = {"CANOPY_FAKE_TRAINER_STEPS": "10", "CANOPY_FAKE_TRAINER_STEP_MS": "20"}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        record = cluster.folder / "trained.txt"
        cluster.environment["CANOPY_FAKE_TRAINER_RECORD"] = str(record)
        use_rungs(cluster, build)
        launch(cluster, 2, 2, "nas_bench_201.yaml", trials, epochs=EPOCHS)
        wait_until(lambda: cluster.rows("SELECT 1 FROM trial WHERE state = 'PAUSED'"), 60, "a trial that pauses")
        killer = Killer(cluster, random.Random(seed))
        killer.kill_all(("controller", "agent", "trainer") * (kills // 3), trials)
        cluster.wait_for_end(300)
        assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
        states = check(cluster, trials)
        lines = [json.loads(line) for line in record.read_text().splitlines() if line]
        resumed = sum(1 for line in lines if line["from_epoch"] > 0)
        assert resumed > 0, "nothing went on from a checkpoint"
        print(f"two agents x two slots: {states}, {resumed} trainings resumed, kills {dict(killer.counts)}",
              flush=True)


def figures(cluster):
    return dict(cluster.rows("""SELECT t.decisions_json, r.metrics_json ->> '$.val_loss' FROM trial t JOIN result r
                                ON r.trial_id = t.id WHERE t.state = 'COMPLETED'"""))


def run_real(build, programs):
    trials = 9
    found = []
    for rungs in (True, False):
        with Cluster(programs) as cluster:
            data = cluster.folder / "data"
            write_images(data, training=400, test=10)
            cluster.data = f"fashion-mnist={data}"
            if rungs:
                use_rungs(cluster, build)
            launch(cluster, 1, 1, "fashion_macro.yaml", trials, epochs=EPOCHS)
            cluster.wait_for_end(300)
            assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
            if rungs:
                check(cluster, trials)
            found.append(figures(cluster))
    in_parts, in_one = found
    assert in_parts, "nothing was trained in full"
    both = in_parts.keys() & in_one.keys()
    assert both, "no candidate was trained in both ways"
    for candidate in both:
        assert in_parts[candidate] == in_one[candidate], (candidate, in_parts[candidate], in_one[candidate])
    print(f"the real trainer: {len(both)} of {len(in_parts)} candidates compared, equal bit for bit", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    build = programs.canopy.parent.parent
    run_killed(build, programs, arguments.kills, arguments.seed)
    if programs.trainer.exists():
        run_real(build, programs)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
