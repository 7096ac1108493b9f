"""Multiple choice: EmoBench-M, the closed parts of MME-Emotion, and any question with listed options.

A target says the right option, and the options where the set has no label space of its own:

    {"answer": "B", "options": ["happy", "sad", "angry"]}          letters A, B, C are given in this order
    {"answer": "sad", "options": {"A": "happy", "B": "sad"}}       or are as the file has them
    {"answer": ["anger", "disgust"], "options": [...]}             several right ones
    {"answer": "sad", "options": [...], "pair": "clip 7"}          questions of one pair must all be right
    "sad"                                                          an option of the set's label space

Answers are read by `short_answers`; what cannot be read is never guessed.

Scores, with their sources:

accuracy: the share of questions with exactly the right options. EmoBench-M (Hu et al., arXiv 2502.04424) reports it;
    its released code (EmoBench-M-eval.py, `evaluate_classification`) leaves out answers that are none of the
    categories, which `keep_unread=False` does.
waf, weighted_precision: scikit-learn's weighted F1 and precision, as in the same code; only where all questions have
    the same options. uar is the mean recall over the classes that have targets.
recognition: mean over questions of C / K, C of the K right options named: MME-Emotion's recognition score (Zhang et
    al., arXiv 2508.09210; eval_cot/*/code of its release). There GPT-4o counts C and sees the model's steps; here the
    answer's text is read, so numbers of the two are not the same measure. Naming more than K costs nothing.
sample_f: mean over questions of 2 C / (K + options named): where K is 1 and one is named it equals the accuracy.
paired_accuracy: the share of pairs with all of their questions right (EmoBench-M's joint emotion and intent, MC-EIU).
position_bias: the largest difference, over letters, of how often it is said and how often it is right, among the
    answers that were read. Our own; 0 is best.
chance: what one option drawn at random would reach in accuracy.
"""

from __future__ import annotations

import string
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from affectgpt.metrics import sentiment, short_answers
from affectgpt.metrics.pairs import pair_columns, questions_of
from affectgpt.metrics.stats import Columns, ratio

MOST_OPTIONS = 26
MOST_CLASSES = 60
"""Options that all questions share, up to which a table of classes is made."""
_BASE = 10


class Question(NamedTuple):
    """letters and texts of the options in their order; letters of the right ones; pair."""

    letters: tuple[str, ...]
    texts: tuple[str, ...]
    right: frozenset[str]
    pair: Hashable | None = None


class Answer(NamedTuple):
    """Letters that an answer names, none where it could not be read, with the problem."""

    said: frozenset[str]
    problem: str | None = None


def question_of(target: Any, space: Sequence[str] = ()) -> Question | None:
    """A target as a question; None where it is none: no options, or a right answer that is no option."""
    fields = target if isinstance(target, Mapping) else {"answer": target}
    options, answer, pair = fields.get("options") or list(space), fields.get("answer"), fields.get("pair")
    if isinstance(options, Mapping):
        letters, texts = [str(key).strip().upper() for key in options], list(options.values())
    elif isinstance(options, list | tuple):
        letters, texts = list(string.ascii_uppercase[:len(options)]), list(options)
    else:
        return None
    texts = [text.strip() if isinstance(text, str) else text for text in texts]
    answers = answer if isinstance(answer, list | tuple) else [answer]
    if not 2 <= len(texts) <= MOST_OPTIONS or not all(isinstance(text, str) and text for text in texts) or \
            not set(letters) <= set(string.ascii_uppercase) or len(set(letters)) < len(texts) or \
            not all(isinstance(text, str) for text in answers) or not isinstance(pair, str | int | None):
        return None
    by_text = {text.lower(): letter for letter, text in zip(letters, texts, strict=True)}
    if len(by_text) < len(texts):
        return None
    right = {by_text.get(text.strip().lower()) or (text.strip().upper() if text.strip().upper() in letters else "")
             for text in answers}
    if not right or "" in right:
        return None
    return Question(tuple(letters), tuple(texts), frozenset(right), pair)


@lru_cache(maxsize=1 << 16)
def read_answer(text: str | None, letters: tuple[str, ...], texts: tuple[str, ...], several: bool = False) -> Answer:
    """What an answer says to a question with these options.

    several: the question has several right options, so that an answer may name several.
    >>> read_answer("Answer: B. because of the frown", ("A", "B"), ("happy", "sad"))
    Answer(said=frozenset({'B'}), problem=None)
    """
    if text is None:
        return Answer(frozenset(), short_answers.NOT_GIVEN)
    patterns = {letter: f"{short_answers.letter_pattern(letter)}|{short_answers.words_pattern(option)}"
                for letter, option in zip(letters, texts, strict=True)}
    if not several:
        read = short_answers.read(text, patterns)
        return Answer(frozenset([read.said] if read.said else ()), read.problem)
    plain = short_answers.answer_text(text)
    said = frozenset(short_answers.named(plain, patterns))
    if said and not short_answers.declines(plain):
        return Answer(said)
    missing = not plain or short_answers.declines(plain)
    return Answer(frozenset(), short_answers.NOT_GIVEN if missing else short_answers.UNREADABLE)


