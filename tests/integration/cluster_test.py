"""Controller, two agents and the command line as separate processes over TCP with mutual TLS.

    cluster_test.py BUILD

One agent is killed and started again: nothing is lost. A peer without a credential is refused, and so is
TCP without TLS.
"""

import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from cluster import Cluster, Programs, wait_until

ROOT = Path(__file__).resolve().parents[2]
CAMPAIGN = """canopy: 1
campaign: {{name: over-tls, project: tests}}
space: {space}
task: {{kind: image_classification, dataset: fashion-mnist, validation: {{seed: 1, count: 100}}}}
trainer: {{kind: builtin, numeric_mode: fp32}}
strategy: {{kind: random}}
fidelity: {{epochs: 1}}
objectives: [{{metric: val_accuracy, goal: maximize}}]
budget: {{trials: 40}}
seed: 7
"""


# The connection preface and an empty SETTINGS frame (RFC 9113, section 3.4).
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def assert_no_certificate_is_refused(address, credentials):
    """A client that trusts the cluster's CA and shows no certificate of its own."""
    host, port = address.split(":")
    context = ssl.create_default_context(cafile=str(next(credentials.rglob("ca.crt"))))
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    answer = b""
    try:
        with socket.create_connection((host, int(port)), timeout=30) as plain, \
                context.wrap_socket(plain, server_hostname=host) as connection:
            connection.sendall(HTTP2_PREFACE)
            answer = connection.recv(4096)
    except (ssl.SSLError, ConnectionError):
        pass  # with TLS 1.3 a client hears of it behind the handshake, as an alert or as the end
    assert answer == b"", f"a client without a certificate was answered: {answer!r}"
    # The same with the user's certificate is answered: it was the certificate that was missing.
    context.load_cert_chain(next(credentials.rglob("user.crt")), next(credentials.rglob("user.key")))
    with socket.create_connection((host, int(port)), timeout=30) as plain, \
            context.wrap_socket(plain, server_hostname=host) as connection:
        connection.sendall(HTTP2_PREFACE)
        assert connection.recv(4096) != b"", "a client with a certificate was not answered"


def assert_plaintext_is_refused(address):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(HTTP2_PREFACE)
        try:
            answer = connection.recv(4096)
        except ConnectionResetError:
            answer = b""
    # HTTP/2 would begin with SETTINGS: length 3 bytes, type 4. A TLS alert begins with 21.
    assert answer[:1] in (b"", bytes([21])), f"plain HTTP/2 was answered: {answer!r}"


def main():
    programs = Programs(sys.argv[1])
    environment = {"CANOPY_FAKE_TRAINER_STEPS": "20"}
    with Cluster(programs, trainer=programs.fake_trainer, environment=environment) as cluster:
        credentials = cluster.folder / "credentials"
        canopy = [str(programs.canopy)]
        subprocess.run(canopy + ["cluster", "init", "--credentials", str(credentials), "--host", "127.0.0.1"],
                       check=True, env=cluster.environment, capture_output=True)
        for name in ("one", "two"):
            subprocess.run(canopy + ["cluster", "add-worker", "--credentials", str(credentials), name],
                           check=True, env=cluster.environment, capture_output=True)
        keys = [path for path in credentials.rglob("*.key")]
        assert keys and all(path.stat().st_mode & 0o077 == 0 for path in keys), "keys are the owner's alone"

        address = f"127.0.0.1:{free_port()}"
        refused = subprocess.run(canopy + ["controller", "start", "--state-dir", str(cluster.folder / "open"),
                                           "--listen", address], env=cluster.environment, capture_output=True,
                                 text=True, timeout=30)
        assert refused.returncode != 0 and "credential" in refused.stderr, refused.stderr

        cluster.controller.command += ["--listen", address, "--credentials", str(credentials)]
        for name in ("one", "two"):
            [folder] = [path.parent for path in credentials.rglob("worker.crt") if path.parent.name == name]
            cluster.add_agent(name, 2, ["--controller", address, "--credentials", str(folder)])
        cluster.start()
        cluster.wait_for_workers(2)

        def remote(*arguments, expect=0, folder=credentials):
            done = subprocess.run(canopy + [*arguments, "--controller", address, "--credentials", str(folder)],
                                  env=cluster.environment, capture_output=True, text=True, timeout=60)
            assert (done.returncode == 0) == (expect == 0), done.stdout + done.stderr
            return done.stdout + done.stderr

        file = cluster.folder / "campaign.yaml"
        file.write_text(CAMPAIGN.format(space=ROOT / "search_spaces/catalog/nas_bench_201.yaml"))
        remote("launch", str(file), "--quiet")
        wait_until(lambda: cluster.rows("SELECT count(*) FROM result")[0][0] >= 10, 120, "10 results")
        cluster.agents["one"].kill()
        cluster.agents["one"].start()
        cluster.wait_for_end(180)
        assert cluster.campaign_state() == "COMPLETED"
        [(results, distinct)] = cluster.rows("SELECT count(*), count(DISTINCT trial_id) FROM result")
        assert results == distinct == 40, (results, distinct)
        workers = cluster.rows("SELECT count(DISTINCT worker_id) FROM attempt WHERE state = 'SUCCEEDED'")
        assert workers == [(2,)], workers
        assert "over-tls" in remote("campaign", "list")
        # A worker's certificate opens no door for people, and no certificate opens none at all.
        [worker] = [path.parent for path in credentials.rglob("worker.crt") if path.parent.name == "one"]
        assert "user.crt" in remote("campaign", "list", expect=1, folder=worker)
        for end in ("crt", "key"):
            shutil.copy(worker / f"worker.{end}", worker / f"user.{end}")
        assert "may not" in remote("campaign", "list", expect=1, folder=worker)
        other = cluster.folder / "other"
        subprocess.run(canopy + ["cluster", "init", "--credentials", str(other), "--host", "127.0.0.1"],
                       check=True, env=cluster.environment, capture_output=True)
        stranger = remote("campaign", "list", expect=1, folder=other)
        assert "certificate" in stranger.lower(), stranger
        # Nor does no certificate at all, nor a peer that speaks no TLS.
        assert_no_certificate_is_refused(address, credentials)
        assert_plaintext_is_refused(address)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
