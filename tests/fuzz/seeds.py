#!/usr/bin/env python3
"""Writes what a fuzzer can start from and the project has anyway: the catalog and the guides' examples.

usage: seeds.py ROOT OUT

Each fuzzer's seeds come to OUT/spaces, OUT/campaigns, OUT/graphs and OUT/trainer_lines, one a file.
"""

import json
import pathlib
import re
import sys
from collections.abc import Iterator


def examples(page: pathlib.Path, language: str) -> Iterator[str]:
    yield from re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def json_values(text: str) -> Iterator[object]:
    decoder = json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:]


def collect(root: pathlib.Path) -> dict[str, list[str]]:
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    files = [text for page in pages for text in examples(page, "yaml") if text.startswith("canopy: 1\n")]
    campaigns = [text for text in files if re.search(r"^campaign:", text, re.MULTILINE)]
    read = lambda folder: [path.read_text(encoding="utf-8") for path in sorted((root / folder).glob("*.yaml"))]
    lines = [value for text in examples(root / "docs/trainer_protocol.md", "json") for value in json_values(text)]
    return {
        "spaces": read("search_spaces/catalog") + [text for text in files if text not in campaigns],
        "campaigns": read("deploy/quickstart") + campaigns,
        "graphs": [text for text in examples(root / "docs/network_graph.md", "json")],
        "trainer_lines": [json.dumps(value) + "\n" for value in lines],
    }


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    out = pathlib.Path(arguments[1])
    for name, texts in collect(pathlib.Path(arguments[0])).items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for number, text in enumerate(texts):
            (folder / f"{number:02}").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
