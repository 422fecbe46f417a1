#!/usr/bin/env python3
"""Feeds check_structure.py trees with one fault each, and sees it found in its place."""

import os
import tempfile
import unittest

import check_structure

GOOD = {
    "base/CMakeLists.txt": "canopy_library(NAME base SOURCES clock.cc)\n"
                           "canopy_test(NAME base_test SOURCES clock_test.cc)\n",
    "base/clock.h": "#pragma once\n#include <cstdint>\n",
    "base/clock.cc": '#include "base/clock.h"\n',
    "base/clock_test.cc": '#include "base/clock.h"\n#include <gtest/gtest.h>\n',
}


class CheckStructureTest(unittest.TestCase):
    def findings(self, extra: dict[str, str]) -> list[str]:
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**GOOD, **extra}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return [f"{f.path}:{f.line}:{f.rule}" for f in check_structure.check_tree(root)]

    def include(self, path: str, line: str) -> list[str]:
        """The findings of a header that holds a single include, on its second line."""
        return self.findings({path: f"#pragma once\n{line}\n"})

    def assert_include_found(self, path: str, line: str, rule: str = "forbidden-include") -> None:
        self.assertIn(f"{path}:2:{rule}", self.include(path, line), f"{path} with {line}")

    def assert_include_fine(self, path: str, line: str) -> None:
        self.assertEqual([], self.include(path, line), f"{path} with {line}")

    def test_a_good_tree_has_no_finding(self):
        self.assertEqual([], self.findings({}))

    def test_an_include_up_the_layers_is_found(self):
        rule = "include-direction"
        self.assert_include_found("base/a.h", '#include "config/yaml.h"', rule)
        self.assert_include_found("search_spaces/a.h", '#include "storage/reader.h"', rule)
        self.assert_include_found("storage/model/a.h", '#include "storage/trial_store.h"', rule)
        self.assert_include_found("controller/core/a.h", '#include "controller/strategies/random.h"', rule)
        self.assert_include_found("controller/engine/a.h", '#include "controller/service/users.h"', rule)
        self.assert_include_found("base/a.h", '#include "canopy/v1/campaign.pb.h"', rule)
        self.assert_include_found("base/a.h", '  #  include "cli/main.h"', rule)
        self.assert_include_found("worker/agent/a.h", '#include "worker/trainer/model.h"', rule)

    def test_an_include_down_the_layers_is_fine(self):
        self.assert_include_fine("controller/core/a.h", '#include "storage/model/ids.h"')
        self.assert_include_fine("controller/engine/a.h", '#include "storage/trial_store.h"')
        self.assert_include_fine("worker/trainer/ops/a.h", '#include "worker/trainer/model.h"')
        self.assert_include_fine("cli/a.h", '#include "worker/agent/agent.h"')
        self.assert_include_fine("tests/integration/a.h", '#include "cli/main.h"')
        self.assert_include_fine("config/a.h", '#include "canopy/v1/campaign.pb.h"')

    def test_a_double_may_be_used_by_a_test_only(self):
        line = '#include "tests/testing/fake_trainer.h"'
        build = {"base/CMakeLists.txt": "clock.cc clock_test.cc a_test.cc a.cc"}
        self.assertEqual([], self.findings({**build, "base/a_test.cc": line, "base/a.cc": ""}))
        self.assertEqual(["base/a.cc:1:include-direction"],
                         self.findings({**build, "base/a_test.cc": "", "base/a.cc": line}))

    def test_libraries_stay_in_the_folders_that_own_them(self):
        self.assert_include_found("worker/agent/a.h", "#include <torch/torch.h>")
        self.assert_include_found("worker/data/a.h", "#include <ATen/ATen.h>")
        self.assert_include_found("storage/a.h", "#include <grpcpp/grpcpp.h>")
        self.assert_include_found("storage/a.h", '#include "canopy/v1/worker.grpc.pb.h"')
        self.assert_include_found("controller/engine/a.h", "#include <sqlite3.h>")
        self.assert_include_found("storage/model/a.h", "#include <sqlite3.h>")
        self.assert_include_fine("worker/trainer/ops/a.h", "#include <ATen/ATen.h>")
        self.assert_include_fine("controller/service/a.h", "#include <grpcpp/grpcpp.h>")
        self.assert_include_fine("storage/a.h", "#include <sqlite3.h>")

    def test_records_core_strategies_and_schedules_know_no_messages(self):
        for folder in ("storage/model", "controller/core", "controller/strategies", "controller/fidelity"):
            self.assert_include_found(f"{folder}/a.h", '#include "canopy/v1/campaign.pb.h"')
        self.assert_include_fine("storage/a.h", '#include "canopy/v1/campaign.pb.h"')

    def test_the_core_is_pure(self):
        for header in ("<thread>", "<mutex>", "<chrono>", "<random>", "<fstream>",
                       '"base/mutex.h"', '"base/file.h"'):
            self.assert_include_found("controller/core/a.h", f"#include {header}")
        self.assertIn("controller/core/a.h:1:pure-core",
                      self.findings({"controller/core/a.h": "inline SystemClock clock;\n"}))
        self.assert_include_fine("controller/engine/a.h", "#include <thread>")

    def test_worker_and_controller_do_not_meet(self):
        self.assert_include_found("worker/agent/a.h", '#include "controller/core/core.h"')
        self.assert_include_found("worker/agent/a.h", '#include "storage/trial_store.h"')
        self.assert_include_found("controller/http/a.h", '#include "worker/protocol/codec.h"')
        self.assert_include_fine("worker/agent/a.h", '#include "storage/model/ids.h"')

    def test_libraries_that_the_sanitizers_misjudge_are_found(self):
        self.assert_include_found("base/a.h", "#include <absl/synchronization/mutex.h>")
        self.assert_include_found("cli/a.h", '#include "absl/container/flat_hash_map.h"')

    def test_an_include_that_is_no_path_from_the_root_is_found(self):
        self.assert_include_found("base/a.h", '#include "clock.h"', "include-path")
        self.assert_include_found("base/a.h", '#include "../base/clock.h"', "include-path")
        self.assert_include_fine("base/a.h", '#include "absl/status/status.h"')

    def test_code_in_an_unknown_folder_is_found(self):
        self.assertIn("src/a.h:1:folder", self.findings({"src/a.h": ""}))

    def test_a_file_that_no_build_file_names_is_found(self):
        self.assertEqual(["base/lost_test.cc:1:test-registered"], self.findings({"base/lost_test.cc": ""}))
        self.assertEqual(["base/lost.cc:1:source-registered"], self.findings({"base/lost.cc": ""}))
        self.assertEqual(["base/lost.cc:1:source-registered"], self.findings(
            {"base/lost.cc": "", "base/CMakeLists.txt": "clock.cc clock_test.cc # lost.cc\n"}))

    def test_a_build_file_further_up_may_name_a_file(self):
        self.assertEqual([], self.findings(
            {"search_spaces/ops/conv.cc": "", "search_spaces/CMakeLists.txt": "SOURCES ops/conv.cc"}))

    def test_long_lines_and_files_are_found(self):
        self.assertEqual([], self.findings({"base/a.h": "/" * 110 + "\n" + "//\n" * 599}))
        self.assertEqual(["base/a.h:2:line-length"], self.findings({"base/a.h": "\n" + "/" * 111}))
        self.assertEqual(["base/a.h:601:file-length"], self.findings({"base/a.h": "//\n" * 601}))

    def test_names_that_say_nothing_are_found(self):
        self.assertEqual(["base/string_utils.h:1:vague-name"], self.findings({"base/string_utils.h": ""}))
        self.assertEqual(["docs/common/a.md:1:vague-name"], self.findings({"docs/common/a.md": ""}))
        self.assertEqual([], self.findings({"base/commonality.h": ""}))

    def test_references_that_a_reader_cannot_follow_are_found(self):
        for text in check_structure.FORBIDDEN_TEXT:
            self.assertEqual(["docs/a.md:2:forbidden-text"], self.findings({"docs/a.md": f"x\nsee {text}\n"}))

    def test_build_folders_are_not_the_project(self):
        self.assertEqual([], self.findings(
            {"build/base/lost.cc": "", "mine/CMakeCache.txt": "", "mine/generated_utils.cc": ""}))


if __name__ == "__main__":
    unittest.main()
