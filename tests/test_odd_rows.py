"""Files with odd rows in them: no job crashes, and whatever is odd is counted with its place, by each job alike."""

from __future__ import annotations

import json
import re

import pytest
import row_mutations

from affectgpt.cli import main
from affectgpt.eval.label import label_file
from affectgpt.metrics import rows as rows_module
from affectgpt.metrics.rows import Problems, read_predictions

QUICK = [*range(14), 19, 87]
"""The last two put letters that change the direction of writing, and null characters, into the name of a judge."""
ALL = range(14, 1014)


@pytest.fixture(autouse=True)
def every_place(monkeypatch):
    monkeypatch.setattr(rows_module, "EXAMPLES", 10_000)


def check(seed: int, folder, capsys) -> str:
    """Runs the three jobs on a file; how it ended, "done" or the job that refused the file."""
    kind, content, broken = row_mutations.mutated_file(seed)
    source, labelled, results = folder / "rows.jsonl", folder / "labelled.jsonl", folder / "results.json"
    source.write_bytes(content)
    problems = Problems()
    try:
        label_file(source, labelled, problems=problems)
    except ValueError as error:
        assert "rows has an answer" in str(error), (seed, error)
        return "label"
    places = {f"rows.jsonl:{number}" for number in broken}
    assert set(problems.examples.get("unreadable_row", ())) == places, seed
    read = read_predictions([source]).problems
    assert set(read.examples.get("unreadable_row", ())) >= places, seed
    assert all(count == len(read.examples[kind]) for kind, count in read.counts.items()), seed
    for arguments in (["score", str(labelled), "--set", "mine", "--kind", kind, "--no-published", "--resamples", "20",
                       "--output", str(results)],
                      ["report", str(results), "--predictions", str(labelled), "--output", str(folder / "page.html"),
                       "--examples", "2", "--media-root", str(folder)]):
        code = main(arguments)
        said = capsys.readouterr().err
        assert code in (0, 2) and "a bug in affectgpt" not in said, (seed, arguments[0], said[-500:])
        if code:
            assert re.search(r"error: .{20,}", said), (seed, said)
            return arguments[0]
    values = json.loads(results.read_text(encoding="utf-8"))
    assert values["n_clips"] > 0
    html = (folder / "page.html").read_text(encoding="utf-8")
    assert "<script" not in html and not re.search(r"[\u202a-\u202e\x00-\x08\x1b]", html), seed
    return "done"


@pytest.mark.parametrize("first", range(0, len(QUICK), 8))
def test_odd_rows_are_survived(first, tmp_path, capsys):
    ends = []
    for seed in QUICK[first: first + 8]:
        folder = tmp_path / str(seed)
        folder.mkdir()
        ends.append(check(seed, folder, capsys))
    assert ends.count("done") >= 7, ends


@pytest.mark.slow
def test_a_thousand_files_of_odd_rows_are_survived(tmp_path, capsys):
    ends = []
    for seed in ALL:
        folder = tmp_path / str(seed)
        folder.mkdir()
        ends.append(check(seed, folder, capsys))
    assert ends.count("done") >= 950 and "report" not in ends, {end: ends.count(end) for end in set(ends)}


def places_in(value, above=()):
    yield above
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places_in(part, (*above, key))


def test_damaged_results_are_named_with_the_place(tmp_path, capsys):
    import random

    rows = [{"name": str(place), "target": "happy", "response": "x", "labels_raw": ["[glad]", "[sad]"][place % 2],
             "sex": ["female", "male"][place // 30], "speaker": f"s{place % 9}", "confidence": 0.5}
            for place in range(60)]
    labelled, results = tmp_path / "rows.jsonl", tmp_path / "r.json"
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["score", str(labelled), "--set", "mine", "--kind", "basic", "--no-published", "--resamples", "20",
                 "--output", str(results)]) == 0
    whole, draw, refused = results.read_text(encoding="utf-8"), random.Random(1), 0
    for _ in range(60):
        values = json.loads(whole)
        *above, last = draw.choice([place for place in places_in(values) if place])
        part = values
        for key in above:
            part = part[key]
        if isinstance(part, dict) and draw.random() < 0.4:
            del part[last]
        else:
            part[last] = draw.choice((None, "x", -1, [], {}, [1, "a"], 10**400, True))
        results.write_text(json.dumps(values), encoding="utf-8")
        capsys.readouterr()
        code = main(["report", str(results), "--predictions", str(labelled), "--output", str(tmp_path / "page.html"),
                     "--examples", "0"])
        said = capsys.readouterr().err
        assert code in (0, 2) and "a bug in affectgpt" not in said, (above, last, said)
        refused += "is missing or not what `affectgpt score` writes there" in said
    assert refused > 20
