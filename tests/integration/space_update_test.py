"""A space that changes under a running campaign: `canopy launch --update`.

    space_update_test.py BUILD

Real processes and a fake trainer. The space is widened (every trial is carried over), loses a value (the trials
that have it are set aside) and makes other networks under the same names (all are set aside), the controller
killed with kill -9 right after each update, or not; then `canopy run` with other files is refused. The replayed
log gives the same proposals.
"""

import argparse
import json
import os
import pty
import subprocess
import sys

from cluster import Cluster, Programs, wait_until

SPACE = """canopy: 1
name: tiny
input: {{shape: [1, 28, 28], classes: 10}}
network:
  - conv2d: {{out_channels: {{name: width, int: [1, {width}]}}, kernel: {{name: kernel, choice: {kernels}}}}}
  - {activation}
  - global_avg_pool
  - linear: {{features: classes}}
"""
LAUNCHED = {"width": 16, "kernels": [1, 3, 5], "activation": "relu"}
WIDER = {**LAUNCHED, "width": 64}
WITHOUT_FIVE = {**WIDER, "kernels": [1, 3]}
OTHER_NETWORK = {**WITHOUT_FIVE, "activation": "silu"}

CAMPAIGN = """canopy: 1
campaign: {{name: changing, project: tests}}
space: space.yaml
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 100}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: regularized_evolution, population: 6, sample: 3}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: {trials}}}
seed: 7
"""


class Course:
    """A campaign over four versions of its space."""

    def __init__(self, programs, cluster, kills):
        self.programs = programs
        self.cluster = cluster
        self.kills = kills
        self.file = cluster.folder / "campaign.yaml"

    def write(self, space, trials):
        (self.cluster.folder / "space.yaml").write_text(SPACE.format(**space))
        self.file.write_text(CAMPAIGN.format(trials=trials))

    def one(self, sql):
        return self.cluster.rows(sql)[0][0]

    def wait_for_results(self, count):
        wait_until(lambda: self.one("SELECT count(*) FROM result") >= count, 120, f"{count} results")

    def update(self, space, trials):
        self.write(space, trials)
        would = self.cluster.cli("launch", "--update", self.file, "--dry-run")
        versions = self.one("SELECT count(*) FROM space_version")
        assert "Would change tests/changing" in would, would
        said = self.cluster.cli("launch", "--update", self.file)
        assert said.replace("Changed", "Would change") == would, (would, said)
        assert self.one("SELECT count(*) FROM space_version") == versions + 1
        if self.kills:
            self.cluster.controller.kill()
            self.cluster.controller.start()
            self.cluster.wait_for_controller()
        again = self.cluster.cli("launch", "--update", self.file)
        assert again == "Nothing to change: tests/changing has these files\n", again
        return said

    def pause(self):
        """With nothing that runs."""
        self.cluster.cli("campaign", "pause", "changing")
        wait_until(lambda: self.one("SELECT count(*) FROM attempt WHERE state = 'RUNNING'") == 0, 60,
                   "the end of what runs")

    def set_aside(self):
        return self.cluster.rows("""SELECT s.reason, t.decisions_json FROM set_aside s
                                    JOIN trial t ON t.id = s.trial_id JOIN campaign c ON c.id = s.campaign_id
                                    AND c.space_version = s.version ORDER BY t.number""")

    def counted(self):
        return self.cluster.rows("""SELECT t.decisions_json FROM trial t JOIN campaign c ON c.id = t.campaign_id
                                    WHERE t.purpose = 'SEARCH' AND NOT EXISTS (SELECT 1 FROM set_aside s WHERE
                                    s.trial_id = t.id AND s.version = c.space_version) ORDER BY t.number""")

    def run(self):
        cluster = self.cluster
        self.write(LAUNCHED, 1000)
        cluster.add_agent()
        cluster.start()
        cluster.wait_for_workers(1)
        cluster.cli("launch", self.file, "--quiet")
        self.wait_for_results(8)
        self.pause()

        said = self.update(WIDER, 1000)
        assert "0 set aside" in said and "an integer from 1 to 64" in said, said
        assert self.set_aside() == []
        cluster.cli("campaign", "resume", "changing")
        wait_until(lambda: self.one("SELECT count(*) FROM trial WHERE space_version = 2") >= 8, 120, "version 2")
        self.pause()

        before = [json.loads(row[0]) for row in self.counted()]
        said = self.update(WITHOUT_FIVE, 1000)
        gone = self.set_aside()
        cancelled = self.one("SELECT count(*) FROM trial WHERE state = 'CANCELLED'")
        assert len(gone) == sum(one["kernel"] == 5 for one in before), (gone, before)
        assert all("kernel" in reason and json.loads(decisions)["kernel"] == 5 for reason, decisions in gone)
        assert cancelled <= len(gone) and f"{len(gone)} set aside" in said, said
        cluster.cli("campaign", "resume", "changing")
        wait_until(lambda: self.one("SELECT count(*) FROM trial WHERE space_version = 3") >= 8, 120, "version 3")
        kernels = {json.loads(row[0])["kernel"] for row in cluster.rows(
            "SELECT decisions_json FROM trial WHERE space_version = 3")}
        assert kernels <= {1, 3}, kernels

        self.pause()
        trials = self.one("SELECT count(*) FROM trial")
        said = self.update(OTHER_NETWORK, trials + 8)
        assert "0 trials carried over" in said and "another network" in said, said
        assert self.counted() == []
        best = cluster.cli("best", "changing", "--format", "jsonl")
        assert best == "", best
        cluster.cli("campaign", "resume", "changing")
        cluster.wait_for_end(120)
        assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
        self.check()

    def check(self):
        cluster = self.cluster
        assert cluster.rows("PRAGMA integrity_check") == [("ok",)]
        assert cluster.rows("PRAGMA foreign_key_check") == []
        done = subprocess.run([str(self.programs.replay), str(cluster.database)], capture_output=True, text=True)
        assert done.returncode == 0, "the replayed log gives other proposals:\n" + done.stdout + done.stderr
        best = [json.loads(line) for line in cluster.cli("best", "changing", "--format", "jsonl").splitlines()]
        assert best and {trial["space_version"] for trial in best} == {4}, best
        rows = cluster.cli("query", "SELECT space_version, count(*), sum(set_aside IS NULL) FROM tests__changing "
                           "GROUP BY space_version ORDER BY space_version", "--format", "jsonl")
        counts = [list(json.loads(line).values()) for line in rows.splitlines()]
        assert [row[0] for row in counts] == [1, 2, 3, 4], counts
        assert [row[2] for row in counts[:3]] == [0, 0, 0] and counts[3][2] == counts[3][1], counts
        shown = cluster.cli("campaign", "show", "changing")
        assert "SET ASIDE" in shown and "local:" in shown, shown
        one = json.loads(cluster.cli("trial", "show", "changing/1", "--format", "json"))
        assert one["space_version"] == 1 and "another network" in one["set_aside"], one


