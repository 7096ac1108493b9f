"""Files of predictions with odd rows in them, drawn from a seed: what other people's programs, full disks and editors
make of JSON Lines."""

from __future__ import annotations

import json
import random

KINDS = ("basic", "sentiment", "openset", "description")
TARGETS = {"basic": ("happy", "sad", "angry", "neutral"), "sentiment": (1.5, -2, 0, 0.4),
           "openset": (["happy", "proud"], "[sad, tired]", ["angry"], ["calm"]),
           "description": ("She smiles.", "His voice trembles.", "He frowns.", "Nothing moves.")}
ANSWERS = ("Emotions: happy, proud. Polarity: positive.", "He looks sad and his voice is low.", "angry",
           "[neutral, calm]", "I'm sorry, but I can't help with that.", "她看起来很高兴。", "")
DEEP = "[" * 3000 + "]" * 3000
ODD = (None, True, False, 0, -1, 2, 1.5, 10**400, -(10**25), 1e308, "", " ", "x" * 120_000, "\u202egnp.exe",
       "\x00\x1b[31m", "\ud83d", "<script>alert(1)</script>", "=1+1", "NaN", "null", "N/A", "a\nb", "ü", "高兴",
       "10" * 400, [], [[]], [None], [1, "happy"], ["happy", "happy"], ["x"] * 500, {}, {"a": {"b": []}},
       {"answer": "A"}, [{"x": 1}], "[", "[,,]", "positive", "POSITIVE.", "1e400", "-0")
KEYS = ("name", "checkpoint", "target", "response", "labels_raw", "sentiment_raw", "valence", "question", "streams",
        "model", "confidence", "media", "speaker", "sex", "group", "seconds", "face_found", "corpus", "language",
        "language_of_clip", "cut_off", "no_answer", "labels_from", "extractor", "clue_rating", "label_rating",
        "rated_by", "options", "task", "pair", "role", "swapped", "synonym_groups", "affectgpt", "")
LINES = (b"", b"   ", b"\xef\xbb\xbf", b"{", b"}", b"null", b"[]", b"7", b'"x"', b"NaN", b"\xff\xfe{\x00}\x00",
         b"\x00" * 50, b'{"name": "torn', DEEP.encode(), b'{"name": "deep", "target": ' + DEEP.encode() + b"}", b"{}",
         b'{"name": ""}',
         b'{"name": 5}', b'{"name": "a", "name": "b"}', b'{"name": "nan", "target": NaN, "confidence": Infinity}',
         "{\"name\": \"grün\"}".encode("latin-1"), b'{"name": "big", "valence": 1e999}', b"a,b,c", b"{'name': 'x'}")


def mutated_file(seed: int, rows: int = 48) -> tuple[str, bytes, set[int]]:
    """(kind of set, content, numbers of the lines that are no JSON object)."""
    draw = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    lines = [_line(draw, kind, place) for place in range(rows)]
    for _ in range(draw.randint(1, 12)):
        place = draw.randrange(len(lines))
        how = draw.randrange(6)
        if how == 0:
            lines.insert(place, draw.choice(LINES))
        elif how == 1:
            lines[place] = lines[place][: draw.randrange(len(lines[place]) + 1)]
        elif how == 2:
            lines.insert(place, lines[place])
        elif how == 3:
            lines[place] = bytes(draw.choice((byte, byte, byte, draw.randrange(256))) for byte in lines[place][:200])
        elif how == 4:
            lines[place] = b"\xef\xbb\xbf" + lines[place] + \
                draw.choice((b"\r", b" ", b"\t", b","))
        else:
            lines[place] = lines[place].decode("utf-8", "replace").encode(draw.choice(("utf-16", "utf-8", "utf-7")))
    content = draw.choice((b"\n", b"\n", b"\n", b"\r\n")).join(lines) + draw.choice((b"", b"\n", b"\n\n"))
    return kind, content, {number for number, line in enumerate(content.split(b"\n"), 1)
                           if line.strip() and not _is_object(line)}


def _line(draw: random.Random, kind: str, place: int) -> bytes:
    row = {"name": f"clip{place % 40}", "checkpoint": 30 + place // 40, "target": draw.choice(TARGETS[kind]),
           "response": draw.choice(ANSWERS), "question": "description" if kind == "description" else "labels",
           "streams": ["audio", "text"], "model": "runs/x/model", "confidence": draw.random(), "group": f"v{place % 9}",
           "speaker": f"s{place % 7}", "sex": draw.choice(("female", "male")), "seconds": 10 * draw.random()}
    for key in draw.sample(KEYS, draw.choice((0, 0, 1, 2, 3))):
        if draw.random() < 0.2:
            row.pop(key, None)
        else:
            row[key] = draw.choice(ODD)
    return json.dumps(row, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8-sig")), dict)
    except (ValueError, RecursionError):
        return False
