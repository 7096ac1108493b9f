"""Media of a clip -> features of one encoder at a rate, with their times.

A source has `width`, `load` (files -> raw; threads may call it) and `encode` (raw -> features). Times are seconds after
the start of the clip, of the middle of what a position was made from.

Shapes: P positions, D features, N samples, H and W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from affectgpt import hub, loading, media
from affectgpt.data import reading
from affectgpt.data.clip import Clip, spoken
from affectgpt.features.spec import FeatureSpec
from affectgpt.media.waveform import spoken_part
from affectgpt.models.encoders import AudioEncoder, VisualEncoder
from affectgpt.models.raw_inputs import fit
from affectgpt.models.streams import SAMPLE_RATE
from affectgpt.models.windows import cut_windows

LEVEL = 0.05
"""Root mean square of a levelled sound's spoken part: speech with its peaks near full scale."""
WINDOW_SECONDS = 30.0
CHUNK_FRAMES = 256
"""Pictures that are in memory at once, and that one face is followed through."""
LONGEST_SIDE = 640
SECONDS_A_WORD = 0.3
"""Of words without sound: their times are those of a usual speaker."""


@dataclass
class Loaded:
    """What was read of a clip: something to encode, times [P] of its positions, notes. `raw` is None where the clip
    does not have the stream."""

    raw: Any = None
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    notes: list[str] = field(default_factory=list)
    words: str | None = None


def source_of(spec: FeatureSpec, device: str | torch.device = "cpu", reader: str = "pyav"):
    """The source of a spec, with its encoder loaded.

    Raises:
        ValueError: an encoder that cannot be had or does not fit.
    """
    kinds = {"audio": Sound, "face": Pictures, "frame": Pictures, "words": Words, "units": Units}
    return kinds[spec.source](spec, torch.device(device), reader)


def levelled(waveform: np.ndarray) -> np.ndarray:
    """A waveform [N] whose spoken part has the root mean square `LEVEL`; one of nothing but zeros as it is."""
    start, end = spoken_part(waveform)
    loud = float(np.sqrt(np.mean(np.square(waveform[start:end], dtype=np.float64)))) if end > start else 0.0
    return waveform * np.float32(LEVEL / loud) if loud > 0 else waveform


class Sound:
    """Hidden states of a sound encoder, joined in time and averaged within equal parts of the clip."""

    def __init__(self, spec: FeatureSpec, device, reader: str):
        model = loading.load_audio_model(spec.encoder, torch.float32)
        self.spec, self.device = spec, device
        normalisation = "none" if model.config.model_type == "whisper" else "segment"
        self.windows = SimpleNamespace(audio_pooling="positions", audio_window_seconds=WINDOW_SECONDS)
        self.encoder = AudioEncoder(SimpleNamespace(
            audio_config=model.config, audio_normalisation=normalisation, audio_layers=spec.layers,
            audio_pooling="positions", audio_positions=1, audio_statistics=spec.statistics, audio_level=True), model)
        self.encoder.to(device).eval()
        self.width = self.encoder.feature_dim

    def load(self, clip: Clip, speed: float = 1.0) -> Loaded:
        waveform, notes = heard(clip)
        if waveform is None:
            return Loaded(notes=notes)
        waveform = media.change_speed(waveform, speed)
        if self.spec.level:
            waveform = levelled(waveform)
        start, end = spoken_part(waveform) if self.spec.spoken_part else (0, len(waveform))
        count = max(1, round((end - start) / SAMPLE_RATE * self.spec.rate))
        times = (start + (np.arange(count) + 0.5) / count * (end - start)) / SAMPLE_RATE
        return Loaded(np.ascontiguousarray(waveform[start:end]), times, notes)

    @torch.inference_mode()
    def encode(self, loaded: Loaded) -> Tensor:
        windows, lengths = cut_windows(loaded.raw, self.windows)
        self.encoder.positions = len(loaded.times)
        mask = torch.ones(1, len(windows), dtype=torch.bool)
        features, _ = self.encoder(*(value.to(self.device) for value in (windows[None], mask, lengths[None])))
        return features[0].float().cpu()


