"""Figures of a controller under load: results a second, restart, memory, and Optuna beside it.

    controller_benchmark.py BUILD load [--connections N] [--tls] [--rate R] [--trials N] [--seconds S]
    controller_benchmark.py BUILD restart --trials N      time until it serves, its memory, and a load then;
                                                          --rung-reports: each trial has reported at a rung
    controller_benchmark.py BUILD reconnect [--connections N]
    controller_benchmark.py BUILD backup --trials N [--rate R]  a load, and the same while backups are taken
    controller_benchmark.py BUILD update --trials N        a load while a change of the space sets all of them aside
    controller_benchmark.py BUILD optuna [--python PATH]  the same loop with Optuna's storages
    controller_benchmark.py BUILD all [--long]            all of these, one after the other
    controller_benchmark.py BUILD smoke                   tiny sizes, for CTest: it asserts and measures nothing

Each line that it prints is one JSON object. A controller of its own runs in a folder under --folder; the load
comes from a process of its own. docs/performance.md has what was measured.
"""

import argparse
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))
from cluster import Cluster, Daemon, Programs, wait_until  # noqa: E402

SPACE = "tests/benchmarks/controller_load/six_decisions.yaml"
UNIFORM = "random, sampling: uniform"
CAMPAIGN = """canopy: 1
campaign: {{name: load, project: benchmarks}}
space: {space}
task: {{kind: image_classification, dataset: cifar10, validation: {{seed: 1, count: 5000}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: {strategy}}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: 1000000000}}
duplicates: evaluate
seed: 7
"""


