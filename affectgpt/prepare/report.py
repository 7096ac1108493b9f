"""The page that says what is in a prepared corpus: durations, labels, streams, languages, what was lost, leaks.

It has the form of the page of `affectgpt report`, needs nothing else, and says nothing of when it was made, so that
the same corpus gives the same page.
"""

from __future__ import annotations

import argparse
import re
from bisect import bisect_right
from collections import Counter
from pathlib import Path

from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.eval.reporting import page
from affectgpt.media.speaking import RULES
from affectgpt.prepare.leaks import Leaks

EDGES = (0.5, 1, 2, 5, 10, 30, 60, 300)
"""Seconds between which clips are counted."""
SHOWN_LABELS, SHOWN_ROWS, SHOWN_OF_A_REASON = 40, 100, 10
STREAMS_SHOWN = {"video": "picture", "audio": "sound", "face": "a face", "words": "words"}


class Summary:
    """What the page shows of the clips, counted one by one."""

    def __init__(self) -> None:
        self.clips, self.seconds, self.targets = 0, 0.0, 0
        self.splits, self.streams, self.lengths = Counter(), Counter(), Counter()
        self.labels, self.unknown, self.languages = Counter(), Counter(), Counter()
        self.notes, self.reasons, self.lost_splits = Counter(), Counter(), Counter()
        self.rules: Counter[str] = Counter()
        self.recognised = self.pictures = self.official_faces = 0
        self.examples: dict[str, str] = {}
        self.contradictions: list[tuple[str, str]] = []
        self.lost: list[tuple[str, str]] = []

    def add(self, clip: Clip, row: dict) -> None:
        """Count a clip that can be used."""
        self.clips += 1
        self.splits[clip.split or "(none)"] += 1
        self.streams.update(row.get("streams", []))
        self.recognised += "words" in row
        self.pictures += "video" in row.get("streams", [])
        self.official_faces += "face" in row and "rule" not in row
        if "seconds" in row:
            self.seconds += row["seconds"]
            self.lengths[bisect_right(EDGES, row["seconds"])] += 1
        if "face" in row:
            self.rules[RULES.get(row.get("rule"), "crops or a track of the corpus")] += 1
        self.labels.update(row.get("labels", []))
        self.unknown.update(row.get("unknown", []))
        if "words" in row.get("streams", []):
            self.languages[row.get("language", "(not told by the words)")] += 1
        self.notes.update(_kind(note, clip) for note in row.get("notes", []))
        if "contradiction" in row:
            self.contradictions.append((clip.key, row["contradiction"]))

    def lose(self, clip: Clip, reason: str, root: Path) -> None:
        """Count a clip that cannot be used; `root` is the folder below which its file is shown."""
        self.lost_splits[clip.split or "(none)"] += 1
        kind = _kind(reason, clip)
        self.reasons[kind] += 1
        if kind not in self.examples:
            file = next((path for path in (clip.media, clip.audio) if path is not None and str(path) in reason),
                        clip.media or clip.audio)
            self.examples[kind] = clip.key if file is None else str(file)
            for place in (root, root.resolve()):
                if file is not None and file.is_relative_to(place):
                    self.examples[kind] = f"{file.relative_to(place)} below {root}"
        if self.reasons[kind] <= SHOWN_OF_A_REASON and len(self.lost) < SHOWN_ROWS:
            self.lost.append((clip.key, reason))


def _kind(reason: str, clip: Clip) -> str:
    """A reason without the file that it names and the numbers in it, so that like ones are counted together."""
    for path in (clip.media, clip.audio, clip.face, clip.provenance or None, clip.key):
        reason = reason.replace(f"{path}: ", "").replace(str(path), "the file") if path is not None else reason
    text = reason.rpartition(": ")[2] if reason.startswith(("/", ".")) else reason
    return re.sub(r"[0-9]+(\.[0-9]+)?", "#", text)


def page_of(summary: Summary, leaks: Leaks, notes: list[str], record: Corpus | None,
            options: argparse.Namespace) -> str:
    """The whole page as HTML."""
    title = f"Corpus {page.clean(record.title if record else options.root.resolve().name)}"
    lost = sum(summary.reasons.values())
    blocks = [page.heading(1, title), {"kind": "cards", "cards": _cards(summary, leaks, lost)}]
    blocks += [{"kind": "warning", "text": page.clean(note, page.LONGEST_TEXT)} for note in notes]
    blocks += _leaks(leaks, options) + _streams(summary) + _labels(summary) + _languages(summary) + _lost(summary, lost)
    if record:
        blocks += [page.heading(2, "The corpus", "corpus"), page.table(["what", "value"], [
            [name, page.clean(value, page.LONGEST_TEXT)] for name, value in
            (("title", record.title), ("licence", record.licence), ("access", record.access))], numbers=set())]
    return page.as_html(title, blocks, Path())


def _cards(summary: Summary, leaks: Leaks, lost: int) -> list[dict]:
    whole = summary.clips + lost
    return [
        {"title": "clips that can be used", "value": f"{summary.clips:,}", "detail": f"of {whole:,}",
         "text": f"{lost:,} cannot be used." if lost else "All can be used."},
        {"title": "hours", "value": f"{summary.seconds / 3600:,.2f}", "detail": "of picture or sound",
         "text": f"{summary.seconds / summary.clips:.1f} s a clip." if summary.clips else ""},
        {"title": "clips of other sets", "value": f"{len(leaks.shared) + len(leaks.between_splits):,}",
         "detail": "shared with --against, or in two splits",
         "text": "Do not train on them." if leaks.found else "None was found."},
    ]


