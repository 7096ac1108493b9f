"""Answers of a service that scores tones of utterances, kept in files: 48 named scores an utterance, as Hume's prosody
gives them. Nothing is asked of any service here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip
from affectgpt.files import safe_join, unique_json

LARGEST = 256 * 1024**2


def answer_of(folder: str | Path, clip: Clip) -> Path:
    """Where the answer of a clip lies; it need not be there. Raises ValueError for an id that leaves the folder."""
    return safe_join(folder, f"{clip.id}.json", follow=True)


def read_tones(path: str | Path, span: tuple[float, float], margin: float) -> dict[str, float] | None:
    """Tone -> its mean score over the utterances that overlap a span of seconds, widened by `margin`; None where no
    utterance does.

    Utterances are objects with "time" {"begin", "end"} and "emotions" [{"name", "score"}], wherever the answer has
    them. Raises ValueError for a file that is no answer, or a score that is no number in 0..1.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: has more than {LARGEST // 1024**2} MB, which no answer has")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text; save the answer again") from error
    answer = unique_json(text, str(path), "save the answer of the service again")
    utterances = list(_utterances(answer))
    if not utterances and not isinstance(answer, dict | list):
        raise ValueError(f"{path}: is no answer of a tone service; save it again")
    sums: dict[str, list[float]] = {}
    for utterance in utterances:
        try:
            begin, end = (float(utterance["time"][name]) for name in ("begin", "end"))
            scores = {str(one["name"]): float(one["score"]) for one in utterance["emotions"]}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: an utterance lacks time.begin, time.end, or name and score of an emotion "
                             f"({error}); save the answer again") from error
        if not all(0 <= score <= 1 for score in scores.values()):
            raise ValueError(f"{path}: a score lies outside 0..1; save the answer again")
        if begin < span[1] + margin and end > span[0] - margin:
            for name, score in scores.items():
                sums.setdefault(name, []).append(score)
    return {name: round(sum(found) / len(found), 4) for name, found in sums.items()} or None


def _utterances(value: Any) -> Iterator[dict]:
    places = [value]
    while places:
        place = places.pop()
        if isinstance(place, dict):
            if isinstance(place.get("emotions"), list) and isinstance(place.get("time"), dict):
                yield place
            else:
                places += place.values()
        elif isinstance(place, list):
            places += place


def tone_words(scores: Mapping[str, float], top: int, high: float) -> str:
    """"High Anger, Low Joy": the `top` tones by score, the highest first; high where the score is above `high`."""
    order = sorted(scores, key=lambda name: (-scores[name], name))[:top]
    return ", ".join(f"{'High' if scores[name] > high else 'Low'} {name}" for name in order)
