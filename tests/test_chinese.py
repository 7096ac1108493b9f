"""Chinese answers: lists, descriptions, refusals, traditional characters, Chinese beside English."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from affectgpt.eval.label import label_file
from affectgpt.extractors import chinese
from affectgpt.extractors.reading import read
from affectgpt.metrics.openset import harmonic_mean, precision_recall, strict_roots
from affectgpt.words import chinese as words
from affectgpt.words import lexicon

SENTENCES = [json.loads(line) for line in
             (Path(__file__).parent / "chinese_sentences.jsonl").read_text(encoding="utf-8").splitlines()]
EMER = Path(__file__).resolve().parent.parent / "../shared/data/emer"


@pytest.mark.parametrize("row", SENTENCES, ids=[f"{row['kind']}-{number}" for number, row in enumerate(SENTENCES)])
def test_sentence_is_read(row):
    answer = chinese.read(row["text"])
    assert (None if answer.refused else list(answer.labels)) == row["labels"]


def test_table_names_states_that_scores_count():
    table, known = words.load(), lexicon.load()
    assert all(known.family(english) for english in table.english.values())
    assert len(table.searched) > 1000
    assert set(table.english.values()) >= {"happy", "sad", "angry", "fear", "surprised", "disgust"}
    assert all(words.to_english(word) == english for word, english in table.english.items() if len(word) > 1)


@pytest.mark.parametrize(("label", "english"), [
    ("非常憤怒的", "angry"), ("有点不满", "dissatisfied"), ("不内疚", "not guilty"), ("喜悦之情", "happy"), ("高高兴兴", "happy"),
    ("失落感", "downcast"), ("情绪低落", "downcast"), ("桌子", None), ("happy", None), ("", None), ("气氛", None),
])
def test_label_in_any_form(label, english):
    assert chinese.to_english(label) == english


def test_extract_gives_a_sentiment_and_is_refusal_tells():
    assert chinese.extract("他既愤怒又失望。") == (["angry", "disappointed"], "negative")
    assert chinese.extract("[开心，感激]") == (["happy", "grateful"], "positive")
    assert chinese.extract("人物情绪平静。") == (["calm"], "neutral")
    assert chinese.extract("情感极性：积极") == ([], "positive")
    assert chinese.is_refusal("抱歉，我无法观看视频。") and not chinese.is_refusal("他抱歉地说，他无法到场，十分内疚。")


@pytest.mark.parametrize(("text", "labels", "source", "language", "no_answer"), [
    ("[生气，愤怒]", ("angry",), "list", "zh", None), ("情绪：happy", ("happy",), "list", "mixed", None),
    ("她并不开心。", ("sad",), "chinese", "zh", None), ("我无法识别情绪。", (), "list", "zh", "refusal"),
    ("怒り、喜び", (), "list", "ja", "unread"), ("분노, 슬픔", (), "list", "ko", "unread"),
    ("<think>他很高兴</think>愤怒", ("angry",), "list", "zh", None),
])
def test_one_reader_for_every_language(text, labels, source, language, no_answer):
    found = read(text)
    assert (found.labels, found.source, found.language, found.no_answer) == (labels, source, language, no_answer)


def test_polarity_and_valence_are_stated():
    assert read("整体情绪是积极的。", "sentiment").stated == "positive"
    assert read("情感极性：负面", "sentiment").stated == "negative"
    assert read("情感得分为-0.8。", "valence").valence == -0.8
    assert read("情绪是积极还是消极？", "sentiment").stated is None


def test_label_job_writes_who_made_the_labels(tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"name": str(number), "response": text}) + "\n" for number, text in enumerate(
        ["[生气，委屈]", "她满怀期待地望着门口，笑得很开心。", "抱歉，我无法提供帮助。", "怒り、喜び"])), encoding="utf-8")
    label_file(answers, tmp_path / "labels.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row.get("labels_raw") for row in rows] == ["[angry, aggrieved]", "[anticipation, happy]", None, None]
    assert [row.get("no_answer") for row in rows] == [None, None, "refusal", "unread"]
    assert [row["language"] for row in rows] == ["zh", "zh", "zh", "ja"]
    assert rows[1]["sentiment_raw"] == "positive" and rows[1]["extractor"] == chinese.VERSION


def test_libraries_are_loaded_by_the_first_chinese_text_alone_and_leave_no_file(tmp_path):
    script = ("import sys, affectgpt.eval.label, affectgpt.extractors.chinese as c\n"
              "assert not {'jieba', 'opencc'} & set(sys.modules)\n"
              "assert c.extract('他很憤怒。')[0] == ['angry'] and 'jieba' in sys.modules\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "default"},
                          cwd=Path(__file__).resolve().parent.parent)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [
    "愤怒" * 5_000, "不" * 30_000, "“" * 30_000, "他" * 30_000, "情绪：" * 15_000, "(" * 30_000 + "愤怒", "愤怒，" * 3_000,
    "如果" * 10_000 + "愤怒", "情" * 50_000, "a 愤" * 10_000, "\ud800愤怒\x00", "没有" + "愤怒、" * 3_000, "抱歉" * 5_000,
    "{\"情绪\":" * 5_000,
])
def test_no_text_takes_long(text):
    started = time.perf_counter()
    chinese.read(text)
    assert time.perf_counter() - started < 5


def test_emer_descriptions_are_read_as_their_english_labels_say():
    if not EMER.is_dir():
        pytest.skip("no ../shared/data/emer: EMER's descriptions in Chinese are not checked")
    scores, known = [], lexicon.load()
    with open(EMER / "gt-chi.csv", encoding="utf-8-sig", newline="") as file, \
            open(EMER / "gt-eng.csv", encoding="utf-8-sig", newline="") as english:
        pairs = list(zip(csv.DictReader(file), csv.DictReader(english), strict=True))
    for row, gold in pairs[1::2]:  # the half that no word was chosen on
        stated = re.findall(r"emotional states? (?:is|was|of|are) (?:one of )?([^.]*)\.", gold["reasons"])
        if stated:
            target = re.split(r",? and |, ", stated[-1])
            found = chinese.read(row["reasons"]).labels
            for wheel in lexicon.WHEELS:
                roots = [strict_roots(labels, known, wheel) for labels in (target, found)]
                scores.append(harmonic_mean(*precision_recall(*roots)))
    assert len(scores) > 200 and sum(scores) / len(scores) > 0.8
