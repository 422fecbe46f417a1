"""Candidates that crash their trainer or diverge, and a trainer that fails whatever it is given.

    failures_test.py BUILD

Each ends with its class and reason in `canopy trial show` while the search goes on; first attempts that all
fail alike pause the campaign, which says why.
"""

import json
import sys
from pathlib import Path

from cluster import Cluster, Programs

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = """canopy: 1
campaign: {{name: failing, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 100}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: random}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: 30}}
seed: 5
"""


def run(programs, cases, check):
    environment = {"CANOPY_FAKE_TRAINER_CASES": json.dumps(cases)}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        file = cluster.folder / "campaign.yaml"
        file.write_text(CAMPAIGN.format(space=ROOT / "search_spaces/catalog/nas_bench_201.yaml"))
        cluster.add_agent()
        cluster.start()
        cluster.wait_for_workers(1)
        cluster.cli("launch", file, "--quiet")
        cluster.wait_for_end(120)
        check(cluster)


def check_classes(cluster):
    assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
    ends = cluster.rows("SELECT number, json_extract(decisions_json, '$.edge_0_1'), state FROM trial ORDER BY number")
    expected = {"none": "QUARANTINED", "skip_connect": "INFEASIBLE"}
    assert len(ends) == 30, ends
    for number, operator, state in ends:
        assert state == expected.get(operator, "COMPLETED"), (number, operator, state)
    for operator, failure, reason, attempts in (("none", "TRAINER_CRASH", "SIGABRT", 2),
                                                ("skip_connect", "DIVERGED", "became nan", 1)):
        number = next(row[0] for row in ends if row[1] == operator)
        assert number < 30, "the search goes on"
        shown = cluster.cli("trial", "show", f"failing/{number}")
        assert failure in shown and reason in shown, shown
        logs = cluster.cli("trial", "logs", f"failing/{number}")
        assert logs.count("fake trainer: ") == attempts, logs


def check_pause(cluster):
    assert cluster.campaign_state() == "PAUSED", cluster.campaign_state()
    assert cluster.rows("SELECT count(*) FROM attempt") == [(5,)], "five attempts, and no more"
    shown = cluster.cli("campaign", "show", "failing")
    assert "failed alike" in shown and "INVALID_CANDIDATE" in shown, shown


def main():
    programs = Programs(sys.argv[1])
    run(programs, [{"decisions": {"edge_0_1": "none"}, "do": "abort"},
                   {"decisions": {"edge_0_1": "skip_connect"}, "do": "diverge"}], check_classes)
    run(programs, [{"do": "invalid"}], check_pause)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
