"""A search on NAS-Bench-201 whose trainer looks val12 up instead of training.

    table_search_test.py BUILD [--seeds N] [--evaluations N]

Every accuracy is the table's, and evolution's last quarter is better than its first: for all seeds but one
in ten. Ends with status 77 where CANOPY_TABULAR_DATA names no folder with nas_bench_201.csv.
"""

import argparse
import csv
import json
import os
import sys
from pathlib import Path

from cluster import Cluster, Programs

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
CAMPAIGN = """canopy: 1
campaign: {{name: table-{seed}, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 10000}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: regularized_evolution, population: 50, sample: 10}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: {evaluations}}}
seed: {seed}
"""


def search(programs, file, table, seed, evaluations):
    """Mean of the last quarter less the mean of the first."""
    environment = {"CANOPY_FAKE_TRAINER_TABLE": str(file), "CANOPY_FAKE_TRAINER_STEP_MS": "0"}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        campaign = cluster.folder / "campaign.yaml"
        campaign.write_text(CAMPAIGN.format(space=ROOT / "search_spaces/catalog/nas_bench_201.yaml", seed=seed,
                                            evaluations=evaluations))
        cluster.add_agent()
        cluster.start()
        cluster.wait_for_workers(1)
        cluster.cli("launch", campaign, "--quiet")
        cluster.wait_for_end(600)
        rows = cluster.rows("""SELECT decisions_json, json_extract(metrics_json, '$.val_accuracy')
                               FROM trial JOIN result ON result.trial_id = trial.id ORDER BY number""")
    assert len(rows) == evaluations, len(rows)
    scores = []
    for decisions, accuracy in rows:
        decisions = json.loads(decisions)
        assert abs(accuracy - table[tuple(decisions[edge] for edge in EDGES)]) < 1e-9, (decisions, accuracy)
        scores.append(accuracy)
    quarter = evaluations // 4
    return (sum(scores[-quarter:]) - sum(scores[:quarter])) / quarter


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--evaluations", type=int, default=200)
    arguments = parser.parse_args()
    file = Path(os.environ.get("CANOPY_TABULAR_DATA", "")) / "nas_bench_201.csv"
    if not os.environ.get("CANOPY_TABULAR_DATA") or not file.exists():
        print("skipped: CANOPY_TABULAR_DATA names no folder with nas_bench_201.csv")
        return 77
    with open(file, newline="", encoding="utf-8") as lines:
        table = {tuple(OPERATORS[int(digit)] for digit in row["ops"]): float(row["c10_val12"]) / 100
                 for row in csv.DictReader(lines)}
    gains = [search(Programs(arguments.build), file, table, seed, arguments.evaluations)
             for seed in range(1, arguments.seeds + 1)]
    print(f"gains of {len(gains)} searches: {[round(gain, 4) for gain in gains]}")
    improved = sum(gain > 0 for gain in gains)
    assert improved >= 0.9 * len(gains), f"{improved} of {len(gains)} searches improved"
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
