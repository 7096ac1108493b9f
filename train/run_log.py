"""What a run says about itself: one line every `log_every` steps, as text, JSONL, TensorBoard and to trackers."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

from tqdm import tqdm

from affectgpt.files import read_jsonl, write_jsonl


class RunLog:
    """The log of the main rank; on other ranks every call does nothing.

    Args:
        folder: `log.jsonl` and `tensorboard/` are written there.
        step: the step that a run goes on from; what an interrupted run logged after it is dropped.
        report_to: "wandb" or "trackio", which must be installed.
        name, settings: of the run, for the trackers.
        board: whether to write for TensorBoard.
    """

    def __init__(self, folder: Path, main: bool, step: int, report_to: list[str], name: str, settings: dict,
                 board: bool = True):
        self.path, self.main, self.trackers = folder / "log.jsonl", main, []
        self.board = None
        if not main:
            return
        if step and self.path.is_file():
            write_jsonl(self.path, _rows_until(self.path, step))
        else:
            self.path.unlink(missing_ok=True)
        if board:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)
        for package in report_to:
            try:
                tracker = importlib.import_module(package)
            except ImportError as error:
                raise ValueError(f"train.report_to names {package}, which is not installed: pip install {package}") \
                    from error
            tracker.init(project="affectgpt", name=name, config=settings)
            self.trackers.append(tracker)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """One row; numbers that are not finite are left out of JSON, which has none."""
        if not self.main:
            return
        row = {key: value for key, value in values.items() if not isinstance(value, float) or math.isfinite(value)}
        write_jsonl(self.path, [{"step": step, **row}], append=True)
        for key, value in row.items():
            if self.board is not None and isinstance(value, int | float):
                self.board.add_scalar(key, value, step)
        for tracker in self.trackers:
            tracker.log({"step": step, **row})

    def line(self, text: str) -> None:
        """A line on the screen, above the progress bar."""
        if self.main:
            tqdm.write(text)

    def close(self) -> None:
        if self.board is not None:
            self.board.close()
        for tracker in self.trackers:
            tracker.finish()


def _rows_until(path: Path, step: int) -> list[dict]:
    """Rows of a log up to a step; a last line that was cut off is left out."""
    rows, number = [], 0
    try:
        for number, row in read_jsonl(path, torn_tail=True):
            if type(row.get("step")) is not int:
                raise ValueError(f"{path}:{number}: has no step, so it is no line of this log")
            rows.append(row)
    except ValueError as error:
        raise ValueError(f"{error}. Remove this line, or move the file away, and run the same command again") from error
    return [row for row in rows if row["step"] <= step]


def step_line(step: int, row: dict[str, Any]) -> str:
    """The line of a training step."""
    parts = [f"step {step}", f"epoch {row['epoch']:.2f}", f"loss {row['loss']:.4f}", f"rate {row['learning_rate']:.2e}",
             f"gradient {row['gradient_norm']:.3f}", f"{row['tokens_per_second']:.0f} tokens/s",
             f"{row['clips_per_second']:.2f} clips/s", f"MFU {row['mfu']:.1%}", f"data wait {row['data_wait']:.1%}",
             f"memory {row['memory_gib']:.2f} GiB", f"ETA {duration(row['eta_seconds'])}"]
    return " | ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
