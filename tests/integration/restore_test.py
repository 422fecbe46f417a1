"""An older backup restored while agents hold leases and kept results: every trial ends with one result.

    restore_test.py BUILD [--trials N] [--restores N]

A campaign runs, is backed up, runs on, and its controller is killed. The backup is restored under the running
agents, whose leases are void then and whose results of the lost time are offered again.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from cluster import Cluster, Programs, wait_until

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = """canopy: 1
campaign: {{name: restored, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 100}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: regularized_evolution, population: 10, sample: 3}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: {trials}}}
seed: 7
"""


def results(cluster):
    return cluster.rows("SELECT count(*) FROM result")[0][0]


def wait_for_results(cluster, count):
    wait_until(lambda: results(cluster) >= count, 120, f"{count} results")


def read_copy(path):
    """A snapshot or backup as pandas or sqlite3 would open it: without a controller, and nothing left beside it."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        return connection.execute("SELECT count(*) FROM tests__restored WHERE objective IS NOT NULL").fetchone()[0]
    finally:
        connection.close()
        assert not list(path.parent.glob(path.name + "-*"))


def lose_and_restore(cluster, more):
    """Backs up, lets the campaign go on, and restores; gives the ids of the results that were lost."""
    backup = Path(cluster.cli("db", "backup").strip())
    connection = sqlite3.connect(f"file:{backup}?mode=ro", uri=True)
    at_backup = {row[0] for row in connection.execute("SELECT result_id FROM result")}
    connection.close()
    wait_for_results(cluster, len(at_backup) + more)
    refused = cluster.cli("db", "restore", "latest", expect=1)
    assert "Restored" not in refused
    cluster.controller.kill()
    lost = {row[0] for row in cluster.rows("SELECT result_id FROM result")} - at_backup
    before = cluster.rows("SELECT value FROM meta WHERE name = 'incarnation'")
    printed = cluster.cli("db", "restore", backup)
    assert f"{len(lost)} results more" in printed, printed
    assert int(cluster.rows("SELECT value FROM meta WHERE name = 'incarnation'")[0][0]) == int(before[0][0]) + 1
    assert results(cluster) == len(at_backup)
    assert len(list(cluster.database.parent.glob("canopy.db.replaced-*"))) >= 1
    cluster.controller.start()
    cluster.wait_for_controller()
    return lost


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--restores", type=int, default=2)
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    environment = {"CANOPY_FAKE_TRAINER_RECORD": "", "CANOPY_FAKE_TRAINER_STEPS": "20",
                   "CANOPY_FAKE_TRAINER_STEP_MS": "10"}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        cluster.environment["CANOPY_FAKE_TRAINER_RECORD"] = str(cluster.folder / "trained.txt")
        file = cluster.folder / "campaign.yaml"
        space = ROOT / "search_spaces/catalog/nas_bench_201.yaml"
        file.write_text(CAMPAIGN.format(space=space, trials=arguments.trials))
        for index in range(2):
            cluster.add_agent(f"agent{index}", 2)
        cluster.start()
        cluster.wait_for_workers(2)
        cluster.cli("launch", file, "--quiet")
        wait_for_results(cluster, 4)
        cluster.cli("db", "snapshot", cluster.folder / "copy.db")
        assert read_copy(cluster.folder / "copy.db") >= 4
        lost = set()
        for round in range(arguments.restores):
            wait_for_results(cluster, 5 + 3 * round)
            lost |= lose_and_restore(cluster, 8)
        cluster.wait_for_end(300)
        assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)

        cluster.cli("db", "check")
        states = dict(cluster.rows("SELECT state, count(*) FROM trial GROUP BY state"))
        assert states == {"COMPLETED": arguments.trials}, states
        [(rows, ids)] = cluster.rows("SELECT count(*), count(DISTINCT result_id) FROM result")
        assert rows == ids == arguments.trials, (rows, ids)
        adopted = {json.loads(row[0])["result_id"] for row in cluster.rows(
            "SELECT payload_json FROM event WHERE kind = 'kept_result_adopted'")}
        counted = {row[0] for row in cluster.rows("SELECT result_id FROM result")}
        # Those whose trials the backup had, leased; the later trials are others now. What ended while the
        # controller was down was never acknowledged, and is adopted too.
        assert adopted & lost and adopted <= counted, (adopted, lost, counted)
        stale = cluster.rows("SELECT count(*) FROM archived_outcome a JOIN result r USING (result_id)")
        assert stale == [(0,)], "an outcome is counted or archived"
        fences = [row[0] for row in cluster.rows("SELECT fence FROM attempt ORDER BY id")]
        assert fences == sorted(set(fences)), "fences grow over a restore, too"
        done = subprocess.run([str(programs.replay), str(cluster.database)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        print(f"{arguments.restores} restores: {len(lost)} results lost, {len(adopted & lost)} of them offered again and "
              f"counted, {arguments.trials} trials completed once")
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
