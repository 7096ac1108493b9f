"""Sets of closed answers, scored through one door: classes, multiple choice, yes or no, preferences.

The modules `closed`, `choice`, `yes_no` and `preference` know one kind each; this one knows which of them a set needs,
makes whole questions of a target, its row and its task (`tasks`), and says what is wrong with an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from affectgpt.metrics import choice, closed, preference, tasks, yes_no
from affectgpt.metrics.sets import EvaluationSet
from affectgpt.metrics.stats import Columns


def space_of(one: EvaluationSet) -> closed.Space:
    """The closed set of classes of a set."""
    return _space(tuple((name, tuple(words)) for name, words in one.labels.items()))


@lru_cache(maxsize=64)
def _space(labels: tuple[tuple[str, tuple[str, ...]], ...]) -> closed.Space:
    return closed.Space(dict(labels))


def facts_of(rows: Sequence[Any]) -> Mapping[str, Any]:
    """What the rows of one clip (of several checkpoints, None where one has none) say of its question."""
    for row in rows:
        if row is not None and row.facts and any(key in row.facts for key in (*tasks.KEYS, "group")):
            return row.facts
    return {}


def question(one: EvaluationSet, target: Any, facts: Mapping[str, Any]) -> Any:
    """The question of a clip; None where its target, options or pair make none."""
    if one.kind == "class":
        return space_of(one).target(target)
    full = tasks.full_target(one.kind, target, facts, one.tasks)
    if one.kind == "choice":
        return choice.question_of(full, tuple(one.labels))
    return yes_no.question_of(full) if one.kind == "yes_no" else preference.question_of(full)


def columns(one: EvaluationSet, targets: Sequence[Any], facts: Sequence[Mapping[str, Any]],
            answers: Sequence[Any], strict: bool) -> Columns:
    """Columns of a set, each of its tasks by itself.

    Args:
        targets, facts: as `question` takes them, of clips that have one.
        answers: labels of classes, texts of the other kinds; None for a missing one.
    """
    if one.kind == "class":
        return closed.columns(targets, answers, strict, space_of(one))
    full = [tasks.full_target(one.kind, target, fact, one.tasks) for target, fact in zip(targets, facts, strict=True)]
    texts = [text if isinstance(text, str) else None for text in answers]

    def make(indices: list[int]) -> Columns:
        some, said = [full[index] for index in indices], [texts[index] for index in indices]
        if one.kind == "choice":
            return choice.columns(some, said, strict, tuple(one.labels), keep_unread=not one.unread_left_out)
        return (yes_no if one.kind == "yes_no" else preference).columns(some, said, strict)

    return tasks.task_columns([target.get("task") for target in full], make)


def problem(one: EvaluationSet, target: Any, facts: Mapping[str, Any], answer: Any) -> str | None:
    """Why an answer that is there says nothing that can be right: "no_class", "not_given" or "unreadable"."""
    if one.kind == "class":
        return "no_class" if space_of(one).predict(answer)[0] is None else None
    if one.kind == "choice":
        return choice.answer_to(question(one, target, facts), answer).problem
    return (yes_no if one.kind == "yes_no" else preference).read_answer(answer).problem


def record(one: EvaluationSet, made: Columns, answers: Sequence[Any], strict: bool) -> dict[str, Any]:
    """What results keep beside the scores of a set of classes: its table and, in strict counting, which labels were
    put into which class and which into none (the 200 first of each)."""
    if one.kind != "class":
        return {}
    space = space_of(one)
    kept: dict[str, Any] = {"confusion": closed.confusion(made, space)}
    if strict:
        mapping = space.mapping(answers)
        kept["mapping"] = {"mapped": dict(list(mapping["mapped"].items())[:200]), "unmapped": mapping["unmapped"][:200]}
    return kept
