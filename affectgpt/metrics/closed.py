"""One of a closed set of classes: DFEW, MAFW, RAVDESS, CREMA-D, MER-SEMI and MER-Cross, by WAR and UAR.

WAR (weighted average recall) is the accuracy, UAR (unweighted average recall) the mean recall of the classes that have
targets: `accuracy_score` and `recall_score(average="macro")` of scikit-learn. DFEW (Jiang et al., arXiv 2008.05924) and
MAFW (Liu et al., arXiv 2208.00847) report both; MER2025 and MER2026 rank by the weighted F1 (`waf`).

Answers are open-vocabulary labels. Two ways of counting:

published: the first label must be a class as the set's row spells it; a missing answer is left out.
strict: any label is put into a class (below), so that "furious" is angry; a missing answer is wrong.

`Space` puts a label into a class by the first of these that finds one:

spelling: the class's own word, or another spelling that the set's row lists;
family: a word of the class's family in the lexicon (`affectgpt.words`): furious, rage -> angry;
basic: a word whose basic emotion is that of one class alone: frustrated -> angry;
wheels: a word of the class's polarity that shares its root with this class alone on three or more of the five wheels:
    amused -> happy.

The strict prediction of a clip is the class of the first of its labels that the first three rules know, else of the
first that the last one knows: one prediction, however many labels. An empty list says neutral, where the set has that
class. In both ways an answer in no class is wrong, and counted (`unmapped`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from affectgpt.metrics import sentiment
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.stats import Columns, ratio
from affectgpt.metrics.wheels import WHEELS
from affectgpt.words.lexicon import NEUTRAL, Lexicon, load

LEAST_WHEELS = 3


class Space:
    """A closed set of classes and the way from any label to one of them.

    Args:
        classes: class -> its other spellings, or the classes alone.
        lexicon: the project's own, unless another is given.
    Raises:
        ValueError: fewer than two classes, or a spelling of two classes.
    """

    def __init__(self, classes: Mapping[str, Iterable[str]] | Iterable[str], lexicon: Lexicon | None = None):
        spellings = dict(classes) if isinstance(classes, Mapping) else {name: () for name in classes}
        self.classes = tuple(spellings)
        self._lexicon = lexicon or load()
        self._spelt: dict[str, str] = {}
        for name, others in spellings.items():
            for word in (name, *others):
                if self._spelt.setdefault(_plain(word), name) != name:
                    raise ValueError(f"the spelling {word!r} is one of {self._spelt[_plain(word)]} and of {name}")
        if len(self.classes) < 2:
            raise ValueError(f"a closed set needs two classes or more, not {', '.join(self.classes) or 'none'}")
        self._families = self._owners(self._lexicon.family)
        self._basics = self._owners(self._lexicon.basic_emotion)
        self._roots = {name: tuple(self._lexicon.root(name, wheel) for wheel in WHEELS) for name in self.classes}
        self._known: dict[str, tuple[str | None, str | None]] = {}

    def _owners(self, property_of) -> dict[str, str | None]:
        """Family or basic emotion -> the class that has it; None where several do and none is named by it."""
        found: dict[str, list[str]] = {}
        for name in self.classes:
            if key := property_of(name):
                found.setdefault(key, []).append(name)
        return {key: names[0] if len(names) == 1 else next((name for name in names if name == key), None)
                for key, names in found.items()}

    def place(self, label: str) -> tuple[str | None, str | None]:
        """(class, how it was found) of a label; (None, None) where it is in no class."""
        if label not in self._known:
            self._known[label] = self._find(label)
        return self._known[label]

    def _find(self, label: str) -> tuple[str | None, str | None]:
        if name := self._spelt.get(_plain(label)):
            return name, "spelling"
        if name := self._families.get(self._lexicon.family(label) or ""):
            return name, "family"
        if name := self._basics.get(self._lexicon.basic_emotion(label) or ""):
            return name, "basic"
        roots = [self._lexicon.root(label, wheel) for wheel in WHEELS]
        polarity = self._lexicon.polarity(label)
        shared = {name: sum(root is not None and root == mine for root, mine in zip(roots, own, strict=True))
                  * (polarity == self._lexicon.polarity(name)) for name, own in self._roots.items()}
        best = max(shared.values())
        nearest = [name for name, count in shared.items() if count == best]
        return (nearest[0], "wheels") if best >= LEAST_WHEELS and len(nearest) == 1 else (None, None)

    def target(self, target: object) -> str | None:
        """The class of a target: its word or a listed spelling, nothing wider; None where it is none."""
        number = isinstance(target, int) and not isinstance(target, bool) and abs(target) < 1000
        return self._spelt.get(_plain(str(target))) if number or isinstance(target, str) else None

    def predict(self, raw: str | list | None, strict: bool = True) -> tuple[str | None, str | None]:
        """(class, how) of an answer's labels as `label` writes them; (None, None) where no label has a class."""
        if raw is None:
            return None, None
        labels = parse_labels(raw)
        if not strict:
            name = self._spelt.get(_plain(labels[0])) if labels else None
            return name, name and "spelling"
        if not labels:
            return (NEUTRAL, "spelling") if NEUTRAL in self.classes else (None, None)
        placed = [place for place in map(self.place, labels) if place[0]]
        return next((place for place in placed if place[1] != "wheels"), placed[0] if placed else (None, None))

    def mapping(self, answers: Iterable[str | list | None]) -> dict[str, dict[str, list]]:
        """How labels that were said were read, for the record: {"mapped": {label: [class, how]}, "unmapped": [label]};
        labels that are spelt as the classes are left out."""
        mapped: dict[str, list] = {}
        unmapped: dict[str, int] = {}
        for raw in answers:
            for label in parse_labels(raw) if raw is not None else ():
                name, how = self.place(label)
                if name is None:
                    unmapped[label] = unmapped.get(label, 0) + 1
                elif how != "spelling":
                    mapped[label] = [name, how]
        return {"mapped": mapped, "unmapped": sorted(unmapped, key=lambda label: -unmapped[label])}


