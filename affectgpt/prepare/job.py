"""A corpus as it was downloaded -> a manifest of what can be used, a list of what cannot and why, and a report.

    affectgpt prepare ravdess --root /data/ravdess --output prepared/ravdess
    affectgpt prepare folder --root recordings --output prepared/recordings --transcribe
    affectgpt prepare manifest --root new.jsonl --output prepared/new --against prepared/test/manifest.jsonl

CORPUS is a name of `affectgpt data list`, or "folder" for all media below a folder. Every file is opened once, in
several processes. Started again after a kill it goes on where it was, and ends with the same files; started again
later it looks only at what has changed. Exit code 3: clips are shared with --against, or between splits.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from affectgpt.files import FULL, atomic_write_text, full, only_writer, write_jsonl
from affectgpt.terminal import parse_intermixed, printable

MANIFEST, SKIPPED, SHARED, REPORT = "manifest.jsonl", "skipped.jsonl", "shared.jsonl", "report.html"
AUDIO, FACES = "audio", "faces"
LEAKS = 3
"""Exit code where clips are shared."""
FILE_SECONDS = 300.0
"""On the clock, for one file; the limits of `affectgpt.media.limits` on CPU time end nearly all before."""
SHOWN_REASONS = 5
"""Kinds of reasons, and of notes, that the screen shows; the report has all."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt prepare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar="CORPUS", help="its name in `affectgpt data list`, or folder")
    parser.add_argument("options", nargs="*", metavar="key=value", help="options of the corpus's reader")
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of the corpus, or the manifest")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where everything is written")
    parser.add_argument("--against", type=Path, nargs="+", default=[], metavar="MANIFEST",
                        help="manifests of corpora with which no clip may be shared")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="that read files (default: one a CPU)")
    parser.add_argument("--limit", type=float, default=FILE_SECONDS, metavar="SECONDS",
                        help=f"the longest time for one file (default: {FILE_SECONDS:g}; with --transcribe 600 more)")
    parser.add_argument("--no-faces", action="store_true", help="find no faces where there are no official crops")
    parser.add_argument("--extract-audio", action="store_true", help="write the sound of videos to files of their own")
    parser.add_argument("--transcribe", action="store_true", help="recognise English words where a clip has none")
    parser.add_argument("--again", action="store_true", help="try the files again that were skipped before")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    if options.processes < 1 or not 0 < options.limit < 1e6:
        raise ValueError(f"--processes is {options.processes} and --limit is {options.limit:g}: use 1 or more, and "
                         "more than 0")
    return prepare(options)


def prepare(options: argparse.Namespace) -> int:
    """Run the job; returns the exit code.

    Raises:
        ValueError: nothing can be used, another process is at it, or the disk is full.
    """
    try:
        return _prepare(options)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ValueError(full(options.output, error)) from error


def _prepare(options: argparse.Namespace) -> int:
    from affectgpt.data.links import Links
    from affectgpt.data.readers import read_corpora
    from affectgpt.prepare.inspect import Work
    from affectgpt.prepare.journal import NAME, Journal, digest_of

    clips = read_clips(options.corpus, options.root, options.options)
    against = read_corpora([str(path) for path in options.against]) if options.against else []
    if options.transcribe:
        from affectgpt.media.speech import recogniser_folder

        recogniser_folder()  # converted once, before the processes start
    root = options.root if options.root.is_dir() else options.root.parent
    work = Work(root.resolve(), (options.output / AUDIO).resolve() if options.extract_audio else None,
                options.transcribe, None if options.no_faces else (options.output / FACES).resolve())
    with only_writer(options.output):
        links = Links([root], options.output)
        links.make()
        journal = Journal(options.output / NAME)
        digests = [digest_of(clip, work) for clip in clips]
        todo = [number for number, clip in enumerate(clips)
                if not journal.holds(digests[number], clip, work, options.again)]
        tasks = ((digests[number], clips[number], work) for number in todo)
        write_jsonl(journal.path, _found(tasks, len(clips), len(todo), options), append=True)
        return _write(options, clips, Journal(journal.path), digests, links, against)


def read_clips(corpus: str, root: Path, words: Iterable[str]) -> list:
    """Clips of a corpus, or of the media below a folder.

    Raises:
        ValueError: as the corpus's reader; an option that it does not have; no clip.
    """
    from affectgpt.data.readers import check_unique, option_words, reader_of

    values = option_words(words)
    if corpus == "folder":
        if values:
            raise ValueError(f"folder has no option {next(iter(values))!r}")
        return _folder_clips(root)
    reader = reader_of(corpus, "affectgpt prepare")
    clips = check_unique(reader.read(root, **reader.typed_options(values, "affectgpt prepare")))
    if not clips:
        raise ValueError(f"{root}: the reader {corpus} finds no clip there; `affectgpt data info {corpus}` shows the "
                         "layout")
    return clips


