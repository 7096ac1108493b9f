"""A model behind an OpenAI-compatible endpoint answers."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt.data import prompts
from affectgpt.data.clip import Clip
from affectgpt.endpoint import Endpoint, Refused
from affectgpt.endpoint_replies import parse_extra
from affectgpt.eval.answering import rival_media
from affectgpt.eval.answering.answerers import Answer, Job, Request, checkpoint_name
from affectgpt.eval.answering.rival_media import RivalInputs
from affectgpt.media import SAMPLE_RATE


class EndpointSource:
    """`endpoint:http://host:port/v1#model-name`."""

    default_batch, chunk, style, fusion = 4, 4, "rival", None

    def __init__(self, job: Job):
        self.job, self.model = job, job.model
        address, _, name = job.model.removeprefix("endpoint:").partition("#")
        if not name:
            raise ValueError(f"{job.model}: names no model; use endpoint:http://host:port/v1#model-name")
        self.extra = parse_extra(job.endpoint_extra, "--endpoint-extra")
        self.endpoint = Endpoint(address, name, timeout=job.endpoint_timeout, extra=self.extra)
        self.checkpoints: list[int | str] = [checkpoint_name(job.checkpoint) if job.checkpoint else name]
        self.streams = ["audio"] * job.endpoint_audio + ["frame", "text"]
        self.able = [*self.streams[:-1], "face", "text"]

    def check_streams(self, streams: list[str]) -> None:
        if "audio" in streams and not self.job.endpoint_audio:
            raise ValueError("--streams audio: sound is sent to an endpoint with --endpoint-audio alone, because few "
                             "models take it")
        rival_media.check_streams(streams, self.able, self.model)

    def identity(self) -> dict[str, Any]:
        return {"weights": None, "reader": self.job.reader, "frames": self.job.frames,
                "pictures_as": "video" if self.job.endpoint_video else "images",
                **({"extra": self.extra} if self.extra else {})}

    def open(self, checkpoint: int | str, clips: list[Clip], needed: set[str], store: Path) -> EndpointAnswerer:
        return EndpointAnswerer(self, needed)


class EndpointAnswerer:
    """Asks a server, several clips at a time."""

    device = "endpoint"

    def __init__(self, source: EndpointSource, needed: set[str]):
        self.job, self.endpoint, self.needed, self.prepared = source.job, source.endpoint, needed, {}

    def load(self, clip: Clip) -> RivalInputs:
        return rival_media.load(clip, self.needed, self.job.frames, self.job.reader)

    def shown(self, inputs: RivalInputs, streams: tuple[str, ...]) -> tuple[str, ...]:
        return inputs.shown(streams)

    def length(self, request: Request) -> int:
        return request.max_new_tokens

    def answers(self, requests: list[Request], batch_size: int) -> Iterator[list[Answer]]:
        sampling = self.job.sampling
        options = {"temperature": sampling.temperature if sampling else 0.0,
                   "top_p": sampling.top_p if sampling else None,
                   "logprobs": True if self.job.endpoint_logprobs else None}
        asked = ({"messages": messages_of(request, self.job.endpoint_video), "seed": request.seed % 2**31,
                  "max_tokens": request.max_new_tokens} for request in requests)
        for reply in self.endpoint.map_replies(asked, batch_size, **options):
            if isinstance(reply, Refused):
                yield [Answer("", refused=str(reply))]
            else:
                yield [Answer(reply.text.strip(), reply.confidence, reply.finish_reason == "length", reply.no_answer)]


def messages_of(request: Request, as_video: bool = False) -> list[dict[str, Any]]:
    """One user's message: pictures, sound, words and question; plain text where there are words alone.

    as_video: one `video_url` part with the pictures at their times, as vLLM and SGLang take it, and no picture parts.
    """
    inputs, shown = request.inputs, request.shown
    text = prompts.rival_text(inputs.words if "text" in shown else None, request.question)
    parts: list[dict[str, Any]] = []
    if inputs.visual in shown and as_video:
        parts.append({"type": "video_url", "video_url": {"url": video_url(inputs.pictures, inputs.rate or 1.0)}})
    elif inputs.visual in shown:
        parts += [{"type": "image_url", "image_url": {"url": picture_url(picture)}} for picture in inputs.pictures]
    if "audio" in shown:
        parts.append({"type": "input_audio", "input_audio": {"data": wave_base64(inputs.sound), "format": "wav"}})
    content = [*parts, {"type": "text", "text": text}] if parts else text
    return [{"role": "user", "content": content}]


def picture_url(picture: np.ndarray) -> str:
    """uint8 [height, width, 3] RGB as a JPEG data URL."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def video_url(pictures: np.ndarray, rate: float) -> str:
    """uint8 [T, height, width, 3] RGB, `rate` pictures a second, as an MP4 data URL (H.264, no sound).

    The pictures are those that other models are shown, so a server that samples a video anew (vLLM: 32 frames at most
    unless told otherwise) finds no others in it.
    """
    import av

    height, width = (size - size % 2 for size in pictures.shape[1:3])  # what H.264 with 4:2:0 colours takes
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as writer:
        stream = writer.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000),
                                   options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode())
    return "data:video/mp4;base64," + base64.b64encode(file.getvalue()).decode()


def wave_base64(sound: np.ndarray) -> str:
    """float32 [N] of 16 kHz as a 16-bit WAV file in base64."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return base64.b64encode(file.getvalue()).decode()
