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
from affectgpt.files import FULL, full
from affectgpt.media import SAMPLE_RATE, MediaError, MediaInfo, count_crops, probe, read_sound, transcribe
from affectgpt.media.finding import why_unusable
from affectgpt.media.span import checked
from affectgpt.media.speaking import choose_speaker
from affectgpt.media.speech import RECOGNISER
from affectgpt.media.tracks import find_tracks, read_track, write_track
from affectgpt.media.video import of_span
from affectgpt.prepare.language import language_of
from affectgpt.words import lexicon

FACE_FOLDER = "openface_face"
"""Of face crops in the layout of the MER challenges: openface_face/NAME/NAME.npy, or openface_face/NAME.npy."""
LONGEST_SPEECH = 600.0
"""Seconds of a clip whose words are recognised: of a whole film they would be no target, and take longer than a file
may."""
STOP = "stop"
"""Key of a row that is none: why the whole job cannot go on."""
NOBODY_SPEAKS = "no words: nobody is heard to speak"


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
        return {"audio": self.audio is not None, "transcribe": RECOGNISER if self.transcribe else None,
                "faces": self.faces is not None}


def inspect(task: tuple[str, Clip, Work]) -> dict[str, Any]:
    """A row of the journal for (digest, clip, work): what was found, or why the clip cannot be used."""
    digest, clip, work = task
    files = stamp(clip, work)  # before anything is read: what changes meanwhile is looked at again
    try:
        return {"digest": digest, **files, **_inspect(clip, work)}
    except MediaError as error:
        return {"digest": digest, **files, "skipped": one_line(str(error))}
    except OSError as error:
        what = error.strerror or type(error).__name__
        if error.errno in FULL:  # of our own files: not the clip's fault
            return {"digest": digest, STOP: full(work.audio or work.faces or work.root, error)}
        return {"digest": digest, **files, "skipped": one_line(f"{clip.media or clip.audio}: cannot be read ({what}); "
                                                              "it went away while it was read, or its disk fails")}


def skipped(task: tuple[str, Clip, Work], reason: str) -> dict[str, Any]:
    """The row of a clip that cannot be used."""
    digest, clip, work = task
    return {"digest": digest, **stamp(clip, work), "skipped": one_line(reason)}


def one_line(reason: str) -> str:
    """A reason in which a line break of a file's name is written as one."""
    return "".join(letter if letter.isprintable() or "\ud800" <= letter <= "\udfff" else repr(letter)[1:-1]
                   for letter in reason)


def stamp(clip: Clip, work: Work) -> dict[str, Any]:
    """Sizes and times of all files that the row of a clip depends on, by which a changed one is known; None for what is
    not there, so that one that comes later is noticed. Words are part of the clip, whatever table they come from."""
    found = []
    for path in (clip.media, clip.audio, clip.face, *official_faces(clip, work.root)):
        try:
            status = os.stat(path) if path is not None else None
        except (OSError, ValueError):
            status = None
        found.append([status.st_size, status.st_mtime_ns] if status else None)
    return {"files": found}


def made_files(row: dict[str, Any]) -> list[Path]:
    """Files that were written for the row of a clip, and that its result needs."""
    return [Path(row[key]) for key, ours in (("face", "rule" in row), ("audio", True)) if ours and row.get(key)]


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
        whole = _probed(main, os.stat(main).st_mtime_ns)
        info = of_span(whole, checked(main, clip.span))
        picture, sound = info.has_video and clip.media is not None, info.has_audio
        found["notes"] += [info.picture_error] if info.picture_error else []
        if clip.audio is not None and clip.media is not None:
            sound = _probed(clip.audio, os.stat(clip.audio).st_mtime_ns).has_audio
        found["file_seconds"], found["seconds"] = round(whole.duration, 3), round(info.duration, 3)
        found["content"] = _content(clip)
    found["streams"] += ["video"] * picture + ["audio"] * sound
    if picture:
        _look_for_face(clip, work, found)
    if sound and clip.audio is None and picture and work.audio is not None and clip.span is None:
        found["audio"] = _write_sound(clip, work.audio, found["content"])
    if words is None and work.transcribe and main is not None:
        words = found["words"] = _recognised(clip, sound, found)
    if words:
        found["streams"].append("words")
        found["language"] = language_of(words)
    _look_at_labels(clip, found)
    return {key: value for key, value in found.items() if value not in (None, [], "")}


def _recognised(clip: Clip, sound: bool, found: dict[str, Any]) -> str:
    """The English words that are heard in a clip; "" with a note that says why there are none."""
    if not sound:
        found["notes"].append("no words: there is no sound")
    elif clip.language != "en":
        found["notes"].append(f"no words: the clip's language is {clip.language}, and English is recognised")
    elif found["seconds"] > LONGEST_SPEECH:
        found["notes"].append(f"no words: clips of up to {LONGEST_SPEECH / 60:g} minutes are recognised; cut it")
    else:
        waveform = read_sound(clip.audio or clip.media, span=clip.span).waveform
        try:
            words = transcribe(waveform) if waveform is not None else ""
        except Exception as error:  # the recogniser's own: nothing is wrong with the clip
            found["notes"].append(f"no words: recognition failed ({type(error).__name__}: {error})")
            return ""
        if not words:
            found["notes"].append(NOBODY_SPEAKS if waveform is not None else "no words: the sound is silent")
        return words
    return ""


@lru_cache(maxsize=16)
def _probed(path: Path, changed: int) -> MediaInfo:
    """What a file holds; utterances of one video follow another."""
    return probe(path)


def _content(clip: Clip) -> str:
    hashes = [file_sha256(path) for path in (clip.media, clip.audio) if path is not None]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _look_for_face(clip: Clip, work: Work, found: dict[str, Any]) -> None:
    """Note the official crops of the face, or find the one who speaks and keep the track of that face."""
    path = clip.face or next((place for place in official_faces(clip, work.root) if place.is_file()), None)
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


def official_faces(clip: Clip, root: Path) -> tuple[Path, ...]:
    """Where the official crops of a clip may lie that names no face itself."""
    if clip.media is None or clip.face is not None:
        return ()
    name = clip.media.stem
    return root / FACE_FOLDER / name / f"{name}.npy", root / FACE_FOLDER / f"{name}.npy"


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
