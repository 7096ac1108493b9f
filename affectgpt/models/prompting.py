"""How a prompt is put together: the sentences around streams, words and question, as the pieces of one string.

A prompt is a list of pieces: trusted template text, text from outside (words, a user's question), and streams.
The processor turns template text and outside text into tokens together, but never reads a control token out of
either; only a `Stream` piece becomes placeholder tokens. Training and inference build the same prompt.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from affectgpt.models.streams import MEDIA_STREAMS

SYSTEM_MESSAGE = "You read emotions."
"""Short on purpose: it is in every sequence."""

PUBLISHED_STOP = "###"

DESCRIBE = {"chat": "Describe the person's emotion with its evidence.",
            "published": "Please infer the person's emotional state and provide your reasoning process."}
"""Prompt style -> the question that a model is asked where none is given; all others are in `data.kinds`."""

_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and a symbol that fonts draw as nothing: Hangul fillers and the empty Braille pattern."""


def spoken(words: str | None) -> str | None:
    """The words as they are, or None where nothing of them can be read: blanks, control and invisible characters,
    marks without a letter.

    >>> spoken("well?"), spoken(" \u200b\n")
    ('well?', None)
    """
    if words is None or all(unicodedata.category(c)[0] in "ZCM" or c in _FILLERS for c in words):
        return None
    return words


@dataclass(frozen=True)
class Text:
    """Template text; it holds no control tokens."""

    text: str


@dataclass(frozen=True)
class Outside:
    """Text that comes from a file or a user."""

    text: str


@dataclass(frozen=True)
class Stream:
    """The place where a stream's K tokens go."""

    name: str


Piece = Text | Outside | Stream


def chat_pieces(streams: list[str], words: str | None, question: str) -> list[Piece]:
    """The user's message of the default style: one line a stream, the words, the question."""
    pieces: list[Piece] = []
    titles = {"fusion": "Voice and face: ", "audio": "Voice: ", "face": "Face: ", "frame": "Scene: "}
    for stream, title in titles.items():
        if stream in streams:
            pieces += [Text(title), Stream(stream), Text("\n")]
    if words is not None:
        pieces += [Text('Words: "'), Outside(words), Text('"\n')]
    return pieces + [Outside(question)]


def published_pieces(streams: list[str], words: str | None, question: str) -> list[Piece]:
    """The whole prompt of the published system, its slips for single streams with words included."""
    have = set(streams) | ({"text"} if words is not None else set())
    alone = len(have - {"text"}) == 1 and not have & {"fusion", "audio"}
    face_start = "Meanwhile, we" if not alone else "We"
    frame_start = face_start
    after_frame = False
    order = ["fusion", *MEDIA_STREAMS]
    if have == {"audio", "face", "frame", "text"}:
        order, after_frame = ["audio", "frame", "face"], True
    # Three of its modes were written without the opening, one of them with a small first letter.
    bare = have in ({"audio", "text"}, {"face", "text"}, {"frame", "text"})
    if have == {"frame", "text"}:
        frame_start = "we"
    pieces: list[Piece] = [] if bare else [Text("###Human: ")]
    face_start = "Additionally, we" if after_frame else face_start
    around = {
        "fusion": ("The audio and video merged info is: <Multi>", "</Multi>. "),
        "audio": ("The audio content is as follows: <Audio>", "</Audio>. "),
        "face": (f"{face_start} uniformly sample raw frames from the video and extract faces from these frames: "
                 "<Video>", "</Video>. "),
        "frame": (f"{frame_start} uniformly sample raw frames from the video: <Video>", "</Video>. "),
    }
    for stream in order:
        if stream in have:
            pieces += [Text(around[stream][0]), Stream(stream), Text(around[stream][1])]
    if words is not None:
        pieces += [Text("The subtitle of this video is: <Subtitle>"), Outside(words), Text("</Subtitle>. ")]
    return pieces + [Text("Now, please answer my question based on all the provided information. "),
                     Outside(question), Text(" ###Assistant: ")]
