"""Labels and sentiment of a model's answers: answers.jsonl -> answers.labels.jsonl, the input of `affectgpt score`.

An answer that is a list is read as it is. A description goes to the extractor: rules (no model, the default), or an LLM
where --llm names one. Every row is kept. The work is a function of the file alone: a stopped job is started again and
finds the LLM's answers in the cache.

examples:
  affectgpt label runs/starter/answers.jsonl
  affectgpt label answers.jsonl --llm endpoint:http://localhost:8000/v1#Qwen/Qwen2.5-7B-Instruct
  affectgpt label answers.jsonl --llm hf:starter:smollm2-135m-instruct --sentiment llm --output labelled.jsonl
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.extractors import lists, rules
from affectgpt.files import read_jsonl, write_jsonl
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.rows import LONG_ANSWER
from affectgpt.words.basic import POLARITIES

EXTRACTORS = ("auto", "list", "rules", "llm")
SENTIMENTS = ("answer", "rules", "llm")
CHUNK = 256
"""Rows in memory at a time; an LLM gets the descriptions among them together."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt label", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="answers as `affectgpt generate` writes them: JSON Lines with a response a row")
    parser.add_argument("--output", help="where to write (default: FILE.labels.jsonl beside it)")
    parser.add_argument("--extractor", default="auto", choices=EXTRACTORS,
                        help="auto: lists as they are, descriptions by the LLM where --llm names one, else by rules; "
                             "list: lists alone; rules or llm: every answer, also those that are lists")
    parser.add_argument("--llm", metavar="MODEL", help="hf:FOLDER, hf:ORG/NAME or endpoint:http://host:port/v1#NAME")
    parser.add_argument("--sentiment", default="answer", choices=SENTIMENTS,
                        help="answer: as the answer states it, else by rules; rules: a vote of the labels' polarity; "
                             "llm: asked from the labels, as published (default: answer)")
    parser.add_argument("--cache", metavar="DIR", help="where the LLM's answers are kept "
                                                       "(default: label-answers in $AFFECTGPT_CACHE)")
    parser.add_argument("--published-sampling", action="store_true",
                        help="let the LLM draw its answers as published (temperature 0.7, top_p 0.8, repetition "
                             "penalty 1.05, 512 tokens) instead of the most likely ones")
    parser.add_argument("--seed", type=int, default=0, help="of --published-sampling (default: 0)")
    parser.add_argument("--batch-size", type=int, default=8, help="texts that the LLM gets at once (default: 8)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    source = Path(options.file)
    output = Path(options.output) if options.output else source.with_name(f"{source.stem}.labels.jsonl")
    counts = label_file(source, output, options.extractor, options.sentiment, asker_of(options))
    print(summary(counts))
    print(f"\noutput: {output}\nnext:   affectgpt score {shlex.quote(str(output))} --set NAME --wheels DIR")
    return 0


def asker_of(options: argparse.Namespace):
    """The LLM with its cache; None where none is named.

    Raises:
        ValueError: an LLM is wanted and not named, or the other way round.
    """
    wanted = "llm" in (options.extractor, options.sentiment)
    if options.batch_size < 1:
        raise ValueError(f"--batch-size is {options.batch_size}: use 1 or more")
    if wanted and not options.llm:
        raise ValueError("--extractor llm and --sentiment llm need --llm hf:FOLDER or --llm endpoint:URL#NAME")
    if options.llm and not wanted and options.extractor != "auto":
        raise ValueError(f"--llm is not used with --extractor {options.extractor}: leave one of them out")
    if not options.llm:
        if options.published_sampling:
            raise ValueError("--published-sampling is for an LLM: name one with --llm")
        return None
    from dataclasses import replace

    from affectgpt.extractors import llm
    from affectgpt.extractors.cache import AnswerCache, default_folder

    model = llm.open_model(options.llm, options.batch_size, options.device)
    decoding = replace(llm.PUBLISHED, seed=options.seed) if options.published_sampling else llm.Decoding()
    return llm.Asker(model, AnswerCache(options.cache or default_folder()), decoding)


def label_file(source: Path, output: Path, extractor: str = "auto", sentiment: str = "answer", asker=None) -> Counter:
    """Label every row of a file; the output appears whole or not at all, and memory does not grow with the file.

    Returns:
        counts of rows by what became of them, for `summary`.
    Raises:
        ValueError: no such file, a row that is no JSON object, or no row with an answer.
    """
    from tqdm import tqdm

    if output.resolve() == source.resolve():
        raise ValueError(f"--output {output}: is the input; name another file")
    counts: Counter = Counter()
    total = _count_lines(source)
    labeller = Labeller(extractor, sentiment, asker, counts)
    with tqdm(total=total, desc="labels", unit="row", disable=None) as progress:
        write_jsonl(output, _labelled(source, labeller, progress))
    if asker is not None:
        counts.update({"llm asked": asker.asked, "llm from cache": asker.hits, "llm no list": asker.not_a_list,
                       "llm no polarity": asker.no_polarity, "llm refused": asker.refused})
    return counts


def _count_lines(source: Path) -> int | None:
    try:
        with source.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError:
        return None  # read_jsonl says what is wrong


def _labelled(source: Path, labeller: Labeller, progress) -> Iterator[dict]:
    rows, counts = read_jsonl(source), labeller.counts
    while chunk := [row for _, row in islice(rows, CHUNK)]:
        yield from labeller.label(chunk)
        progress.update(len(chunk))
    if counts["rows"] == counts["no response"] + counts["no answer"]:  # raised here, so that nothing is written
        raise ValueError(f"{source}: none of its {counts['rows']} rows has an answer; each needs a \"response\" "
                         "that is text, as `affectgpt generate` writes it")


class Labeller:
    """Labels chunks of rows and counts what became of them.

    Args:
        extractor: one of `EXTRACTORS`; sentiment: one of `SENTIMENTS`.
        asker: `extractors.llm.Asker`, or None.
    """

    def __init__(self, extractor: str, sentiment: str, asker, counts: Counter):
        from affectgpt.words import lexicon

        self.extractor, self.sentiment, self.asker, self.counts = extractor, sentiment, asker, counts
        self.lexicon = lexicon.load()
        self.rules = rules.RuleExtractor(self.lexicon)
        self.describes = {"auto": "llm" if asker else "rules", "list": None}.get(extractor, extractor)

    def label(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows with labels_raw, sentiment_raw, labels_from; a row without an answer comes back as it is."""
        labelled, asked = [], []
        for row in rows:
            self.counts["rows"] += 1
            answer = row.get("response")
            readable = isinstance(answer, str) or isinstance(answer, list) and all(isinstance(x, str) for x in answer)
            if row.get("no_answer") or not readable:  # what was refused or skipped is no answer, and so no emotion
                self.counts["no answer" if row.get("no_answer") else "no response"] += 1
                labelled.append((row, None))
                continue
            self.counts["replaced"] += "labels_raw" in row
            found = self._read(answer, row.get("question"))
            if found["from"] == "llm":
                asked.append(found)
            labelled.append((row, found))
        if asked:
            for found, labels in zip(asked, self.asker.labels([found["text"] for found in asked]), strict=True):
                found.update(labels=labels, sentiment=None)
        given = [found for _, found in labelled if found is not None]
        self._add_sentiments(given)
        return [row if found is None else self._finished(row, found) for row, found in labelled]

    def _read(self, answer: str | list, question: str | None) -> dict:
        """What one answer gives without an LLM: labels, sentiment (None for a vote of the labels), valence, text."""
        if isinstance(answer, list):
            return {"from": "list", "labels": parse_labels(answer), "text": "", "stated": None, "valence": None,
                    "sentiment": None}
        if len(answer) > LONG_ANSWER:
            self.counts["too long"] += 1
        text = lists.shorten(lists.clean(answer), LONG_ANSWER)
        found = {"from": "list", "labels": [], "text": text, "sentiment": None, "stated": lists.stated_polarity(text),
                 "valence": lists.stated_valence(text) if question == "valence" else None}
        if question in ("sentiment", "valence") and (found["stated"] or found["valence"] is not None):
            return found
        labels = lists.listed(text) if self.extractor in ("auto", "list") else None
        if labels is not None or self.describes is None or not text:
            self.counts["no list"] += labels is None and bool(text)
            return found | {"labels": labels or []}
        if self.describes == "llm":
            return found | {"from": "llm"}
        extraction = self.rules.extract(text)
        return found | {"from": "rules", "labels": list(extraction.labels), "sentiment": extraction.sentiment}

    def _add_sentiments(self, given: list[dict]) -> None:
        if self.sentiment == "llm":
            answers = self.asker.sentiments([found["labels"] for found in given])
            for found, sentiment in zip(given, answers, strict=True):
                found["sentiment"] = sentiment
            return
        for found in given:
            voted = found["sentiment"] or rules.vote(found["labels"], self.lexicon)
            found["sentiment"] = (found["stated"] if self.sentiment == "answer" else None) or voted

    def _finished(self, row: dict, found: dict) -> dict:
        source = f"llm:{self.asker.model.name}" if found["from"] == "llm" else found["from"]
        self.counts[f"from {found['from']}"] += 1
        self.counts["without labels"] += not found["labels"]
        self.counts[found["sentiment"]] += 1
        added = {"labels_raw": f"[{', '.join(found['labels'])}]", "sentiment_raw": found["sentiment"]}
        if row.get("question") == "valence":
            added["valence"] = found["valence"]
            self.counts["no valence"] += found["valence"] is None
        return row | added | {"labels_from": source}


EXPLAINED = {
    "rows": "rows", "from list": "  read as lists", "from rules": "  by rules", "from llm": "  by the LLM",
    "no response": "  without a response: left as they are",
    "no answer": "  refused, empty or skipped: left as they are",
    "without labels": "answers without any label: []",
    "no list": "answers that are no list: []", "no valence": "valence questions answered without a number",
    "too long": f"answers over {LONG_ANSWER:,} characters, cut", "replaced": "rows that had labels_raw, replaced",
    **{sentiment: f"sentiment {sentiment}" for sentiment in POLARITIES},
    "llm asked": "texts that the LLM answered", "llm from cache": "texts that the cache answered",
    "llm no list": "LLM answers that are no list: []", "llm no polarity": "LLM answers without a polarity: neutral",
    "llm refused": "texts that the server refused: []",
}


def summary(counts: Counter) -> str:
    """One line a count; those that are 0 are left out, but never the rows."""
    return "\n".join(f"{explained:<46}{counts[key]:>9,}" for key, explained in EXPLAINED.items()
                     if counts[key] or key == "rows")


if __name__ == "__main__":
    sys.exit(run_cli(main))
