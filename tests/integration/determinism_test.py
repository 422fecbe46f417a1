"""`canopy run` with a fixed seed, fidelity, one worker and one slot: the same proposals and metrics twice,
those of the final trials and of the test split too.

    determinism_test.py BUILD [--trials N] [--data FOLDER]

By default on a small generated data set; --data names a folder with the files of Fashion-MNIST.
"""

import argparse
import collections
import json
import sys
from pathlib import Path

from cluster import Cluster, Programs, write_images

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = """canopy: 1
campaign: {{name: twice, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: {validation}}}}}
trainer: {{kind: builtin, numeric_mode: fp32, optimizer: sgd}}
strategy: {{kind: regularized_evolution, population: 8, sample: 3}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
constraints: ["params < 200000"]
budget: {{trials: {trials}}}
finals: {{top: 1, seeds: 2, controls: [reference]}}
seed: 3
"""


def run(programs, trials, data):
    with Cluster(programs) as cluster:
        validation = 10000 if data else 200
        if not data:
            data = cluster.folder / "data"
            write_images(data)
        file = cluster.folder / "campaign.yaml"
        file.write_text(CAMPAIGN.format(space=ROOT / "search_spaces/catalog/fashion_macro.yaml", trials=trials,
                                        validation=validation))
        output = cluster.cli("run", file, "--slots", 1, "--data", f"fashion-mnist={data}", timeout=7200)
        rows = cluster.rows("""SELECT trial.purpose, replicate, reference, decisions_json,
                                      json_remove(metrics_json, '$.images_per_second'), correct
                               FROM trial JOIN result ON result.trial_id = trial.id ORDER BY number""")
        counts = collections.Counter(row[0] for row in rows)
        # The best and the reference: with two seeds each, and then on the test split.
        assert counts["SEARCH"] == trials and counts["FINAL"] == counts["TEST"] == 4, (counts, output)
        assert cluster.campaign_state() == "COMPLETED", output
        assert counts["MEASURE"] > 0, counts
        return [row for row in rows if row[0] != "MEASURE"]  # times are never equal


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--data")
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    first = run(programs, arguments.trials, arguments.data)
    second = run(programs, arguments.trials, arguments.data)
    assert [row[:4] for row in first] == [row[:4] for row in second], "the proposals differ"
    differences = [pair for pair in zip(first, second) if pair[0] != pair[1]]
    assert not differences, f"the metrics of {len(differences)} of {len(first)} trials differ: {differences[0]}"
    accuracies = {json.loads(row[4]).get("val_accuracy") for row in first if row[0] == "SEARCH"}
    assert len(accuracies) > 1, "all candidates have one accuracy: the comparison says nothing"
    print(f"{len(first)} trials twice: proposals and metrics are equal; best {max(accuracies)}\npassed")


if __name__ == "__main__":
    sys.exit(main())
