"""The page and the Markdown of a report: the numbers of the results, nothing of the rows that could act, no network."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from affectgpt.cli import main
from affectgpt.eval.reporting import behaviour, facts, others, page, recalls
from affectgpt.eval.reporting.calibration import calibration
from affectgpt.eval.reporting.rows import Judge, Row, read_rows
from affectgpt.metrics.rows import Prediction, read_predictions
from affectgpt.metrics.sets import SETS
from affectgpt.words.lexicon import load

ATTACK = "<script>alert(1)</script><img src=x onerror=y> [click](http://evil) | `x`"


def row(name, target, labels, response=None, **more):
    return {"checkpoint": 7, "name": name, "target": target, "labels_raw": labels,
            "response": response or f"Emotions: {labels}.", "question": "labels", **more}


def write(path, rows):
    path.write_text("".join(json.dumps(values) + "\n" for values in rows), encoding="utf-8")
    return path


def make(tmp_path, rows, kind="basic", name="mine", more=()):
    """(HTML, Markdown, results) of a report on rows."""
    labelled, results = write(tmp_path / "rows.jsonl", rows), tmp_path / "r.json"
    assert main(["score", str(labelled), "--set", name, "--kind", kind, "--no-published",
                 "--output", str(results)]) == 0
    assert main(["report", str(results), "--predictions", str(labelled), "--output", str(tmp_path / "page.html"),
                 *more]) == 0
    return ((tmp_path / "page.html").read_text(encoding="utf-8"), (tmp_path / "page.md").read_text(encoding="utf-8"),
            json.loads(results.read_text()))


@pytest.fixture()
def rows():
    said = (("happy", "[joyful]", 0.9), ("happy", "[glad, calm]", 0.8), ("sad", "[angry]", 0.95),
            ("sad", "[unhappy]", 0.7), ("neutral", "[neutral]", 0.6), ("angry", "[furious, happy, sad]", 0.5))
    return [row(f"clip{place}", target, labels, confidence=sure, streams=["audio", "text"], model="runs/mine/model")
            for place, (target, labels, sure) in enumerate(said)]


def test_numbers_are_those_of_the_results_in_both_forms(tmp_path, rows):
    html, markdown, results = make(tmp_path, rows)
    entry = results["checkpoints"]["7"]["strict"]
    for text in (html, markdown):
        assert f"{entry['primary']:.2f}" in text and f"{entry['interval'][0]:.2f} to {entry['interval'][1]:.2f}" in text
        assert f"{entry['per_wheel']['wheel3']['score']:.2f} (n = 6)" in text
        for word in ("What is taken for what", "Wheel by wheel", "Examples",
                     "Problems in the rows", "How this was made"):
            assert word in text
    numbers = re.findall(r"\d+\.\d+", re.sub(
        r"<style>.*?</style>|data:[a-z/]+[^\"]*|<div class=\"plot\".*?</div>", "", html, flags=re.DOTALL))
    assert len(numbers) > 60 and set(numbers) <= set(re.findall(r"\d+\.\d+", markdown.replace("\\", "")))


def test_the_page_is_one_file_that_fetches_nothing(tmp_path, rows):
    html, markdown, _ = make(tmp_path, rows)
    assert html.count('class="plot" role="img"') >= 6 and "<script" not in html and "default-src 'none'" in html
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", html) and "url(" not in html
    pictures = set(re.findall(r"\]\((page_pictures/[^)]+)\)", markdown))
    assert pictures and all((tmp_path / name).is_file() for name in pictures)


def test_text_of_rows_cannot_act(tmp_path, rows):
    rows += [row(ATTACK, ATTACK, f"[{ATTACK}]", ATTACK + "x" * 5000, model=ATTACK, streams=["audio", "text"],
                 confidence=0.99)]
    html, markdown, _ = make(tmp_path, rows)
    assert "<script" not in html and "<img src=x" not in html and "&lt;script&gt;" in html
    assert "<script" not in markdown and "<img" not in markdown and "[click](" not in markdown
    assert "x" * 1000 not in html


def test_media_outside_of_the_root_are_never_opened(tmp_path, rows, monkeypatch):
    import shutil

    from affectgpt.synthetic.corpus import plan_clip, render_clip, write_clip

    talking_face = tmp_path / "elsewhere.mp4"
    write_clip(talking_face, *render_clip(plan_clip(0, 0, 14)))

    inside = tmp_path / "corpus" / "clip.mp4"
    inside.parent.mkdir()
    shutil.copyfile(talking_face, inside)
    rows[0]["media"], rows[2]["media"] = str(inside), str(talking_face)
    rows[4]["media"] = str(inside.parent / ".." / ".." / "x.mp4")
    rows[5]["media"] = str(inside.parent / "gone.mp4")
    opened = []
    from affectgpt import media

    real = media.read_frames
    monkeypatch.setattr(media, "read_frames",
                        lambda path, *rest, **more: opened.append(path) or real(path, *rest, **more))
    html, _, _ = make(tmp_path, rows, more=["--media-root", str(inside.parent), "--examples", "9"])
    assert {path.name for path in opened} == {"clip.mp4"} and html.count("image/jpeg") == 3
    without, _, _ = make(tmp_path, rows, more=["--media-root", str(inside.parent), "--no-frames"])
    assert "image/jpeg" not in without and len(opened) == 1
    assert "not below --media-root" in html and "there is no such media file" in html
    assert sorted(path.name for path in inside.parent.iterdir()) == ["clip.mp4"], "media are only read"
    assert inside.read_bytes() == talking_face.read_bytes()


def test_without_media_confidence_or_streams_the_report_says_so(tmp_path):
    html, _, _ = make(tmp_path, [{"name": "a", "target": 1.0, "response": "x", "sentiment_raw": "positive"},
                                 {"name": "b", "target": -1.0, "response": "x", "sentiment_raw": "mixed"}], "sentiment")
    assert "the rows have no confidence" in html and "made with one set of streams" in html and "none of them" in html


def test_subsets_of_the_inputs_are_compared(tmp_path, rows):
    poor = [{**values, "streams": ["audio"], "labels_raw": "[neutral]"} for values in rows]
    html, _, results = make(tmp_path, rows + poor)
    assert set(results["checkpoints"]) == {"7 audio+text", "7 audio"}
    best, worst = (results["checkpoints"][key]["strict"]["primary"] for key in ("7 audio+text", "7 audio"))
    assert f"{best:.2f}" in html and f"{best - worst:.2f}" in html and "points lost" in html
    assert "shown audio+text" in html


def test_pre_fusion_goes_with_the_stream_that_it_is_made_of(rows):
    def group(streams, right):
        return {values["name"]: Row(values["name"], values["target"], Prediction(
            f"[{values['target']}]" if right else "[x]", facts={"streams": streams})) for values in rows}

    groups = {streams: group(list(streams), right)
              for streams, right in ((("audio", "face", "fusion"), True), (("audio",), True), (("face",), False))}
    found = facts.subsets(groups, Judge("basic", load()))
    assert found["drops"]["audio"]["difference"] == pytest.approx(100)
    assert found["drops"]["face"]["difference"] == 0 and "fusion" not in found["drops"]


def test_one_question_is_described_where_rows_answer_several(tmp_path, rows, capsys):
    rows += [{**values, "question": "description", "labels_raw": "[disgusted]"} for values in rows]
    html, _, results = make(tmp_path, rows)
    assert "asked for labels" in html and f"{results['checkpoints']['7 labels']['strict']['primary']:.2f}" in html
    assert "rows that answer another question" in html
    html, _, _ = make(tmp_path, rows, more=["--question", "description"])
    assert f"{results['checkpoints']['7 description']['strict']['primary']:.2f}" in html
    assert main(["report", str(tmp_path / "r.json"), "--predictions", str(tmp_path / "rows.jsonl"),
                 "--question", "valence", "--output", str(tmp_path / "x.html")]) == 2
    assert not (tmp_path / "x.html").exists()


def test_results_are_found_under_the_name_that_scoring_gave_them(tmp_path):
    """Rows with a question and rows without one: the name of the latter holds "(none)"."""
    write(tmp_path / "rows.jsonl", [row("a", "happy", "[glad]", streams=["audio"], question=question)
                                    for question in (None, "labels")])
    found = read_predictions([tmp_path / "rows.jsonl"]).checkpoints
    assert list(found) == ["7 (none)", "7 labels"]
    for question, name in (("", "7 (none)"), ("labels", "7 labels")):
        entry = SimpleNamespace(name="set", streams=("audio",), results={"checkpoints": found},
                                answers=SimpleNamespace(question=question, joined={("audio",): "audio"}))
        assert others.result_key(entry, "7") == name
    with pytest.raises(ValueError, match="have no 8 labels audio, .* they have 7 .none., 7 labels"):
        others.result_key(entry, "8")


def test_calibration_by_hand(tmp_path):
    labelled = write(tmp_path / "rows.jsonl", [row("a", "happy", "[glad]", confidence=0.95),
                                               row("b", "happy", "[sad]", confidence=0.91),
                                               row("c", "sad", "[unhappy]", confidence=0.35)])
    answers = read_rows([labelled], "basic")
    found = calibration(list(answers.checkpoints["7"][None].values()), Judge("basic", load()))
    assert [count for count, *_ in found.bins] == [3] and found.accuracy == pytest.approx(2 / 3)
    assert found.error == pytest.approx(abs(0.95 + 0.91 + 0.35 - 2) / 3)
    assert found.risks == [pytest.approx(point) for point in ((1 / 3, 0), (2 / 3, 1 / 2), (1, 1 / 3))]
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


def test_confusion_and_said_labels_by_hand(tmp_path):
    labelled = write(tmp_path / "rows.jsonl", [row("a", "happy", "[glad]"), row("b", "happy", "[furious, glad]"),
                                               row("c", "angry", "[zorp]"), row("d", "neutral", "[]"),
                                               row("e", "sad", None)])
    rows = list(read_rows([labelled], "basic").checkpoints["7"][None].values())
    judge = Judge("basic", load())
    found = recalls.confusion(rows, judge)
    assert sum(map(sum, found.counts)) == 5 and found.wheel is not None
    at = {name: counts for name, counts in zip(found.rows, found.counts, strict=True)}
    assert at["happy"][found.hits[found.rows.index("happy")]] == 1
    assert at["angry"][found.columns.index("other words")] == 1 and at["sad"][found.columns.index("no answer")] == 1
    assert at["neutral"][found.columns.index("neutral")] == 1
    labels, totals = facts.said_labels(rows, judge)
    assert [(label.label, label.clips, label.precision) for label in labels][0] == ("glad", 2, 1.0)
    assert totals == {"labels": 4, "distinct": 3, "unknown": 1}
    assert next(label for label in labels if label.label == "zorp").known is False


def test_printed_scores_are_complete_and_add_up():
    printed = others.printed_scores()
    assert len(printed["rows"]) == 19 and all(row["source"] and row["obtained"] in printed["obtained"]
                                              for row in printed["rows"])
    for values in printed["rows"]:
        assert set(values["scores"]) == set(SETS)
        assert sum(values["scores"].values()) / 9 == pytest.approx(values["mean"], abs=0.011), values["model"]


def test_mistakes_are_named(tmp_path, rows, capsys, monkeypatch):
    make(tmp_path, rows)
    results, labelled = str(tmp_path / "r.json"), str(tmp_path / "rows.jsonl")
    monkeypatch.chdir(tmp_path)
    for arguments, word in ((["--checkpoint", "9"], "no row has checkpoint 9"), (["--output", "x.pdf"], ".html"),
                            (["--examples", "-1"], "--examples")):
        assert main(["report", results, "--predictions", labelled, *arguments]) == 2
        assert word in capsys.readouterr().err
    (tmp_path / "other.json").write_text("[1]")
    assert main(["report", str(tmp_path / "other.json"), "--predictions", labelled]) == 2
    assert "neither a results.json" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["report", results, "--predictions", str(tmp_path / "empty")]) == 2
    assert "the predictions of mine" in capsys.readouterr().err


def test_markdown_escapes_what_would_be_markup():
    assert page.escape("a|b <i> [x](y) `c` *d* \\ #e") == "a\\|b &lt;i&gt; \\[x\\](y) \\`c\\` \\*d\\* \\\\ \\#e"
    assert page.clean("a\x1b[31m\u202eb\n c", 20) == "a [31m b c" and len(page.clean("x" * 999)) == page.LONGEST_CELL


def test_results_of_other_rows_are_doubted(tmp_path, rows):
    html, _, results = make(tmp_path, rows)
    assert "do not belong together" not in html
    labelled = write(tmp_path / "rows.jsonl", [{**values, "labels_raw": "[happy]"} for values in rows])
    arguments = ["report", str(tmp_path / "r.json"), "--predictions", str(labelled),
                 "--output", str(tmp_path / "page.html")]
    assert main(arguments) == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"The results say {results['checkpoints']['7']['strict']['primary']:.2f}" in html
    assert "do not belong together" in html
    write(labelled, rows[:4])
    assert main(arguments) == 0
    assert "The results count 6 clips and the rows have 4" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_folder_that_is_no_picture_folder_is_left_alone(tmp_path, rows, capsys):
    keep = tmp_path / "page_pictures" / "mine.txt"
    keep.parent.mkdir()
    keep.write_text("precious")
    with pytest.raises(AssertionError):
        make(tmp_path, rows)
    assert "is not a folder of an earlier report" in capsys.readouterr().err
    assert keep.read_text() == "precious" and not (tmp_path / "page.html").exists()


def test_words_that_no_font_or_markup_language_likes_are_drawn(tmp_path):
    rows = [row(str(place), "$\\frac{", "[$x^$, \u9ad8\u5174, " + "y" * 60 + "]") for place in range(3)]
    html, _, _ = make(tmp_path, rows)
    assert "$\\frac{" in html and "\u9ad8\u5174" in html


def test_streams_in_use_are_named():
    def drop(low, high):
        return {"difference": (low + high) / 2, "interval": [low, high], "p": 0.5}

    said = behaviour.uses({"audio": drop(3, 9), "face": drop(-1, 4), "text": drop(-8, -2)})
    assert said == ("It loses points where audio is taken away, so it uses it. Whether it uses face cannot be said "
                    "from these clips. It is better without text.")
    assert behaviour.uses({"face": drop(-1, 1)}).startswith("No stream is certain to be of use")


def test_the_printed_scores_stand_beside_with_their_source_and_a_warning(shared_data, tmp_path):
    wheels, folder = str(shared_data / "wheels" / "mer2025"), tmp_path / "some"
    folder.mkdir()
    for name, clips in (("mer2023", 411), ("sims", 457), ("cmumosi", 20)):
        lines = (shared_data / "unibench" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{name}.jsonl").write_text("".join(line for key in ("30", "50") for line in
                                                      [x for x in lines if f'"checkpoint": {key},' in x][:clips]))
    output = tmp_path / "bench"
    assert main(["unibench", "--predictions", str(folder), "--wheels", wheels, "--output", str(output),
                 "--resamples", "50", "--select-on-test"]) == 0
    assert main(["report", str(output / "unibench.json"), "--predictions", str(folder),
                 "--output", str(output / "r.html"), "--examples", "0"]) == 0
    markdown = (output / "r.md").read_text(encoding="utf-8").replace("\\", "")
    summary = json.loads((output / "unibench.json").read_text(encoding="utf-8"))
    own = summary["checkpoints"][summary["chosen"]["checkpoint"]]["published"]
    lines = [line for line in markdown.splitlines() if "**this model**" in line]
    mean = (own["mer2023"]["primary"] + own["sims"]["primary"]) / 2
    assert len(lines) == 4 and f"**{mean:.2f}**" in lines[0] and f"{own['mean']['primary']:.2f}" not in lines[0]
    assert f"**{own['mer2023']['primary']:.2f}**" in lines[0]
    same_sets = "| AffectGPT | A,V,T | 78.54 | 88.49 | 83.52 | [1], best on test |"
    assert same_sets in markdown, "the mean of the same two sets"
    assert "74.77" not in markdown, "the mean of nine stands only beside a mean of nine"
    assert "mean of these 2 of 9 sets" in markdown and "arXiv 2501.16566" in markdown
    assert markdown.count("at a disadvantage") == 4 and "the very test clips" in markdown, "over all sets and each one"
    assert "has 686 clips of this set and here there are 20" in markdown
    assert "CMU-MOSI has 20 of 686" in markdown and "of another test than the printed ones" in markdown
    for picture in ("standing.svg", "mean_checkpoints.svg"):
        assert (output / "r_pictures" / picture).is_file()


def test_the_mean_over_sets_is_that_of_the_described_streams(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, wrong in (("sims", 1), ("cmumosi", 3)):
        write(folder / f"{name}.jsonl", [
            {"checkpoint": 2, "name": f"{name}{place}", "target": 1 - place % 2 * 2, "response": "x",
             "streams": streams, "sentiment_raw": ("positive", "negative")[(place + (place < more)) % 2]}
            for streams, more in ((["audio"], 9), (["audio", "text"], wrong)) for place in range(20)])
    assert main(["unibench", "--predictions", str(folder), "--output", str(tmp_path / "out")]) == 0
    assert main(["report", str(tmp_path / "out" / "unibench.json"), "--predictions", str(folder), "--output",
                 str(tmp_path / "r.html"), "--examples", "0"]) == 0
    summary = json.loads((tmp_path / "out" / "unibench.json").read_text(encoding="utf-8"))
    mean = summary["checkpoints"]["2 audio+text"]["strict"]["mean"]["primary"]
    assert mean > summary["checkpoints"]["2 audio"]["strict"]["mean"]["primary"] + 10
    assert f'<div class="value">{mean:.2f}</div>' in (tmp_path / "r.html").read_text(encoding="utf-8")
