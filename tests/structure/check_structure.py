#!/usr/bin/env python3
"""Checks what the compiler does not: include directions, registration, sizes and names.

usage: check_structure.py ROOT

Prints each finding as FILE:LINE: [RULE] what is wrong; what to do. Ends with status 1 when there is one.
CONTRIBUTING.md explains the rules.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Iterator

# Lowest first. A file includes its own folder and the ones before it; tests/ includes all.
LAYERS = [
    "base",
    "proto",
    "storage/model",
    "config",
    "search_spaces",
    "storage",
    "rpc",
    "controller/core",
    "controller/strategies",
    "controller/fidelity",
    "controller/engine",
    "controller/http",
    "controller/service",
    "worker/protocol",
    "worker/checkpoint",
    "worker/data",
    "worker/agent",
    "worker/trainer",
    "worker/export",
    "cli",
    "docs/examples",
    "tests",
]

MAX_COLUMNS = 110
MAX_LINES = 600
VAGUE_NAMES = {"util", "utils", "common", "misc", "helper", "helpers", "manager"}
# Joined here so that this file does not hold them.
FORBIDDEN_TEXT = ["DESIGN" + ".md", "STYLE" + ".md", "BARS" + ".md", "/wo" + "rk/"]

GRPC = r"grpc(pp)?/|grpcpp|.*\.grpc\.pb\.h$"
TORCH = r"(torch|ATen|c10|caffe2)/"
PROTO = r"google/protobuf/|.*\.pb\.h$"
SQLITE = r"sqlite3"


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.text}"


@dataclasses.dataclass(frozen=True)
class Ban:
    """Headers that files may not include: those in `within`, or all but those in `except_in`."""

    pattern: str
    remedy: str
    within: tuple[str, ...] = ("",)
    except_in: tuple[str, ...] = ()

    def applies_to(self, path: str) -> bool:
        return any(is_in(path, f) for f in self.within) and not any(is_in(path, f) for f in self.except_in)


BANS = [
    Ban(TORCH, "LibTorch lives in worker/trainer and worker/export alone",
        except_in=("worker/trainer", "worker/export", "tests")),
    Ban(GRPC, "gRPC lives in rpc, controller/service, worker/agent and cli: put an interface in between",
        except_in=("rpc", "controller/service", "worker/agent", "cli", "tests")),
    Ban(SQLITE, "SQLite lives in storage alone: ask its interface",
        except_in=("storage", "tests")),
    Ban(SQLITE, "records know no database: move this to storage/", within=("storage/model",)),
    Ban(PROTO, "messages become records in rpc, controller/service, worker/agent and storage alone",
        within=("storage/model", "controller/core", "controller/strategies", "controller/fidelity")),
    Ban(r"(thread|mutex|shared_mutex|condition_variable|chrono|ctime|random|fstream|iostream)$|unistd\.h$",
        "the core is pure: time, randomness and I/O reach it as events, and leave it as effects",
        within=("controller/core",)),
    Ban(r"base/(mutex|file|log)\.h$", "the core is pure: it takes no lock, opens no file and logs nothing",
        within=("controller/core",)),
    Ban(r"controller/", "worker and controller meet in proto/ and storage/model alone", within=("worker",)),
    Ban(r"storage/(?!model/)", "a worker has no database: use storage/model", within=("worker",)),
    Ban(r"worker/", "worker and controller meet in proto/ and storage/model alone", within=("controller",)),
    Ban(r"absl/(synchronization|random)/|absl/container/(flat|node)_hash",
        "use base/mutex.h, base/random.h and std containers: the sanitizers misjudge these, and runs "
        "with them do not replay"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")


def layer_of(path: str) -> int | None:
    matches = [i for i, folder in enumerate(LAYERS) if is_in(path, folder)]
    return max(matches, key=lambda i: len(LAYERS[i])) if matches else None


def project_files(root: str) -> Iterator[str]:
    """The paths of the project's files, sorted, without build folders and version control."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            s for s in subfolders
            if s not in {".git", "build", "__pycache__", ".cache", ".venv"}
            and not os.path.exists(os.path.join(folder, s, "CMakeCache.txt")))
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def read_lines(root: str, path: str) -> list[str]:
    """The file's lines; none for what is not text."""
    try:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read().splitlines()
    except (UnicodeDecodeError, OSError):
        return []


