"""The page on closed answers: its files and commands are run as they stand, and give the scores that it says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from affectgpt.cli import main
from affectgpt.metrics.submissions import TRACKS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tasks.md"
BLOCKS = re.findall(r"^```\n(.*?)^```\n(?:\ngives published (\d+\.\d\d), strict (\d+\.\d\d))?",
                    PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(block: str, folder: Path) -> list[tuple[list[str], int]]:
    """Write the files that a block of the page holds, run its commands; returns them with their exit codes."""
    for name, text in re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", block, re.DOTALL | re.MULTILINE):
        (folder / name).write_text(text, encoding="utf-8")
    return [(words, main(words)) for line in block.splitlines() if line.startswith("affectgpt ")
            for words in [shlex.split(line)[1:]]]


@pytest.mark.parametrize("block, published, strict", BLOCKS, ids=lambda value: value[:20].replace("\n", " "))
def test_examples_of_the_page(block, published, strict, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    done = run(block, tmp_path)
    assert done and all(code == 0 for _, code in done), capsys.readouterr()
    if published:
        results = json.loads((tmp_path / done[0][0][1]).with_suffix(".results.json").read_text())
        entry = results["checkpoints"]["only"]
        assert (f"{entry['published']['primary']:.2f}", f"{entry['strict']['primary']:.2f}") == (published, strict)


def test_the_page_names_every_track():
    assert len(BLOCKS) == 6 and all(f"`{track}`" in PAGE.read_text(encoding="utf-8") for track in TRACKS)
