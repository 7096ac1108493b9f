"""Yes or no: EmotionHallucer, whose questions come in pairs, a basic one and a hallucinated one.

A target is "yes" or "no" (true and false are the same), or says more:

    {"answer": "no", "pair": "12", "role": "hallucinated"}

`pair` is the same for questions that must all be right; `role` is "basic" or "hallucinated", and follows from the
answer where it is left out (basic questions are to be affirmed, hallucinated ones denied).

Scores, with their sources (EmotionHallucer: Xing et al., arXiv 2505.11405; its data and code were not public when this
was written, so its numbers are "as published; not checked here"):

basic_accuracy, hallucinated_accuracy: accuracy on the questions of a role; paired_accuracy: pairs with both right.
    These are the three columns of its predecessor VideoHallucer (Wang et al., arXiv 2406.16338), whose released
    `cal_score` was checked; the paper names the same three.
accuracy: the share of questions that are right.
yes_bias: how often yes is said less how often it is true, -1 to 1; 0 is best. fp_ratio: of the wrong answers, the
    share that says yes where no is true; 0.5 is best. HallusionBench (Guan et al., arXiv 2310.14566) calls them "Pct.
    Diff" and "FP Ratio"; its released `yes_ratio_stats` was checked. There an unclear answer counts as the opposite of
    the truth: published counting does the same. Strict counting has it as neither yes nor no.
overall: paired_accuracy where every question has a pair, else accuracy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from affectgpt.metrics import short_answers
from affectgpt.metrics.pairs import pair_columns, questions_of
from affectgpt.metrics.stats import Columns, ratio

_WORDS = {"yes": True, "no": False, "true": True, "false": False, "\u662f": True, "\u5426": False}
_NO_ALONE = r"(?<![A-Za-z0-9])no(?=\s*(?:\Z|[.,:;!?)\]\"'\n\u2013\u2014-]|\b(?:because|since|as|it|he|she|they|there|" \
    r"this|that|i|not)\b))"  # "no sign of fear" and "no doubt" answer nothing
_PATTERNS = {"no": _NO_ALONE + "|" + short_answers.words_pattern("nope", "false", "\u5426", "\u4e0d\u662f",
                                                                "\u6ca1\u6709"),
             "yes": short_answers.words_pattern("yes", "yeah", "yep", "true", "\u662f", "\u662f\u7684", "\u6709")}
ROLES = ("basic", "hallucinated")


class Question(NamedTuple):
    """Whether yes is true, the pair, the role."""

    yes: bool
    pair: Hashable | None
    role: str


def question_of(target: Any) -> Question | None:
    """A target as a question; None where it is none."""
    fields = target if isinstance(target, Mapping) else {"answer": target}
    answer, pair = fields.get("answer"), fields.get("pair")
    yes = _WORDS.get(answer.strip().lower()) if isinstance(answer, str) else answer
    role = fields.get("role", ROLES[yes is False])
    if not isinstance(yes, bool) or role not in ROLES or not isinstance(pair, str | int | None):
        return None
    return Question(yes, pair, role)


@lru_cache(maxsize=1 << 16)
def read_answer(text: str | None) -> short_answers.Reading:
    """"yes" or "no" as an answer says it: first, after "the answer is", or as its last and only such word.

    A "no" inside a sentence ("there is no sign of fear") answers nothing.

    >>> read_answer("No, she is calm.").said, read_answer("Yes and no.").problem
    ('no', 'unreadable')
    """
    if text is None:
        return short_answers.Reading(None, short_answers.NOT_GIVEN)
    read = short_answers.read(text, _PATTERNS, anywhere=False)
    if read.problem != short_answers.UNREADABLE:
        return read
    plain = short_answers.answer_text(text)
    found = short_answers.mentions(plain, _PATTERNS)
    ends = found and not plain[found[-1].end:].strip(" .!\"')]\n")
    return short_answers.Reading(found[0].key) if ends and len({mention.key for mention in found}) == 1 else read


def columns(targets: Sequence[Any], answers: Sequence[str | None], strict: bool) -> Columns:
    """Per-question numbers of yes-or-no questions; scores as the module says.

    Args:
        targets: as `question_of` reads them. ValueError for one that is no question.
        answers: texts as they came; None for a missing answer. Strict counting has it wrong, published leaves it out.
    """
    questions = questions_of(targets, question_of, "is neither yes nor no")
    read = [read_answer(text) for text in answers]
    counted = [strict or text is not None for text in answers]
    right = [answer.said == ("yes" if question.yes else "no")
             for question, answer in zip(questions, read, strict=True)]
    values = np.zeros((len(questions), 16))
    for row, question, answer, hit, count in zip(values, questions, read, right, counted, strict=True):
        if not count:
            continue
        opposite = not strict and answer.said is None
        said_yes = answer.said == "yes" or opposite and not question.yes
        role = ROLES.index(question.role)
        row[:10] = (1, hit, said_yes, question.yes, not hit and (strict is False or answer.said is not None),
                    said_yes and not question.yes, answer.problem == short_answers.NOT_GIVEN,
                    answer.problem == short_answers.UNREADABLE, question.pair is not None, answer.said is not None)
        row[10 + 2 * role:12 + 2 * role] = 1, hit
    values[:, 14:] = pair_columns([question.pair for question in questions], right, counted)

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        scored = sums[..., 0]
        accuracy, paired = ratio(sums[..., 1], scored), ratio(sums[..., 15], sums[..., 14])
        return {"overall": np.where((sums[..., 8] == scored) & (sums[..., 14] > 0), paired, accuracy),
                "accuracy": accuracy, "paired_accuracy": paired,
                "basic_accuracy": ratio(sums[..., 11], sums[..., 10]),
                "hallucinated_accuracy": ratio(sums[..., 13], sums[..., 12]),
                "yes_rate": ratio(sums[..., 2], scored), "yes_bias": ratio(sums[..., 2] - sums[..., 3], scored),
                "fp_ratio": ratio(sums[..., 5], sums[..., 4]),
                "not_given": ratio(sums[..., 6], scored), "unreadable": ratio(sums[..., 7], scored)}

    return Columns(values, finish)