def heard(clip: Clip) -> tuple[np.ndarray | None, list[str]]:
    """(waveform [N] of a clip, notes); None where there is none, or too little to be a sound.

    Raises:
        media.MediaError: a sound that is there and cannot be read.
    """
    source = clip.audio or clip.media
    if source is None or clip.audio is None and not media.probe(source, clip.span).has_audio:
        return None, ["no sound in this clip"]
    sound = media.read_sound(source, None, clip.span)
    if sound.waveform is None:
        return None, [*sound.notes] or ["no sound in this clip"]
    if len(sound.waveform) < reading.MIN_SOUND_SECONDS * SAMPLE_RATE:
        return None, [*sound.notes, f"the sound is too short: {1000 * len(sound.waveform) / SAMPLE_RATE:.0f} ms"]
    return sound.waveform, [*sound.notes]


class Pictures:
    """One vector a picture: of the face that is followed through the clip, or of the whole picture."""

    def __init__(self, spec: FeatureSpec, device, reader: str):
        model = loading.load_visual_model(spec.encoder, torch.float32)
        values = loading.picture_settings(spec.encoder, model.config)
        self.spec, self.device, self.reader = spec, device, reader
        self.size = spec.size or values["visual_size"]
        self.encoder = VisualEncoder(SimpleNamespace(visual_config=model.config, **values), model).to(device).eval()
        self.classifier = getattr(model, "classifier", None)
        if spec.output != "features" and self.classifier is None:
            raise ValueError(f"{spec.encoder}: has no classifier, so output={spec.output} cannot be: use features")
        classes = self.classifier.out_features if self.classifier is not None else 0
        self.width = {"features": self.encoder.feature_dim, "logits": classes,
                      "both": self.encoder.feature_dim + classes}[spec.output]

    def load(self, clip: Clip, speed: float = 1.0) -> Loaded:
        face = self.spec.source == "face"
        info = media.probe(clip.media, clip.span) if clip.media is not None else None
        if face and clip.face is not None and clip.face.suffix == reading.CROPS:
            seconds = info.duration if info is not None else 0.0
            total = media.count_crops(clip.face)
            count = min(total, max(1, round(seconds * self.spec.rate))) if seconds else total
            images = media.read_crops(clip.face, count, self.size) if total else None
            if images is None:
                return Loaded(notes=[reading.NO_CROPS])
            return Loaded(images, (np.arange(count) + 0.5) / count * (seconds or count / self.spec.rate))
        if info is None or not info.shows_picture():
            return Loaded(notes=[reading.NO_PICTURE])
        track = reading.face_track(clip) if face else None
        images, times, notes = [], [], []
        for span, count in self._chunks(clip, info):
            frames = media.read_frames(clip.media, count, backend=self.reader, max_side=LONGEST_SIDE, span=span)
            notes += [note for note in frames.notes if note not in notes]
            if face:
                crops = reading.cut_face(frames, track, self.size, self.spec.margin)
                if crops.images is None:
                    notes += [crops.note] if crops.note not in notes else []
                    continue
                images.append(crops.images)
            else:
                images.append(np.stack([fit(image, self.size, None) for image in frames.images]))
            times.append(frames.times - ((clip.span or (0.0,))[0] or 0.0))
        if not images:
            return Loaded(notes=notes)
        return Loaded(np.concatenate(images), np.concatenate(times), notes)

    def _chunks(self, clip: Clip, info: media.MediaInfo) -> list[tuple[tuple | None, int]]:
        """(span of the file, pictures to take of it), one after the other."""
        if not info.duration:
            return [(clip.span, 1)]
        count = min(max(1, round(info.duration * self.spec.rate)), info.frames or 10**9)
        parts = math.ceil(count / CHUNK_FRAMES)
        if parts == 1:
            return [(clip.span, count)]
        start = (clip.span or (0.0,))[0] or 0.0
        edges = [start + info.duration * place / parts for place in range(parts + 1)]
        sizes = [count * (place + 1) // parts - count * place // parts for place in range(parts)]
        return [((edges[place], edges[place + 1]), size) for place, size in enumerate(sizes)]

    @torch.inference_mode()
    def encode(self, loaded: Loaded) -> Tensor:
        found = []
        for images in torch.from_numpy(loaded.raw).permute(0, 3, 1, 2).split(self.spec.batch):
            mask = torch.ones(1, len(images), dtype=torch.bool, device=self.device)
            features = self.encoder(images[None].to(self.device), mask)[0][0]
            parts = [] if self.spec.output == "logits" else [features]
            if self.spec.output != "features":
                parts.append(F.log_softmax(self.classifier(features.to(self.classifier.weight.dtype)).float(), -1))
            found.append(torch.cat(parts, -1).float().cpu())
        return torch.cat(found)


class Words:
    """One vector a word: the mean of its sub-words. A word's time is the recogniser's (`timed`), or words are spread
    evenly over the clip or its spoken part."""

    def __init__(self, spec: FeatureSpec, device, reader: str):
        self.spec, self.device = spec, device
        from transformers import AutoModel, AutoTokenizer

        folder = hub.locate(spec.encoder, "encoder")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()
        self.longest = min(self.tokenizer.model_max_length,
                           getattr(self.model.config, "max_position_embeddings", None) or 10**9)
        self.width = self.model.get_input_embeddings().embedding_dim if spec.layers == "embeddings" \
            else self.model.config.hidden_size

    def load(self, clip: Clip, speed: float = 1.0) -> Loaded:
        words = (spoken(clip.words) or "").split()
        if self.spec.timed and clip.language == "en":
            timed = self._timed(clip, words)
            if timed is not None:
                return timed
        if not words:
            return Loaded(notes=["no words in this clip"])
        start, end, notes = 0.0, SECONDS_A_WORD * len(words), []
        source = clip.media or clip.audio
        try:
            if source is not None and not self.spec.spoken_part:
                end = media.probe(source, clip.span).duration or end
            elif source is not None:
                waveform, notes = heard(clip)
                if waveform is not None:
                    start, end = (sample / SAMPLE_RATE for sample in spoken_part(waveform))
        except media.MediaError as error:  # words are there all the same
            notes = [f"words at a usual pace, because {error}"]
        return Loaded(words, spread(len(words), start, end), notes)

    def _timed(self, clip: Clip, words: list[str]) -> Loaded | None:
        """The words at the times at which they are heard; None where no sound or none of them is."""
        from affectgpt.features.word_times import heard_words, word_times

        try:
            waveform, notes = heard(clip)
        except media.MediaError:
            return None  # told by what comes next
        if waveform is None:
            return None
        start, end = spoken_part(waveform)  # silence before the first word would be taken for a part of it
        found = heard_words(waveform[start:end])
        words = words or [one.word for one in found]
        times = word_times(words, found, (end - start) / SAMPLE_RATE)
        return None if times is None else Loaded(words, start / SAMPLE_RATE + times, notes)

    @torch.inference_mode()
    def encode(self, loaded: Loaded) -> Tensor:
        batch = self.tokenizer(" ".join(loaded.raw), truncation=True, max_length=self.longest,
                               return_offsets_mapping=True, return_tensors="pt")
        ends = batch.pop("offset_mapping")[0].tolist()
        if self.spec.layers == "embeddings":
            states = self.model.get_input_embeddings()(batch["input_ids"].to(self.device))
        else:
            states = self.model(**batch.to(self.device)).last_hidden_state
        states = states[0].float().cpu()
        # A sub-word may begin with the blank before its word, or be that blank: its last sign tells whose it is.
        word_of = [place for number, word in enumerate(loaded.raw) for place in [number] * len(word) + [number + 1]]
        owners = torch.tensor([word_of[end - 1] if end > start else -1 for start, end in ends])
        sums = torch.zeros(len(loaded.raw), states.shape[1]).index_add_(0, owners[owners >= 0], states[owners >= 0])
        counts = torch.bincount(owners[owners >= 0], minlength=len(loaded.raw))
        kept = counts > 0  # no sub-word: cut off at the encoder's longest text, or a sign that it does not know
        if not bool(kept.all()):
            loaded.notes.append(f"{int((~kept).sum())} of {len(kept)} words are left out by the encoder")
            loaded.times = loaded.times[kept.numpy()]
        return (sums / counts.clamp_min(1)[:, None])[kept]


def spread(count: int, start: float, end: float) -> np.ndarray:
    """Middles of `count` equal parts of the time from `start` to `end`, seconds [count]."""
    return start + (np.arange(count) + 0.5) / count * (end - start)


class Units:
    """Facial action units, 0 to 1, measured from the face where one was found."""

    def __init__(self, spec: FeatureSpec, device, reader: str):
        from affectgpt.textualize import units
        from affectgpt.textualize.settings import FaceSection

        self.find, self.settings = units.frame_units, FaceSection(frames_per_second=spec.rate, max_frames=10**6)
        self.width = len(units.MEASURED)

    def load(self, clip: Clip, speed: float = 1.0) -> Loaded:
        found = self.find(clip, self.settings)
        if not bool(found.found.any()):
            return Loaded(notes=["no face was found"])
        return Loaded(found.values[found.found], found.times[found.found].numpy())

    def encode(self, loaded: Loaded) -> Tensor:
        return loaded.raw.float()
