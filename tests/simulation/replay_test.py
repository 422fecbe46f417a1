#!/usr/bin/env python3
"""A seed is the same life, alone and after another one in the same process.

usage: replay_test.py SIMULATION
"""

import re
import subprocess
import sys

SEED = 1900


def trace(*arguments):
    ran = subprocess.run([sys.argv[1], *arguments, "--trace"], capture_output=True, text=True, check=True)
    # Its folder has the process's number in its name; the last line sums up.
    return re.sub(r"canopy_simulation_\d+", "", ran.stdout).splitlines()[:-1]


def main() -> int:
    alone = trace("--seed", str(SEED))
    after_another = trace("--seeds", f"{SEED - 1}-{SEED}")[-len(alone):]
    assert len(alone) > 20, alone
    for one, other in zip(alone, after_another):
        assert one == other, f"seed {SEED} alone:\n{one}\nafter seed {SEED - 1}:\n{other}"
    print(f"seed {SEED}: {len(alone)} lines, the same after another seed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
