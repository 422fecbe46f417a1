#!/usr/bin/env python3
"""Runs deploy/quickstart.sh and deploy/test.sh in a copy of the tree, with doubles of the tools they call.

Each double appends its command line to a log; what the real tools would do is asserted from that log.
"""

import os
import pty
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))

LOG = 'printf "%s" "${0##*/}" >>"$TOOL_LOG"; printf " %s" "$@" >>"$TOOL_LOG"; echo >>"$TOOL_LOG"\n'
TOOLS = {
    # Everything named is installed, but what stands in $MISSING.
    "dpkg-query": 'shift 2; for p in "$@"; do '
                  'case " $MISSING " in *" $p "*) ;; *) echo "$p installed";; esac; done',
    "apt-get": LOG + 'case "$*" in *--print-uris*) printf "Need to get 12.5 MB of archives.\\n"; '
                     'echo "After this operation, 40.0 MB of additional disk space will be used.";; esac; '
                     'exit "${APT_STATUS:-0}"',
    "id": 'case $1 in -u) echo "$FAKE_UID";; *) echo tester;; esac',
    "sudo": LOG + 'if [ "$1" = -n ]; then exit "${SUDO_STATUS:-0}"; fi; exec "$@"',
    "nproc": 'echo "${FAKE_CORES:-2}"',
    "awk": 'case "$*" in *MemAvailable*) echo "${FAKE_MEMORY_MB:-64000}";; *) exec /usr/bin/awk "$@";; esac',
    "df": 'printf "Avail\\n%s\\n" "${FAKE_DISK_MB:-90000}"',
    # What configuring and building leave behind.
    "cmake": LOG + 'mkdir -p "build/$2/bin"; touch "build/$2/build.ninja"\n'
                   'for a in "$@"; do case $a in -DCANOPY_LIBTORCH=*) '
                   'echo "CANOPY_LIBTORCH:PATH=${a#*=}" >"build/$2/CMakeCache.txt";; esac; done',
    "ninja": LOG + 'printf "#!/bin/sh\\n%s" "$CANOPY_DOUBLE" >build/release/bin/canopy; '
                   'chmod +x build/release/bin/canopy',
    "ctest": LOG + 'echo "tabular $CANOPY_TABULAR_DATA" >>"$TOOL_LOG"; echo "100% tests passed"; '
                   'exit "${CTEST_STATUS:-0}"',
}


class DeployScriptsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        # A space in the path: the scripts must quote it.
        self.tree = os.path.join(self.folder.name, "a tree")
        self.tools = os.path.join(self.folder.name, "tools")
        self.log = os.path.join(self.folder.name, "log")
        shutil.copytree(os.path.join(ROOT, "deploy"), os.path.join(self.tree, "deploy"))
        os.mkdir(self.tools)
        for name, body in TOOLS.items():
            path = os.path.join(self.tools, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/bash\n" + body + "\n")
            os.chmod(path, 0o755)

    def run_script(self, name, *arguments, stdin=subprocess.DEVNULL, **environment):
        """Returns the completed process; the tools' command lines are then in self.calls."""
        open(self.log, "w", encoding="utf-8").close()
        variables = {"PATH": f"{self.tools}:/usr/bin:/bin", "TOOL_LOG": self.log, "FAKE_UID": "1000",
                     "MISSING": "", "CANOPY_DOUBLE": LOG, **environment}
        result = subprocess.run([os.path.join(self.tree, "deploy", name), *arguments], cwd="/", text=True,
                                stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=variables, check=False)
        with open(self.log, encoding="utf-8") as file:
            self.calls = file.read().splitlines()
        return result

    def called(self, text):
        return [call for call in self.calls if text in call]

    def folder_with(self, *names):
        path = os.path.join(self.folder.name, "given")
        for name in names:
            os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
            open(os.path.join(path, name), "w", encoding="utf-8").close()
        return path

    def test_quickstart_installs_builds_and_searches(self):
        result = self.run_script("quickstart.sh", MISSING="ninja-build libtorch-dev")
        self.assertEqual(0, result.returncode, result.stdout)
        self.assertIn("12.5 MB to download, 40.0 MB on disk", result.stdout)
        self.assertTrue(self.called("sudo env DEBIAN_FRONTEND=noninteractive"), self.calls)
        self.assertTrue(self.called("install --yes --no-install-recommends ninja-build libtorch-dev"))
        self.assertTrue(self.called("-DCANOPY_TESTS=OFF"))
        self.assertTrue(self.called("canopy canopy-trainer"))
        self.assertEqual("canopy run deploy/quickstart/fashion-macro.yaml", self.calls[-1])

    def test_a_second_quickstart_configures_and_installs_nothing(self):
        self.run_script("quickstart.sh")
        result = self.run_script("quickstart.sh", FAKE_MEMORY_MB="500", FAKE_DISK_MB="10")
        self.assertEqual(0, result.returncode, result.stdout)
        self.assertEqual(["ninja", "canopy"], [call.split()[0] for call in self.calls])

    def test_a_dry_run_changes_nothing(self):
        result = self.run_script("quickstart.sh", "--dry-run", MISSING="g++")
        self.assertEqual(0, result.returncode, result.stdout)
        self.assertIn("12.5 MB to download", result.stdout)
        self.assertEqual([], [c for c in self.calls if "lists=" not in c and "Dir::State" not in c])
        self.assertFalse(os.path.exists(os.path.join(self.tree, "build")))

    def test_root_needs_no_sudo(self):
        self.run_script("quickstart.sh", MISSING="g++", FAKE_UID="0")
        self.assertEqual([], self.called("sudo"))
        self.assertTrue(self.called("install --yes --no-install-recommends g++"))

    def test_sudo_that_would_ask_without_a_terminal_is_said(self):
        result = self.run_script("quickstart.sh", MISSING="g++", SUDO_STATUS="1")
        self.assertNotEqual(0, result.returncode)
        self.assertIn("sudo would ask for a password", result.stdout)
        self.assertIn("apt-get install --yes --no-install-recommends g++", result.stdout)

    def test_a_package_server_out_of_reach_is_said(self):
        result = self.run_script("quickstart.sh", MISSING="g++", APT_STATUS="100")
        self.assertNotEqual(0, result.returncode)
        self.assertIn("reaches no package server", result.stdout)

    def test_too_little_memory_or_disk_is_said_before_anything_happens(self):
        for script in ("quickstart.sh", "test.sh"):
            result = self.run_script(script, MISSING="g++", FAKE_MEMORY_MB="1500")
            self.assertIn("1500 MB are free", result.stdout)
            self.assertEqual((1, []), (result.returncode, self.calls))
            result = self.run_script(script, MISSING="g++", FAKE_DISK_MB="100")
            self.assertIn("where 100 MB are free", result.stdout)
            self.assertEqual((1, []), (result.returncode, self.calls))

    def test_a_wrong_duration_is_said_before_anything_happens(self):
        for duration in ("10", "ten", "1h30m", "5 m"):
            result = self.run_script("quickstart.sh", "--duration", duration, MISSING="g++")
            self.assertIn(f"found '{duration}'", result.stdout)
            self.assertEqual((1, []), (result.returncode, self.calls))

    def test_a_build_with_another_libtorch_needs_no_package_of_it_again(self):
        given = self.folder_with("include/ATen/ATen.h")
        self.run_script("quickstart.sh", "--libtorch", given)
        result = self.run_script("quickstart.sh", MISSING="libtorch-dev")
        self.assertEqual(0, result.returncode, result.stdout)
        self.assertEqual([], self.called("libtorch-dev"))

    def test_memory_limits_the_compile_jobs(self):
        for memory, cores, jobs in ((64000, 2, 2), (5000, 8, 2), (2500, 8, 1)):
            self.run_script("quickstart.sh", FAKE_MEMORY_MB=str(memory), FAKE_CORES=str(cores))
            self.assertTrue(self.called(f"-j {jobs} canopy"), (memory, cores, self.calls))

    def test_a_question_is_asked_on_a_terminal_and_no_ends_it(self):
        for answer, status in ((b"n\n", 1), (b"\n", 0)):
            ours, theirs = pty.openpty()
            os.write(ours, answer)
            result = self.run_script("quickstart.sh", stdin=theirs, MISSING="g++")
            os.close(ours)
            os.close(theirs)
            self.assertEqual(status, result.returncode, result.stdout)
            self.assertEqual(status == 0, bool(self.called("install --yes --no-install-recommends g++")))

    def test_yes_asks_nothing_on_a_terminal(self):
        ours, theirs = pty.openpty()
        result = self.run_script("quickstart.sh", "--yes", stdin=theirs, MISSING="g++")
        os.close(ours)
        os.close(theirs)
        self.assertEqual(0, result.returncode, result.stdout)

    def test_given_data_and_libtorch_take_the_place_of_packages(self):
        given = self.folder_with("include/ATen/ATen.h", *(f"{n}-idx-ubyte.gz" for n in (
            "train-images", "train-labels", "t10k-images", "t10k-labels")))
        result = self.run_script("quickstart.sh", "--data", given, "--libtorch", given, "--duration", "3m",
                                 MISSING="libtorch-dev dataset-fashion-mnist")
        self.assertEqual(0, result.returncode, result.stdout)
        self.assertEqual([], self.called("apt-get"))
        self.assertTrue(self.called(f"-DCANOPY_LIBTORCH={given}"))
        self.assertTrue(self.calls[-1].endswith(f"--set budget.duration=3m --data fashion-mnist={given}"))

    def test_a_folder_that_holds_not_what_it_should_is_refused(self):
        given = self.folder_with("train-images-idx-ubyte")
        for option in ("--data", "--libtorch"):
            result = self.run_script("quickstart.sh", option, given)
            self.assertEqual(1, result.returncode)
            self.assertIn(f"{option}: {given}", result.stdout)

    def test_an_unknown_option_is_refused(self):
        for script in ("quickstart.sh", "test.sh"):
            result = self.run_script(script, "--frobnicate")
            self.assertEqual(2, result.returncode)
            self.assertIn("--frobnicate", result.stdout)

    def test_tests_run_once_over_every_build_and_their_summary_is_last(self):
        given = self.folder_with("nas_bench_201.csv")
        result = self.run_script("test.sh", "--sanitizers", "--tabular", given, "--jobs", "3")
        self.assertEqual(0, result.returncode, result.stdout)
        self.assertEqual(["release", "asan", "tsan"], [c.split()[2] for c in self.called("cmake --preset")])
        self.assertEqual(1, len(self.called("ctest ")))
        self.assertTrue(self.called("--parallel 3"))
        self.assertTrue(self.called(f"tabular {given}"))
        self.assertEqual("100% tests passed", result.stdout.splitlines()[-1])
        with open(os.path.join(self.tree, "build/tests/CTestTestfile.cmake"), encoding="utf-8") as file:
            self.assertEqual(['subdirs("../release")', 'subdirs("../asan")', 'subdirs("../tsan")'],
                             file.read().splitlines()[1:])

    def test_a_failed_test_fails_the_script(self):
        self.assertEqual(8, self.run_script("test.sh", CTEST_STATUS="8").returncode)


if __name__ == "__main__":
    unittest.main()
