"""The starter corpus: short videos of drawn, talking people, made on any machine from a seed.

Every clip is real H.264 and AAC. Its emotion is carried by the voice, the face, the words, by all of
them or by none; sometimes two of them disagree. Identities and sentences never cross the splits.

>>> manifest = make_corpus("data/starter", clips=560)            # doctest: +SKIP
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from affectgpt.files import atomic_write_text
from affectgpt.synthetic import words as wording
from affectgpt.synthetic.face import EXPRESSIONS, FacePainter
from affectgpt.synthetic.painter import SIZE, Look, Pose
from affectgpt.synthetic.speaker import Speaker, make_speaker
from affectgpt.synthetic.voice import HOP, SAMPLE_RATE, VoiceStyle, synthesise, voice_style
from affectgpt.words.basic import BASIC_EMOTIONS, SYNONYMS, polarity_of

VERSION = 1
"""Raised whenever the same parameters would give another corpus."""
FPS = Fraction(25, 2)
CUES = ("audio", "face", "text")
CONDITIONS = ("all", "audio", "face", "text", "neutral", "conflict")
_EMOTIONS = tuple(emotion for emotion in BASIC_EMOTIONS if emotion != "neutral")
_VALENCE = {"neutral": 0.0, "happy": 0.8, "sad": -0.65, "angry": -0.7, "fearful": -0.6, "disgusted": -0.7,
            "surprised": 0.1}
_SAMPLES_PER_FRAME = int(SAMPLE_RATE / FPS)


@dataclass(frozen=True)
class ClipPlan:
    """Everything that decides a clip's pixels and sound; `row` is its line of the manifest."""

    row: dict
    condition: str
    intensity: float
    speaker: Speaker
    actions: dict[int, float]
    style: VoiceStyle
    entropy: tuple[int, int]


def _block(seed: int, speaker: int, block: int) -> list[tuple[str, dict[str, str]]]:
    """Forty shuffled clips of one identity: (condition, stream -> basic emotion), emotions in balance."""
    rng = np.random.default_rng((seed, 11, speaker, block))
    clips: list[tuple[str, dict[str, str]]] = [("neutral", dict.fromkeys(CUES, "neutral"))] * 4
    for emotion in _EMOTIONS:
        clips.append(("all", dict.fromkeys(CUES, emotion)))
        clips += [(stream, dict.fromkeys(CUES, "neutral") | {stream: emotion}) for stream in CUES]
    order = rng.permutation(_EMOTIONS).tolist()
    for offset in (1, 2):
        for number, first in enumerate(order):  # each emotion twice as the first, twice as the second
            second = order[(number + offset + 2 * (block % 2)) % len(order)]
            streams = [CUES[i] for i in rng.permutation(3)[:2]]
            clips.append(("conflict", dict.fromkeys(CUES, "neutral") | {streams[0]: first, streams[1]: second}))
    return [clips[i] for i in rng.permutation(len(clips))]


def _labels(cues: dict[str, str], intensity: float, rng: np.random.Generator) -> list[str]:
    """One to three open-vocabulary words, the basic word first; stronger synonyms for stronger clips."""
    shown = list(dict.fromkeys(cue for cue in cues.values() if cue != "neutral")) or ["neutral"]
    if len(shown) > 1:
        return shown
    synonyms = SYNONYMS[shown[0]][1:]
    at = min(len(synonyms) - 1, int((intensity - 0.6) / 0.4 * len(synonyms)))
    picked = [synonyms[at]] + ([synonyms[at - 1]] if at and rng.random() < 0.4 else [])
    carriers = sum(cue != "neutral" for cue in cues.values())
    return shown + picked[:2 if carriers == 3 else 1]


@lru_cache(maxsize=64)
def _cached_speaker(index: int, seed: int, speakers: int) -> Speaker:
    return make_speaker(index, seed, speakers)


@lru_cache(maxsize=256)
def _cached_block(seed: int, speaker: int, block: int) -> tuple:
    return tuple(_block(seed, speaker, block))


