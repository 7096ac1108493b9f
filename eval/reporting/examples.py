"""Examples of a report: clips with their frames, drawn by a fixed seed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from affectgpt.eval.reporting import page
from affectgpt.eval.reporting.rows import Judge, Row


def shown_examples(entry, folder: Path, prefix: str, options) -> list[dict]:
    """Clips with their frames, where they can be shown."""
    if not options.examples:
        return []
    blocks = [page.heading(3, "Examples")]
    for title, rows in drawn_examples(entry.rows, entry.judge, options.examples).items():
        if rows:
            name = re.sub(r"\W+", "_", f"{prefix}_{title}".lower())
            blocks.append({"kind": "examples", "title": title,
                           "rows": [_example(row, entry, folder, f"{name}_{place}", options)
                                    for place, row in enumerate(rows)]})
    return blocks


def _example(row, entry, folder: Path, name: str, options) -> dict:
    pictures, note = frames(row.prediction.media, folder, name, options.media_root)
    lines = [("clip", page.clean(row.name)), ("target", page.clean(row.target, 300)),
             ("answer", page.clean(row.response, page.LONGEST_TEXT)), ("labels", page.clean(row.labels, 300))]
    if row.sentiment is not None:
        lines.append(("polarity", page.clean(row.sentiment)))
    lines.append(("strict score", f"{entry.judge.score(row):.2f}"))
    if row.confidence is not None:
        lines.append(("confidence", f"{row.confidence:.2f}"))
    return {"pictures": pictures, "facts": lines + ([("frames", note)] if note else [])}


def frames(media: str | None, folder: Path, name: str, root: Path | None, count: int = 3) -> tuple[list[str], str]:
    """(files of small frames in `folder`, why there are none).

    Only files below `root` are opened, none where it is None.
    """
    from PIL import Image

    from affectgpt import media as reader
    from affectgpt.media.finding import MEDIA_SUFFIXES

    if not media or root is None:
        return [], ""
    try:
        path = Path(media).resolve()
        inside, there = path.is_relative_to(root.resolve()), path.is_file()
    except (OSError, ValueError, RuntimeError):  # what no file can be called
        return [], "not shown: that is no path of a file"
    if not inside:
        return [], "not shown: the file is not below --media-root"
    if not there or path.suffix.lower() not in MEDIA_SUFFIXES:
        return [], "not shown: there is no such media file"
    try:
        images = reader.read_frames(path, count, max_side=320).images
    except reader.MediaError as error:
        return [], page.clean(f"not shown: {str(error).replace(str(path), path.name)}", 200)
    files = []
    for place, image in enumerate(images):
        files.append(f"{name}_{place}.jpg")
        Image.fromarray(image).save(folder / files[-1], quality=82)
    return files, ""


def drawn_examples(rows: Sequence[Row], judge: Judge, count: int) -> dict[str, list[Row]]:
    """Title -> rows: drawn by a fixed seed, not chosen by hand, and the wrong ones with the greatest confidence."""
    if not judge.decides:
        order = sorted(rows, key=lambda row: (-judge.score(row), row.name))
        return {"Most overlap": order[:count], "Least overlap": order[::-1][:count]}
    right = [row for row in rows if judge.right(row)]
    wrong = [row for row in rows if not judge.right(row)]
    drawn = {"Right": right, "Wrong": wrong}
    found = {title: random.Random(0).sample(group, min(count, len(group))) for title, group in drawn.items()}
    sure = sorted((row for row in wrong if row.confidence is not None), key=lambda row: (-row.confidence, row.name))
    if sure:
        found["Wrong and most confident"] = sure[:count]
    return found
