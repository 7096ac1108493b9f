"""The asking itself: one process's clips, read ahead, asked in batches, written down group by group."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from affectgpt import media
from affectgpt.data.clip import Clip, spoken
from affectgpt.eval.answering.answerers import Answer, Job, Request, row_seed
from affectgpt.eval.answering.asking import asked, target_of, tokens_of, wanted_targets
from affectgpt.eval.answering.parts import Key, Parts
from affectgpt.media import MediaError


class Work:
    """What one process asks, and how fast."""

    def __init__(self, job: Job, source, parts: Parts, questions: dict[str, str], subsets: list[list[str]],
                 started: float):
        self.job, self.source, self.parts, self.questions, self.subsets = job, source, parts, questions, subsets
        self.batch_size = job.batch_size or source.default_batch
        self.started, self.answering, self.rows, self.blind, self.cut_off = started, 0.0, 0, 0, 0
        self.unanswered: dict[str, int] = {}
        self.clips: set[str] = set()
        self.words_cut: set[str] = set()
        self.prepared: dict[str, Any] = {}
        self.wanted: dict[str, str | None] = {}
        self.device = ""

    def answer(self, checkpoint, clips: list, todo: list, answered: dict[Key, Any]) -> None:
        """Ask a checkpoint everything that is unanswered about the clips `todo`, a chunk of clips at a time."""
        from tqdm import tqdm

        from affectgpt.features.extract import read_ahead

        self.wanted = wanted_targets(clips, self.job.target)
        needed = set(itertools.chain.from_iterable(self.subsets))
        store = Path(self.job.features) if self.job.features else self.parts.folder / "features"
        answerer = self.source.open(checkpoint, clips, needed, store)
        self.device = answerer.device
        for name, value in answerer.prepared.items():
            self.prepared[name] = self.prepared.get(name, 0) + value
        begun = time.perf_counter()

        def load(clip):
            try:
                inputs = answerer.load(clip)
                return clip, inputs, clip_facts(clip, answerer, inputs, needed)
            except MediaError as error:
                return clip, error, {}

        bar = tqdm(total=len(todo) * len(self.questions) * len(self.subsets), desc=f"answers of {checkpoint}",
                   unit="row", disable=None if self.job.rank == 0 else True)
        chunk: list[Request] = []
        limit = self.source.chunk * self.batch_size
        with bar:
            for clip, inputs, facts in read_ahead(todo, load, self.job.workers):
                requests = self.requests(checkpoint, clip, inputs, facts, answerer, answered)
                chunk += requests
                bar.update(len(self.questions) * len(self.subsets) - len(requests))
                if len(chunk) >= limit:
                    self.ask(checkpoint, answerer, chunk, bar, begun)
                    chunk = []
            self.ask(checkpoint, answerer, chunk, bar, begun)
        self.answering += time.perf_counter() - begun

    def requests(self, checkpoint, clip, inputs, facts: dict[str, Any], answerer,
                 answered: dict[Key, Any]) -> list[Request]:
        """What is still to be asked about a clip; one that shows nothing at all is skipped."""
        if isinstance(inputs, MediaError):
            self.parts.skip(clip, str(inputs))
            return []
        shown = [answerer.shown(inputs, tuple(subset)) for subset in self.subsets]
        if not any(shown):
            notes = "; ".join(inputs.notes) or "it has none of these streams"
            self.parts.skip(clip, f"{clip.media or clip.provenance}: nothing to show: {notes}")
            return []
        if hasattr(answerer, "words_cut") and any("text" in there for there in shown) and answerer.words_cut(inputs):
            self.words_cut.add(clip.key)
        made = []
        for (kind, question), (subset, there) in itertools.product(self.questions.items(),
                                                                   zip(self.subsets, shown, strict=True)):
            if (str(checkpoint), clip.key, kind, tuple(subset)) not in answered:
                text = asked(kind, question, self.source.style, clip)
                seed = row_seed(self.job.seed, clip.key, text, ",".join(subset))
                made.append(Request(clip, inputs, kind, text, tuple(subset), there,
                                    tokens_of(self.job, self.source, kind), seed, facts))
        return made

    def ask(self, checkpoint, answerer, chunk: list[Request], bar, begun: float) -> None:
        """Answer a chunk and write it down group by group."""
        # Requests of like length share a batch, so that little of it is padding.
        chunk = sorted(chunk, key=lambda request: (request.max_new_tokens, answerer.length(request)))
        waiting, since = iter(chunk), time.perf_counter()
        for group in answerer.answers(chunk, self.batch_size):
            seconds = (time.perf_counter() - since) / len(group)
            pairs = list(zip(itertools.islice(waiting, len(group)), group, strict=True))
            rows = [self.row(checkpoint, request, answer, seconds)
                    for request, answer in pairs if answer.refused is None]
            self.rows += len(rows)
            self.cut_off += sum(answer.cut_off for _, answer in pairs)
            for row in rows:
                if "no_answer" in row:
                    self.unanswered[row["no_answer"]] = self.unanswered.get(row["no_answer"], 0) + 1
            self.blind += sum(not row["shown"] for row in rows)
            self.clips |= {request.clip.key for request, answer in pairs if answer.refused is None}
            self.parts.append(rows, self.facts(time.perf_counter() - begun))
            for request, answer in pairs:
                if answer.refused is not None:
                    self.refuse(request, answer.refused)
            bar.update(len(group))
            since = time.perf_counter()

    def refuse(self, request: Request, reason: str) -> None:
        if not self.job.skip_refused:
            raise ValueError(f"clip {request.clip.key}: {reason}; other answers are kept. To list such clips as "
                             "skipped, run the same command again with --skip-refused")
        self.parts.skip(request.clip, reason, refused=True)

    def row(self, checkpoint, request: Request, answer: Answer, seconds: float) -> dict[str, Any]:
        """One line of the output."""
        row = row_head(checkpoint, request.clip, request.kind, request.streams, self.job.model, self.wanted)
        no_answer = answer.no_answer or (None if answer.text.strip() else "empty")
        return row | {
            "response": answer.text, "shown": list(request.shown), "cut_off": answer.cut_off,
            **({"no_answer": no_answer} if no_answer else {}),
            "confidence": None if answer.confidence is None else round(answer.confidence, 6),
            "answer_seconds": round(seconds, 4), **request.facts}

    def facts(self, answering: float) -> dict[str, Any]:
        """What this process did up to now."""
        seconds = self.answering + answering
        spent = seconds + self.prepared.get("features_seconds", 0.0)
        return {"rank": self.job.rank, "ranks": self.job.world_size, "device": self.device,
                "batch_size": self.batch_size, "clips": len(self.clips), "rows": self.rows, "cut_off": self.cut_off,
                "words_cut": len(self.words_cut), "nothing_shown": self.blind,
                "no_answer": dict(self.unanswered),
                **self.prepared, "answer_seconds": round(seconds, 3),
                "clips_per_second": round(len(self.clips) / spent, 3),
                "seconds": round(time.perf_counter() - self.started, 3)}

    def report(self) -> str:
        facts = self.facts(0.0)
        features = f" and {facts['features_seconds']:.1f} s for features" if "features_seconds" in facts else ""
        lines = [f"{facts['rows']} answers about {facts['clips']} clips in {facts['answer_seconds']:.1f} s{features} "
                 f"on {self.device}: {facts['clips_per_second']:.2f} clips/s, "
                 f"{facts['rows'] / max(facts['answer_seconds'], 1e-9):.2f} answers/s"]
        if self.cut_off:
            lines.append(f"note: {self.cut_off} answers were ended by their length; see --max-new-tokens")
        if self.unanswered:
            lines.append("note: " + " and ".join(
                f"{count} {'refusals' if kind == 'refusal' else 'empty answers'}"
                for kind, count in sorted(self.unanswered.items())) + " (their rows have 'no_answer')")
        if self.words_cut:
            lines.append(f"note: the words of {len(self.words_cut)} clips are longer than a prompt takes, and their "
                         "end was not shown")
        if self.blind:
            lines.append(f"note: {self.blind} answers were given with nothing shown, because the clip lacks those "
                         "streams (their rows have an empty 'shown')")
        return "\n".join(lines)


def row_head(checkpoint, clip: Clip, kind: str, streams: tuple[str, ...], model: str,
             wanted: dict[str, str | None]) -> dict[str, Any]:
    """The keys that a row has whether or not it was answered: what was asked, and what is known of the clip."""
    known = {"group": clip.group or clip.dialogue, "speaker": clip.speaker, "sex": clip.sex,
             "language_of_clip": clip.language if spoken(clip.words) else None}
    return {"checkpoint": checkpoint, "name": clip.id, "target": target_of(clip, wanted), "response": "",
            "corpus": clip.corpus, "split": clip.split, "question": kind, "streams": list(streams), "shown": [],
            "model": model, "confidence": None, "media": str(clip.media) if clip.media else None, "cut_off": False,
            **{name: value for name, value in known.items() if value}}


def skipped_rows(job: Job, keys: list[Key], clips: list[Clip], lost: dict[str, dict[str, Any]],
                 checkpoints: list) -> dict[Key, dict[str, Any]]:
    """Rows of what nobody answered, so that it is counted: "refusal" where a server refused the clip, "skipped" where
    it could not be read or shows nothing.

    Args:
        keys: without an answer. lost: clip key -> record of `Parts.skipped`.
    """
    wanted, known = wanted_targets(clips, job.target), {clip.key: clip for clip in clips}
    names = {str(checkpoint): checkpoint for checkpoint in checkpoints}
    return {key: row_head(names[key[0]], known[key[1]], key[2], key[3], job.model, wanted)
            | {"no_answer": "refusal" if lost[key[1]]["refused"] else "skipped", "error": lost[key[1]]["error"]}
            for key in keys}


def clip_facts(clip: Clip, answerer, inputs, needed: set[str]) -> dict[str, Any]:
    """What rows say of a clip besides its manifest: `seconds` of media, and whether a face was found, where one was
    looked for. Media that are gone (their features are stored) have no known length."""
    facts: dict[str, Any] = {}
    source = clip.media or clip.audio
    if clip.start is not None and clip.end is not None:
        facts["seconds"] = round(clip.end - clip.start, 3)
    elif source is not None and source.is_file():
        try:
            duration = media.probe(source, clip.span).duration
        except MediaError:
            duration = None
        if duration:
            facts["seconds"] = round(float(duration), 3)
    if "face" in needed:
        facts["face_found"] = "face" in answerer.shown(inputs, ("face",))
    return facts
