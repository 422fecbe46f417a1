#!/usr/bin/env python3
"""Runs a simulation that breaks a rule on purpose, and expects that the oracle notices.

usage: mutant_test.py SIMULATION
"""

import subprocess
import sys

SEEDS = "1-200"


def main() -> int:
    ran = subprocess.run([sys.argv[1], "--seeds", SEEDS], capture_output=True, text=True, check=False)
    print(ran.stdout + ran.stderr)
    if ran.returncode == 1 and "Replay: " in ran.stdout:
        return 0
    print(f"nothing was noticed with seeds {SEEDS}: expected a broken promise, status 1")
    return 1


if __name__ == "__main__":
    sys.exit(main())
