"""What is found out about one clip: its streams, length, faces, words, language, labels and content."""

from __future__ import annotations

import hashlib
import os
import wave
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt.data.checks import contradiction
from affectgpt.data.clip import Clip, clip_labels
from affectgpt.data.readers import record_of
from affectgpt.features.key import file_sha256
from affectgpt.media import SAMPLE_RATE, MediaError, count_crops, probe, read_sound, transcribe
from affectgpt.media.finding import why_unusable
from affectgpt.media.speaking import choose_speaker
from affectgpt.media.tracks import find_tracks, read_track, write_track
from affectgpt.prepare.language import language_of
from affectgpt.words import lexicon

FACE_FOLDER = "openface_face"
"""Of face crops in the layout of the MER challenges: openface_face/NAME/NAME.npy, or openface_face/NAME.npy."""
END_SLACK = 0.5
"""Seconds by which a span may begin before the end that the file tells, whose last frame may be long."""


@dataclass(frozen=True)
class Work:
    """What is done for each clip: face tracks are written below `faces` and sound below `audio`, where these are not
    None, and missing words are recognised; `root` is the corpus's folder."""

    root: Path
    audio: Path | None = None
    transcribe: bool = False
    faces: Path | None = None

    def facts(self) -> dict[str, Any]:
        """What of it changes the result for a clip."""
        return {"audio": self.audio is not None, "transcribe": self.transcribe, "faces": self.faces is not None}


def inspect(task: tuple[str, Clip, Work]) -> dict[str, Any]:
    """A row of the journal for (digest, clip, work): what was found, or why the clip cannot be used."""
    digest, clip, work = task
    try:
        return {"digest": digest, **stamp(clip), **_inspect(clip, work)}
    except MediaError as error:
        return skipped(task, str(error))


def skipped(task: tuple[str, Clip, Work], reason: str) -> dict[str, Any]:
    """The row of a clip that cannot be used."""
    digest, clip, _ = task
    return {"digest": digest, **stamp(clip), "skipped": reason}


def stamp(clip: Clip) -> dict[str, Any]:
    """Sizes and times of the clip's files, by which a changed file is known; None for what is not there."""
    found = []
    for path in (clip.media, clip.audio, clip.face):
        try:
            status = os.stat(path) if path is not None else None
        except (OSError, ValueError):
            status = None
        found.append([status.st_size, status.st_mtime_ns] if status else None)
    return {"files": found}


def _inspect(clip: Clip, work: Work) -> dict[str, Any]:
    found: dict[str, Any] = {"streams": [], "notes": []}
    for path in (clip.media, clip.audio):
        if path is not None and (reason := why_unusable(path)):
            raise MediaError(f"{path}: {reason}")
    if clip.media is None and clip.audio is None and clip.words is None:
        raise MediaError(f"{clip.provenance or clip.key}: the clip has neither media nor words")
    words = clip.words
    picture = sound = False
    main = clip.media or clip.audio
    if main is not None:
        length, picture, sound, note = _probed(main, os.stat(main).st_mtime_ns)
        found["notes"] += [note] if note else []
        if clip.audio is not None and clip.media is not None:
            sound = _probed(clip.audio, os.stat(clip.audio).st_mtime_ns)[2]
        found["file_seconds"], found["seconds"] = length, _span_seconds(clip, length)
        found["content"] = _content(clip)
    found["streams"] += ["video"] * picture + ["audio"] * sound
    if picture:
        _look_for_face(clip, work, found)
    if sound and clip.audio is None and picture and work.audio is not None and clip.span is None:
        found["audio"] = _write_sound(clip, work.audio, found["content"])
    if sound and words is None and work.transcribe and clip.language == "en" and clip.start is None:
        waveform = read_sound(clip.audio or clip.media).waveform
        words = found["words"] = transcribe(waveform) if waveform is not None else ""
    if words:
        found["streams"].append("words")
        found["language"] = language_of(words)
    _look_at_labels(clip, found)
    return {key: value for key, value in found.items() if value not in (None, [])}