def fdatasync_ms(folder):
    """The median of 200 writes of a page that are made durable."""
    times = []
    file = os.open(Path(folder) / "fdatasync", os.O_RDWR | os.O_CREAT)
    for index in range(200):
        os.pwrite(file, bytes(4096), 4096 * index)
        start = time.perf_counter()
        os.fdatasync(file)
        times.append((time.perf_counter() - start) * 1000)
    os.close(file)
    os.unlink(Path(folder) / "fdatasync")
    return sorted(times)[len(times) // 2]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bench(Cluster):
    """A controller with the campaign, and simulated workers for it."""

    def __init__(self, programs, build, tls_workers=0):
        super().__init__(programs)
        self.load = Path(build) / "benchmarks" / "controller_load"
        self.target = f"unix:{self.state / 'controller' / 'run' / 'controller.sock'}"
        self.credentials = None
        if tls_workers:
            self.credentials = self.folder / "cluster"
            self.target = f"127.0.0.1:{free_port()}"
            self.cluster_cli("init", "--credentials", self.credentials, "--host", "127.0.0.1")
            for index in range(tls_workers):
                self.cluster_cli("add-worker", "--credentials", self.credentials, f"w{index}")
            self.controller = Daemon([*self.controller.command, "--listen", self.target, "--credentials",
                                      self.credentials], self.controller.log, self.environment)

    def cluster_cli(self, *arguments):
        subprocess.run([str(self.programs.canopy), "cluster", *map(str, arguments)], env=self.environment,
                       check=True, capture_output=True)

    def launch(self, strategy=UNIFORM, space=SPACE):
        file = self.folder / "campaign.yaml"
        file.write_text(CAMPAIGN.format(space=ROOT / space, strategy=strategy))
        self.start()
        self.cli("launch", file, "--quiet")

    def workers(self, **options):
        command = [str(self.load), "--target", self.target]
        if self.credentials:
            command += ["--credentials", str(self.credentials)]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def figures(self, process, timeout=900):
        out, error = process.communicate(timeout=timeout)
        if process.returncode != 0:
            raise AssertionError(f"the load ended with status {process.returncode}: {out}{error}\n"
                                 + self.controller.tail())
        return json.loads(out)

    def run_load(self, **options):
        return self.figures(self.workers(**options))

    def memory_mb(self):
        lines = Path(f"/proc/{self.controller.process.pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
        return {"memory_mb": int(values["VmRSS"].split()[0]) // 1024,
                "peak_memory_mb": int(values["VmHWM"].split()[0]) // 1024}

    def cpu_s(self):
        """What the controller has computed so far: the figure that other work on the machine changes least."""
        fields = Path(f"/proc/{self.controller.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def results(self):
        return self.rows("SELECT COALESCE(SUM(results), 0) FROM result_count")[0][0]

    def stop(self, number=signal.SIGTERM):
        start = time.monotonic()
        self.controller.kill(number)
        return time.monotonic() - start

    def fill(self, trials, rung_reports=False):
        """Adds completed trials to the stopped controller's database, each like one that the load made."""
        connection = sqlite3.connect(self.database, isolation_level=None)
        # The controller makes a WAL of it again.
        for sql in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -400000", "BEGIN"):
            connection.execute(sql)
        fill_database(connection, trials)
        if rung_reports:
            connection.execute(
                "INSERT INTO rung_report (trial_id, rung, campaign_id, attempt_id, fence, epoch, objective, metrics_json, "
                "action, event_seq, received_us) SELECT trial_id, 1, campaign_id, attempt_id, 1, 1, objective, "
                "metrics_json, 'CONTINUE', seq, received_us FROM result WHERE purpose = 'SEARCH'")
        connection.execute("COMMIT")
        connection.close()


def fill_database(connection, trials):
    def one(sql, *parameters):
        return connection.execute(sql, parameters).fetchone()

    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    trial, attempt, candidate, campaign = one(
        "SELECT t.id, r.attempt_id, t.candidate_id, t.campaign_id FROM trial t JOIN result r ON r.trial_id = t.id "
        "WHERE t.purpose = 'SEARCH' AND t.state = 'COMPLETED' ORDER BY t.id LIMIT 1")
    base = {table: one(f"SELECT COALESCE(MAX({key}), 0) FROM {table}")[0] for table, key in (
        ("trial", "id"), ("attempt", "id"), ("candidate", "id"), ("event", "seq"), ("result", "seq"))}
    fence = one("SELECT value FROM counter WHERE name = 'next_fence'")[0]
    number = one("SELECT next_trial_number FROM campaign WHERE id = ?", campaign)[0] - 1
    seq = one("SELECT last_result_seq FROM campaign WHERE id = ?", campaign)[0]
    numbers = f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT {int(trials)}) "

    def copy(table, where, **changed):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        values = [changed.get(column, f"s.{column}") for column in columns]
        connection.execute(f"{numbers} INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "
                           f"FROM n CROSS JOIN (SELECT * FROM {table} WHERE {where}) s")

    def spread(digits):
        """Random, spread over all values and ascending in two runs, as an index of random ones takes hours."""
        return (f"printf('%016x', (n - {int(trials) // 2}) * {2**63 // (int(trials) // 2 + 1)}) || "
                f"lower(hex(randomblob({digits // 2 - 8})))")

    random_hash = spread(64)
    copy("candidate", f"id = {candidate}", id=f"{base['candidate']} + n", candidate_hash=random_hash,
         graph_hash=random_hash)
    copy("trial", f"id = {trial}", id=f"{base['trial']} + n", number=f"{number} + n",
         candidate_id=f"{base['candidate']} + n", replicate="0", last_attempt_id=f"{base['attempt']} + n",
         last_fence=f"{fence} + n", seen_seq=f"{seq} + n - 1", created_us="s.created_us + n",
         finished_us="s.finished_us + n")
    copy("attempt", f"id = {attempt}", id=f"{base['attempt']} + n", trial_id=f"{base['trial']} + n",
         fence=f"{fence} + n", result_id=spread(32), signature_seq=f"{base['attempt']} + n",
         ended_us="s.ended_us + n")
    copy("result", f"trial_id = {trial}", trial_id=f"{base['trial']} + n", attempt_id=f"{base['attempt']} + n",
         result_id=spread(32), seq=f"{seq} + n", objective="abs(random() % 1000000) / 1e6")
    copy(f"campaign_{campaign}_values", f"trial_id = {trial}", trial_id=f"{base['trial']} + n")
    kinds = ("proposal_accepted", "attempt_started", "attempt_ended", "result_accepted", "trial_ended")
    connection.execute("CREATE TEMP TABLE told AS SELECT e.*, row_number() OVER (ORDER BY seq) AS k FROM event e "
                       f"WHERE trial_id = {trial} AND kind IN {kinds}")
    told = one("SELECT COUNT(*) FROM told")[0]
    connection.execute(
        f"{numbers} INSERT INTO event (seq, campaign_id, trial_id, attempt_id, kind, principal, payload_json, "
        f"wall_us) SELECT {base['event']} + (n - 1) * {told} + k, campaign_id, {base['trial']} + n, "
        f"CASE WHEN attempt_id > 0 THEN {base['attempt']} + n END, kind, principal, payload_json, wall_us "
        "FROM n CROSS JOIN told")
    connection.execute("DROP TABLE told")
    for table, columns, count in (
            ("trial_count", "campaign_id, purpose, state", "trial"),
            ("attempt_count", "campaign_id, state", "attempt"),
            ("event_count", "campaign_id, kind", "event WHERE campaign_id IS NOT NULL")):
        connection.execute(f"DELETE FROM {table}")
        connection.execute(f"INSERT INTO {table} ({columns}, {count.split()[0]}s) SELECT {columns}, COUNT(*) "
                           f"FROM {count} GROUP BY {columns}")
    connection.execute("UPDATE attempt_count SET device_ms = (SELECT SUM(a.device_ms) FROM attempt a WHERE "
                       "(a.campaign_id, a.state) = (attempt_count.campaign_id, attempt_count.state))")
    connection.execute("DELETE FROM result_count")
    connection.execute(
        "INSERT INTO result_count SELECT r.campaign_id, r.purpose, r.feasible, COUNT(*), SUM(a.busy_ms), "
        "SUM(a.device_ms) FROM result r JOIN attempt a ON a.id = r.attempt_id GROUP BY 1, 2, 3")
    for name, value in (("next_trial_id", f"{base['trial']} + {trials} + 1"),
                        ("next_attempt_id", f"{base['attempt']} + {trials} + 1"),
                        ("next_fence", f"{fence} + {trials} + 1"),
                        ("next_event_seq", f"{base['event']} + {trials} * {told} + 1")):
        connection.execute(f"UPDATE counter SET value = {value} WHERE name = ?", (name,))
    connection.execute("UPDATE campaign SET next_trial_number = next_trial_number + ?, last_result_seq = "
                       "last_result_seq + ?, proposals = proposals + ? WHERE id = ?",
                       (trials, trials, trials, campaign))
    connection.execute("UPDATE space_version SET trials = trials + ? WHERE campaign_id = ?", (trials, campaign))
    # The strategy has seen them all.
    connection.execute("UPDATE proposer_state SET seen_seq = seen_seq + ? WHERE campaign_id = ?",
                       (trials, campaign))
    for _, sql in triggers:
        connection.execute(sql)


def report(what, **figures):
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)


def load(programs, arguments, connections=None, rate=None, tls=None, trials=None, strategy=UNIFORM):
    connections = connections or arguments.connections
    rate = arguments.rate if rate is None else rate
    tls = arguments.tls if tls is None else tls
    trials = arguments.trials if trials is None else trials
    with Bench(programs, arguments.build, min(connections, 100) if tls else 0) as bench:
        bench.launch(strategy)
        if trials:
            bench.run_load(connections=1, seconds=1)
            bench.stop()
            bench.fill(trials)
            bench.start()
        return measure(bench, arguments, connections, rate, trials)


def measure(bench, arguments, connections, rate, trials):
    """Reports a load on the controller that runs, and stops it."""
    sync = fdatasync_ms(bench.state)
    options = {"rate": rate} if rate else {}
    before, cpu_s = bench.results(), bench.cpu_s()
    figures = bench.run_load(connections=connections, seconds=arguments.seconds, warmup=arguments.warmup, **options)
    figures["cpu_us_per_result"] = (bench.cpu_s() - cpu_s) / max(1, bench.results() - before) * 1e6
    report("load", transport="mutual TLS" if bench.credentials else "Unix socket", rate=rate, trials_before=trials,
           fdatasync_p50_ms=sync, **figures, **bench.memory_mb(), stopped_s=bench.stop())
    return figures


def restart(programs, arguments, trials=None):
    trials = arguments.trials if trials is None else trials
    with Bench(programs, arguments.build) as bench:
        bench.launch()
        bench.run_load(connections=8, seconds=1)
        bench.stop()
        start = time.monotonic()
        bench.fill(trials, arguments.rung_reports)
        filled_s = time.monotonic() - start
        before = None
        for _ in range(2):  # the second time the files are in the host's memory
            bench.stop()
            (bench.state / "controller/run/controller.sock").unlink(missing_ok=True)
            start = time.monotonic()
            bench.controller.start()
            wait_until((bench.state / "controller/run/controller.sock").exists, 120, "the socket")
            socket_s = time.monotonic() - start
            figures = bench.run_load(connections=8, seconds=3)
            before = {"socket_s": socket_s, "first_result_s": socket_s + figures["first_result_s"],
                      "results_per_s": figures["results_per_s"], **bench.memory_mb()}
            report("restart", trials=trials, filled_s=filled_s,
                   database_mb=bench.database.stat().st_size >> 20, **before)
        measure(bench, arguments, 100, 0, trials)
        return before


def reconnect(programs, arguments, connections=None):
    """Polls that all wait, a stop with them, and all of them coming back to a controller that starts."""
    connections = connections or arguments.connections
    with Bench(programs, arguments.build) as bench:
        bench.launch()
        bench.cli("campaign", "pause", "load")
        workers = bench.workers(connections=connections, seconds=arguments.seconds, only_wait=True)
        wait_until(lambda: bench.rows("SELECT COUNT(*) FROM worker")[0][0] >= connections, 120, "all Hellos")
        time.sleep(2)
        stopped_s = bench.stop()
        figures = bench.figures(workers)
        (bench.state / "controller/run/controller.sock").unlink(missing_ok=True)
        bench.controller.start()
        wait_until((bench.state / "controller/run/controller.sock").exists, 60, "the socket")
        again = bench.run_load(connections=connections, seconds=1)
        report("reconnect", connections=connections, connected_s=figures["connected_s"],
               stopped_s=stopped_s, connected_again_s=again["connected_s"], errors=again["errors"])
        return stopped_s


def backup(programs, arguments):
    """The same load without and with backups, one after the other, and how far the log grows meanwhile."""
    with Bench(programs, arguments.build) as bench:
        bench.controller.command += ["--backup-interval", "0"]
        bench.launch()
        bench.run_load(connections=1, seconds=1)
        bench.stop()
        if arguments.trials:
            bench.fill(arguments.trials)
        bench.start()
        options = {"rate": arguments.rate} if arguments.rate else {}
        for during in (False, True):
            before, cpu_s = bench.results(), bench.cpu_s()
            load = bench.workers(connections=arguments.connections, seconds=arguments.seconds,
                                 warmup=arguments.warmup, **options)
            log_bytes, taken, failed, backup_s = 0, 0, "", 0.0
            command, begun = None, time.monotonic() + arguments.warmup
            while load.poll() is None:
                log_bytes = max(log_bytes, os.stat(f"{bench.database}-wal").st_size)
                if during and command is None and time.monotonic() >= begun:
                    begun = time.monotonic()
                    command = subprocess.Popen([programs.canopy, "db", "backup", "--state-dir", bench.state],
                                               env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                if command is not None and command.poll() is not None:
                    taken, backup_s = taken + (command.returncode == 0), time.monotonic() - begun
                    failed = failed if command.returncode == 0 else command.stdout.read()[-300:]
                    command = None
                time.sleep(0.02)
            figures = bench.figures(load)
            if command is not None:
                failed = failed if command.wait() == 0 else command.stdout.read()[-300:]
                taken, backup_s = taken + (command.returncode == 0), time.monotonic() - begun
            figures["cpu_us_per_result"] = (bench.cpu_s() - cpu_s) / max(1, bench.results() - before) * 1e6
            report("backup" if during else "no backup", rate=arguments.rate, trials_before=arguments.trials,
                   database_mb=bench.database.stat().st_size >> 20, log_mb=log_bytes >> 20, backups=taken,
                   last_backup_s=backup_s, failed=failed, **figures, **bench.memory_mb())


def update(programs, arguments):
    """How long workers wait while a change of the space sets all trials aside, and how long people then do."""
    with Bench(programs, arguments.build) as bench:
        bench.controller.command += ["--backup-interval", "0"]
        bench.launch()
        bench.run_load(connections=1, seconds=1)
        bench.stop()
        bench.fill(arguments.trials)
        bench.start()
        space = bench.folder / "changed.yaml"
        space.write_text((ROOT / SPACE).read_text().replace("  - global_avg_pool", "  - relu\n  - global_avg_pool"))
        file = bench.folder / "campaign.yaml"
        file.write_text(CAMPAIGN.format(space=space, strategy=UNIFORM))
        load = bench.workers(connections=arguments.connections, seconds=arguments.seconds, warmup=arguments.warmup,
                             rate=arguments.rate or 100)
        start = time.monotonic()
        bench.cli("launch", file, "--update", "--yes", "--quiet", timeout=900)
        updated_s = time.monotonic() - start
        answered = {}
        for what in ("status", "best"):
            start = time.monotonic()
            bench.cli(what, "load", expect=None)
            answered[f"{what}_s"] = time.monotonic() - start
        figures = bench.figures(load)
        [(aside,)] = bench.rows("SELECT COUNT(*) FROM set_aside")
        report("update", trials=arguments.trials, set_aside=aside, updated_s=updated_s, **answered, **figures,
               **bench.memory_mb())


OPTUNA = """
import sys, time, json, random
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
kind, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
if kind == "sqlite":
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/optuna.db")
else:
    from optuna.storages import JournalStorage
    try:
        from optuna.storages.journal import JournalFileBackend as Backend
    except ImportError:
        from optuna.storages import JournalFileStorage as Backend
    storage = JournalStorage(Backend(f"{folder}/optuna.log"))
study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=7), direction="maximize")
done, start = 0, time.perf_counter()
while time.perf_counter() - start < seconds:
    trial = study.ask()
    for name in "abcdef":
        trial.suggest_categorical(name, ["none", "skip", "conv1", "conv3", "pool"])
    study.tell(trial, random.random())
    done += 1
print(json.dumps({"version": optuna.__version__, "per_s": done / (time.perf_counter() - start)}))
"""


def optuna(programs, arguments):
    done = subprocess.run([arguments.python, "-c", "import optuna"], capture_output=True)
    if done.returncode != 0:
        print(f"{arguments.python} has no Optuna: install python3-optuna (Debian 13), or `pip install optuna` into "
              "a virtual environment and name its Python with --python", file=sys.stderr)
        return
    ours = load(programs, arguments, connections=1, rate=0, tls=False, trials=0)["results_per_s"]
    with Bench(programs, arguments.build) as bench:
        for kind in ("sqlite", "journal"):
            out = subprocess.run([arguments.python, "-c", OPTUNA, kind, str(bench.folder), str(arguments.seconds)],
                                 capture_output=True, text=True, check=True).stdout
            theirs = json.loads(out)
            report("optuna", storage=kind, version=theirs["version"], per_s=theirs["per_s"],
                   canopy_per_s=ours, ratio=ours / theirs["per_s"])


def smoke(programs, arguments):
    """Behaviour at tiny sizes: results are taken and counted once, a filled database is served."""
    with Bench(programs, arguments.build, tls_workers=2) as bench:
        bench.launch("regularized_evolution")
        figures = bench.run_load(connections=4, seconds=0.5)
        assert figures["results"] > 0 and figures["archived"] == 0 and figures["errors"] == 0, figures
        bench.stop()
        taken = bench.rows("SELECT COUNT(*) FROM result")[0][0]
        assert taken >= figures["results"], (taken, figures)
        bench.fill(500)
        bench.start()
        figures = bench.run_load(connections=4, seconds=0.5, rate=50)
        assert figures["first_result_s"] > 0 and figures["archived"] == 0, figures
        bench.stop()
        [(total, trials, counted)] = bench.rows(
            "SELECT (SELECT COUNT(*) FROM result), (SELECT COUNT(*) FROM trial WHERE state = 'COMPLETED'), "
            "(SELECT trials FROM trial_count WHERE state = 'COMPLETED')")
        assert total > taken + 500 and total == trials == counted, (total, trials, counted, taken)
        assert bench.rows("PRAGMA integrity_check") == [("ok",)]
        assert bench.rows("PRAGMA foreign_key_check") == []
        assert "SQLite was in use" not in bench.controller.tail(), "SQLite's settings were made too late"
    print("passed")


def everything(programs, arguments):
    for tls in (False, True):
        for connections in (1, 100):
            load(programs, arguments, connections=connections, rate=0, tls=tls, trials=0)
        load(programs, arguments, connections=10_000, rate=500, tls=tls, trials=0)
    for trials in (1_000, 1_000_000) + ((10_000_000,) if arguments.long else ()):
        load(programs, arguments, connections=100, rate=0, tls=False, trials=trials)
        restart(programs, arguments, trials)
    reconnect(programs, arguments, 5_000)
    optuna(programs, arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("what", choices=("load", "restart", "reconnect", "backup", "update", "optuna", "all", "smoke"))
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--rung-reports", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    {"load": load, "restart": restart, "reconnect": reconnect, "backup": backup, "update": update, "optuna": optuna, "all": everything,
     "smoke": smoke}[arguments.what](programs, arguments)


if __name__ == "__main__":
    sys.exit(main())
