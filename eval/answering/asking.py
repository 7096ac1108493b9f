"""What is asked: which clips, which questions, which streams; and what an answer row keeps of a clip."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from affectgpt.data import prompts
from affectgpt.data.clip import Clip, spoken
from affectgpt.eval.answering.answerers import RIVAL_LENGTHS, Job
from affectgpt.eval.answering.parts import Key
from affectgpt.models.streams import STREAMS

KINDS = tuple(prompts.PUBLISHED_QUESTIONS)
OWN_KINDS = ("emotion_candidates", "preference", "question")
"""Kinds whose question is of its clip: the closed set of its corpus, two descriptions, a question of its own."""
TARGETS = ("emotion", "valence", "labels", "sentiment", "preference", "turns")
ALL_SUBSETS = "all-subsets"
VALENCE_RANGE = (-1.0, 1.0)
"""Of a corpus whose record has none."""


def check(job: Job) -> None:
    """Raise ValueError for an option that cannot be."""
    low, high = job.valence_range or VALENCE_RANGE
    for wrong, message in (
            (job.batch_size is not None and job.batch_size < 1, f"--batch-size is {job.batch_size}: use 1 or more"),
            (job.limit is not None and job.limit < 1, f"--limit is {job.limit}: use 1 or more"),
            (job.max_new_tokens is not None and job.max_new_tokens < 1,
             f"--max-new-tokens is {job.max_new_tokens}: use 1 or more"),
            (job.workers < 0, f"--workers is {job.workers}: use 0 or more"),
            (job.frames < 1, f"--frames is {job.frames}: use 1 or more"),
            (not 0 <= job.max_skip_ratio <= 1, f"--max-skip-ratio is {job.max_skip_ratio}: use 0 to 1"),
            (job.ask is not None and not job.ask.strip(), "--ask is empty: give a question"),
            (not job.sample and (job.temperature is not None or job.top_p is not None),
             "--temperature and --top-p need --sample: without it answers are greedy"),
            (job.temperature is not None and not job.temperature > 0,
             f"--temperature is {job.temperature}: use more than 0, or leave out --sample"),
            (job.top_p is not None and not 0 < job.top_p <= 1, f"--top-p is {job.top_p}: use more than 0, at most 1"),
            (job.quantize is not None and job.model.startswith("endpoint:"),
             f"--quantize {job.quantize} is for models of this machine: leave it out for {job.model}"),
            (job.device_map is not None and not job.model.startswith("hf:"),
             f"--device-map {job.device_map} is for hf: models: leave it out for {job.model}"),
            (job.device_map is not None and job.quantize == "int8",
             f"--quantize int8 is for the CPU, and --device-map {job.device_map} spreads a model over GPUs: leave one "
             "of them out"),
            (job.quantize == "int8" and job.device == "cuda",
             f"--quantize {job.quantize} is for the CPU, and the device is cuda: leave one of them out"),
            (not low < high, f"--valence-range is {low:g} {high:g}: the first must be the lower one"),
            (not job.endpoint_timeout > 0, f"--endpoint-timeout is {job.endpoint_timeout}: use more than 0")):
        if wrong:
            raise ValueError(message)


def read_clips(job: Job) -> tuple[Job, list[Clip]]:
    """(the job with what its corpus says of split and valence, where the job does not; the clips of the split, in the
    order of the corpus).

    Raises:
        ValueError: as the corpus readers, and for a split that no clip has.
    """
    from affectgpt.data.readers import read_corpora, record_of

    corpus = read_corpora([job.corpus], job.root)
    records = {clip.corpus: record_of(clip.corpus) for clip in corpus}
    record = next(iter(records.values())) if len(records) == 1 else None
    job = replace(job, split=job.split or (record.evaluation if record else "") or "test",
                  valence_range=job.valence_range or (record.valence_range if record else None) or VALENCE_RANGE)
    clips = [clip for clip in corpus if clip.split == job.split][: job.limit]
    if not clips:
        known = ", ".join(sorted({clip.split or "(none)" for clip in corpus}))
        raise ValueError(f"--split {job.split}: no clip of {job.corpus} has this split; it has {known}")
    return job, clips


def clips_fingerprint(clips: list[Clip]) -> str:
    """A hash of what rows depend on besides the media: keys, words, targets, names of files."""
    digest = hashlib.sha256()
    for clip in clips:
        names = [path.name if path else None for path in (clip.media, clip.audio)]
        digest.update(json.dumps([clip.key, clip.words, clip.language, names, vars(clip.targets)],
                                 default=vars).encode())
    return f"{len(clips)} clips {digest.hexdigest()[:16]}"


def question_texts(job: Job, style: str) -> dict[str, str]:
    """Kind -> question. Other models are asked what the published system was asked, so that answers compare."""
    if job.ask is not None:
        return {"ask": job.ask}
    kinds = [word.strip() for word in job.question.split(",")]
    kinds = list(KINDS) if kinds == ["all"] else list(dict.fromkeys(kinds))
    table = "chat" if style == "chat" else "published"
    return {kind: prompts.kind_of(kind).questions[table] if kind in OWN_KINDS else
            prompts.question_of(kind, table, tuple(job.valence_range or VALENCE_RANGE)) for kind in kinds}


def asked(kind: str, question: str, style: str, clip: Clip) -> str:
    """What is asked about one clip: the question as it is, or with what is the clip's own in its places.

    Raises:
        ValueError: a clip that cannot be asked so.
    """
    if kind not in OWN_KINDS:
        return question
    from affectgpt.data.readers import record_of

    try:
        return prompts.question_of(kind, "chat" if style == "chat" else "published", corpus=record_of(clip.corpus),
                                   targets=clip.targets)
    except ValueError as error:
        raise ValueError(f"{clip.provenance or clip.key}: clip {clip.key}: {error}") from error


def check_questions(questions: dict[str, str], style: str, clips: list[Clip]) -> None:
    """Raise ValueError, before anything is loaded, for a clip that one of the questions cannot be asked of."""
    for kind, question in questions.items():
        for clip in clips if kind in OWN_KINDS else ():
            asked(kind, question, style, clip)


def tokens_of(job: Job, source, kind: str) -> int:
    """The most new tokens of an answer: as asked, or the limit that a model keeps of its training answers."""
    own = getattr(source, "max_new_tokens", None)
    return job.max_new_tokens or own or RIVAL_LENGTHS.get(kind, 256)


def stream_subsets(job: Job, source, clips: list[Clip]) -> list[list[str]]:
    """The streams to show, once or for each subset; in the order of `models.streams.STREAMS`.

    Pre-fusion is made of two streams: a subset that has both has it too, as in training.

    Raises:
        ValueError: streams that the model cannot be shown.
    """
    if job.streams is None:
        return [list(source.streams)]
    if job.streams.strip() == ALL_SUBSETS:
        words, media = any(spoken(clip.words) for clip in clips), any(clip.media or clip.audio for clip in clips)
        base = [stream for stream in source.streams if stream != "fusion" and (words if stream == "text" else media)]
        subsets = [set(subset) for size in range(1, len(base) + 1) for subset in itertools.combinations(base, size)]
        return [_ordered(subset | ({"fusion"} if source.fusion and source.fusion <= subset else set()))
                for subset in subsets]
    streams = [word.strip() for word in job.streams.split(",")]
    source.check_streams(streams)
    if source.fusion and source.fusion <= set(streams) and "fusion" not in streams:
        print(f"note: pre-fusion of {' and '.join(sorted(source.fusion))} is not shown; to show it, name fusion in "
              "--streams", file=sys.stderr)
    return [_ordered(set(streams))]


def _ordered(streams: set[str]) -> list[str]:
    return [stream for stream in STREAMS if stream in streams]


def all_keys(checkpoints: Iterable, clips: list[Clip], questions: dict[str, str],
             subsets: list[list[str]]) -> list[Key]:
    """Keys of all answers, in the order of the output: checkpoints, clips, questions, streams."""
    return [(str(checkpoint), clip.key, kind, tuple(subset)) for checkpoint in checkpoints for clip in clips
            for kind in questions for subset in subsets]


def wanted_targets(clips: list[Clip], wanted: str) -> dict[str, str | None]:
    """Corpus -> the target that its rows keep, one for all of its clips, so that a set is scored by one measure.

    wanted: "emotion", "valence", "labels" or "sentiment"; "auto" for the first of these that any clip of it has.
    """
    chosen: dict[str, str | None] = {}
    for corpus in dict.fromkeys(clip.corpus for clip in clips):
        found = (name for name in TARGETS for clip in clips
                 if clip.corpus == corpus and getattr(clip.targets, name) not in (None, ()))
        chosen[corpus] = next(found, None) if wanted == "auto" else wanted
    return chosen


def target_of(clip: Clip, wanted: dict[str, str | None]) -> Any:
    """What a row keeps of a clip's targets: text, a number or a list of words; None where it has none."""
    name = wanted[clip.corpus]
    value = getattr(clip.targets, name) if name else None
    if name == "preference":
        return value.better or None if value else None
    if name == "turns":  # the answer to the clip's own question
        return value[0][1] if value else None
    return (list(value) or None) if isinstance(value, tuple) else value


def output_of(job: Job, clips: list[Clip]) -> Path:
    """The output's path: as asked, or beside the model."""
    if job.output:  # a symbolic link stays a link
        return Path(os.path.realpath(job.output) if os.path.islink(job.output) else job.output)
    name = re.sub(r"[^\w.-]+", "_", f"{clips[0].corpus}-{job.split}")
    if job.model.startswith(("hf:", "endpoint:")):
        return Path("runs") / re.sub(r"[^\w.-]+", "_", job.model.partition(":")[2]) / "answers" / f"{name}.jsonl"
    folder = Path(job.model)
    if folder.resolve().parent.name == "checkpoints":  # one of a run
        return folder.resolve().parent.parent / "answers" / f"{name}-{folder.name}.jsonl"
    return (folder.parent if (folder / "config.json").is_file() else folder) / "answers" / f"{name}.jsonl"