@lru_cache(maxsize=16)
def _probed(path: Path, changed: int) -> tuple[float, bool, bool, str | None]:
    """(seconds, whether there is a picture, whether there is sound, a note); utterances of one video follow another."""
    info = probe(path)
    return round(info.duration, 3), info.has_video, info.has_audio, info.picture_error


def _span_seconds(clip: Clip, length: float) -> float:
    """Seconds of the clip. Raises MediaError for a span that is none, or begins behind the end of its file."""
    start, end = clip.start or 0.0, length if clip.end is None else clip.end
    if clip.end is not None and end <= start:
        raise MediaError(f"{clip.provenance or clip.key}: the clip goes from {start:g} to {end:g} s; correct its row")
    if clip.start is not None and length and start >= length + END_SLACK:
        raise MediaError(f"{clip.media}: the clip begins at {start:g} s, and the file has {length:g} s; get the whole "
                         "file, or correct the row")
    return round(max(0.0, min(end, length) - start) if length else max(0.0, end - start), 3)


def _content(clip: Clip) -> str:
    hashes = [file_sha256(path) for path in (clip.media, clip.audio) if path is not None]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _look_for_face(clip: Clip, work: Work, found: dict[str, Any]) -> None:
    """Note the official crops of the face, or find the one who speaks and keep the track of that face."""
    path = clip.face or _official_face(clip, work.root)
    if path is not None:
        try:
            if path.suffix == ".npy":
                if not (crops := count_crops(path)):
                    raise MediaError(f"{path}: holds no face crop")
                found["face_frames"] = crops
            else:
                read_track(path)
            found["face"] = str(path)
            found["streams"].append("face")
            return
        except MediaError as error:  # the clip itself can still be used
            found["notes"].append(str(error))
    if work.faces is None:
        return
    try:
        tracks = find_tracks(clip.media, clip.span)
        choice = choose_speaker(tracks, clip.media, clip.span, clip.audio)
    except MediaError as error:
        found["notes"].append(f"no face is looked for: {error}")
        return
    if choice.track is None:
        found["notes"].append(tracks.note or choice.rule)
        return
    name = found["content"] + "".join("-" if end is None else f"-{end:g}" for end in clip.span or ())
    path = work.faces / name[:2] / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_track(path, choice.track)
    found |= {"face": str(path), "faces": len(tracks.tracks), "rule": choice.rule,
              "confidence": round(choice.confidence, 4)}
    found["streams"].append("face")


def _official_face(clip: Clip, root: Path) -> Path | None:
    name = clip.media.stem
    places = (root / FACE_FOLDER / name / f"{name}.npy", root / FACE_FOLDER / f"{name}.npy")
    return next((place for place in places if place.is_file()), None)


def _write_sound(clip: Clip, folder: Path, content: str) -> str | None:
    """Path of a 16-bit file with the clip's sound as the project hears it; None where it is silent."""
    waveform = read_sound(clip.media).waveform
    if waveform is None:
        return None
    path = folder / content[:2] / f"{content}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with wave.open(str(temporary), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(np.round(waveform * 32767).astype("<i2").tobytes())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return str(path)


def _look_at_labels(clip: Clip, found: dict[str, Any]) -> None:
    words = lexicon.load()
    found["labels"] = list(clip_labels(clip))
    found["unknown"] = [label for label in found["labels"] if words.meaning(label) is None]
    found["contradiction"] = contradiction(clip, record_of(clip.corpus))


def prepared(clip: Clip, row: dict[str, Any]) -> Clip:
    """The clip with what was found: its words, their language, its content, and files of its sound and face."""
    changes = {key: row[key] for key in ("words", "language", "content") if row.get(key)}
    return replace(clip, **changes, **{key: Path(row[key]) for key in ("audio", "face") if row.get(key)})