def _leaks(leaks: Leaks, options: argparse.Namespace) -> list[dict]:
    blocks = [page.heading(2, "Leaks and duplicates", "leaks")]
    names = ", ".join(page.clean(path) for path in options.against)
    blocks.append({"kind": "text", "text": f"Compared with {names}." if names else
                   "Compared with no other corpus: name manifests with --against."})
    for title, rows in (("Shared with another corpus", leaks.shared), ("In two splits", leaks.between_splits),
                        ("Twice in one split", [row for row in leaks.twins if row["split"] == row["twin_split"]])):
        if rows:
            cells = [[page.clean(row["clip"]), page.clean(row["split"]), page.clean(row["twin"]),
                      page.clean(row["twin_split"]), row.get("by", "content")] for row in rows[:SHOWN_ROWS]]
            blocks += [page.heading(3, f"{title}: {len(rows):,}"),
                       page.table(["clip", "split", "the same as", "of split", "told by"], cells, numbers=set(),
                                  caption=_more(len(rows), SHOWN_ROWS, "shared.jsonl lists all"))]
    return blocks + [{"kind": "text", "text": "No clip is there twice."}] * (not leaks.twins and not leaks.shared)


def _streams(summary: Summary) -> list[dict]:
    edges = ["0", *(f"{edge:g}" for edge in EDGES)]
    names = [f"{low} to {high} s" for low, high in zip(edges, edges[1:], strict=False)] + [f"{edges[-1]} s and more"]
    splits = [[page.clean(split), f"{summary.splits[split]:,}", f"{summary.lost_splits[split]:,}"]
              for split in dict.fromkeys([*summary.splits, *summary.lost_splits])]
    blocks = [page.heading(2, "Clips and streams", "streams"),
              page.table(["split", "can be used", "cannot"], splits),
              page.table(["clips with", "clips", "share"], [
                  [name, f"{summary.streams[stream]:,}", _share(summary.streams[stream], summary.clips)]
                  for stream, name in STREAMS_SHOWN.items()])]
    if summary.lengths:
        blocks.append(page.table(["duration", "clips", "share"], [
            [name, f"{summary.lengths[place]:,}", _share(summary.lengths[place], summary.clips)]
            for place, name in enumerate(names) if summary.lengths[place]]))
    if summary.rules:
        blocks.append(page.table(["the face was chosen by", "clips", "share"], [
            [page.clean(rule), f"{count:,}", _share(count, summary.clips)] for rule, count in
            _most(summary.rules, SHOWN_LABELS)]))
    if summary.notes:
        blocks += [page.heading(3, "What was noticed"), page.table(["note", "clips"], [
            [page.clean(note), f"{count:,}"] for note, count in _most(summary.notes, SHOWN_LABELS)])]
    return blocks


def _labels(summary: Summary) -> list[dict]:
    blocks = [page.heading(2, "Labels", "labels")]
    if not summary.labels:
        return [*blocks, {"kind": "text", "text": "No clip has labels."}]
    whole, unknown = sum(summary.labels.values()), sum(summary.unknown.values())
    blocks.append({"kind": "text", "text": f"{whole:,} labels, {len(summary.labels):,} different; " + (
                       f"{unknown:,} ({_share(unknown, whole)}) are unknown to the lexicon, so no polarity follows "
                       "from them." if unknown else "the lexicon knows all.")})
    blocks.append(page.table(["label", "clips", "known"], [
        [page.clean(label), f"{count:,}", "no" if label in summary.unknown else "yes"]
        for label, count in _most(summary.labels, SHOWN_LABELS)], numbers={1},
        caption=_more(len(summary.labels), SHOWN_LABELS, "the most frequent are shown")))
    if summary.contradictions:
        blocks += [page.heading(3, f"Targets that contradict each other: {len(summary.contradictions):,}"),
                   page.table(["clip", "what"], [[page.clean(clip), page.clean(what)] for clip, what in
                                                 summary.contradictions[:SHOWN_ROWS]], numbers=set(),
                              caption=_more(len(summary.contradictions), SHOWN_ROWS, "the first are shown"))]
    return blocks


def _languages(summary: Summary) -> list[dict]:
    blocks = [page.heading(2, "Languages of the words", "languages")]
    if not summary.languages:
        return [*blocks, {"kind": "text", "text": "No clip has words."}]
    whole = sum(summary.languages.values())
    return [*blocks, page.table(["language", "clips", "share"], [
        [page.clean(name), f"{count:,}", _share(count, whole)] for name, count in _most(summary.languages, 40)])]


def _lost(summary: Summary, lost: int) -> list[dict]:
    if not lost:
        return []
    return [page.heading(2, "What cannot be used", "lost"),
            page.table(["reason", "clips", "such as"], [
                [page.clean(reason), f"{count:,}", page.clean(summary.examples[reason], 240)]
                for reason, count in _most(summary.reasons, SHOWN_LABELS)], numbers={1}),
            page.table(["clip", "why"], [[page.clean(clip), page.clean(reason, 240)] for clip, reason in summary.lost],
                       numbers=set(), caption=_more(lost, len(summary.lost), "skipped.jsonl lists all"))]


def _most(counts: Counter, longest: int) -> list[tuple[str, int]]:
    """The most frequent first; equal ones by name, so that the page does not depend on the order of clips."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:longest]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _more(whole: int, shown: int, words: str) -> str:
    return f"{whole - shown:,} more; {words}." if whole > shown else ""