def answer_to(question: Question, text: str | None) -> Answer:
    """What a text, or a missing answer (None), says to a question."""
    return read_answer(text, question.letters, question.texts, len(question.right) > 1)


def columns(targets: Sequence[Any], answers: Sequence[str | None], strict: bool, space: Sequence[str] = (),
            keep_unread: bool = True) -> Columns:
    """Per-question numbers of multiple choice; scores as the module says.

    Args:
        targets: as `question_of` reads them. ValueError for one that is no question.
        answers: texts as they came; None for a missing answer. Strict counting has it wrong, published leaves it out.
        space: the options of targets that have none.
        keep_unread: count answers without a readable option as wrong in published counting too; False leaves them out.
    """
    questions = questions_of(targets, lambda target: question_of(target, space),
                             "is no question with options and a right one of them")
    read = [answer_to(question, text) for question, text in zip(questions, answers, strict=True)]
    counted = [strict or text is not None and (keep_unread or answer.problem is None)
               for text, answer in zip(answers, read, strict=True)]
    right = [answer.said == question.right for question, answer in zip(questions, read, strict=True)]
    options = {question.texts for question in questions}
    classes = next(iter(options)) if len(options) == 1 else ()
    classes = classes if len(classes) <= MOST_CLASSES and all(len(q.right) == 1 for q in questions) else ()
    places = max((len(question.letters) for question in questions), default=0)
    values = np.zeros((len(questions), _BASE + 2 * places + len(classes) * (len(classes) + 1)))
    values[:, 7:9] = pair_columns([question.pair for question in questions], right, counted)
    for row, question, answer, hit, count in zip(values, questions, read, right, counted, strict=True):
        if not count:
            continue
        shared, said, wanted = len(answer.said & question.right), len(answer.said), len(question.right)
        row[:7] = (1, hit, shared / wanted, 2 * shared / (wanted + said), answer.problem == short_answers.NOT_GIVEN,
                   answer.problem == short_answers.UNREADABLE, 1 / len(question.letters) if wanted == 1 else 0)
        row[9] = said > 0
        at = [question.letters.index(letter) for letter in answer.said]
        goals = [question.letters.index(letter) for letter in question.right]
        if at:
            row[[_BASE + place for place in at]] = 1 / len(at)
            row[[_BASE + places + place for place in goals]] = 1 / len(goals)
        if classes:
            row[_BASE + 2 * places + goals[0] * (len(classes) + 1) + (at[0] if at else len(classes))] = 1

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        scored, readable = sums[..., 0], sums[..., 9]
        said = sums[..., _BASE:_BASE + places]
        true = sums[..., _BASE + places:_BASE + 2 * places]
        bias = np.abs(said - true).max(-1) if places else np.zeros_like(scored)
        scores = {"accuracy": ratio(sums[..., 1], scored), "recognition": ratio(sums[..., 2], scored),
                  "sample_f": ratio(sums[..., 3], scored), "paired_accuracy": ratio(sums[..., 8], sums[..., 7]),
                  "not_given": ratio(sums[..., 4], scored), "unreadable": ratio(sums[..., 5], scored),
                  "chance": ratio(sums[..., 6], scored), "position_bias": ratio(bias, readable)}
        if classes:
            table = sums[..., _BASE + 2 * places:].reshape(*sums.shape[:-1], len(classes), len(classes) + 1)
            hits, had = np.diagonal(table, axis1=-2, axis2=-1), table.sum(-1)
            precision = np.nan_to_num(ratio(hits, table.sum(-2)[..., :-1]))
            scores |= {"waf": sentiment.weighted_f1_of(table), "macro_f1": sentiment.macro_f1_of(table),
                       "weighted_precision": ratio((precision * had).sum(-1), had.sum(-1)),
                       "uar": sentiment.uar_of(table)}
        return scores

    return Columns(values, finish)


def judged_steps(text: str) -> tuple[float, float] | None:
    """MME-Emotion's recognition and mean reasoning score of one judge's answer; None where it has no <score>.

    "<score>Step 1: 1/1, Step 2: 0/1, Step 3: 2/3</score>" -> (2/3, 0.5): the last step is the recognised emotion, the
    others the reasoning, 0.0 where there are none; the CoT score is the mean of both means (`eval_cot/Overall/metrics/
    cal_metrics.py`, alpha 0.5). Checked against that code; the judge itself was not run here.
    """
    import re

    match = re.search(r"<score>(.*?)</score>", text)
    parts = [(int(a), int(b)) for a, b in re.findall(r":\s*(\d+)/(\d+)", match.group(1))] if match else []
    scores = [a / b if b else 0.0 for a, b in parts]
    if not scores:
        return None
    steps = scores[:-1]
    return scores[-1], sum(steps) / len(steps) if steps else 0.0
