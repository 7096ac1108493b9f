"""Labels and sentiment of a model's answers: answers.jsonl -> answers.labels.jsonl, the input of `affectgpt score`.

An answer that is a list is read as it is. A description goes to the extractor: rules (no model, the default), or an LLM
where --llm names one. A refusal, an empty answer, and one in a language that cannot be read get no labels but a
`no_answer` that says which; every row says who made its labels. Every row is kept; lines that are no row are counted
with their place. The work is a function of the file alone: a stopped job is started again and finds the LLM's answers
in the cache.

examples:
  affectgpt label runs/starter/answers.jsonl
  affectgpt label answers.jsonl --llm endpoint:http://localhost:8000/v1#Qwen/Qwen2.5-7B-Instruct
  affectgpt label answers.jsonl --llm hf:starter:smollm2-135m-instruct --sentiment llm --output labelled.jsonl
"""

from __future__ import annotations

import argparse
import json
import math
import re
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
from affectgpt.extractors import reading, rules
from affectgpt.extractors.language import language_of
from affectgpt.files import write_jsonl
from affectgpt.metrics.rows import LONG_ANSWER, Problems
from affectgpt.words.basic import POLARITIES

EXTRACTORS = ("auto", "list", "rules", "llm")
SENTIMENTS = ("answer", "rules", "llm")
NO_ANSWERS = ("refusal", "empty", "unread")
MADE = ("labels_raw", "sentiment_raw", "valence", "labels_from", "extractor", "language")
LABELLED = (*MADE, "no_answer")
"""Keys that this job writes; those of an earlier run are replaced."""
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
    problems = Problems()
    counts = label_file(source, output, options.extractor, options.sentiment, asker_of(options), problems)
    print("\n".join([summary(counts), *problems.lines()]))
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


def label_file(source: Path, output: Path, extractor: str = "auto", sentiment: str = "answer", asker=None,
               problems: Problems | None = None) -> Counter:
    """Label every row of a file; the output appears whole or not at all, and memory does not grow with the file.

    problems: where odd lines and rows are counted, with their places.

    Returns:
        counts of rows by what became of them, for `summary`.
    Raises:
        ValueError: no such file, or no row with an answer.
    """
    from tqdm import tqdm

    if output.resolve() == source.resolve():
        raise ValueError(f"--output {output}: is the input; name another file")
    counts: Counter = Counter()
    total = _count_lines(source)
    labeller = Labeller(extractor, sentiment, asker, counts, Problems() if problems is None else problems)
    with tqdm(total=total, desc="labels", unit="row", disable=None) as progress:
        write_jsonl(output, _labelled(source, labeller, progress))
    if asker is not None:
        counts.update({"llm asked": asker.asked, "llm from cache": asker.hits, "llm no list": asker.not_a_list,
                       "llm no polarity": asker.no_polarity, "llm refused": asker.refused})
    return counts


def _count_lines(source: Path) -> int:
    try:
        with source.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError as error:
        raise ValueError(f"{source}: cannot be read ({error.strerror or 'no such file'})".replace(
            "No such file or directory", "no such file")) from error


def _labelled(source: Path, labeller: Labeller, progress) -> Iterator[dict]:
    rows, counts = _rows(source, labeller.problems), labeller.counts
    while chunk := list(islice(rows, CHUNK)):
        yield from labeller.label([row for _, row in chunk], [place for place, _ in chunk])
        progress.update(len(chunk))
    if counts["rows"] == counts["no response"] + counts["no answer"]:  # raised here, so that nothing is written
        raise ValueError(f"{source}: none of its {counts['rows']} rows has an answer; each needs a \"response\" "
                         "that is text, as `affectgpt generate` writes it")


def _text_of(value: Any) -> str | None:
    """A key's value where it is text; any other is as if it were not there."""
    return value if isinstance(value, str) else None


_HUGE_OR_TORN = re.compile(rb"\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}")