def refusals(course):
    """A live campaign and files that are not its own."""
    cluster = course.cluster
    course.write(LAUNCHED, 1000)
    cluster.cli("launch", course.file, "--name", "second", "--quiet")
    course.write(WIDER, 1000)
    for verb in ("run", "launch"):
        done = subprocess.run(
            [str(cluster.programs.canopy), verb, str(course.file), "--name", "second", "--state-dir",
             str(cluster.state)], env=cluster.environment, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL)
        assert done.returncode == 1, (verb, done.returncode, done.stderr)
        assert "launch --update" in done.stderr and "--name" in done.stderr, done.stderr
        assert "width" in done.stderr, done.stderr
    assert cluster.rows("SELECT space_version FROM campaign WHERE name = 'second'") == [(1,)]
    course.file.write_text(course.file.read_text().replace("seed: 7", "seed: 8"))
    cluster.cli("launch", "--update", course.file, "--name", "second", expect=3)


def on_terminal(cluster, answer, *arguments):
    """Runs a command on a terminal of its own, where `answer` is typed; gives what it showed."""
    terminal, side = pty.openpty()
    process = subprocess.Popen(
        [str(cluster.programs.canopy), *map(str, arguments), "--state-dir", str(cluster.state)],
        env=cluster.environment, stdin=side, stdout=side, stderr=side)
    os.close(side)
    os.write(terminal, answer.encode())
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the process has ended
            break
        shown += part
    assert process.wait(timeout=60) == 0, shown
    os.close(terminal)
    return shown.decode()


def questions(course):
    """On a terminal a person is asked before trials are set aside."""
    cluster = course.cluster
    versions = lambda: cluster.rows("SELECT space_version FROM campaign WHERE name = 'second'")
    course.write({**LAUNCHED, "activation": "silu"}, 1000)
    update = ("launch", "--update", course.file, "--name", "second")
    shown = on_terminal(cluster, "n\n", *update)
    assert "[y/N]" in shown and "Nothing was changed" in shown, shown
    assert versions() == [(1,)]
    shown = on_terminal(cluster, "y\n", *update)
    assert "[y/N]" in shown and "Changed tests/second" in shown, shown
    assert versions() == [(2,)]
    course.write({**LAUNCHED, "activation": "gelu"}, 1000)
    shown = on_terminal(cluster, "", *update, "--yes")
    assert "[y/N]" not in shown and versions() == [(3,)], shown


def course(programs, kills):
    environment = {"CANOPY_FAKE_TRAINER_STEPS": "5", "CANOPY_FAKE_TRAINER_STEP_MS": "2"}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        one = Course(programs, cluster, kills)
        one.run()
        if not kills:
            refusals(one)
            questions(one)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    programs = Programs(parser.parse_args().build)
    course(programs, kills=False)
    course(programs, kills=True)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