def check_includes(path: str, lines: list[str]) -> Iterator[Finding]:
    own = layer_of(path)
    if own is None:
        yield Finding(path, 1, "folder",
                      "C++ outside the known folders; move it, or add its folder to LAYERS in this check")
        return
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, target = match[1] == '"', match[2]
        for ban in BANS:
            if re.match(ban.pattern, target) and ban.applies_to(path):
                yield Finding(path, number, "forbidden-include", f"{target}: {ban.remedy}")
        if not quoted:
            continue
        other = layer_of(target)
        if target.endswith(".pb.h"):
            other = LAYERS.index("proto")
        if other is None:
            if "/" not in target or target.startswith("."):
                yield Finding(path, number, "include-path",
                              f'"{target}" is no path from the root; write folder/file.h')
        elif other > own and not (path.endswith("_test.cc") and is_in(target, "tests/testing")):
            yield Finding(path, number, "include-direction",
                          f"{LAYERS[own]} may not include {LAYERS[other]} ({target}); move what both need "
                          f"down, or declare an interface in {LAYERS[own]}")


def check_core_clock(path: str, lines: list[str]) -> Iterator[Finding]:
    if not is_in(path, "controller/core") or path.endswith("_test.cc"):
        return
    for number, line in enumerate(lines, 1):
        for name in ("SystemClock", "NewUuid", "EntropySeed"):
            if re.search(rf"\b{name}\b", line):
                yield Finding(path, number, "pure-core", f"{name}: pass its value in with the event")


def check_registered(root: str, sources: list[str]) -> Iterator[Finding]:
    """Every .cc file stands in a CMakeLists.txt of its folder or one above, by its path from there."""
    named: dict[str, set[str]] = {}

    def names_in(folder: str) -> set[str]:
        if folder not in named:
            lines = read_lines(root, os.path.join(folder, "CMakeLists.txt"))
            text = "\n".join(line.split("#")[0] for line in lines)
            named[folder] = set(re.split(r'[\s()"]+', text))
        return named[folder]

    for path in sources:
        folder = os.path.dirname(path)
        while os.path.relpath(path, folder or ".") not in names_in(folder):
            if not folder:
                rule, call = ("test-registered", "canopy_test(...)") if path.endswith("_test.cc") else (
                    "source-registered", "canopy_library(...) or canopy_executable(...)")
                yield Finding(path, 1, rule, f"no CMakeLists.txt names it; add it to a {call}, or delete it")
                break
            folder = os.path.dirname(folder)


def check_form(path: str, lines: list[str]) -> Iterator[Finding]:
    if len(lines) > MAX_LINES:
        yield Finding(path, len(lines), "file-length",
                      f"{len(lines)} lines, at most {MAX_LINES}; split the file by idea")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            yield Finding(path, number, "line-length",
                          f"{len(line)} columns, at most {MAX_COLUMNS}; break the line")


def check_names(path: str) -> Iterator[Finding]:
    for part in path.split("/"):
        vague = VAGUE_NAMES & set(re.split(r"[._-]", part.lower()))
        if vague:
            yield Finding(path, 1, "vague-name", f"'{vague.pop()}' says nothing; name it after what it does")


def check_text(path: str, lines: list[str]) -> Iterator[Finding]:
    for number, line in enumerate(lines, 1):
        for text in FORBIDDEN_TEXT:
            if text in line:
                yield Finding(path, number, "forbidden-text",
                              f"'{text}' is nothing a reader of this project has; say it in its own words")


def check_tree(root: str) -> list[Finding]:
    findings: list[Finding] = []
    paths = list(project_files(root))
    for path in paths:
        lines = read_lines(root, path)
        findings += check_names(path)
        findings += check_text(path, lines)
        if path.endswith((".h", ".cc")):
            findings += check_form(path, lines)
            findings += check_includes(path, lines)
            findings += check_core_clock(path, lines)
    findings += check_registered(root, [p for p in paths if p.endswith(".cc")])
    return findings


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not os.path.isdir(arguments[0]):
        print(__doc__, file=sys.stderr)
        return 2
    findings = check_tree(arguments[0])
    for finding in findings:
        print(finding)
    print(f"{len(findings)} finding(s)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
