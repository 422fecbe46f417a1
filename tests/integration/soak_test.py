"""A controller that works for long: its memory grows with the trials alone, and nothing else of it grows.

    soak_test.py BUILD                          # as many results as a small pool has in a day, in half a minute
    soak_test.py BUILD --hours 24 --rate 20     # the long form

In rounds, simulated workers come, report and ask, and leave again; users list and query; a copy of the database is
made. After each round the controller's memory, descriptors and threads and the database's log are written down.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/benchmarks/controller_load"))
from cluster import Programs  # noqa: E402
from controller_benchmark import Bench  # noqa: E402

CONNECTIONS = 50
WARM_UP_ROUNDS = 3  # pools of threads and memory have their size by then
BYTES_PER_TRIAL = 200
SLACK_MB = 24 + 64  # of the allocator, and the pages that the store keeps
MAX_LOG_MB = 256


def footprint(bench):
    process = Path(f"/proc/{bench.controller.process.pid}")
    log = Path(f"{bench.database}-wal")
    return {"memory_mb": bench.memory_mb()["memory_mb"],
            "descriptors": len(os.listdir(process / "fd")),
            "threads": len(os.listdir(process / "task")),
            "log_mb": log.stat().st_size >> 20 if log.exists() else 0,
            "results": bench.rows("SELECT COALESCE(SUM(results), 0) FROM result_count")[0][0]}


def one_round(bench, seconds, rate):
    options = {"rate": rate} if rate else {}
    figures = bench.run_load(connections=CONNECTIONS, seconds=seconds, **options)
    assert figures["errors"] == 0 and figures["archived"] == 0, figures
    bench.cli("trial", "list", "load", "--limit", 100, "--format", "jsonl")
    bench.cli("status")
    bench.cli("query", "SELECT COUNT(*) FROM benchmarks__load")
    bench.cli("db", "backup")
    return figures["results"]


def check(rounds):
    base, end = rounds[WARM_UP_ROUNDS - 1], rounds[-1]
    allowed_mb = SLACK_MB + (end["results"] - base["results"]) * BYTES_PER_TRIAL / 2**20
    assert end["memory_mb"] - base["memory_mb"] <= allowed_mb, f"memory: {base} to {end}, allowed {allowed_mb:.0f} MB"
    for name in ("descriptors", "threads"):
        assert end[name] <= base[name] + 2, f"{name}: {base} to {end}"
    assert max(entry["log_mb"] for entry in rounds) < MAX_LOG_MB, rounds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--hours", type=float, default=0)
    parser.add_argument("--rate", type=float, default=0, help="results a second; as fast as answers come by default")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.hours * 3600
    seconds = 60 if arguments.hours else 1
    rounds, reported = [], 0
    with Bench(Programs(arguments.build), arguments.build) as bench:
        bench.launch("regularized_evolution")
        while len(rounds) < 15 or time.monotonic() < end:
            reported += one_round(bench, seconds, arguments.rate)
            rounds.append(footprint(bench))
            print(json.dumps(rounds[-1]), flush=True)
        assert rounds[-1]["results"] >= reported, (rounds[-1], reported)
        check(rounds)
        bench.cli("db", "check")
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
