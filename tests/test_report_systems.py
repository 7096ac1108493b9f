"""Several systems on one page: paired differences, how labels were made, clips of disagreement; tables to take along;
pictures."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from affectgpt.cli import main
from affectgpt.eval.reporting import exports, facts, made, page, plots, svg, systems
from affectgpt.eval.reporting.calibration import calibration, equal_bins, risk_curve
from affectgpt.eval.reporting.recalls import recalls
from affectgpt.eval.reporting.rows import Judge, Row, main_streams
from affectgpt.metrics import stats
from affectgpt.metrics.rows import Prediction
from affectgpt.words.lexicon import load

WORDS = {"happy": "joyful", "sad": "unhappy", "angry": "furious", "neutral": "neutral"}


def write(path, rows):
    path.write_text("".join(json.dumps(values) + "\n" for values in rows), encoding="utf-8")
    return path


def system(tmp_path, name, right, made_by=None, clips=40, **more):
    """(labelled file, results) of a system that is right on the clips that `right` says."""
    targets = list(WORDS)
    rows = [{"name": f"clip{place}", "checkpoint": 3, "target": targets[place % 4], "question": "labels",
             "response": "Emotions: some.", "model": f"runs/{name}/model",
             "labels_raw": f"[{WORDS[targets[(place + (not right(place))) % 4]]}]",
             "group": f"video{place // 2}", **more}
            for place in range(clips)]
    labelled, results = write(tmp_path / f"{name}.jsonl", rows), tmp_path / f"{name}.results.json"
    assert main(["score", str(labelled), "--set", "mine", "--kind", "basic", "--no-published",
                 "--output", str(results)]) == 0
    if made_by:
        values = json.loads(results.read_text())
        values["checkpoints"]["3"]["made"] = {
            "extractors": made_by, "sources": {"list": 0.75, "rules": 0.25}, "questions": {"labels": 1.0},
            "languages": {"en": 0.9, "zh": 0.1}, "refusals": 0.125, "empty": 0.0, "unread": 0.05, "cut_off": 0.5,
            "judge": None}
        results.write_text(json.dumps(values))
    return str(labelled), str(results)


def report(tmp_path, pairs, *more):
    output = tmp_path / "page.html"
    code = main(["report", *(results for _, results in pairs), "--predictions", *(labelled for labelled, _ in pairs),
                 "--output", str(output), *more])
    return code, output.read_text(encoding="utf-8") if output.exists() else "", \
        output.with_suffix(".md").read_text(encoding="utf-8").replace("\\", "") if output.exists() else ""


def test_systems_stand_side_by_side(tmp_path):
    pairs = [system(tmp_path, "good", lambda place: place % 8 < 7, {"list": 1.0}),
             system(tmp_path, "poor", lambda place: place % 8 < 3, {"list": 1.0}),
             system(tmp_path, "fair", lambda place: place % 8 > 0, {"list": 1.0})]
    code, html, markdown = report(tmp_path, pairs)
    assert code == 0
    assert "| runs/poor/model less runs/good/model | -50.00 |" in markdown
    [line] = [line for line in markdown.splitlines() if line.startswith("| runs/fair/model less runs/good/model")]
    assert line.split("|")[2].strip() == "0.00"
    assert "40 clips in 20 videos or speakers" in markdown and "for 3 comparisons at once (Holm)" in markdown
    assert "| runs/good/model and runs/poor/model | 15 | 20 | 0 | 5 |" in markdown
    assert "clips on which only some are right" in html and "not made alike" not in html
    for name in ("good", "poor", "fair"):
        assert re.search(rf"runs/{name}/model: \[\w+\] \((right|wrong), score", markdown)


def test_pairs_are_adjusted_for_their_number():
    random = np.random.default_rng(0)
    columns = {name: stats.Columns(random.normal(shift, size=(60, 1)), lambda sums: {"mean": sums[..., 0] / 60})
               for name, shift in (("a", 0), ("b", 0.4), ("c", 0.5))}
    found = systems.tested_pairs(facts.Strict(columns, "mean", stats.resample_counts(60, 50), None))
    assert [pair[:2] for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    plain = [pair[2]["p"] for pair in found]
    assert [pair[3] for pair in found] == stats.holm(plain) != plain
    assert found[1][2]["difference"] == pytest.approx(columns["c"].scores()["mean"] - columns["a"].scores()["mean"])


def test_other_extractors_are_warned_of_inside_the_tables(tmp_path):
    pairs = [system(tmp_path, "ours", lambda place: True, {"affectgpt-rules 2": 0.25, "list": 0.75}),
             system(tmp_path, "theirs", lambda place: place % 2, {"llm:Qwen": 1.0})]
    code, html, markdown = report(tmp_path, pairs, "--names", "ours", "theirs")
    assert code == 0
    warning = ("different extractors, which moves scores by points, so their scores do not compare: ours: "
               "affectgpt-rules 2 25 %, list 75 %; theirs: llm:Qwen")
    tables = re.findall(r"<table>.*?</table>", html, flags=re.DOTALL)
    warned = [table for table in tables if warning in table]
    assert len(warned) == 3 and all('<tr class="warning"><td colspan=' in table for table in warned)
    assert markdown.count(f"| **Labels of these rows were made by {warning}") == 3
    for text in ("75 % list, 25 % affectgpt-rules 2", "90 % en, 10 % zh", "| 12.5 % | 12.5 %", "| 50 % | 50 %"):
        assert text in markdown, text


@pytest.mark.parametrize("values", [None, {}, [], "x", {"extractors": []}, {"extractors": {"a": "b", "c": 7}},
                                    {"extractors": {"<b>": 1.0}, "refusals": "many", "judge": ["x"]}])
def test_what_is_not_recorded_is_not_made_up(values):
    class Entry:
        system, entry = "this model", {"made": values}

    blocks = made.shown([Entry, Entry])
    markdown = page.as_markdown(blocks, "x")
    assert ("not recorded" in markdown.lower()) and "<b>" not in markdown
    assert made.difference([Entry, Entry]) == ""


def test_checkpoints_of_one_file_are_systems_too(tmp_path):
    labelled, results = system(tmp_path, "one", lambda place: place % 4 > 0)
    worse = [json.loads(line) | {"checkpoint": 9, "labels_raw": "[neutral]"}
             for line in open(labelled, encoding="utf-8")]
    with open(labelled, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(values) + "\n" for values in worse)
    assert main(["score", labelled, "--set", "mine", "--kind", "basic", "--no-published", "--output", results]) == 0
    code, html, markdown = report(tmp_path, [(labelled, results)], "--checkpoint", "3", "--also", "9")
    assert code == 0 and "| checkpoint 9 less checkpoint 3 | -50.00 |" in markdown
    code, _, _ = report(tmp_path, [(labelled, results)], "--also", "10")
    assert code == 2


def test_clips_without_a_row_of_all_systems_are_said(tmp_path, capsys):
    pairs = [system(tmp_path, "all", lambda place: place % 2), system(tmp_path, "some", lambda place: True, clips=30)]
    code, _, markdown = report(tmp_path, pairs)
    assert code == 0 and "Left out: 10 of runs/all/model." in markdown and "30 clips in 15 videos" in markdown
    assert report(tmp_path, pairs, "--names", "one")[0] == 2
    assert "give 2 different names" in capsys.readouterr().err
    pairs[1] = system(tmp_path, "other", lambda place: True)
    values = json.loads(open(pairs[1][1]).read()) | {"set": "elsewhere", "files": ["other.jsonl"]}
    open(pairs[1][1], "w").write(json.dumps(values))
    code, _, markdown = report(tmp_path, pairs)
    assert code == 0 and "Systems side by side" not in markdown  # two sets of one system, as before


def test_groups_of_clips_are_shown(tmp_path):
    rows = []
    for place in range(120):
        target, sex = ("happy", "sad")[place % 2], ("female", "male")[place // 60]
        hit = sex == "female" or place % 3 == 0
        rows.append({"name": str(place), "target": target, "response": "x", "sex": sex, "speaker": f"s{place % 60}",
                     "seconds": 3.0, "corpus": "c" if place else "rare",
                     "labels_raw": f"[{target}]" if hit else "[angry]"})
    labelled, results = write(tmp_path / "g.jsonl", rows), tmp_path / "g.results.json"
    assert main(["score", str(labelled), "--set", "mine", "--kind", "basic", "--no-published", "--output",
                 str(results)]) == 0
    code, html, markdown = report(tmp_path, [(str(labelled), str(results))])
    assert code == 0 and "| sex | female | 60 | 60 | 100.00 |" in markdown and "| sex | male | 60 |" in markdown
    [gap] = [line for line in markdown.splitlines() if line.startswith("| sex | female | male |")]
    assert gap.endswith("| &lt; 0.001 | &lt; 0.001 |")
    assert "corpus: too few clips to be scored (fewer than 20): rare (1)." in markdown


CLOSED = {
    "dfew": [("sad", {"labels_raw": "[gloomy]"}), ("angry", {"labels_raw": "[happy]"})],
    "emobench-m": [("A", {"response": "A", "options": ["yes", "no"], "task": "t1"}),
                   ("B", {"response": "none", "options": ["x", "y"], "task": "t2"})],
    "emotionhallucer": [("yes", {"response": "Yes.", "pair": "1"}), ("no", {"response": "Yes.", "pair": "1"})],
    "emoprefer": [("a1", {"response": "The first one."}), ("same", {"response": "a2"})]}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_answers_have_a_report(tmp_path, name):
    rows = [{"name": f"c{place}", "target": target, "confidence": 0.6, **more}
            for place, (target, more) in enumerate(CLOSED[name])]
    labelled, results = str(write(tmp_path / "rows.jsonl", rows)), str(tmp_path / "r.json")
    assert main(["score", labelled, "--set", name, "--output", results]) == 0
    code, html, markdown = report(tmp_path, [(labelled, results)], "--examples", "2")
    entry = json.loads(open(results).read())["checkpoints"]["only"]["strict"]
    assert code == 0 and f"{entry['primary']:.2f}" in markdown and "share of right answers 0.50" in markdown
    assert "do not belong together" not in markdown and "**Right**" in markdown and "**Wrong**" in markdown
    assert ("Task by task" in markdown) == (name == "emobench-m")
    targets = write(tmp_path / "t.jsonl", [{"name": row["name"], "target": row.pop("target")} for row in rows])
    write(tmp_path / "rows.jsonl", rows)
    assert report(tmp_path, [(labelled, results)], "--targets", str(targets))[0] == 0


def rows_of(pairs, targets=None):
    return [Row(str(place), (targets or ["happy"] * len(pairs))[place],
                Prediction("[glad]" if right else "[sad]", facts={"confidence": sure}))
            for place, (sure, right) in enumerate(pairs)]


def test_bins_have_equal_numbers_but_for_ties():
    sizes = np.bincount(equal_bins(np.random.default_rng(0).random(237)))
    assert len(sizes) == 10 and set(sizes) <= {23, 24}
    bins = equal_bins(np.array([0.9] * 150 + list(np.linspace(0.1, 0.8, 50))))
    assert len(set(bins[:150])) == 1 and len(set(bins)) >= 3
    assert list(equal_bins(np.array([0.1, 0.9]))) == [0, 0]


def test_calibration_interval_holds_the_error_and_chance_is_told():
    random, held, judge = np.random.default_rng(1), 0, Judge("basic", load())
    for _ in range(60):
        sure = random.uniform(0.6, 1, 300)
        found = calibration(rows_of(list(zip(sure, random.random(300) < sure - 0.2, strict=True))), judge)
        held += found.interval[0] <= 0.2 <= found.interval[1]
    assert held >= 52
    sure = random.uniform(0.5, 1, 300)
    found = calibration(rows_of(list(zip(sure, random.random(300) < sure, strict=True))), judge)
    assert found.error < found.by_chance[1] * 1.5 and 0.02 < found.by_chance[0] < found.by_chance[1] < 0.12


def test_risk_of_the_surest_answers():
    kept, risk = risk_curve(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 1, 0, 0]))
    assert list(kept) == [0.25, 0.5, 0.75, 1] and list(risk) == pytest.approx([0, 0, 1 / 3, 1 / 2])
    _, ties = risk_curve(np.array([0.9] * 4), np.array([1.0, 1, 0, 0]))
    assert list(ties) == pytest.approx([0.5] * 4)  # whatever their order in the file


def test_recalls_by_hand():
    targets = ["happy"] * 30 + ["angry"] * 10
    found = recalls(rows_of([(None, place < 24) for place in range(40)], targets), Judge("basic", load()))
    assert [(name, clips, round(recall, 4)) for name, clips, recall, _ in found.classes] == \
        [("happy", 30, 0.8), ("angry", 10, 0.0)]
    assert found.war[0] == pytest.approx(0.6) and found.uar[0] == pytest.approx(0.4)
    assert found.classes[1][3] == pytest.approx(stats.wilson_interval(0, 10))
    assert recalls([], Judge("openset", load())) is None


def test_one_odd_row_is_not_what_the_report_is_about():
    few, many = {"a": 1}, dict.fromkeys("abcdefgh")
    assert main_streams({("audio", "face", "text"): few, ("audio",): many, None: few}) == ("audio",)
    assert main_streams({("audio", "face"): many, ("audio",): many}) == ("audio", "face")


NASTY = ["=cmd|' /C calc'!A0", "a,b\n\"c\"", r"50 % of $x_1$ & {y} \ ~ ^ #", "-3.50 to 1.20", "-x", ""]


def test_tables_can_be_taken_along():
    block = page.table(["name", "value"], [[cell, "1.00"] for cell in NASTY], caption="all\nof it", marked={0})
    read = list(csv.reader(io.StringIO(exports.as_csv(block))))
    assert read[0] == ["name", "value"] and len(read) == 7
    assert [row[0] for row in read[1:]] == ["'" + NASTY[0], *NASTY[1:4], "'-x", ""]
    latex = exports.as_latex(block)
    assert latex.startswith("% all of it\n\\begin{tabular}{lr}\n\\toprule\nname & value \\\\\n\\midrule\n")
    assert r"50 \% of \$x\_1\$ \& \{y\} \textbackslash{} \textasciitilde{} \textasciicircum{} \# & 1.00 \\" in latex
    assert r"\textbf{=cmd" in latex and latex.count("\\\\\n") == 7


def test_the_page_holds_its_tables_as_files(tmp_path):
    _, html, _ = report(tmp_path, [system(tmp_path, "one", lambda place: place % 3)])
    found = re.findall(r'<a download="([^"]+)" href="data:text/(?:csv|x-tex);base64,([^"]+)"', html)
    assert len(found) == 2 * html.count("<table>") > 12 and len({name for name, _ in found}) == len(found)
    texts = {name: base64.b64decode(text).decode() for name, text in found}
    assert "score,value,95 % interval" in next(text for name, text in texts.items() if "all_scores" in name)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(set(ids)) == len(ids) and set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert html.count("<details><summary>") == html.count("</details>") >= 3


def test_pictures_are_valid_and_safe_and_dark_too(tmp_path):
    attack = "</svg><script>x</script>\u202e\x00&\ud800" + "y" * 90
    drawn = [plots.intervals([(attack, 50, (40, 60), 0), ("b", None, (None, None), 1)], attack),
             plots.differences([(attack, -3.0, (-8, 2))], "points"),
             plots.checkpoint_lines([attack, "2"], {"strict": [(50, 40, 60), (None, None, None)]}, attack),
             plots.wheel_bars({"strict": {"wheel1": {"score": None, "scored": 0},
                                          "wheel2": {"score": 99, "scored": 1}}}),
             plots.standing([{"title": attack, "score": None, "interval": (None, None), "others": [1, 2]}])]
    for plot in drawn:
        for text in (plot.file(attack), f"<div>{plot.inline(attack)}</div>"):
            ElementTree.fromstring(text)
            assert "<script" not in text and "\u202e" not in text and "\x00" not in text
        text.encode("utf-8")
        assert "prefers-color-scheme: dark" in plot.file("x")
        assert not re.search(r'(?:fill|stroke)="#', plot.file("x")), "colours are variables, so that a page can be dark"
    assert set(re.findall(r"--(\w+):", svg.colours("dark"))) == set(re.findall(r"--(\w+):", svg.colours("light")))
