"""Multiple choice, yes or no, preferences and closed sets: what answers say, and scores on hand-made questions."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from affectgpt.metrics import choice, closed, pairs, preference, stats, tasks, yes_no
from affectgpt.metrics.rows import read_targets
from affectgpt.metrics.short_answers import NOT_GIVEN, UNREADABLE

EMOTIONS = ("happy", "sad", "angry", "weak positive", "positive")


@pytest.mark.parametrize("text, said", [
    ("B", "B"), ("(b)", "B"), ("b.", "B"), ("B) sad", "B"), ("**B**", "B"), ("Option D", "D"), ("\uff22", "B"),
    ("Answer: B. because the man is not happy", "B"), ("The answer is (C).", "C"),
    ("The correct answer is A because", "A"),
    ("happy", "A"), ("Sad.", "B"), ("He looks happy, not sad.", "A"), ("The emotion is sad rather than angry", "B"),
    ("weak positive", "D"), ("The clip shows weak-positive sentiment", "D"), ("I think B is right", "B"),
    ("It is not A but B", "B"), ("A man is happy.", "A"), ("<think>maybe A</think>C", "C"), ("\\boxed{B}", "B"),
    ("<answer>sad</answer> since (A) is wrong", "B"), ("{'emotion': 'happy'}", "A"), ("\u7b54\u6848\u662fB", "B"),
    ('{"answer": "sad", "reason": "he is not happy"}', "B"), ("A. happy\nB. sad\nC. angry\nAnswer: C", "C"),
    ("B\n\nExplanation: (A) is wrong as he is not smiling; (C) is possible.", "B"),
    ("Final answer: B\nThe answer was A at first", "B"), ("Option A is incorrect. Option B is correct.", "B"),
    ("A is wrong, so it must be B", "B"), ("Yes, the answer is (D)!", "D"), ("B - sad", "B"), ("Answer:\nB", "B"),
    ("A person may be sad or happy; the answer: happy.", "A"), ("I would say that she is sad.", "B"),
    ("B. Not A", "B"), ("It is B not A", "B"), ("'B'", "B"), ("He is not happy or sad but angry", "C"),
    ("The emotion conveyed is sad, though angry is possible.", "B"),
    ("She does not look happy; the emotion is sad", "B")])
def test_an_answer_names_one_option(text, said):
    assert choice.read_answer(text, tuple("ABCDE"), EMOTIONS) == choice.Answer(frozenset(said))


@pytest.mark.parametrize("text, problem", [
    ("", NOT_GIVEN), (None, NOT_GIVEN), ("None of the above", NOT_GIVEN), ("N/A", NOT_GIVEN),
    ("I'm sorry, I cannot determine if she is happy.", NOT_GIVEN), ("<think>A or", NOT_GIVEN), ("unclear", NOT_GIVEN),
    ("A or B", UNREADABLE), ("A, B", UNREADABLE), ("both A and C", UNREADABLE), ("banana", UNREADABLE),
    ("B. happy", UNREADABLE), ("A. happy\nB. sad\nC. angry", UNREADABLE), ("not happy", UNREADABLE),
    ("answer: sad/angry", UNREADABLE), ("A mix of feelings", UNREADABLE), ("sad, angry", UNREADABLE), ("F", UNREADABLE),
    ("The answer is A. The answer is B.", UNREADABLE), ("Neither A nor B", UNREADABLE), ("sad\nhappy", UNREADABLE),
    ("It goes from sad to happy", UNREADABLE), ("Answer: (A) or (B)", UNREADABLE), ("sadness", UNREADABLE)])
def test_what_names_none_or_several_is_never_guessed(text, problem):
    assert choice.read_answer(text, tuple("ABCDE"), EMOTIONS) == choice.Answer(frozenset(), problem)


@pytest.mark.parametrize("text, said", [
    ("Yes", "yes"), ("No, she is calm.", "no"), ("no", "no"), ("The answer is no", "no"), ("**Answer:** Yes", "yes"),
    ("True", "yes"), ("Based on the video, yes.", "yes"), ("He is not angry, so no.", "no"), ("No doubt, yes", "yes"),
    ("It might be.\nNo.", "no"), ("\u4e0d\u662f", "no"), ("Yes and no", None), ("There is no sign of anger", None),
    ("Yes, no doubt.", "yes"),
    ("Therefore the answer is yes, he is happy. There is no doubt.", "yes"),
    ("Yesterday he was", None), ("no one is here", None)])
def test_yes_or_no_is_read(text, said):
    assert yes_no.read_answer(text).said == said


@pytest.mark.parametrize("text, strict, published", [
    ("a1", "a1", "a1"), ("A2.", "a2", "a2"), ("Better: second.", "a2", "a2"), ("The best one is a1.", "a1", "a1"),
    ("The second description fits better.", "a2", "same"), ("a1 is better than a2", "a1", "a1"),
    ("same", "same", "same"),
    ("a2 and a1", None, "a2"), ("They are equally good", "same", "same"), ("dunno", None, "same"), ("1", "a1", "same"),
    ("a2 is worse than a1", "a1", "a2"), ("a1 is not as good as a2.", "a2", "a1"),
    ("a1 and a2 are the same", "same", "a1"),
    ("Both descriptions fit equally well", "same", "same")])
def test_preferences_are_read(text, strict, published):
    assert (preference.read_answer(text).said, preference.published_answer(text)) == (strict, published)


def test_choice_scores_equal_those_of_sklearn():
    rng = random.Random(0)
    space = ["neutral", "negative", "positive"]
    targets = [rng.choice(space) for _ in range(300)]
    answers = [rng.choice([*space, "", None, "banana"]) for _ in targets]
    said = [answer if answer in space else "none" for answer in answers]
    scores = choice.columns(targets, answers, True, space).scores()
    assert scores["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(targets, said))
    assert scores["waf"] == pytest.approx(sklearn_metrics.f1_score(targets, said, average="weighted"))
    assert scores["uar"] == pytest.approx(
        sklearn_metrics.recall_score(targets, said, labels=space, average="macro", zero_division=0))
    assert scores["weighted_precision"] == pytest.approx(
        sklearn_metrics.precision_score(targets, said, average="weighted", zero_division=0))
    # EmoBench-M's own code leaves out what is none of the categories.
    valid = [(target, answer) for target, answer in zip(targets, answers, strict=True) if answer in space]
    scores = choice.columns(targets, answers, False, space, keep_unread=False).scores()
    assert scores["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(*zip(*valid, strict=True)))


def test_several_right_options_give_the_part_that_is_named():
    target = {"answer": ["anger", "disgust"], "options": ["anger", "fear", "disgust"]}
    scores = choice.columns([target] * 4, ["anger, disgust and fear", "A and C", "anger", None], True).scores()
    assert scores["recognition"] == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert scores["sample_f"] == pytest.approx((4 / 5 + 1 + 2 / 3 + 0) / 4)
    assert scores["accuracy"] == 0.25 and scores["not_given"] == 0.25
    assert choice.judged_steps("<score>Step 1: 1/1, Step 2: 0/1, Step 3: 2/3</score>") == (2 / 3, 0.5)
    assert choice.judged_steps("Step 1: 1/1") is None


@pytest.mark.parametrize("target", [
    "sad", {"answer": "D", "options": ["x", "y"]}, {"answer": "x", "options": ["x"]}, {"answer": "x", "options": "xy"},
    {"answer": 1, "options": ["x", "y"]}, {"answer": [], "options": ["x", "y"]}, {"answer": "x", "options": ["x", "X"]},
    {"answer": "x", "options": {"A": "x", "AB": "y"}}, {"answer": "x", "options": ["x", 2]}, None, 3, [], {}])
def test_what_is_no_question_is_told(target):
    assert choice.question_of(target) is None
    with pytest.raises(ValueError, match="target 1"):
        choice.columns([target], ["A"], True)


def test_pairs_count_where_all_of_their_questions_are_right():
    options = ["happy", "sad"]
    targets = [{"answer": "A", "options": options, "pair": "1"}, {"answer": "B", "options": options, "pair": "1"},
               {"answer": "A", "options": options, "pair": "2"}, {"answer": "B", "options": options, "pair": "2"},
               {"answer": "B", "options": options, "pair": "alone"}]
    made = choice.columns(targets, ["A", "B", "A", "A", "B"], True)
    assert made.scores()["paired_accuracy"] == 0.5 and made.scores()["accuracy"] == 0.8
    counts = stats.resample_counts(5, 200)
    assert stats.bootstrap(made, counts)["paired_accuracy"][0] < 0.5
    assert pairs.pair_columns(["p", "p", "p"], [True] * 3, [True, True, False]).sum() == 0


def test_yes_or_no_of_pairs():
    questions = [("1", "yes", "Yes"), ("1", "no", "No"), ("2", "yes", "Yes"), ("2", "no", "Yes"),
                 ("3", "yes", "perhaps"), ("3", "no", "no")]
    targets = [{"answer": answer, "pair": pair} for pair, answer, _ in questions]
    scores = yes_no.columns(targets, [text for *_, text in questions], True).scores()
    assert scores["basic_accuracy"] == pytest.approx(2 / 3) == scores["hallucinated_accuracy"]
    assert scores["paired_accuracy"] == pytest.approx(1 / 3) == scores["overall"]
    assert scores["yes_bias"] == pytest.approx(0) and scores["fp_ratio"] == 1  # the one wrong answer that was read
    assert scores["unreadable"] == pytest.approx(1 / 6)
    # HallusionBench: an unclear answer is the opposite of the truth.
    published = yes_no.columns(targets, [text for *_, text in questions], False).scores()
    assert published["fp_ratio"] == 0.5 and published["yes_bias"] == pytest.approx(0)
    unclear = [yes_no.columns(["no"], ["perhaps"], strict).scores() for strict in (False, True)]
    assert [one["yes_bias"] for one in unclear] == [1, 0]
    assert unclear[0]["fp_ratio"] == 1 and np.isnan(unclear[1]["fp_ratio"])
    assert yes_no.columns(["yes", True, "no"], ["yes", "yes", "yes"], True).scores()["overall"] == pytest.approx(2 / 3)


def test_a_missing_answer_leaves_its_pair_out_of_published_scores_alone():
    targets = [{"answer": answer, "pair": pair} for pair in "12" for answer in ("yes", "no")]
    answers = ["yes", "no", "yes", None]
    assert yes_no.columns(targets, answers, False).scores()["paired_accuracy"] == 1
    assert yes_no.columns(targets, answers, True).scores()["paired_accuracy"] == 0.5


def official_two_classes(targets, said):
    """MERTools, MER2026_Track3/utils/common.py, func_two_class_preference_metric, written again."""
    both = [(target, "a1" if answer == "same" else answer) for target, answer in zip(targets, said, strict=True)
            if target != "same"]
    return (sklearn_metrics.f1_score(*zip(*both, strict=True), average="weighted"),
            sklearn_metrics.accuracy_score(*zip(*both, strict=True)))


def test_preference_scores_equal_the_official_ones():
    rng = random.Random(1)
    targets = [rng.choice(["a1", "a2", "same"]) for _ in range(300)]
    answers = [rng.choice(["a1", "A2.", "same", "I take a2 over a1", "dunno"]) for _ in targets]
    scores = preference.columns(targets, answers, False).scores()
    expected = official_two_classes(targets, list(map(preference.published_answer, answers)))
    assert (scores["waf"], scores["accuracy"]) == pytest.approx(expected)
    strict = preference.columns(["a1", "a2", "same", "first"], ["a1", "same", "same", None], True).scores()
    assert strict["accuracy"] == 0.5 and strict["tie_rate"] == 0.5 and strict["not_given"] == 0.25


def test_position_bias_and_consistency_of_swapped_pairs():
    pair = [{"better": "a1", "pair": number, "swapped": False} for number in range(4)]
    swapped = [{"better": "a2", "pair": number, "swapped": True} for number in range(4)]
    scores = preference.columns(pair + swapped, ["a1"] * 8, True).scores()
    assert scores["position_bias"] == 0.5 and scores["consistency"] == 0  # always the first one
    answers = ["a1"] * 4 + ["a2"] * 2 + ["same", "?"]
    assert preference.columns(pair + swapped, answers, True).scores()["consistency"] == 0.5
    assert preference.question_of({"better": "third"}) is None


def test_the_csv_file_of_preferences_is_read_with_both_orders(tmp_path):
    (tmp_path / "p.csv").write_text("name,a1,a2,preference\nc,x,y,a1\nc,x,y,a1\nc,y,x,a2\nc,x,z,same\nd,x,y,a2\n")
    targets = read_targets(tmp_path / "p.csv")
    assert targets == {"c": {"better": "a1", "pair": "c", "swapped": False}, "d": "a2", "c#3": "same",
                       "c#2": {"better": "a2", "pair": "c", "swapped": True}}
    scores = preference.columns([targets[name] for name in ("c", "c#2")], ["a1", "a2"], True).scores()
    assert scores["consistency"] == 1 and scores["accuracy"] == 1
    (tmp_path / "p.csv").write_text("name,a1,a2,preference\nc,x,y,\n")
    with pytest.raises(ValueError, match="row 1 has no name or no target"):
        read_targets(tmp_path / "p.csv")


DFEW = {"happy": ["happiness", "1"], "sad": ["2"], "neutral": [], "angry": ["anger"], "surprised": ["surprise"],
        "disgusted": ["disgust"], "fearful": ["fear", "7"]}


def test_war_and_uar_equal_those_of_sklearn():
    rng = random.Random(2)
    space = closed.Space(DFEW)
    targets = [rng.choice(space.classes[:6]) for _ in range(400)]  # one class has no target
    answers = [rng.choice([*space.classes, "zzz"]) for _ in targets]
    made = closed.columns(targets, [f"[{answer}]" for answer in answers], True, space)
    scores = made.scores()
    recalls = sklearn_metrics.recall_score(targets, answers, labels=space.classes[:6], average=None)
    assert scores["war"] == pytest.approx(sklearn_metrics.accuracy_score(targets, answers))
    assert scores["uar"] == pytest.approx(recalls.mean())
    assert scores["waf"] == pytest.approx(sklearn_metrics.f1_score(targets, answers, average="weighted"))
    assert [scores[f"recall:{name}"] for name in space.classes[:6]] == pytest.approx(list(recalls))
    assert scores["unmapped"] == answers.count("zzz") / 400
    table = closed.confusion(made, space)
    labels = [*space.classes, "zzz"]
    assert [list(row.values()) for row in table.values()] == \
        sklearn_metrics.confusion_matrix(targets, answers, labels=labels)[:7].tolist()


@pytest.mark.parametrize("raw, said", [
    ("[furious]", "angry"), ("[joy, sadness]", "happy"), ("[frustrated]", "angry"), ("[amused]", "happy"),
    ("[curious, sad]", "sad"), ("[happiness]", "happy"), ([], "neutral"), ("[qwerty]", None), ("[calm]", None),
    (None, None)])
def test_open_labels_go_into_a_closed_set(raw, said):
    space = closed.Space(DFEW)
    assert space.predict(raw)[0] == said
    assert space.predict(raw, strict=False)[0] == (said if raw in ("[happiness]", "[happy]") else None)


def test_the_mapping_is_on_record_and_the_class_decides_between_near_ones():
    mafw = closed.Space(["angry", "fearful", "happy", "neutral", "anxious", "helpless", "contemptuous"])
    assert mafw.place("worried") == ("anxious", "family") and mafw.place("terrified") == ("fearful", "family")
    assert closed.Space(DFEW).place("worried") == ("fearful", "basic")
    assert closed.Space(DFEW).mapping(["[rage, qwerty]", "[happy, qwerty, zz]", None]) == {
        "mapped": {"rage": ["angry", "family"]}, "unmapped": ["qwerty", "zz"]}
    assert closed.Space(DFEW).target(7) == "fearful" and closed.Space(DFEW).target("furious") is None
    assert closed.Space(DFEW).target(True) is None
    with pytest.raises(ValueError, match="target 1, 'furious'"):
        closed.columns(["furious"], ["[angry]"], True, closed.Space(DFEW))
    with pytest.raises(ValueError, match="spelling 'x'"):
        closed.Space({"happy": ["x"], "sad": ["x"]})
    with pytest.raises(ValueError, match="two classes"):
        closed.Space(["happy"])


def test_tasks_are_scored_by_themselves_and_their_mean_stands_for_the_set():
    spaces = {"MOSI": ["negative", "positive"], "MELD": ["anger", "joy", "fear"]}
    rows = [("MOSI", "negative", "negative"), ("MOSI", "positive", "negative"), ("MOSI", "positive", "positive"),
            ("MOSI", "negative", None), ("MELD", "joy", "joy")]
    targets = [tasks.full_target("choice", target, {"task": task}, spaces) for task, target, _ in rows]
    assert targets[4] == {"answer": "joy", "task": "MELD", "options": ["anger", "joy", "fear"]}

    def make(indices):
        return choice.columns([targets[i] for i in indices], [rows[i][2] for i in indices], True)

    made = tasks.task_columns([row[0] for row in rows], make)
    scores = made.scores()
    assert scores["accuracy"] == (0.5 + 1) / 2 and scores["task:MOSI:accuracy"] == 0.5 and scores["task:MELD:waf"] == 1
    assert np.isnan(scores["paired_accuracy"])
    together = tasks.task_columns([None] * 4, lambda indices: make(indices))
    assert together.scores() == pytest.approx(make([0, 1, 2, 3]).scores(), nan_ok=True)
    interval = stats.bootstrap(made, stats.resample_counts(5, 300))["accuracy"]
    assert interval[0] < 0.75 <= interval[1]


def test_a_target_keeps_what_it_says_itself():
    facts = {"options": ["x", "y"], "group": "g", "task": None, "pair": "p", "swapped": True}
    assert tasks.full_target("choice", {"answer": "a", "options": ["a", "b"]}, facts) == {
        "answer": "a", "options": ["a", "b"], "pair": "p", "swapped": True}
    assert tasks.full_target("yes_no", "yes", {"group": "g"}) == {"answer": "yes", "pair": "g"}
    assert tasks.full_target("preference", "a1", {"group": "g"}) == {"better": "a1"}


def test_question_files_are_read_as_their_sets_ship_them(tmp_path):
    def targets(name, value):
        (tmp_path / name).write_text(json.dumps(value))
        return read_targets(tmp_path / name)

    labels = ["anger", "disgust", "fear"]
    assert targets("ML_ER.json", [{"video_id": "MAFW/video/1.mp4", "label": "anger,fear", "label_set": labels},
                                  {"video_id": "MAFW/video/2.mp4", "label": "fear", "label_set": labels}]) == {
        "1": {"answer": ["anger", "fear"], "options": labels, "task": "ML-ER"},
        "2": {"answer": "fear", "options": labels, "task": "ML-ER"}}
    row = {"label": "fear", "label_set": labels}
    assert list(targets("x.json", [row | {"video_id": "a/1.mp4"}, row | {"video_id": "b/1.mp4"}])) == ["a/1", "b/1"]
    assert targets("MOSI.json", {"examples": [{"video": "a.mp4", "expected_value": "positive",
                                               "predicted_value": "neutral"}]}) == {
        "a": {"answer": "positive", "task": "MOSI"}}
    assert targets("e.json", [{"modal_path": "/p/a.mp4", "expected_emotion": "sad", "expected_intent": "wishing"}]) == {
        "a/emotion": {"answer": "sad", "pair": "/p/a", "task": "MC-EIU emotion"},
        "a/intent": {"answer": "wishing", "pair": "/p/a", "task": "MC-EIU intent"}}
    assert targets("h.json", [{"basic": {"answer": "yes"}, "hallucination": {"answer": "no"}}]) == {
        "1/basic": {"answer": "yes", "pair": "1", "role": "basic"},
        "1/hallucinated": {"answer": "no", "pair": "1", "role": "hallucinated"}}


@pytest.mark.parametrize("text, message", [
    ("{", "cannot be read"), ("{}", "no list"), ("[]", "no list"), ("[1]", "entry 1: is no object"),
    ('[{"a": 1}]', "entry 1: has a, and must be laid out"), ('[{"video": "", "expected_value": "x"}]', "needs video"),
    ('[{"video_id": "a", "label": "x", "label_set": "xy"}]', "label_set must be a list"),
    ("[" * 9999, "cannot be read"),
    ('[{"basic": {}, "hallucination": {}}]', "needs answer"),
    ('[{"video": "a", "expected_value": "x"}, {"video": "a", "expected_value": "y"}]', "the name a occurs twice")])
def test_question_files_of_another_layout_are_told(tmp_path, text, message):
    (tmp_path / "q.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_targets(tmp_path / "q.json")
