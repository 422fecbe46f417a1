#!/usr/bin/env python3
"""Runs the canopy program as a shell user does: help, exit codes, formats, verbs without a controller.

usage: command_line_test.py PATH_OF_CANOPY
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

CANOPY = os.path.abspath(sys.argv[1])

VERBS = [
    "run", "launch", "status", "watch", "best", "query", "controller start", "worker start", "worker list",
    "worker show", "worker drain", "trial explain",
    "campaign list", "campaign show", "campaign pause", "campaign resume", "campaign cancel", "trial list",
    "trial show", "trial logs", "space check", "space sample", "space cost", "space show",
    "space diff", "space encode", "cluster init",
    "cluster add-worker", "config show", "db snapshot", "db backup", "db restore", "db check", "doctor",
]

SPACE = """canopy: 1
name: tiny
input: {shape: [1, 8, 8], classes: 10}
network:
  - conv2d: {out_channels: {name: width, ordinal: [4, 8]}, kernel: 3}
  - relu
  - global_avg_pool
  - linear: {features: classes}
recipe:
  learning_rate: {float: [0.01, 0.5], log: true}
"""

CAMPAIGN = """canopy: 1
campaign: {name: tiny}
space: tiny.yaml
task: {kind: image_classification, dataset: fashion-mnist, validation: {seed: 1, count: 100}}
fidelity: {epochs: 1}
budget: {trials: 2}
"""


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="canopy")
        self.addCleanup(self.folder.cleanup)
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.folder.name,
                            "CANOPY_STATE_DIR": os.path.join(self.folder.name, "state")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.write("tiny.yaml", SPACE)
        self.write("campaign.yaml", CAMPAIGN)

    def write(self, name, text):
        with open(os.path.join(self.folder.name, name), "w", encoding="utf-8") as file:
            file.write(text)

    def canopy(self, *arguments, stdin=""):
        return subprocess.run([CANOPY, *arguments], input=stdin, capture_output=True, text=True, check=False,
                              cwd=self.folder.name, env=self.environment, timeout=60)

    def succeed(self, *arguments, stdin=""):
        done = self.canopy(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_every_verb_explains_itself_with_an_example(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                text = self.succeed(*verb.split(), "--help")
                self.assertIn("Example:\n", text)
                self.assertIn("canopy " + verb, text)

    def test_help_of_the_program_names_every_verb(self):
        text = self.succeed("--help")
        for verb in VERBS:
            self.assertIn("\n  " + verb.split()[0], text)

    def test_the_version_is_printed(self):
        self.assertRegex(self.succeed("--version"), r"^canopy \d+\.\d+\.\d+\n$")

    def test_a_wrong_command_line_is_a_usage_error(self):
        for line in (["--nothing"], ["dance"], ["space"], ["run"], ["campaign", "list", "--format", "xml"],
                     ["space", "sample", "tiny.yaml", "--n", "x"], ["launch", "campaign.yaml", "--yes"]):
            with self.subTest(line=line):
                done = self.canopy(*line)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(done.stdout, "")
                self.assertNotEqual(done.stderr, "")

    def test_what_is_missing_is_not_found(self):
        for line in (["run", "absent.yaml"], ["space", "check", "absent.yaml"], ["campaign", "list"],
                     ["status"]):
            with self.subTest(line=line):
                done = self.canopy(*line)
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_a_controller_elsewhere_needs_a_certificate(self):
        done = self.canopy("campaign", "list", "--controller", "127.0.0.1:1")
        self.assertEqual(done.returncode, 5)
        self.assertIn("--credentials", done.stderr)

    def test_a_bad_space_is_refused_with_its_place(self):
        self.write("bad.yaml", SPACE.replace("ordinal", "ordnal"))
        done = self.canopy("space", "check", "bad.yaml")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"^canopy: bad\.yaml:5:\d+: .*did you mean 'ordinal'")

    def test_a_bad_campaign_is_refused_before_anything_starts(self):
        self.write("bad.yaml", CAMPAIGN.replace("budget", "buget"))
        for verb in ("run", "launch"):
            done = self.canopy(verb, "bad.yaml")
            self.assertEqual(done.returncode, 3)
            self.assertRegex(done.stderr, r"^canopy: bad\.yaml:6:1: .*did you mean 'budget'")
        self.assertFalse(os.path.exists(os.path.join(self.folder.name, "state")))

    def test_a_missing_dataset_is_named_with_the_remedy_before_anything_starts(self):
        done = self.canopy("run", "campaign.yaml", "--data", "fashion-mnist=/nowhere")
        self.assertEqual(done.returncode, 4)
        self.assertIn("/nowhere/train-images-idx3-ubyte", done.stderr)
        self.assertIn("dataset-fashion-mnist", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder.name, "state")))

    def test_space_check_counts_and_lists_decisions(self):
        text = self.succeed("space", "check", "tiny.yaml")
        self.assertIn("architectures 2\n", text)
        self.assertIn("a number from 0.01 to 0.5, log", text)
        lines = self.succeed("space", "check", "tiny.yaml", "--format", "jsonl").splitlines()
        self.assertEqual([json.loads(line)["decision"] for line in lines], ["width", "learning_rate"])

    def test_space_check_as_json_says_what_the_text_says(self):
        check = json.loads(self.succeed("space", "check", "tiny.yaml", "--format", "json"))
        self.assertEqual([row["decision"] for row in check["decisions"]], ["width", "learning_rate"])
        self.assertEqual((check["space"], check["candidates"], check["architectures"], check["distinct"]),
                         ("tiny", "infinite", "2", 2))
        self.assertRegex(check["hash"], "^[0-9a-f]{64}$")
        self.assertEqual(check["sample"]["drawn"], 100)
        self.assertEqual((check["sample"]["params"]["least"], check["sample"]["params"]["most"]), (90, 170))
        check = json.loads(self.succeed("space", "check", "nas_bench_101", "--format", "json"))
        self.assertIsNone(check["distinct"])
        self.assertEqual(check["reference"]["params"], 2_694_282)
        self.assertGreater(check["sample"]["not_built"], 0)

    def test_space_check_summarises_a_sample_and_counts_what_differs(self):
        text = self.succeed("space", "check", "tiny.yaml")
        self.assertIn("distinct      2\n", text)
        self.assertRegex(text, r"sample        100 drawn, 0 rejected\n  params      90 to 170, median \d+\n")
        text = self.succeed("space", "check", "nas_bench_101")
        self.assertNotIn("distinct", text)
        self.assertRegex(text, r"sample        \d+ drawn, \d+ rejected \(\d+ cannot be built\)\n")
        text = self.succeed("space", "check", "nas_bench_101", "--distinct")
        self.assertIn("distinct      unknown: more than 100,000 architectures", text)

    def test_space_show_draws_a_candidate(self):
        text = self.succeed("space", "show", "tiny.yaml", '{"width":8,"learning_rate":0.1}', "--svg", "a.svg")
        self.assertIn("params  170\n", text)
        self.assertRegex(text, r"2  conv 3x3, 8 \+ relu +8x8x8\n")
        with open(os.path.join(self.folder.name, "a.svg"), encoding="utf-8") as file:
            root = xml.etree.ElementTree.fromstring(file.read())
        texts = ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]
        self.assertEqual(texts, ["input 1x8x8", "conv 3x3, 8 + relu 8x8x8", "global avg pool 8", "linear, 10 10"])
        self.assertIn("params  25,557,032\n", self.succeed("space", "show", "resnet", "reference", "--as-written"))
        done = self.canopy("space", "show", "tiny.yaml", "reference")
        self.assertEqual(done.returncode, 4)
        self.assertIn("has no `reference:`", done.stderr)

    def test_space_diff_compares_candidates_and_spaces(self):
        rows = json.loads(self.succeed("space", "diff", "tiny.yaml", '{"width":8,"learning_rate":0.1}',
                                       '{"width":4,"learning_rate":0.1}', "--format", "json"))
        self.assertEqual([row["what"] for row in rows],
                         ["width", "params", "macs", "activation_memory", "training_memory", "graph_hash",
                          "candidate_hash"])
        self.assertEqual((rows[0]["first"], rows[0]["second"]), ("8", "4"))
        self.write("other.yaml", SPACE.replace("[4, 8]", "[4, 8, 16]") + "constraints: [params < 1000]\n")
        rows = json.loads(self.succeed("space", "diff", "tiny.yaml", "other.yaml", "--format", "json"))
        self.assertEqual([row["what"] for row in rows], ["width", "constraint"])
        self.assertEqual(rows[0]["second"], "ordinal, one of 4, 8, 16")
        self.write("other.yaml", SPACE.replace("kernel: 3", "kernel: 5"))
        self.assertIn("network", self.succeed("space", "diff", "tiny.yaml", "other.yaml"))
        self.assertEqual(self.succeed("space", "diff", "tiny.yaml", "tiny.yaml"), "no difference\n")

    def test_a_space_includes_the_files_beside_it(self):
        os.mkdir(os.path.join(self.folder.name, "lib"))
        self.write("lib/units.yaml", "canopy: 1\nblocks: {unit: [{one_of: {choices: [relu, tanh]}}]}\n")
        self.write("with.yaml", SPACE.replace("  - relu\n", "  - use: unit\n") + "include: [lib/units.yaml]\n")
        self.assertIn("architectures 4\n", self.succeed("space", "check", "with.yaml"))
        self.write("lib/units.yaml", "canopy: 1\nblocks: {unit: [{one_of: {choices: [relu, tan]}}]}\n")
        done = self.canopy("space", "check", "with.yaml")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"^canopy: lib/units\.yaml:2:\d+: blocks\.unit")
        os.remove(os.path.join(self.folder.name, "lib/units.yaml"))
        self.assertRegex(self.canopy("space", "check", "with.yaml").stderr, r"with\.yaml:11:\d+: include\[0\]")

    def test_samples_repeat_with_their_seed_and_can_be_counted(self):
        line = ("space", "sample", "nas_bench_201", "--n", "5", "--format", "jsonl", "--seed")
        samples = self.succeed(*line, "7")
        self.assertEqual(samples, self.succeed(*line, "7"))
        self.assertNotEqual(samples, self.succeed(*line, "8"))
        self.assertEqual(len(samples.splitlines()), 5)
        costs = self.succeed("space", "cost", "nas_bench_201", "--format", "jsonl", stdin=samples)
        for sample, cost in zip(samples.splitlines(), map(json.loads, costs.splitlines()), strict=True):
            self.assertEqual(json.loads(cost["candidate"]), json.loads(sample))
            self.assertGreater(cost["params_as_written"], 0)

    def test_distinct_samples_never_repeat(self):
        line = ("space", "sample", "fcnet", "--n", "31104", "--distinct", "candidates", "--format", "jsonl")
        samples = self.succeed(*line).splitlines()
        self.assertEqual(len(samples), 31104)
        self.assertEqual(len(set(samples)), 31104)
        self.assertNotEqual(samples[:3], self.succeed(*line, "--seed", "1").splitlines()[:3])
        done = self.canopy("space", "sample", "tiny.yaml", "--distinct", "candidates")
        self.assertEqual(done.returncode, 3)
        self.assertIn("--distinct candidates: expected a space that can be enumerated", done.stderr)
        self.assertIn("'learning_rate' is a float", done.stderr)

    def test_distinct_networks_are_drawn_with_recipes(self):
        line = ("space", "sample", "tiny.yaml", "--distinct", "networks", "--format", "json")
        samples = json.loads(self.succeed(*line))
        self.assertEqual(sorted(sample["width"] for sample in samples), [4, 8])
        self.assertNotEqual(samples[0]["learning_rate"], samples[1]["learning_rate"])
        done = self.canopy("space", "sample", "nas_bench_101", "--distinct", "networks")
        self.assertEqual(done.returncode, 3)
        self.assertIn("expected at most 100,000 architectures to compare, found 509607936", done.stderr)

    def test_neighbours_differ_in_one_decision(self):
        line = ("space", "sample", "nas_bench_201", "--neighbours-of", "reference", "--format", "json")
        neighbours = json.loads(self.succeed(*line))
        self.assertEqual(len({json.dumps(n) for n in neighbours}), 24)
        self.assertEqual(json.loads(self.succeed(*line, "--n", "2")), neighbours[:2])
        self.assertEqual(self.canopy(*line, "--distinct", "candidates").returncode, 2)

    def test_encodings_have_named_columns_and_one_length(self):
        samples = self.succeed("space", "sample", "tiny.yaml", "--n", "3", "--format", "jsonl")
        header, *rows = self.succeed("space", "encode", "tiny.yaml", "--format", "csv", stdin=samples).splitlines()
        self.assertEqual(header, "width,learning_rate")
        for sample, row in zip(map(json.loads, samples.splitlines()), rows, strict=True):
            self.assertEqual(float(row.split(",")[0]), (sample["width"] - 4) / 4)
        for kind, limit, length in (("adjacency", "--max-nodes", 28 + 8 * self.features_of_a_node()),
                                    ("path", "--buckets", 8)):
            vectors = json.loads(self.succeed("space", "encode", "tiny.yaml", "--encoding", kind, limit, "8",
                                              "--format", "json", stdin=samples))
            self.assertEqual([len(vector) for vector in vectors], [length] * 3)
        done = self.canopy("space", "encode", "tiny.yaml", "--encoding", "adjacency", "--max-nodes", "2",
                           stdin=samples)
        self.assertEqual(done.returncode, 3)
        self.assertIn("standard input:1: adjacency encoding: expected a network of at most 2 nodes, found 5",
                      done.stderr)
        self.assertEqual(self.canopy("space", "encode", "tiny.yaml", "--encoding", "graph").returncode, 2)

    def features_of_a_node(self):
        header = self.succeed("space", "encode", "tiny.yaml", "--encoding", "adjacency", "--max-nodes", "1",
                              "--format", "csv")
        return len(header.split(","))

    def test_costs_of_a_known_cell(self):
        cell = {f"edge_{edge}": "none" for edge in ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")}
        cell["edge_0_3"] = "skip_connect"
        text = self.succeed("space", "cost", "nas_bench_201", "--format", "csv", stdin=json.dumps(cell))
        header, row = text.splitlines()
        self.assertTrue(header.startswith("params,macs,"))
        costs = dict(zip(header.split(","), row.split(",")))
        self.assertEqual(costs["depends_on_input"], "yes")
        # The nodes of the cell that are cut off still stand as written.
        self.assertEqual([int(costs[f"{cost}_as_written"]) - int(costs[cost]) for cost in ("params", "macs", "depth")],
                         [0, 0, 0])
        self.assertGreater(int(costs["activation_memory_as_written"]), int(costs["activation_memory"]))

    def test_costs_of_a_folder_are_refused(self):
        done = self.canopy("space", "cost", "tiny.yaml", "--from", ".")
        self.assertEqual(done.returncode, 3)
        self.assertIn("--from .: expected a file of candidates, found a folder", done.stderr)

    def dry_run(self, *before):
        return [*before, "launch", "campaign.yaml", "--dry-run", "--set", "trainer.numeric_mode=fp32"]

    def test_a_controller_for_one_command_serves_nobody_else(self):
        self.environment.update({"CANOPY_LISTEN": "127.0.0.1:7443", "CANOPY_CREDENTIALS": "/nowhere",
                                 "CANOPY_HTTP_PORT": "1"})
        self.assertIn("Would launch default/tiny", self.succeed(*self.dry_run()))

    def test_a_controller_for_one_command_reads_the_named_configuration(self):
        os.makedirs(os.path.join(self.folder.name, ".config/canopy"))
        self.write(".config/canopy/canopy.yaml", "canopy: 1\nnonsense: 1\n")
        self.write("good.yaml", "canopy: 1\n")
        self.assertEqual(self.canopy(*self.dry_run()).returncode, 3)
        self.succeed(*self.dry_run("--config", "good.yaml"))

    def test_commands_at_once_wait_for_each_others_controllers(self):
        commands = [subprocess.Popen([CANOPY, *self.dry_run()], cwd=self.folder.name, env=self.environment,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    for _ in range(12)]
        for command in commands:
            out, err = command.communicate(timeout=60)
            self.assertEqual((command.returncode, err[:200]), (0, "warning: no worker is connected; trials "
                                                                  "wait for one\n"))
            self.assertIn("Would launch", out)

    def count(self, path, sql):
        connection = sqlite3.connect(f"file:{os.path.join(self.folder.name, path)}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()

    def launch(self, name):
        self.succeed("launch", "campaign.yaml", "--set", "trainer.numeric_mode=fp32", "--name", name, "--quiet")

    def test_the_database_is_copied_and_restored_while_no_controller_runs(self):
        self.assertEqual(self.canopy("db", "snapshot", "copy.db").returncode, 4, "nothing is stored yet")
        self.launch("first")
        self.succeed("db", "snapshot", "copy.db")
        self.assertEqual(self.count("copy.db", "SELECT count(*) FROM campaign"), 1)
        self.assertEqual([name for name in os.listdir(self.folder.name) if name.startswith("copy.db")], ["copy.db"])
        backup = self.succeed("db", "backup").strip()
        self.assertEqual(self.count(backup, "SELECT count(*) FROM campaign"), 1)
        self.launch("second")
        rows = json.loads(self.succeed("db", "check", "--format", "json"))
        self.assertEqual({row["level"] for row in rows}, {"ok"}, rows)
        done = self.canopy("db", "restore", "absent")
        self.assertEqual(done.returncode, 4)
        self.assertIn(os.path.basename(backup), done.stderr)
        printed = self.succeed("db", "restore", "latest")
        self.assertRegex(printed, r"had 1 campaign, \d+ trials?, 0 results more")
        self.assertIn("(incarnation 2)", printed)
        names = [row["campaign"] for row in json.loads(self.succeed("campaign", "list", "--format", "json"))]
        self.assertEqual(len(names), 1, names)
        self.succeed("db", "restore", os.path.join(self.folder.name, "copy.db"))
        self.assertEqual(self.count("state/controller/canopy.db",
                                    "SELECT value FROM meta WHERE name = 'incarnation'"), "3")

    def test_a_check_finds_what_is_wrong_with_a_copy(self):
        self.launch("first")
        self.succeed("db", "snapshot", "copy.db")
        connection = sqlite3.connect(os.path.join(self.folder.name, "copy.db"))
        connection.execute("UPDATE campaign SET last_result_seq = 5")
        connection.commit()
        connection.close()
        done = self.canopy("db", "check", "copy.db", "--format", "json")
        self.assertEqual(done.returncode, 7, done.stderr)
        wrong = [row for row in json.loads(done.stdout) if row["level"] != "ok"]
        self.assertEqual(len(wrong), 1, wrong)
        self.assertIn("counts 5", wrong[0]["examples"])
        self.assertIn("canopy db restore", done.stderr)

    def test_the_doctor_looks_at_host_database_and_trainer(self):
        self.launch("first")
        done = self.canopy("doctor", "--format", "json", "--data", "fashion-mnist=/nowhere")
        self.assertEqual(done.returncode, 7, done.stderr)
        checks = {row["check"]: row for row in json.loads(done.stdout)}
        for name in ("state directory", "file system", "disk space", "sync latency", "database", "backups",
                     "controller", "worker slots", "trainer", "open files", "clock"):
            self.assertIn(name, checks)
        self.assertEqual(checks["database"]["level"], "ok")
        self.assertEqual(checks["dataset fashion-mnist"]["level"], "error")
        for row in checks.values():
            self.assertEqual(row["level"] == "ok", not row["remedy"], row)

    def test_run_does_not_join_a_controller_that_grants_no_leases(self):
        with subprocess.Popen([CANOPY, "controller", "start", "--no-leases"], cwd=self.folder.name,
                              env=self.environment, stderr=subprocess.PIPE, text=True) as other:
            try:
                for line in other.stderr:
                    if "ready" in line:
                        break
                done = self.canopy("run", "campaign.yaml", "--data", "fashion-mnist=/nowhere")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(f"(process {other.pid}) grants no leases", done.stderr)
                other.terminate()
                other.stderr.read()
            finally:
                other.kill()
        # The way is free: it gets as far as the dataset.
        done = self.canopy("run", "campaign.yaml", "--data", "fashion-mnist=/nowhere")
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_what_launching_refuses_has_its_place(self):
        done = self.canopy("launch", "campaign.yaml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("campaign.yaml:1:1: trainer.numeric_mode: auto is settled by the connected workers",
                      done.stderr)
        self.write("tiny.yaml", SPACE.replace("learning_rate: {float: [0.01, 0.5], log: true}",
                                              "batch_size: {float: [16, 64]}"))
        done = self.canopy(*self.dry_run())
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"tiny\.yaml:10:15: recipe\.batch_size: expected integers")
        self.write("tiny.yaml", SPACE.replace("name: width", "name: momentum"))
        done = self.canopy(*self.dry_run())
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr,
                         r"tiny\.yaml:5:\d+: network\[0\]\.conv2d\.out_channels: expected another name")

    def test_a_candidate_outside_the_space_is_refused_with_its_line(self):
        candidates = '{"width":4,"learning_rate":0.1}\n{"width":5}\n'
        done = self.canopy("space", "cost", "tiny.yaml", stdin=candidates)
        self.assertEqual(done.returncode, 3)
        self.assertIn("standard input:2", done.stderr)

    def test_the_spaces_of_the_docs_are_valid(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../docs/search_spaces.md")
        with open(path, encoding="utf-8") as file:
            blocks = re.findall(r"```yaml\n(canopy: 1\n.*?)```", file.read(), re.DOTALL)
        spaces = [block for block in blocks if "\nnetwork:" in block]
        self.assertGreaterEqual(len(spaces), 4)
        for space in spaces:
            with self.subTest(space=space):
                self.write("docs.yaml", space)
                self.succeed("space", "check", "docs.yaml", "--input", "3,32,32", "--classes", "10")

    def test_the_readmes_spaces_and_campaign_can_be_launched(self):
        readme = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../README.md")
        with open(readme, encoding="utf-8") as file:
            blocks = re.findall(r"^```yaml\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
        spaces = [block for block in blocks if "\nnetwork:" in block]
        campaigns = [block for block in blocks if "\ncampaign:" in block]
        self.assertEqual((len(spaces), len(campaigns)), (2, 1))
        campaign = campaigns[0]
        # Without a worker the space has to say what shape the data has.
        task = "input: {shape: [1, 28, 28], classes: 10}\n"
        for number, space in enumerate(spaces):
            name = f"readme{number}.yaml"
            self.write(name, space + task)
            self.write("readme-campaign.yaml", campaign.replace("mine.yaml", name))
            with self.subTest(space=space):
                self.succeed("space", "check", name)
                self.assertIn("Would launch default/mine",
                              self.succeed("launch", "readme-campaign.yaml", "--dry-run", "--set",
                                           "trainer.numeric_mode=fp32"))

    def test_settings_show_value_and_origin(self):
        self.write("canopy.yaml", "canopy: 1\nslots: 3\n")
        self.environment["CANOPY_LOG_LEVEL"] = "debug"
        rows = json.loads(self.succeed("--config", "canopy.yaml", "config", "show", "--http-port", "8080",
                                       "--format", "json"))
        settings = {row["setting"]: (row["value"], row["origin"]) for row in rows}
        self.assertEqual(settings["slots"], ("3", "canopy.yaml:2"))
        self.assertEqual(settings["log_level"], ("debug", "environment CANOPY_LOG_LEVEL"))
        self.assertEqual(settings["http_port"], ("8080", "flag --http-port"))

    def test_cluster_certificates_are_made_once(self):
        line = ("cluster", "init", "--credentials", "c", "--host", "localhost")
        self.succeed(*line)
        self.assertEqual(self.canopy(*line).returncode, 1)
        self.succeed("cluster", "add-worker", "--credentials", "c", "one")
        key = os.path.join(self.folder.name, "c/workers/one/worker.key")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
