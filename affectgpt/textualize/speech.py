"""What is said in a clip: the given words, or those that a recogniser hears where a voice is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from affectgpt.data.clip import Clip, spoken
from affectgpt.media import SAMPLE_RATE, transcribe
from affectgpt.textualize.settings import SpeechSection

ENGLISH_ONLY = "words in {!r} are not recognised: the recogniser knows English"
_AROUND = SAMPLE_RATE // 10
"""Samples around a stretch of speech that are heard too."""


def voiced_stretches(waveform: np.ndarray, settings: SpeechSection) -> list[tuple[int, int]]:
    """(start, end) in samples of each stretch of speech in float32 [N], by Silero's detector (MIT).

    Raises:
        ValueError: its package is not installed.
    """
    if settings.detector == "none":
        return [(0, len(waveform))]
    import torch

    model, find = _detector()
    found = find(torch.from_numpy(np.asarray(waveform, dtype=np.float32)), model, threshold=settings.threshold,
                 sampling_rate=SAMPLE_RATE, min_silence_duration_ms=settings.min_silence_ms)
    return [(one["start"], one["end"]) for one in found]


@lru_cache(maxsize=1)
def _detector():
    import torch

    try:
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError as error:
        raise ValueError("speech.detector is silero, which is not installed: pip install --no-deps silero-vad==6.2.3, "
                         "or speech.detector=none") from error
    threads = torch.get_num_threads()  # the package sets one thread for the whole process
    model = load_silero_vad()
    torch.set_num_threads(threads)
    return model, get_speech_timestamps


def heard_words(waveform: np.ndarray, settings: SpeechSection) -> str:
    """The English words in float32 [N]; "" where no voice is found."""
    stretches = voiced_stretches(waveform, settings)
    if not stretches:
        return ""
    start, end = max(0, stretches[0][0] - _AROUND), stretches[-1][1] + _AROUND
    return transcribe(waveform[start:end])


def words_in_context(clips: Sequence[Clip], words: Mapping[str, str | None], settings: SpeechSection
                     ) -> dict[str, str | None]:
    """Clip key -> the words of its slot, None where nothing is said: its own, or those of its whole video.

    The clips of a video are those of one corpus that share `Clip.group`, in the order of start, dialogue and turn; a
    clip without a group is a video of its own.
    """
    if settings.context == "clip":
        return {clip.key: spoken(words.get(clip.key)) for clip in clips}
    videos: dict[tuple, list[Clip]] = {}
    for clip in clips:
        videos.setdefault(_video(clip), []).append(clip)
    texts = {}
    for video, members in videos.items():
        members.sort(key=lambda clip: (clip.start or 0.0, clip.dialogue or "", clip.turn or 0))
        texts[video] = " ".join(said for clip in members if (said := spoken(words.get(clip.key)))) or None
    return {clip.key: texts[_video(clip)] for clip in clips}


def _video(clip: Clip) -> tuple:
    return (clip.corpus, clip.group) if clip.group is not None else (clip.corpus, None, clip.id)