def plan_clip(index: int, seed: int = 0, speakers: int = 14) -> ClipPlan:
    """The plan of clip number `index`; it depends on nothing but these three numbers."""
    number, turn = index % speakers, index // speakers
    speaker = _cached_speaker(number, seed, speakers)
    condition, cues = _cached_block(seed, number, turn // 40)[turn % 40]
    rng = np.random.default_rng((seed, 13, index))
    intensity = round(float(rng.uniform(0.6, 1.0)), 2)
    pool = wording.sentences(cues["text"], speaker.split)
    words = pool[rng.integers(len(pool))]
    variants = EXPRESSIONS[cues["face"]]
    amount = 0.3 + 0.7 * intensity
    actions = {unit: round(float(np.clip(value * amount * rng.uniform(0.92, 1.08), 0, 1)), 3)
               for unit, value in variants[rng.integers(len(variants))].items()}
    style = voice_style(cues["audio"], intensity, rng)
    labels = _labels(cues, intensity, rng)
    shown = sorted({cue for cue in cues.values() if cue != "neutral"}) or ["neutral"]
    carriers = sum(cue != "neutral" for cue in cues.values())
    valence = np.mean([_VALENCE[emotion] for emotion in shown]) * intensity * (1.0 if carriers == 3 else 0.75)
    name = f"syn_{index:05d}"
    row = {
        "id": name, "split": speaker.split, "media": f"clips/{name}.mp4", "words": words, "language": "en",
        "speaker": speaker.name, "emotion": None if condition == "conflict" else labels[0], "labels": labels,
        "sentiment": polarity_of(labels), "valence": round(float(valence), 2) + 0.0,
        "evidence": {"audio": wording.voice_evidence(asdict(style), rng),
                     "face": wording.face_evidence(actions, rng),
                     "text": wording.text_evidence(words, rng)},
        "cues": dict(cues),
    }
    return ClipPlan(row, condition, intensity, speaker, actions, style, (seed, index))


@lru_cache(maxsize=16)
def _painter(look: Look) -> FacePainter:
    return FacePainter(look)


def _smooth_noise(rng: np.random.Generator, count: int, width: float) -> np.ndarray:
    """Slow noise of about unit size, [count]."""
    knots = rng.normal(size=int(count / width) + 4)
    return np.interp(np.arange(count) / width + rng.random(), np.arange(len(knots)), knots)


def render_clip(plan: ClipPlan) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and sound of a clip: uint8 [T, 224, 224, 3] RGB at 12.5 a second, float32 [N] at 16 kHz."""
    rng = np.random.default_rng((plan.entropy[0], 17, plan.entropy[1]))
    speech = synthesise(plan.row["words"], plan.speaker.voice, plan.style, rng)
    count = -(-len(speech.waveform) // _SAMPLES_PER_FRAME)
    waveform = np.zeros(count * _SAMPLES_PER_FRAME, np.float32)
    waveform[:len(speech.waveform)] = speech.waveform
    waveform[len(speech.waveform):] = rng.normal(size=len(waveform) - len(speech.waveform)) * 3e-4

    seconds = (np.arange(count) + 0.5) / float(FPS)
    point = np.minimum((seconds * SAMPLE_RATE / HOP).astype(int), len(speech.opening) - 1)
    loud = 10 ** (np.clip(plan.style.gain, -10, 10) / 60)  # louder speech opens the mouth more
    opening, rounding = np.clip(speech.opening[point] * loud, 0, 1), speech.rounding[point]
    onset = np.clip((seconds - 0.05) / rng.uniform(0.2, 0.45), 0, 1)
    offset = 1 - rng.uniform(0.0, 0.25) * np.clip((seconds - seconds[-1] + 0.4) / 0.4, 0, 1)
    envelope = onset * onset * (3 - 2 * onset) * offset * (1 + 0.04 * _smooth_noise(rng, count, 4))
    blink = np.zeros(count)
    at = rng.uniform(0.3, 2.0)
    while at < seconds[-1]:
        blink = np.maximum(blink, np.clip(1.15 - np.abs(seconds - at) / 0.10, 0, 1))
        at += rng.uniform(1.4, 3.2)
    sway = [_smooth_noise(rng, count, 9) for _ in range(6)]
    lively = 1.0 + 0.5 * (plan.style.range > 1.3)
    painter = _painter(plan.speaker.look)
    frames = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for i in range(count):
        pose = Pose(x=0.035 * sway[0][i] * lively, y=0.025 * sway[1][i] * lively, yaw=0.09 * sway[2][i],
                    nod=0.06 * sway[3][i] + 0.05 * opening[i], roll=0.022 * sway[4][i], blink=float(blink[i]),
                    gaze=0.25 * sway[5][i])
        actions = {unit: float(np.clip(value * envelope[i], 0, 1)) for unit, value in plan.actions.items()}
        frames[i] = painter.draw(actions, pose, float(opening[i]), float(rounding[i]))
    return frames, waveform


def write_clip(path: Path, frames: np.ndarray, waveform: np.ndarray) -> None:
    """Write pictures and sound as H.264 and AAC in mp4, to a temporary name first."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    try:
        with av.open(str(temporary), "w") as container:
            options = {"preset": "veryfast", "crf": "20", "threads": "1"}
            video = container.add_stream("libx264", rate=FPS, options=options)
            video.width, video.height, video.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
            sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
            sound.bit_rate = 64000
            for picture in frames:
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(video.encode())
            for start in range(0, len(waveform), 1024):
                part = waveform[None, start:start + 1024]
                block = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
                container.mux(sound.encode(block))
            container.mux(sound.encode())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """Whether a file is a finished clip: it opens, and has pictures and sound."""
    if not path.is_file():
        return False
    try:
        with av.open(str(path)) as container:
            streams = container.streams
            return bool(streams.video and streams.audio and streams.video[0].frames)
    except av.FFmpegError:  # a damaged file is made again
        return False


def _make_one(job: tuple[str, int, int, int]) -> str:
    folder, index, seed, speakers = job
    cv2.setNumThreads(1)
    plan = plan_clip(index, seed, speakers)
    write_clip(Path(folder) / plan.row["media"], *render_clip(plan))
    return plan.row["id"]


def _results(jobs: list[tuple[str, int, int, int]], workers: int) -> Iterator[str]:
    if workers <= 1 or len(jobs) < 2:
        yield from map(_make_one, jobs)
        return
    context = multiprocessing.get_context("spawn")  # safe beside the threads of torch
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        yield from pool.map(_make_one, jobs, chunksize=4)


def make_corpus(folder: str | Path, clips: int = 560, seed: int = 0, speakers: int = 14, workers: int = 2,
                progress: bool = True) -> Path:
    """Make the starter corpus in `folder` and return its manifest (`manifest.jsonl`).

    An interrupted run is resumed: whole clips are kept. The manifest is written last, so a folder
    with a manifest is complete. ValueError for a folder that holds anything else, or a corpus made
    with other parameters. With `workers` > 1, call it from a module guarded by `__name__ == "__main__"`.
    """
    if speakers < 3 or clips < 1 or seed < 0:
        raise ValueError(f"a corpus needs clips >= 1, speakers >= 3 (train, val, test) and seed >= 0, "
                         f"not clips={clips}, speakers={speakers}, seed={seed}")
    folder = Path(folder)
    parameters = {"format": "affectgpt-starter-corpus", "version": VERSION, "clips": clips, "seed": seed,
                  "speakers": speakers}
    mark = folder / "corpus.json"
    if mark.is_file():
        found = json.loads(mark.read_text(encoding="utf-8"))
        if found != parameters:
            raise ValueError(f"{mark}: made with other parameters ({found}), not {parameters}; "
                             "choose another folder or delete this one")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: not empty, and holds no corpus.json; choose an empty folder")
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    atomic_write_text(mark, json.dumps(parameters, indent=1) + "\n")
    rows = [plan_clip(index, seed, speakers).row for index in range(clips)]
    jobs = [(str(folder), index, seed, speakers) for index, row in enumerate(rows)
            if not _is_whole(folder / row["media"])]
    for _ in tqdm(_results(jobs, workers), total=len(jobs), desc="starter corpus", unit="clip",
                  disable=not progress or not jobs):
        pass
    manifest = folder / "manifest.jsonl"
    atomic_write_text(manifest, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return manifest