def _rows(source: Path, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, row) of every line that is a JSON object; numbers that JSON does not have become null. Both counted."""
    with source.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place, odd = f"{source.name}:{number}", []
            try:
                row = json.loads(line.decode().lstrip("\ufeff"), parse_constant=odd.append)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict) and _HUGE_OR_TORN.search(line):
                row = _writable(row, odd)
            if not isinstance(row, dict):
                problems.add("unreadable_row", place)
                continue
            if odd:
                problems.add("odd_value", place)
            yield place, row


def _writable(value: Any, odd: list) -> Any:
    """A JSON value without infinity and without halves of characters; what was changed is added to `odd`."""
    if isinstance(value, dict):
        return {_writable(key, odd): _writable(part, odd) for key, part in value.items()}
    if isinstance(value, list):
        return [_writable(part, odd) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return odd.append(value)
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        odd.append(value)
        return value.encode("utf-8", "replace").decode()
    return value


class Labeller:
    """Labels chunks of rows and counts what became of them.

    Args:
        extractor: one of `EXTRACTORS`; sentiment: one of `SENTIMENTS`.
        asker: `extractors.llm.Asker`, or None. problems: where odd rows are counted, with their places.
    """

    def __init__(self, extractor: str, sentiment: str, asker, counts: Counter, problems: Problems | None = None):
        from affectgpt.words import lexicon

        self.extractor, self.sentiment, self.asker, self.counts = extractor, sentiment, asker, counts
        self.problems = Problems() if problems is None else problems
        self.lexicon = lexicon.load()
        self.describes = {"auto": "llm" if asker else "rules", "list": None}.get(extractor, extractor)

    def label(self, rows: list[dict[str, Any]], places: list[str] | None = None) -> list[dict[str, Any]]:
        """Rows with the keys of `LABELLED`; a row without an answer comes back as it is.

        places: where the rows stand in their file, for the problems.
        """
        labelled, asked = [], []
        for row, place in zip(rows, places or [""] * len(rows), strict=True):
            self.counts["rows"] += 1
            if row.get("no_answer") and "extractor" not in row:  # told by who asked; what `label` told is read again
                self.counts["no answer"] += 1
                labelled.append(({key: value for key, value in row.items() if key not in MADE}, None))
                continue
            answer = self._answer(row.get("response"), place)
            if answer is None:
                labelled.append((row, None))
                continue
            self.counts["replaced"] += "labels_raw" in row
            found = self._read(answer, row)
            if found["from"] == "llm":
                asked.append(found)
            labelled.append((row, found))
        if asked:
            for found, labels in zip(asked, self.asker.labels([found["text"] for found in asked]), strict=True):
                found.update(labels=labels, sentiment=None)
        self._add_sentiments([found for _, found in labelled if found is not None and not found["no_answer"]])
        return [row if found is None else self._finished(row, found) for row, found in labelled]

    def _answer(self, response: Any, place: str) -> str | list[str] | None:
        """What is read of a response: its text, or the texts of its list; None where it has neither."""
        if isinstance(response, list):
            texts = [part for part in response if isinstance(part, str)]
            if texts or not response:
                if len(texts) < len(response):
                    self.problems.add("odd_label", place)
                return texts
        if isinstance(response, str):
            return response
        self.counts["no response"] += 1
        if response is not None:
            self.problems.add("odd_response", place)
        return None

    def _read(self, answer: str | list, row: dict[str, Any]) -> dict:
        """What one answer gives without an LLM; `affectgpt.extractors.reading` is the reader of every language."""
        if isinstance(answer, list):
            text = ", ".join(answer)
            read = reading.Reading(reading.labels_of_list(answer), language=language_of(text), text=text)
        else:
            self.counts["too long"] += len(answer) > LONG_ANSWER
            question = _text_of(row.get("question"))
            read = reading.read(answer, question, self.extractor in ("auto", "list"), self.describes,
                                LONG_ANSWER, row.get("cut_off") is True)
            self.counts["no list"] += self.describes is None and not read.labels and bool(read.text)
        return {"from": read.source, "labels": list(read.labels), "text": read.text, "sentiment": read.sentiment,
                "stated": read.stated, "valence": read.valence, "no_answer": read.no_answer, "language": read.language}

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
        kept = {key: value for key, value in row.items() if key not in LABELLED}
        self.counts[f"language {found['language']}"] += 1
        if found["no_answer"]:
            self.counts[found["no_answer"]] += 1
            return kept | {"no_answer": found["no_answer"], "extractor": self._made_by(found["from"])[1],
                           "language": found["language"]}
        source, extractor = self._made_by(found["from"])
        self.counts["from list" if source == "list" else "from llm" if source.startswith("llm") else "from rules"] += 1
        self.counts["without labels"] += not found["labels"]
        self.counts[found["sentiment"]] += 1
        added = {"labels_raw": f"[{', '.join(found['labels'])}]", "sentiment_raw": found["sentiment"]}
        if row.get("question") == "valence":
            added["valence"] = found["valence"]
            self.counts["no valence"] += found["valence"] is None
        return kept | added | {"labels_from": source, "extractor": extractor, "language": found["language"]}

    def _made_by(self, source: str) -> tuple[str, str]:
        """(source, extractor with its version) of labels."""
        if source == "llm":
            return (name := f"llm:{self.asker.model.name}"), name
        if source == "chinese":
            from affectgpt.extractors import chinese

            return "rules", chinese.VERSION
        return ("list", "list") if source == "list" else ("rules", rules.VERSION)


EXPLAINED = {
    "rows": "rows", "from list": "  read as lists", "from rules": "  by rules", "from llm": "  by the LLM",
    "no response": "  without a response: left as they are",
    "no answer": "  refused, empty or skipped: left as they are", "refusal": "  refusals: no answer",
    "empty": "  empty: no answer", "unread": "  in a language that cannot be read: no answer",
    "without labels": "answers without any label: []",
    "no list": "answers that are no list: []", "no valence": "valence questions answered without a number",
    "too long": f"answers over {LONG_ANSWER:,} characters, cut", "replaced": "rows that had labels_raw, replaced",
    **{sentiment: f"sentiment {sentiment}" for sentiment in POLARITIES},
    "llm asked": "texts that the LLM answered", "llm from cache": "texts that the cache answered",
    "llm no list": "LLM answers that are no list: []", "llm no polarity": "LLM answers without a polarity: neutral",
    "llm refused": "texts that the server refused: []",
}


def summary(counts: Counter) -> str:
    """One line a count; those that are 0 are left out, but never the rows. No answers have their rate."""
    lines = []
    for key, explained in EXPLAINED.items():
        if counts[key] or key == "rows":
            rate = f"  {100 * counts[key] / counts['rows']:.1f} %" if key in NO_ANSWERS else ""
            lines.append(f"{explained:<46}{counts[key]:>9,}{rate}")
    languages = {key.removeprefix("language "): count for key, count in counts.items() if key.startswith("language ")}
    if set(languages) - {"en"}:
        lines.append("languages: " + ", ".join(f"{language} {count:,}" for language, count in
                                               sorted(languages.items(), key=lambda pair: -pair[1])))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_cli(main))
