"""A clip -> the text that a classifier reads: its words or cues, and previous turns of its dialogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from affectgpt.baselines.text_settings import SPEECH, TextSection
from affectgpt.data.clip import Clip, spoken
from affectgpt.models.control_tokens import ControlTokens
from affectgpt.textualize.template import fill

NO_SPEECH = "No speech detected"
"""The words of a clip in which nothing is said (Richet et al. 2024)."""


@dataclass(frozen=True)
class Text:
    """What is read of a clip.

    Attributes:
        key: `Clip.key`.
        text: its own text.
        context: previous turns, the oldest first.
    """

    key: str
    text: str
    context: tuple[str, ...] = ()


def texts_of(clips: Sequence[Clip], around: Iterable[Clip], settings: TextSection,
             cues: Mapping | None = None) -> tuple[list[Text], list[str]]:
    """(texts of `clips`, notes on what was missing).

    Args:
        around: clips whose words may stand before one of the same dialogue.
        cues: `Clip.key` -> its row of a texts file, with `cues`; its speech replaces the words of the corpus.
    Raises:
        ValueError: a cue that no clip has.
    """
    rows, counts = cues or {}, Counter()
    shown = [cue for cue in settings.cues if cue != SPEECH]
    for cue in shown:
        if clips and not any(cue in rows[clip.key].cues for clip in clips if clip.key in rows):
            raise ValueError(f"text.cues names {cue}, which the texts file has for none of these {len(clips)} clips: "
                             "make it with affectgpt textualize, or leave the cue out")
    turns = _turns(around, rows) if settings.context_turns else {}
    found = []
    for clip in clips:
        row = rows.get(clip.key)
        counts["without a row in the texts file"] += bool(cues is not None and row is None)
        said = words_of(clip, rows)
        counts["in which nothing is said"] += SPEECH in settings.cues and said is None
        if settings.wording == "plain":
            text = said or NO_SPEECH
            if settings.context_turns:
                text = _turn(clip, text, settings.speaker_names)
        else:
            values = dict(row.cues) if row else {}
            values[SPEECH] = said or NO_SPEECH
            for cue in shown:
                counts[f"without {cue}"] += cue not in values
            text = fill(values, settings.cues)
        found.append(Text(clip.key, text, _before(clip, turns, settings)))
    notes = [f"{count} of {len(clips)} clips {what}" for what, count in counts.items() if count]
    return found, notes


def words_of(clip: Clip, rows: Mapping) -> str | None:
    """What is said in a clip: by the texts file where it says so, else by the corpus; None where nothing is."""
    row = rows.get(clip.key)
    if row is not None and SPEECH in row.cues:
        said = spoken(row.cues[SPEECH])
        return None if said is None or said.strip().rstrip(".") == NO_SPEECH else said.strip()
    said = spoken(clip.words)
    return said.strip() if said else None


def _turns(around: Iterable[Clip], rows: Mapping) -> dict[tuple[str, str], list[tuple[int, Clip, str]]]:
    """Dialogue -> its turns with words, in their order."""
    found: dict[tuple[str, str], list[tuple[int, Clip, str]]] = {}
    for clip in {clip.key: clip for clip in around}.values():
        said = words_of(clip, rows)
        if clip.dialogue is not None and clip.turn is not None and said:
            found.setdefault((clip.corpus, clip.dialogue), []).append((clip.turn, clip, said))
    for turns in found.values():
        turns.sort(key=lambda turn: turn[0])
    return found


def _before(clip: Clip, turns: dict, settings: TextSection) -> tuple[str, ...]:
    if not settings.context_turns or clip.dialogue is None or clip.turn is None:
        return ()
    earlier = [turn for turn in turns.get((clip.corpus, clip.dialogue), ()) if turn[0] < clip.turn]
    return tuple(_turn(other, said, settings.speaker_names) for _, other, said in earlier[-settings.context_turns:])


def _turn(clip: Clip, said: str, names: bool) -> str:
    return f"{clip.speaker}: {said}" if names and clip.speaker else said


class TextEncoder:
    """Texts -> token ids, in which nothing of a text is a control token.

    An encoder reads a pair, the clip's own text and its context; an LLM reads one text, the context first.

    Args:
        tokenizer: of the model.
        max_tokens: the longest text with all control tokens.
        pairs: whether the context is a second text behind the first.
    Attributes:
        cut: how many texts lost some of their context or of themselves.
    """

    def __init__(self, tokenizer, max_tokens: int, pairs: bool):
        self.control, self.max_tokens, self.pairs, self.cut = ControlTokens(tokenizer), max_tokens, pairs, 0
        first, second = self.control.plain("one"), self.control.plain("two")
        single = tokenizer("one")["input_ids"]
        start = _place(single, first, 0)
        self._single = single[:start], single[start + len(first):]
        self._pair, self._types = None, (0, 0)
        if pairs:
            both = tokenizer("one", "two")
            ids = both["input_ids"]
            start = _place(ids, first, 0)
            other = _place(ids, second, start + len(first))
            self._pair = ids[:start], ids[start + len(first) : other], ids[other + len(second):]
            types = both.get("token_type_ids") or [0] * len(ids)
            self._types = types[start], types[other]

    def __call__(self, text: Text) -> dict[str, list[int]]:
        """`input_ids`, and `token_type_ids` of a model that tells both texts of a pair apart."""
        own = self.control.plain(text.text)
        if self.pairs:
            return self._as_pair(own, self.control.plain("\n".join(text.context)) if text.context else [])
        before, after = self._single
        ids = self.control.plain("\n".join((*text.context, text.text)))
        room = max(1, self.max_tokens - len(before) - len(after))
        self.cut += len(ids) > room
        return {"input_ids": [*before, *ids[-room:], *after]}

    def _as_pair(self, own: list[int], context: list[int]) -> dict[str, list[int]]:
        before, after = self._single
        room = max(1, self.max_tokens - len(before) - len(after))
        self.cut += len(own) > room
        own = own[:room]
        left = self.max_tokens - len(own) - sum(map(len, self._pair))
        self.cut += bool(context) and len(context) > left and len(own) < room
        context = context[-left:] if left > 0 else []
        if not context:
            ids = [*before, *own, *after]
            return self._typed(ids, [self._types[0]] * len(ids))
        start, middle, end = self._pair
        first = [*start, *own, *middle]
        second = [*context, *end]
        return self._typed(first + second, [self._types[0]] * len(first) + [self._types[1]] * len(second))

    def _typed(self, ids: list[int], types: list[int]) -> dict[str, list[int]]:
        return {"input_ids": ids, "token_type_ids": types} if self._types[0] != self._types[1] else {"input_ids": ids}


def _place(ids: list[int], part: list[int], start: int) -> int:
    """Where `part` stands in `ids`, from `start` on."""
    for place in range(start, len(ids) - len(part) + 1):
        if part and ids[place : place + len(part)] == part:
            return place
    raise ValueError("the tokenizer changes words beside its control tokens, so that texts cannot be cut: choose "
                     "another model.source")
