"""The examples of docs/own_operators.md, as a user runs them.

    own_operators_test.py BUILD composed|library|python

library installs the build into a temporary folder, builds the example against that, outside the tree, and
runs campaigns with it; python skips where no Python with PyTorch is found.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from cluster import Cluster, Programs, wait_until, write_images

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SKIPPED = 77


def check_composed(build):
    with Cluster(Programs(build)) as cluster:
        space = EXAMPLES / "own_operator_composed" / "space.yaml"
        checked = cluster_space(cluster, "check", space)
        assert "architectures 24" in checked, checked
        drawn = cluster_space(cluster, "show", space, "reference")
        assert "depthwise conv 3x3 /2" in drawn and "squeeze excite" in drawn, drawn
        candidates = cluster_space(cluster, "sample", space, "--n", "20", "--format", "jsonl")
        file = cluster.folder / "candidates.jsonl"
        file.write_text(candidates)
        costs = [json.loads(line) for line in
                 cluster_space(cluster, "cost", space, "--from", file, "--format", "jsonl").splitlines()]
        assert len(costs) == 20 and all(cost["params"] > 1000 and cost["depends_on_input"] == "yes" for cost in costs)
        assert len({cost["graph_hash"] for cost in costs}) > 5, costs
        for line in ("first_expand", "first_attention", "second_attention"):
            assert line in checked, checked


def cluster_space(cluster, verb, *arguments):
    """`canopy space` takes no state directory."""
    done = subprocess.run([str(cluster.programs.canopy), "space", verb, *map(str, arguments)],
                          env=cluster.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Example:
    """A copy of an example beside a small data set, and campaigns of it."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.folder = cluster.folder / name
        shutil.copytree(EXAMPLES / name, self.folder)
        self.data = cluster.folder / "data"
        write_images(self.data)

    def run(self, name, *options, expect=0):
        return self.cluster.cli("run", self.folder / "campaign.yaml", "--name", name, "--slots", 1,
                                "--data", f"fashion-mnist={self.data}", "--set", "task.validation.count=200",
                                "--set", "trainer.batch_size=32", *options, expect=expect, timeout=600)

    def trials(self, name):
        return self.cluster.rows(
            """SELECT trial.purpose, trial.state, trial.reason, candidate.params, result.metrics_json,
                      result.trainer_build
               FROM trial JOIN campaign ON campaign.id = trial.campaign_id
               JOIN candidate ON candidate.id = trial.candidate_id
               LEFT JOIN result ON result.trial_id = trial.id
               WHERE campaign.name = ? ORDER BY trial.number""", name)