def _plain(word: str) -> str:
    return " ".join(word.lower().split())


def columns(targets: Sequence[object], answers: Sequence[str | list | None], strict: bool, space: Space) -> Columns:
    """Cells of the table of target classes against answered ones and none of them.

    Scores: war, uar, waf and macro_f1 (scikit-learn's weighted and macro F1, over the classes with targets), unmapped,
    and recall of each class as "recall:CLASS", NaN for a class without targets.

    Args:
        targets: spellings of the classes. ValueError for one that is none.
        answers: labels as `label` writes them; None for a missing answer.
    """
    size = len(space.classes)
    place = {name: index for index, name in enumerate(space.classes)}
    values = np.zeros((len(targets), size * (size + 1) + 1))
    for index, (target, answer) in enumerate(zip(targets, answers, strict=True)):
        goal = space.target(target)
        if goal is None:
            raise ValueError(f"target {index + 1}, {target!r:.80}, is none of {', '.join(space.classes)}")
        if answer is None and not strict:
            continue
        said, _ = space.predict(answer, strict)
        values[index, place[goal] * (size + 1) + (size if said is None else place[said])] = 1
        values[index, -1] = said is None and answer is not None

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        table = sums[..., :-1].reshape(*sums.shape[:-1], size, size + 1)
        hits, had = np.diagonal(table, axis1=-2, axis2=-1), table.sum(-1)
        recalls, scored = ratio(hits, had), had.sum(-1)
        return {"war": ratio(hits.sum(-1), scored), "uar": sentiment.uar_of(table),
                "waf": sentiment.weighted_f1_of(table), "macro_f1": sentiment.macro_f1_of(table),
                "unmapped": ratio(sums[..., -1], scored),
                **{f"recall:{name}": recalls[..., at] for name, at in place.items()}}

    return Columns(values, finish)


def confusion(made: Columns, space: Space) -> dict[str, dict[str, int]]:
    """Target class -> answered class -> clips, with "(none)" for answers in no class and missing ones."""
    size = len(space.classes)
    table = made.values[:, :-1].sum(0).reshape(size, size + 1)
    return {name: {said: int(count) for said, count in zip((*space.classes, "(none)"), row, strict=True)}
            for name, row in zip(space.classes, table, strict=True)}
