"""Pictures of a corpus with cues: what its faces and voices look like in each emotion, to be looked at by a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affectgpt import media
from affectgpt.eval.plots import pyplot
from affectgpt.words.basic import BASIC_EMOTIONS


def face_sheet(clips: list, path: Path, identities: int = 6, size: int = 150) -> None:
    """One row an identity, one column an emotion of the face; the frame in the middle of a clip."""
    from PIL import Image

    speakers = sorted({clip.speaker for clip in clips})[-identities:]
    sheet = Image.new("RGB", (size * len(BASIC_EMOTIONS), size * len(speakers)), "white")
    for row, speaker in enumerate(speakers):
        for column, emotion in enumerate(BASIC_EMOTIONS):
            clip = _find(clips, speaker, "face", emotion)
            if clip:
                frame = media.read_frames(clip.media, 1).images[0]
                sheet.paste(Image.fromarray(frame).resize((size, size)), (column * size, row * size))
    sheet.save(path)


def voice_sheet(clips: list, path: Path) -> None:
    """Spectrograms of one identity's voice in each emotion, on one scale of time, frequency and level."""
    plt = pyplot()
    speaker = sorted({clip.speaker for clip in clips})[-1]
    found = [(emotion, _find(clips, speaker, "audio", emotion)) for emotion in BASIC_EMOTIONS]
    found = [(emotion, clip) for emotion, clip in found if clip]
    figure, axes = plt.subplots(len(found), 1, figsize=(7, 1.25 * len(found)), sharex=True, layout="constrained")
    for place, (emotion, clip) in zip(np.atleast_1d(axes), found, strict=True):
        place.specgram(media.read_audio(clip.media), NFFT=512, Fs=media.SAMPLE_RATE, noverlap=384, cmap="magma",
                       vmin=-140, vmax=-45)
        place.set_ylim(0, 5000)
        place.set_yticks([0, 2500, 5000], ["0", "2.5", "5 kHz"], fontsize=7)
        place.set_ylabel(emotion, fontsize=8)
    place.set_xlabel("seconds")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _find(clips: list, speaker: str, stream: str, emotion: str):
    return next((clip for clip in clips if clip.speaker == speaker and clip.targets.cues.get(stream) == emotion), None)
