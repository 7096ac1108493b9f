"""The answer that a release stores about a clip that comes with it: what `affectgpt verify` asks for again.

The clip is one of the starter corpus: drawn, spoken by a synthetic voice, so that no person is in it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from affectgpt.files import atomic_write_json, parse_object, safe_join

FOLDER, FACTS = "example", "example.json"
SEED = 2026
LONGEST = 128
"""New tokens of the stored answer."""


def write_example(folder: Path, describer) -> dict[str, Any]:
    """Put a drawn clip and the model's answer about it into a folder.

    Args:
        describer: `inference.Describer` of the model.
    Raises:
        ValueError: the model cannot read the clip.
    """
    from affectgpt.data.readers import read_corpus
    from affectgpt.synthetic.corpus import make_corpus

    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        corpus = make_corpus(Path(temporary) / "corpus", clips=1, seed=SEED, workers=1, progress=False)
        [clip] = read_corpus(str(corpus))
        shutil.copyfile(clip.media, place / "clip.mp4")
    facts = {"file": f"{FOLDER}/clip.mp4", "words": clip.words, **answer(folder, f"{FOLDER}/clip.mp4", clip.words,
                                                                       describer)}
    atomic_write_json(place / FACTS, facts)
    return facts


def answer(folder: Path, file: str, words: str | None, describer) -> dict[str, Any]:
    """What the model says of the clip of a folder, greedily: streams, answer, labels, polarity."""
    from affectgpt.data.clip import Clip
    from affectgpt.inference import Skipped

    clip = Clip("example", media=safe_join(folder, file), words=words)
    [result] = describer.describe([clip], max_new_tokens=LONGEST)
    if isinstance(result, Skipped):
        raise ValueError(f"{folder / file}: the model cannot read the stored clip: {result.reason}")
    return {"streams": result.streams, "answer": result.description, "labels": result.labels,
            "polarity": result.polarity, "max_new_tokens": LONGEST}


def read_example(folder: Path) -> dict[str, Any] | None:
    """What a release stored; None where nothing was.

    Raises:
        ValueError: it is damaged.
    """
    path = folder / FOLDER / FACTS
    if not path.is_file():
        return None
    facts = parse_object(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(facts.get("file"), str) or not isinstance(facts.get("answer"), str):
        raise ValueError(f"{path}: has no file and answer")
    return facts


def compare(stored: dict[str, Any], again: dict[str, Any]) -> tuple[bool, str]:
    """(whether an answer is the stored one, in words how near it is)."""
    if again["answer"] == stored["answer"] and again["labels"] == stored["labels"]:
        return True, "the stored answer came back word for word"
    if again["labels"] == stored["labels"] and again["polarity"] == stored["polarity"] and stored["labels"]:
        return True, ("the stored labels and polarity came back, in other words: another device or number format "
                      f"rounds otherwise ({again['answer']!r} for {stored['answer']!r})")
    return False, (f"another answer came back: {again['answer']!r} with labels {again['labels']}, and "
                   f"{stored['answer']!r} with {stored['labels']} is stored")
