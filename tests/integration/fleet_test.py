"""Workers that are drained, end early, or speak the protocol of the release before.

    fleet_test.py BUILD

A drained worker ends what it runs and gets nothing new, across a controller's restart; an agent that is told to
end, or whose walltime ends, hands its trial back at once and another gets it; a worker of protocol 1 is served.
"""

import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from cluster import Cluster, Programs, wait_until

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = """canopy: 1
campaign: {{name: fleet, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 100}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: random}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: 1000}}
seed: 5
"""


class Fleet:
    def __init__(self, programs, cluster, go):
        self.programs, self.cluster, self.go = programs, cluster, go
        cluster.start()
        cluster.wait_for_workers(2)
        self.ids = {name: (cluster.folder / name / "agent" / "worker_id").read_text().strip()
                    for name in cluster.agents}

    def workers(self):
        lines = self.cluster.cli("worker", "list", "--format", "jsonl").splitlines()
        return {line["worker"]: line for line in map(json.loads, lines)}

    def attempts(self, name, where="1"):
        return self.cluster.rows(f"SELECT id, trial_id, state, failure FROM attempt WHERE worker_id = ? AND {where} "
                                 "ORDER BY id", self.ids.get(name, name))

    def wait_for(self, condition, what):
        wait_until(condition, 30, what)

    def hold(self):
        """Trials from now on run until `release`."""
        self.go.unlink(missing_ok=True)

    def release(self):
        self.go.touch()

    def check_drain(self):
        cluster, first, second = self.cluster, self.ids["first"], self.ids["second"]
        for name in ("first", "second"):
            self.wait_for(lambda name=name: self.attempts(name, "state = 'RUNNING'"), f"a trial on {name}")
        said = cluster.cli("worker", "drain", first, "--reason", "new driver")
        assert "no more trials; the one that runs there" in said, said
        assert self.workers()[first]["state"] == "DRAINING", self.workers()
        shown = cluster.cli("worker", "show", first[:8])
        assert "new driver" in shown and "fleet/" in shown, shown
        self.check_explanations(first, second)
        self.release()
        self.wait_for(lambda: len(self.attempts("second", "state = 'SUCCEEDED'")) > 3, "trials on the other worker")
        assert [row[2] for row in self.attempts("first")] == ["SUCCEEDED"], self.attempts("first")
        cluster.controller.kill(signal.SIGKILL)
        cluster.controller.start()
        cluster.wait_for_controller()
        cluster.wait_for_workers(2)
        done = len(self.attempts("second", "state = 'SUCCEEDED'"))
        self.wait_for(lambda: len(self.attempts("second", "state = 'SUCCEEDED'")) > done + 3, "trials after the restart")
        assert self.workers()[first]["state"] == "DRAINED", self.workers()
        assert self.workers()[second]["state"] == "READY", self.workers()
        assert len(self.attempts("first")) == 1, self.attempts("first")

    def explain(self, state):
        [(number,)] = self.cluster.rows("SELECT number FROM trial WHERE state = ? ORDER BY number LIMIT 1", state)
        text = self.cluster.cli("trial", "explain", f"fleet/{number}")
        return text, json.loads(self.cluster.cli("trial", "explain", f"fleet/{number}", "--format", "json"))

    def check_explanations(self, first, second):
        text, waiting = self.explain("PENDING")
        assert "it waits because the 1 worker that could run it is busy" in text, text
        why = {worker["worker"]: worker["why_not"] for worker in waiting["workers"]}
        assert "new driver" in why[first] and why[second] == "", why
        text, running = self.explain("LEASED")
        assert "it runs on" in text and running["attempts"][-1]["worker"] in (first, second), text

    def check_preemption(self):
        cluster = self.cluster
        # What starts from here on is held, and nothing else runs.
        cluster.cli("campaign", "pause", "fleet")
        self.wait_for(lambda: not self.attempts("second", "state = 'RUNNING'"), "the end of what runs")
        self.hold()
        cluster.cli("campaign", "resume", "fleet")
        self.wait_for(lambda: self.attempts("second", "state = 'RUNNING'"), "a trial that is held")
        [(attempt, trial, _, _)] = self.attempts("second", "state = 'RUNNING'")
        cluster.agents["second"].kill(signal.SIGTERM)
        assert cluster.agents["second"].process.returncode == 0, cluster.agents["second"].tail()
        # Handed back before the agent was gone: nothing waits for the lease's end.
        [(_, _, state, failure)] = self.attempts("second", f"id = {attempt}")
        assert state in ("FAILED", "EXPIRED") and failure == "PREEMPTED", self.attempts("second")
        assert self.workers()[self.ids["second"]]["state"] == "AWAY", self.workers()
        cluster.cli("worker", "drain", self.ids["first"], "--undo")
        self.wait_for(lambda: self.attempts("first", "state = 'RUNNING'"), "the trial on the worker that is left")
        assert self.attempts("first", "state = 'RUNNING'")[0][1] == trial, self.attempts("first")

    def check_walltime(self):
        third = self.cluster.add_agent("third", extra=self.cluster.agents["first"].command[-2:] + ["--walltime", "4s"])
        third.start()
        third.process.wait(30)
        assert third.process.returncode == 0, third.tail()
        identity = (self.cluster.folder / "third" / "agent" / "worker_id").read_text().strip()
        assert not self.attempts(identity, "state = 'RUNNING'"), self.attempts(identity)
        assert {row[2:] for row in self.attempts(identity)} <= {("FAILED", "PREEMPTED")}, self.attempts(identity)

    def check_protocol_1(self):
        cluster, identity = self.cluster, str(uuid.uuid4())
        [(datasets,)] = cluster.rows("SELECT datasets_json FROM worker WHERE id = ?", self.ids["first"])
        digest = next(entry["digest"] for entry in json.loads(datasets) if entry["name"] == "fashion-mnist")
        socket = self.cluster.state / "controller" / "run" / "controller.sock"
        done = subprocess.run([self.programs.fake_trainer.parent / "protocol_1_worker", f"unix:{socket}", identity,
                               "fashion-mnist", digest], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "tests/fleet/" in done.stdout, done.stdout
        assert [row[2] for row in self.attempts(identity)] == ["SUCCEEDED"], self.attempts(identity)


def main():
    programs = Programs(sys.argv[1])
    with Cluster(programs, trainer=programs.fake_trainer) as cluster:
        go = cluster.folder / "go"
        cluster.environment["CANOPY_FAKE_TRAINER_HOLD"] = str(go)
        file = cluster.folder / "campaign.yaml"
        file.write_text(CAMPAIGN.format(space=ROOT / "search_spaces/catalog/nas_bench_201.yaml"))
        cluster.add_agent("first")
        cluster.add_agent("second")
        fleet = Fleet(programs, cluster, go)
        cluster.cli("launch", file, "--quiet")
        fleet.check_drain()
        fleet.check_preemption()
        fleet.check_walltime()
        fleet.check_protocol_1()
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