def command(*parts, cwd=None):
    done = subprocess.run(list(map(str, parts)), capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, f"{parts}\n{done.stdout}{done.stderr}"
    return done.stdout


def installed(build, prefix):
    command("cmake", "--install", build, "--prefix", prefix)
    programs = Programs(build)
    programs.canopy, programs.trainer = prefix / "bin" / "canopy", prefix / "bin" / "canopy-trainer"
    return programs


def allowed(library):
    return f"{library}={hashlib.sha256(library.read_bytes()).hexdigest()}"


def check_library(build):
    with Cluster(Programs(build)) as cluster:
        programs = cluster.programs = installed(build, cluster.folder / "prefix")
        example = Example(cluster, "own_operator_library")
        command("cmake", "-G", "Ninja", "-S", example.folder, "-B", example.folder / "build",
                f"-DCMAKE_PREFIX_PATH={cluster.folder / 'prefix'}", "-DCMAKE_BUILD_TYPE=Release")
        command("cmake", "--build", example.folder / "build")
        library = example.folder / "build" / "eca.so"
        example.run("trained", "--operator-libraries", allowed(library), "--set", "finals={top: 1, seeds: 1}")
        check_trained(example.trials("trained"), {"SEARCH": 3, "FINAL": 1, "TEST": 1, "MEASURE": 1})
        builds = {row[5] for row in example.trials("trained")}
        version = json.loads(command(programs.trainer, "--version"))
        assert version["operators"] == [] and builds.isdisjoint({version["trainer_build"]}), (version, builds)
        check_refused_rules(example, allowed(library))
        check_refused_libraries(programs, library)
    check_waiting(programs_of=build)


def check_trained(rows, expected):
    counts = {}
    for purpose, state, reason, params, metrics, _ in rows:
        counts[purpose] = counts.get(purpose, 0) + 1
        assert state == "COMPLETED", (purpose, state, reason)
        assert params > 0
        if purpose == "SEARCH":
            assert 0 <= json.loads(metrics)["val_accuracy"] <= 1, metrics
        if purpose == "MEASURE":
            assert any(name.startswith("latency_") for name in json.loads(metrics)), metrics
    assert counts == expected, counts


def check_refused_rules(example, libraries):
    """A module that is not what the space file says makes every candidate infeasible, and says why."""
    space = example.folder / "space.yaml"
    text = space.read_text()
    for name, rule, other, reason in (
            ("parameters", "parameters: kernel", "parameters: kernel + 1", "parameters, as the space file's rule says"),
            ("shape", "output: same", "output: [in_channels, in_height // 2, in_width]", "found {2, "),
            ("attribute", "      kernel: {type: int, default: 3, min: 1, max: 63}",
             "      kernel: {type: float, default: 3, min: 1, max: 63}", "has no attribute 'kernel'")):
        assert rule in text
        space.write_text(text.replace(rule, other))
        example.run(name, "--operator-libraries", libraries, expect=None)
        rows = example.trials(name)
        assert rows and all(row[1] == "INFEASIBLE" and "operator 'eca'" in row[2] and reason in row[2]
                            for row in rows), (name, rows)
    space.write_text(text)


def check_refused_libraries(programs, library):
    """What is not allowed, not a library or not built for this trainer is not loaded."""
    def refusal(text):
        done = subprocess.run([str(programs.trainer), "--operator-libraries", text, "--version"],
                              capture_output=True, text=True)
        assert done.returncode != 0, done.stdout
        return done.stderr
    good = allowed(library)
    assert "SHA-256" in refusal(f"{library}={'0' * 64}")
    assert "sha256sum" in refusal(str(library))
    assert "expected each operator once" in refusal(f"{good},{good}")
    changed = library.with_name("changed.so")
    # The release of LibTorch that the library was built for stands in it as text.
    version = json.loads(command(programs.trainer, "--version"))["libtorch_version"].encode()
    content = library.read_bytes()
    assert version + b"\0" in content
    changed.write_bytes(content.replace(b"\0" + version + b"\0", b"\0" + b"9" + version[1:] + b"\0"))
    assert "built for LibTorch" in refusal(allowed(changed)), refusal(allowed(changed))
    changed.write_bytes(b"no library")
    assert "load " in refusal(allowed(changed))


def check_waiting(programs_of):
    """A worker without the operator gets no such trial, and the campaign says what it waits for."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(Cluster(Programs(programs_of)))
        example = Example(cluster, "own_operator_library")
        cluster.data = f"fashion-mnist={example.data}"
        cluster.add_agent()
        cluster.start()
        cluster.wait_for_workers(1)
        done = subprocess.run(
            [str(cluster.programs.canopy), "launch", str(example.folder / "campaign.yaml"), "--set",
             "task.validation.count=200", "--state-dir", str(cluster.state)],
            env=cluster.environment, capture_output=True, text=True)
        assert done.returncode == 0 and "has the space's operator 'eca'" in done.stderr + done.stdout, done
        wait_until(lambda: cluster.rows("SELECT COUNT(*) FROM trial")[0][0] > 0, 60, "a trial")
        assert cluster.rows("SELECT COUNT(*) FROM attempt")[0][0] == 0


def python_with_torch():
    for name in (sys.executable, "/usr/bin/python3", "python3"):
        done = subprocess.run([name, "-c", "import torch"], capture_output=True)
        if done.returncode == 0:
            return name
    return None


def check_python(build):
    python = python_with_torch()
    if python is None:
        print("skipped: no Python with PyTorch is found; on Debian: apt install python3-torch")
        sys.exit(SKIPPED)
    with Cluster(Programs(build)) as cluster:
        example = Example(cluster, "own_operator_python")
        trainer = example.folder / "trainer.py"
        trainer.write_text(trainer.read_text().replace("#!/usr/bin/env python3", f"#!{python}", 1))
        example.run("trained", "--trainer", trainer, "--set", "finals={top: 1, seeds: 1}")
        check_trained(example.trials("trained"), {"SEARCH": 3, "FINAL": 1, "TEST": 1, "MEASURE": 1})
        assert {row[5] for row in example.trials("trained") if row[5]} == {"anti-aliased-1"}
        space = example.folder / "space.yaml"
        space.write_text(space.read_text().replace("(in_height + stride - 1) // stride", "in_height // stride + 1"))
        example.run("shape", "--trainer", trainer, expect=None)
        rows = example.trials("shape")
        assert rows and all(row[1] == "INFEASIBLE" and "blur_pool: expected an output of" in row[2]
                            for row in rows), rows


if __name__ == "__main__":
    {"composed": check_composed, "library": check_library, "python": check_python}[sys.argv[2]](sys.argv[1])
    print("passed")
