"""What holding a model's LLM in fewer bits costs: size, speed and agreement of its answers, on drawn clips."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from affectgpt.release.example import LONGEST, SEED


def measure(folder: str | Path, quantize: str, clips: int, device: str = "auto") -> dict[str, Any]:
    """Ask a model and its quantised self about the same drawn clips, one by one.

    Args:
        quantize: as `inference.Describer` takes it.
        clips: how many; they are made for this, drawn and spoken by a machine.
    Returns:
        way ("plain", or `quantize`) -> {"llm_mib", "seconds" an answer after the first}; "clips", "same_labels",
        "same_text".
    Raises:
        ValueError: a model that cannot be quantised so, or a clip that it cannot read.
    """
    from affectgpt.data.readers import read_corpus
    from affectgpt.inference import Describer, Skipped
    from affectgpt.synthetic.corpus import make_corpus

    found: dict[str, Any] = {"clips": clips}
    said: dict[str, list[tuple[list[str], str]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        corpus = read_corpus(str(make_corpus(Path(temporary) / "corpus", clips=clips, seed=SEED, workers=1)))
        for way, asked in (("plain", None), (quantize, quantize)):
            describer = Describer(folder, device, quantize=asked)
            seconds, said[way] = [], []
            for clip in corpus:
                started = time.perf_counter()
                [result] = describer.describe([clip], max_new_tokens=LONGEST)
                if isinstance(result, Skipped):
                    raise ValueError(f"{folder}: the model cannot read a drawn clip: {result.reason}")
                seconds.append(time.perf_counter() - started)
                said[way].append((result.labels, result.description))
            warm = seconds[1:] or seconds
            found[way] = {"llm_mib": round(_bytes(describer.model.language_model) / 2**20, 1),
                          "seconds": round(sum(warm) / len(warm), 2)}
            del describer
    pairs = list(zip(said["plain"], said[quantize], strict=True))
    found["same_labels"] = sum(one[0] == other[0] for one, other in pairs)
    found["same_text"] = sum(one == other for one, other in pairs)
    return found


def lines(found: dict[str, Any], quantize: str) -> list[str]:
    """The measurement for people."""
    rows = [f"  {way:<8} LLM {found[way]['llm_mib']:>9.1f} MiB   {found[way]['seconds']:>6.2f} s an answer"
            for way in ("plain", quantize)]
    return [*rows, f"  same labels in {found['same_labels']} of {found['clips']} drawn clips, same text in "
                   f"{found['same_text']}"]


def _bytes(module) -> int:
    """Bytes of a module's weights and tables, each once."""
    tensors = {tensor.data_ptr(): tensor for tensor in [*module.parameters(), *module.buffers()]}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
