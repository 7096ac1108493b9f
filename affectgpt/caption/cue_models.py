"""Who finds the cue of a stream: measured facts, a Hugging Face chat model, or a server; and who merges them.

A cue is a JSON value for the journal: {"facts": ...} of a measurement, {"text": ...} of a model, {} where the clip has
no such stream, {"error": reason} where its media cannot be read or a server refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from affectgpt.caption import prompts
from affectgpt.caption.settings import TEXTUAL, ModelsSection
from affectgpt.data.clip import Clip
from affectgpt.media import MediaError


class CueModel(Protocol):
    """Finds the cues of one stream. `identity` tells it from another, for the journal; reading it loads no weights."""

    identity: str
    chunk: int

    def cues(self, clips: list[Clip]) -> Iterator[dict[str, Any]]:
        """The cue of each clip, in their order."""


def open_cue_model(stream: str, settings: ModelsSection) -> CueModel | None:
    """The model of "audio" or "visual"; None where the recipe leaves the stream out.

    Raises:
        ValueError: there is no such model, or it does not take the stream.
    """
    name = getattr(settings, stream)
    if name == "none":
        return None
    if name == TEXTUAL:
        return MeasuredVoice() if stream == "audio" else MeasuredFace(settings.frames)
    return ChatCues(stream, settings)


class MeasuredVoice:
    """Facts of the voice (`measure.voice_facts`)."""

    identity, chunk = "measured voice 1", 1

    def cues(self, clips: list[Clip]) -> Iterator[dict[str, Any]]:
        for clip in clips:
            yield _read(self._cue, clip)

    def _cue(self, clip: Clip) -> dict[str, Any]:
        from affectgpt import media
        from affectgpt.caption.measure import voice_facts

        source = clip.audio or clip.media
        if source is None or clip.audio is None and not media.probe(source, clip.span).has_audio:
            return {}
        waveform = media.read_sound(source, span=clip.span).waveform
        return {} if waveform is None else {"facts": voice_facts(waveform)}


class MeasuredFace:
    """Expression probabilities of the face (`measure.FaceReader`)."""

    chunk = 1

    def __init__(self, frames: int):
        from affectgpt.caption.measure import FaceReader

        self.identity, self._reader = f"measured face 1, {frames} frames", FaceReader(frames)

    def cues(self, clips: list[Clip]) -> Iterator[dict[str, Any]]:
        for clip in clips:
            yield _read(self._cue, clip)

    def _cue(self, clip: Clip) -> dict[str, Any]:
        facts = self._reader.facts(clip)
        return {} if facts is None else {"facts": facts}


def _read(cue, clip: Clip) -> dict[str, Any]:
    try:
        return cue(clip)
    except MediaError as error:
        return {"error": str(error)}


class ChatCues:
    """A chat model that is shown one stream; loaded for the first clip.

    Raises:
        ValueError: it is none, or does not take the stream.
    """

    def __init__(self, stream: str, settings: ModelsSection):
        from affectgpt.eval.answering.answerers import Job, open_source

        self.stream = "audio" if stream == "audio" else settings.visual_stream
        self.question, self.settings = prompts.CUES[stream], settings
        name = getattr(settings, stream)
        self._source = open_source(Job(model=name, corpus="", frames=settings.frames, device=settings.device,
                                       endpoint_audio=True, endpoint_timeout=settings.endpoint_timeout))
        able = self._source.able
        if self.stream not in able:
            raise ValueError(f"models.{stream}: {name} does not take {self.stream}; it takes {', '.join(able)}")
        self.identity = f"{name} {self._source.identity()} {self.stream} {settings.max_new_tokens} {prompts.VERSION}"
        self.chunk, self._answerer = 4 * settings.batch_size, None

    def cues(self, clips: list[Clip]) -> Iterator[dict[str, Any]]:
        from affectgpt.eval.answering.answerers import Request
        from affectgpt.extractors.lists import clean

        if self._answerer is None:
            checkpoint = self._source.checkpoints[0]
            self._answerer = self._source.open(checkpoint, clips, {self.stream}, Path())
        found: list[dict[str, Any]] = []
        requests = []
        for clip in clips:
            try:
                inputs = self._answerer.load(clip)
            except MediaError as error:
                found.append({"error": str(error)})
                continue
            shown = self._answerer.shown(inputs, (self.stream,))
            found.append({})
            if shown:
                requests.append(Request(clip, inputs, self.stream, self.question, (self.stream,), shown,
                                        self.settings.max_new_tokens, 0))
        answers = (answer for group in self._answerer.answers(requests, self.settings.batch_size) for answer in group) \
            if requests else iter(())
        waiting = {request.clip.key for request in requests}
        for clip, cue in zip(clips, found, strict=True):
            if clip.key in waiting:
                answer = next(answers)
                cue = {"error": f"refused: {answer.refused}"} if answer.refused else {"text": clean(answer.text)}
            yield cue


class Merger:
    """A chat model that joins cues and words to a description; loaded for the first clip."""

    def __init__(self, settings: ModelsSection):
        from affectgpt.extractors import llm

        self._settings, self._decoding = settings, llm.Decoding()
        self._model = llm.open_model(settings.merge, settings.batch_size, settings.device, settings.endpoint_timeout)
        self.identity = f"{self._model.identity} {settings.max_new_tokens} {prompts.VERSION}"
        self.chunk = 4 * settings.batch_size

    def descriptions(self, conversations: list[list[dict[str, str]]]) -> Iterator[dict[str, Any]]:
        """{"text": ...} of each conversation, or {"error": ...} of one that a server refuses or that gets no answer."""
        from affectgpt.extractors.lists import clean

        for text in self._model.answers(conversations, self._settings.max_new_tokens, self._decoding):
            if text is None:
                yield {"error": "refused by the server"}
            else:
                yield {"text": said} if (said := clean(text)) else {"error": "the model answers nothing"}
