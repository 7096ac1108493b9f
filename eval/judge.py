"""Descriptions beside human-checked ones -> an LLM's ratings of their overlap.

The target of each row is the human-checked description, as of EMER. Every row is kept; answers come from the cache
where they are known, so a stopped job is started again.

examples:
  affectgpt judge answers.jsonl --llm endpoint:http://localhost:8000/v1#Qwen/Qwen2.5-7B-Instruct
  affectgpt score answers.judged.jsonl --set emer --kind description
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.files import read_jsonl, write_jsonl

CHUNK = 64
"""Rows in memory at a time."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt judge", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="answers with descriptions as targets: JSON Lines")
    parser.add_argument("--llm", required=True, metavar="MODEL",
                        help="hf:FOLDER, hf:ORG/NAME or endpoint:http://host:port/v1#NAME")
    parser.add_argument("--output", help="where to write (default: FILE.judged.jsonl beside it)")
    parser.add_argument("--cache", metavar="DIR", help="where its answers are kept (default: as of `affectgpt label`)")
    parser.add_argument("--batch-size", type=int, default=8, help="texts that the LLM gets at once (default: 8)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        raise ValueError(f"--batch-size is {options.batch_size}: use 1 or more")
    source = Path(options.file)
    output = Path(options.output) if options.output else source.with_name(f"{source.stem}.judged.jsonl")
    counts = judge_file(source, output, options.llm, options.cache, options.batch_size, options.device)
    print(f"rows {counts['rows']}, rated by clues {counts['clue_rating']}, by labels {counts['label_rating']}; ratings "
          f"that could not be read {counts['unreadable']}; rows without a description or target {counts['unusable']}"
          f"\n\noutput: {output}\n"
          f"next:   affectgpt score {output} --set emer --kind description")
    return 0


def judge_file(source: Path, output: Path, llm_name: str, cache: str | None = None, batch_size: int = 8,
               device: str = "auto") -> Counter:
    """Rate every row that has a description and a described target; the output appears whole or not at all.

    Raises:
        ValueError: no such file, an unknown model, or no row that can be rated.
    """
    from tqdm import tqdm

    from affectgpt.extractors import llm
    from affectgpt.extractors.cache import AnswerCache, default_folder

    if output.resolve() == source.resolve():
        raise ValueError(f"--output {output}: is the input; name another file")
    model = llm.open_model(llm_name, batch_size, device)
    asker, counts = llm.Asker(model, AnswerCache(cache or default_folder())), Counter()
    rows = (row for _, row in read_jsonl(source))

    def judged():
        with tqdm(desc="ratings", unit="row", disable=None) as progress:
            while chunk := list(islice(rows, CHUNK)):
                yield from _rated(chunk, asker, model.name, counts)
                progress.update(len(chunk))
        if counts["rows"] == counts["unusable"]:  # raised here, so that nothing is written
            raise ValueError(f"{source}: none of its {counts['rows']} rows has both a response and a description as "
                             "target")

    write_jsonl(output, judged())
    return counts


def _rated(chunk: list[dict], asker, name: str, counts: Counter) -> list[dict]:
    from affectgpt.extractors import judge

    usable = [row for row in chunk
              if all(isinstance(row.get(key), str) and row[key].strip() for key in ("target", "response"))]
    pairs = [(row["target"], row["response"]) for row in usable]
    for key, question in (("clue_rating", judge.CLUES), ("label_rating", judge.LABELS)):
        for row, rating in zip(usable, judge.ratings(asker, question, pairs), strict=True):
            row |= {key: rating, "rated_by": name}
            counts[key] += rating is not None
            counts["unreadable"] += rating is None
    counts["rows"] += len(chunk)
    counts["unusable"] += len(chunk) - len(usable)
    return chunk


if __name__ == "__main__":
    sys.exit(run_cli(main))
