"""Agents that are told to end while they train: their trials go on where they were.

    preemption_test.py BUILD

With the real trainer an agent gets SIGTERM in the middle of trainings and is started again with its folder: what it
trains in parts is, bit for bit, what it trains in one. With fake trainers: a worker that does not come back, and a
second signal.
"""

import hashlib
import json
import signal
import sys
import time
from pathlib import Path

from cluster import Cluster, Programs, wait_until, write_images
from durability_test import launch

TRIALS, EPOCHS, PREEMPTIONS = 3, 12, 2
NOTICE_S = 30


def preempted(cluster):
    return cluster.rows("""SELECT a.id, a.trial_id, a.segment, t.state, t.checkpoint_path, t.checkpoint_sha256,
                           t.checkpoint_step, t.checkpoint_worker_id, t.number FROM attempt a
                           JOIN trial t ON t.id = a.trial_id WHERE a.failure = 'PREEMPTED' ORDER BY a.id""")


def end_agent(agent):
    began = time.monotonic()
    agent.kill(signal.SIGTERM)
    assert agent.process.returncode == 0, agent.tail()
    took = time.monotonic() - began
    assert took < NOTICE_S, took
    return took


def progress_of_running(cluster):
    """The running attempt and its last measured step."""
    return cluster.rows("""SELECT a.id, max(m.step) FROM attempt a JOIN measurement m ON m.attempt_id = a.id
                           WHERE a.state = 'RUNNING' GROUP BY a.id""")


def preempt_once(cluster, seen):
    wait_until(lambda: any(row[0] not in seen for row in progress_of_running(cluster)), 120, "a training that has begun")
    took = end_agent(cluster.agents["agent0"])
    attempt, trial, segment, state, path, sha256, step, worker, number = preempted(cluster)[-1]
    assert attempt not in seen, "nothing was preempted"
    assert (segment, state) == ("PREEMPTED", "PENDING") and step > 0, (segment, state, step)
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256
    explained = cluster.cli("trial", "explain", str(number))
    assert f"step {step}" in explained and worker in explained and path in explained, explained
    cluster.agents["agent0"].start()
    again = "SELECT id FROM attempt WHERE trial_id = ? AND id > ?"
    wait_until(lambda: cluster.rows(again, trial, attempt), 60, "the trial's next attempt")
    print(f"preempted after step {step} within {took:.1f} s", flush=True)
    return attempt, cluster.rows(again, trial, attempt)[0][0], step


def train(programs, preemptions):
    with Cluster(programs, lease_ttl_s=6) as cluster:  # heartbeats bring measurements soon
        data = cluster.folder / "data"
        write_images(data, training=4000, test=10)
        cluster.data = f"fashion-mnist={data}"
        launch(cluster, 1, 1, "fashion_macro.yaml", TRIALS, epochs=EPOCHS)
        seen, parts = set(), []
        for _ in range(preemptions):
            parts.append(preempt_once(cluster, seen))
            seen = {row[0] for row in preempted(cluster)}
        cluster.wait_for_end(600)
        assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
        for first, second, step in parts:
            [(earliest,)] = cluster.rows("SELECT min(step) FROM measurement WHERE attempt_id = ?", second)
            # A checkpoint of an epoch's last step may be older than the epoch's measurement.
            assert earliest is None or earliest >= step, f"attempt {second} began anew, {first} had come to {step}"
        left = list((cluster.folder / "agent0" / "agent" / "checkpoints").rglob("*.checkpoint.safetensors"))
        assert left == [], left
        cluster.cli("db", "check")
        rows = cluster.rows("""SELECT t.decisions_json, t.purpose, json_remove(r.metrics_json, '$.images_per_second'),
                               r.steps FROM trial t
                               JOIN result r ON r.trial_id = t.id ORDER BY t.id""")
        return [(decisions, purpose, steps, json.loads(metrics)) for decisions, purpose, metrics, steps in rows]


def check_bit_for_bit(programs):
    in_one, in_parts = train(programs, 0), train(programs, PREEMPTIONS)
    assert in_one and in_parts == in_one, (in_parts, in_one)
    print(f"the real trainer: {len(in_one)} results, equal bit for bit", flush=True)


def fake(programs, lease_ttl_s, **environment):
    cluster = Cluster(programs, trainer=programs.fake_trainer, lease_ttl_s=lease_ttl_s,
                      environment={"CANOPY_FAKE_TRAINER_CHECKPOINTS": "1", **environment})
    data = cluster.folder / "data"
    write_images(data, training=200, test=10)
    cluster.data = f"fashion-mnist={data}"
    return cluster


def running(cluster, name):
    identity = (cluster.folder / name / "agent" / "worker_id").read_text().strip()
    return cluster.rows("SELECT id, trial_id FROM attempt WHERE worker_id = ? AND state = 'RUNNING'", identity)


def check_worker_that_stays_away(programs):
    with fake(programs, 2, CANOPY_FAKE_TRAINER_STEPS="40", CANOPY_FAKE_TRAINER_STEP_MS="50") as cluster:
        launch(cluster, 2, 1, "nas_bench_201.yaml", 6)
        wait_until(lambda: running(cluster, "agent0"), 60, "a trial on the worker that leaves")
        end_agent(cluster.agents.pop("agent0"))
        [(_, trial, segment, *_)] = preempted(cluster)
        assert segment == "PREEMPTED", segment
        cluster.wait_for_end(120)
        assert cluster.campaign_state() == "COMPLETED", cluster.cli("status", expect=None)
        given_up = cluster.rows("SELECT trial_id, payload_json FROM event WHERE kind = 'checkpoint_given_up'")
        assert [row[0] for row in given_up] == [trial] and "is gone" in given_up[0][1], given_up
        [(state, workers)] = cluster.rows("""SELECT t.state, count(DISTINCT a.worker_id) FROM trial t JOIN attempt a
                                             ON a.trial_id = t.id WHERE t.id = ?""", trial)
        assert (state, workers) == ("COMPLETED", 2), (state, workers)
        print("a worker that stays away: its trial began anew on the other one", flush=True)


def check_second_signal(programs):
    with fake(programs, 30, CANOPY_FAKE_TRAINER_CASES='[{"do": "deaf"}]') as cluster:
        launch(cluster, 1, 1, "nas_bench_201.yaml", 6)
        agent = cluster.agents["agent0"]
        logs = cluster.folder / "agent0" / "agent" / "logs" / "attempts"
        wait_until(lambda: any(log.read_text() for log in logs.glob("*.log")), 60, "a trainer that does not listen")
        agent.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "write checkpoints" in agent.tail(), 10, "the agent's first signal")
        assert end_agent(agent) < 10, "the second signal did not end the wait for a checkpoint"
        [(_, _, segment, state, path, *_)] = preempted(cluster)
        assert (segment, state, path) == (None, "PENDING", ""), (segment, state, path)
        print("a second signal: no checkpoint, and no wait for one", flush=True)


def main():
    programs = Programs(sys.argv[1])
    check_worker_that_stays_away(programs)
    check_second_signal(programs)
    if programs.trainer.exists():
        check_bit_for_bit(programs)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