def _folder_clips(root: Path) -> list:
    from affectgpt.data.clip import Clip
    from affectgpt.media.finding import search

    if not root.is_dir():
        raise ValueError(f"{root}: is no folder; name the folder of the media with --root")
    found = search([root])
    files = sorted([*found.files, *(path for path, _ in found.unusable if path != root)])
    if not files:
        raise ValueError(f"{found.unusable[0][0]}: {found.unusable[0][1]}")
    name = root.resolve().name
    return [Clip(id=str(file.relative_to(root)), corpus=name, media=file, provenance=str(file)) for file in files]


def _found(tasks: Iterator, clips: int, todo: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is found out about the clips that the journal does not hold, as it comes, with a progress bar."""
    from tqdm import tqdm

    from affectgpt.prepare.inspect import LONGEST_SPEECH, STOP, inspect, skipped
    from affectgpt.prepare.workers import run_all

    def failed(task: tuple, why: str) -> dict[str, Any]:
        return skipped(task, f"{task[1].media or task[1].key}: {why}")

    bar = tqdm(total=clips, initial=clips - todo, unit="clip", file=sys.stderr, disable=None, desc="prepare")
    with bar:
        processes = min(options.processes, max(1, todo))
        seconds = options.limit + (LONGEST_SPEECH if options.transcribe else 0)
        for row in run_all(inspect, tasks, processes, seconds, failed, prepare_process):
            if STOP in row:
                raise ValueError(row[STOP])  # a disk that is full
            yield row
            bar.update()


def prepare_process() -> None:
    """What a process needs before its first file."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there are as many processes as CPUs
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # with --transcribe
    import cv2

    cv2.setNumThreads(1)
    from affectgpt.words import lexicon

    lexicon.load()


def _write(options: argparse.Namespace, clips: list, journal, digests: list[str], links, against: list) -> int:
    """Manifest, lists and report from the journal, in the reader's order; the exit code."""
    from affectgpt.data.corpora import count_notes
    from affectgpt.data.readers import record_of
    from affectgpt.data.readers.manifest import clip_to_row
    from affectgpt.prepare import leaks
    from affectgpt.prepare.companions import companion_notes
    from affectgpt.prepare.inspect import one_line, prepared
    from affectgpt.prepare.report import Summary, page_of

    sizes = {entry[0] for row in journal.rows(iter(digests)) for entry in row["files"][:1] if entry}
    search, summary, lost = leaks.Search(leaks.hashed(against, sizes)), Summary(), []

    def rows() -> Iterator[dict[str, Any]]:
        for clip, row in zip(clips, journal.rows(iter(digests)), strict=True):
            reason = row.get("skipped")
            if reason is None:
                ready = prepared(clip, row)
                try:
                    paths = {key: links.through(path) for key in ("media", "audio", "face")
                             if (path := getattr(ready, key)) is not None}
                    values = clip_to_row(replace(ready, **paths), options.output)
                except ValueError as error:
                    reason = one_line(str(error))
                else:
                    search.add(ready)
                    summary.add(clip, row)
                    yield values
                    continue
            lost.append({"clip": clip.key, "file": str(clip.media or clip.audio or ""), "reason": reason})
            summary.lose(clip, reason, links.roots[0])

    count = write_jsonl(options.output / MANIFEST, rows())
    write_jsonl(options.output / SKIPPED, lost)
    found = search.leaks
    write_jsonl(options.output / SHARED, [*found.shared, *found.twins])
    record = record_of(clips[0].corpus)
    notes = count_notes(record, clips) if record else []
    notes += companion_notes(record, links.roots[0], summary.clips, summary.streams["words"], summary.pictures,
                             summary.official_faces)
    atomic_write_text(options.output / REPORT, page_of(summary, found, notes, record, options))
    if not count:
        raise ValueError(f"{options.root}: none of {len(lost)} clips can be used; {options.output / SKIPPED} says why, "
                         f"the first: {lost[0]['reason']}")
    print(f"manifest: {printable(str(options.output / MANIFEST))}: {count:,} of {len(clips):,} clips")
    if lost:
        print(f"skipped:  {len(lost):,} clips, with reasons in {printable(str(options.output / SKIPPED))}")
    for reason, number in summary.reasons.most_common(SHOWN_REASONS):
        print(f"          {number:,}: {printable(reason)}, as {printable(summary.examples[reason])}")
    if options.transcribe:
        print(f"words:    recognised in {summary.recognised:,} clips")
    for note in notes:
        print(f"note:     {printable(note)}")
    for note, number in summary.notes.most_common(SHOWN_REASONS):
        print(f"noticed:  {number:,} clips: {printable(note)}")
    print(f"report:   {printable(str(options.output / REPORT))}")
    if found.found:
        print(f"error: {len(found.shared):,} clips are shared with {len(options.against)} other corpora, and "
              f"{len(found.between_splits):,} are in two splits; {printable(str(options.output / SHARED))} lists them",
              file=sys.stderr)
    else:
        print("next:     affectgpt train RECIPE data.manifests="
              f"{printable(shlex.quote(str(options.output / MANIFEST)))}")
    return LEAKS if found.found else 0
