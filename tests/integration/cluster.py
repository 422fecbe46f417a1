"""Real Canopy processes for tests: a controller, agents and the command line, started, killed and watched.

Everything waits on conditions (a row of the database, the end of a process) and never for a time.
"""

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
from pathlib import Path

POLL_S = 0.05


class Programs:
    def __init__(self, build):
        self.canopy = Path(build) / "bin" / "canopy"
        self.trainer = Path(build) / "bin" / "canopy-trainer"
        self.fake_trainer = Path(build) / "tests" / "fake_trainer"
        self.replay = Path(build) / "tests" / "replay_check"


class Daemon:
    """A process that a test starts, kills and starts again; its output goes to a file."""

    def __init__(self, command, log, environment):
        self.command = [str(part) for part in command]
        self.log = Path(log)
        self.environment = environment
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=self.environment, start_new_session=True)

    def kill(self, number=signal.SIGKILL):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
        if self.process is not None:
            self.process.wait()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self):
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


class Cluster:
    """One controller and its agents under a folder of their own. Used as a context manager."""

    def __init__(self, programs, trainer=None, environment=None, data=None, lease_ttl_s=30):
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="canopy-"))
        self.trainer = trainer or programs.trainer
        self.data = data
        self.environment = {**os.environ, "HOME": str(self.folder), **(environment or {})}
        for name in list(self.environment):
            if name.startswith("CANOPY_") and name not in (environment or {}):
                del self.environment[name]
        self.state = self.folder / "state"
        self.controller = Daemon(
            [programs.canopy, "controller", "start", "--state-dir", self.state, "--lease-ttl", lease_ttl_s],
            self.folder / "controller.log", self.environment)
        self.agents = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for daemon in [*self.agents.values(), self.controller]:
            daemon.kill()
        if kind is not None:
            for daemon in [self.controller, *self.agents.values()]:
                print(f"--- the end of {daemon.log.name}\n{daemon.tail()}")
            print(f"kept for a look: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def database(self):
        return self.state / "controller" / "canopy.db"

    def add_agent(self, name="agent", slots=1, extra=()):
        socket = self.state / "controller" / "run" / "controller.sock"
        command = [self.programs.canopy, "worker", "start", "--state-dir", self.folder / name,
                   "--slots", slots, "--trainer", self.trainer]
        command += extra if extra else ["--controller", f"unix:{socket}"]
        if self.data:
            command += ["--data", self.data]
        self.agents[name] = Daemon(command, self.folder / f"{name}.log", self.environment)
        return self.agents[name]

    def cli(self, *arguments, expect=0, timeout=120):
        done = subprocess.run(
            [str(self.programs.canopy), *map(str, arguments), "--state-dir", str(self.state)],
            env=self.environment, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"canopy {' '.join(map(str, arguments))}: status {done.returncode}, "
                                 f"expected {expect}\n{done.stdout}{done.stderr}")
        return done.stdout

    def wait_for_controller(self, timeout=60):
        def answers():
            if not self.controller.running():
                raise AssertionError("the controller ended:\n" + self.controller.tail())
            done = subprocess.run(
                [str(self.programs.canopy), "worker", "list", "--format", "jsonl", "--state-dir",
                 str(self.state)], env=self.environment, capture_output=True, text=True)
            return done.returncode == 0
        # Before its socket is there a verb would start a controller of its own.
        wait_until((self.state / "controller" / "run" / "controller.sock").exists, timeout, "the controller's socket")
        wait_until(answers, timeout, "the controller's answer")

    def start(self):
        self.controller.start()
        self.wait_for_controller()
        for agent in self.agents.values():
            agent.start()

    def connected_workers(self):
        lines = self.cli("worker", "list", "--format", "jsonl").splitlines()
        return sum(1 for line in lines if json.loads(line).get("connected") == "yes")

    def wait_for_workers(self, count, timeout=90):
        wait_until(lambda: self.connected_workers() >= count, timeout, f"{count} connected workers")

    def rows(self, sql, *parameters):
        """Rows of the live database, read-only."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with contextlib.closing(
                        sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as connection:
                    return connection.execute(sql, parameters).fetchall()
            except sqlite3.OperationalError:  # the log of a killed controller waits for the next one's recovery
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def campaign_state(self):
        rows = self.rows("SELECT state FROM campaign ORDER BY id DESC LIMIT 1")
        return rows[0][0] if rows else None

    def wait_for_end(self, timeout, keep_alive=True):
        def ended():
            if keep_alive:
                for daemon in [self.controller, *self.agents.values()]:
                    if not daemon.running():
                        raise AssertionError(f"{daemon.log.name} ended:\n{daemon.tail()}")
            return self.campaign_state() in ("COMPLETED", "FAILED", "CANCELLED", "PAUSED")
        wait_until(ended, timeout, "the campaign's end")


def wait_until(condition, timeout, what):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(POLL_S)
    raise AssertionError(f"{what}: not within {timeout} s")


def write_images(folder, training=600, test=200, classes=10, seed=1, side=28):
    """A data set in the files of MNIST that a network learns in one epoch: a bright row for each class."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(seed)
    for prefix, count in (("train", training), ("t10k", test)):
        images, labels = bytearray(), bytearray()
        for index in range(count):
            label = index % classes
            labels.append(label)
            for row in range(side):
                base = 200 if row // 2 == label + 1 else 20
                images.extend(max(0, min(255, base + generator.randint(-20, 20))) for _ in range(side))
        with gzip.open(folder / f"{prefix}-images-idx3-ubyte.gz", "wb", 1) as file:
            file.write(struct.pack(">IIII", 2051, count, side, side) + bytes(images))
        with gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz", "wb", 1) as file:
            file.write(struct.pack(">II", 2049, count) + bytes(labels))
