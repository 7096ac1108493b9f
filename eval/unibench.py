"""MER-UniBench by one command: all nine sets, or those that are there, and their mean.

    affectgpt unibench --predictions labelled/ --wheels wheels/mer2025 --output unibench
    affectgpt unibench --predictions test/ --select-on validation/ --output unibench
    affectgpt unibench --model runs/mine --corpora prepared/ --output unibench \\
        --llm endpoint:http://127.0.0.1:8000/v1#qwen
    affectgpt unibench --model runs/mine --corpora prepared/ --extra mine=mine/manifest.jsonl:basic --output unibench

--predictions reads SET.jsonl (or SET.labels.jsonl), as `affectgpt label` writes them. --model asks a model about every
prepared corpus SET/manifest.jsonl (or SET.jsonl) of --corpora first; a job that was stopped goes on when it is started
again. Sets: mer2023, mer2024, meld, iemocapfour, cmumosi, cmumosei, sims, simsv2, ovmerdplus.

Every mean is over one fixed checkpoint. Which one is chosen by validation clips (--select-on), by name (--checkpoint),
by the test clips themselves, as the published table did (--select-on-test), or not at all: then every one is shown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.eval.score import add_counting_options, check_resamples, known_sets
from affectgpt.eval.unibench_scores import as_markdown, benchmark
from affectgpt.files import atomic_write_json, atomic_write_text
from affectgpt.metrics.sets import KINDS, SETS

FORWARDED = {"generate": ("batch_size", "checkpoints", "limit", "split", "question", "streams", "features"),
             "label": ("extractor", "llm", "sentiment")}
"""Job -> options that are handed on to it as they are; both also get --device."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt unibench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", metavar="FOLDER", help="labelled predictions, one file a set")
    parser.add_argument("--model", help="model or training output folder, hf:NAME or endpoint:URL#NAME to ask first")
    parser.add_argument("--corpora", metavar="FOLDER", help="with --model: prepared corpora, one a set")
    parser.add_argument("--root", metavar="DIR",
                        help="with --model: folder that media paths start from: DIR/NAME of set NAME, or DIR where "
                             "there is no such folder (default: the folder of each manifest)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME=FILE:KIND",
                        help="one more set, listed apart and not in the mean: FILE has predictions, with --model it is "
                             f"a manifest; KIND: {', '.join(KINDS)}")
    parser.add_argument("--targets", metavar="FOLDER", help="SET.jsonl or SET.csv with the name and target of every "
                        "clip; then clips that no row answers count too")
    parser.add_argument("--checkpoint", metavar="NAME", help="score this one alone")
    parser.add_argument("--select-on", metavar="FOLDER", help="choose the checkpoint by the mean strict score of these "
                        "labelled predictions of validation clips, one file a set")
    parser.add_argument("--select-on-test", action="store_true",
                        help="choose by the clips that are scored, one checkpoint for all sets and one a set, as the "
                             "published table did: optimistic numbers")
    parser.add_argument("--question", help="score answers to this question alone (labels or description); with --model "
                        "also what is asked (default: labels)")
    parser.add_argument("--streams", help="score answers from exactly these streams, for example audio,face,text; with "
                        "--model also what is shown")
    add_counting_options(parser)
    group = parser.add_argument_group("with --model, handed on to `affectgpt generate` and `affectgpt label`")
    for name in ("batch-size", "checkpoints", "limit", "split", "features", "extractor", "llm", "sentiment", "device"):
        group.add_argument(f"--{name}", metavar=name.split("-")[-1].upper())
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    check(options)
    output, extra = Path(options.output), read_extra(options.extra)
    files, kinds = answer(options, extra, output) if options.model else labelled_files(options.predictions, extra)
    summary, results = benchmark(
        files, kinds, wheels=options.wheels, strict_wheels=options.strict_wheels, any_version=options.any_wheels,
        no_published=options.no_published, checkpoint=options.checkpoint, resamples=options.resamples,
        validation=labelled_files(options.select_on, {})[0] if options.select_on else None,
        select_on_test=options.select_on_test, question=options.question,
        targets=target_files(options.targets, files) if options.targets else None, known=known_sets(options.sets),
        streams=options.streams.split(",") if options.streams else None)
    summary["command"] = ["affectgpt", "unibench", *arguments]
    summary["select_on"] = options.select_on
    for what in ("note", "warning"):
        for line in summary[f"{what}s"]:
            print(f"{what}: {line}", file=sys.stderr)
    text = as_markdown(summary)
    try:
        for name, values in results.items():
            atomic_write_json(output / f"{name}.results.json", values)
        atomic_write_json(output / "unibench.json", summary)
        atomic_write_text(output / "unibench.md", text + "\n")
    except OSError as error:
        raise ValueError(f"{output}: cannot be written ({error.strerror}); say where with --output") from error
    folder = options.predictions or output / "predictions"
    print(f"{text}\n\nresults: {output / 'unibench.json'}, {output / 'unibench.md'}\n"
          f"next:    affectgpt report {output / 'unibench.json'} --predictions {folder}")
    return 0


def check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other."""
    if bool(options.predictions) == bool(options.model):
        raise ValueError("give either --predictions FOLDER of labelled files, or --model MODEL with --corpora FOLDER")
    if options.model and not (options.corpora or options.extra):
        raise ValueError("--model: say with --corpora FOLDER where the prepared corpora are")
    names = {*FORWARDED["generate"], *FORWARDED["label"], "device", "corpora", "root"} - {"question", "streams"}
    given = sorted(name for name in names if getattr(options, name))
    if options.predictions and given:
        raise ValueError(f"--{given[0].replace('_', '-')} goes with --model; --predictions are scored as they are")
    if sum(map(bool, (options.checkpoint, options.select_on, options.select_on_test))) > 1:
        raise ValueError("--checkpoint, --select-on and --select-on-test: use one of them")
    if options.model and options.question not in (None, "labels", "description"):
        raise ValueError(f"--question {options.question}: a model is asked for labels or description")
    check_resamples(options.resamples)
    if options.model and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("unibench is one process: ask the model with `torchrun ... affectgpt generate` and `affectgpt "
                         "label`, then use --predictions")


def read_extra(texts: list[str]) -> dict[str, tuple[str, str]]:
    """Name -> (file, kind) of each NAME=FILE:KIND.

    Raises:
        ValueError: another form, a name that is no file name or is taken, or an unknown kind.
    """
    found: dict[str, tuple[str, str]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        file, colon, kind = rest.rpartition(":")
        if not (equals and colon and file):
            raise ValueError(f"--extra {text}: write NAME=FILE:KIND")
        if not re.fullmatch(r"\w[\w.-]{0,60}", name) or name in SETS or name in found or name == "unibench":
            raise ValueError(f"--extra {text}: {name!r} must be made of letters, digits, '-', '_' and '.', and be no "
                             "name of a set or of another --extra")
        if kind not in KINDS:
            raise ValueError(f"--extra {text}: the kind is one of {', '.join(KINDS)}")
        found[name] = (file, kind)
    return found


def labelled_files(folder: str, extra: dict[str, tuple[str, str]]) -> tuple[dict[str, Path], dict[str, str]]:
    """Set -> its file of labelled predictions, and set -> kind, in the order of the published table.

    Raises:
        ValueError: no such folder, or none of the sets in it.
    """
    root, files = Path(folder), {}
    if not root.is_dir():
        raise ValueError(f"{folder}: no such folder of labelled predictions")
    for name in SETS:
        there = [path for path in (root / f"{name}.labels.jsonl", root / f"{name}.jsonl") if path.is_file()]
        if there:
            files[name] = there[0]
    if not files and not extra:
        raise ValueError(f"{folder}: has none of {', '.join(f'{name}.jsonl' for name in SETS)}")
    stems = {path.name.removesuffix(".jsonl").removesuffix(".labels") for path in root.glob("*.jsonl")
             if not path.name.endswith(".skipped.jsonl")}
    for stem in sorted(stems - set(SETS) - {Path(file).stem for file, _ in extra.values()}):
        print(f"note: {root / stem}.jsonl is no set of MER-UniBench and is left out; name it with --extra",
              file=sys.stderr)
    files |= {name: Path(file) for name, (file, _) in extra.items()}
    return files, {name: kind_of_set(name, extra) for name in files}


def target_files(folder: str, files: dict[str, Path]) -> dict[str, Path]:
    """Set -> its file of targets, of the sets that are scored.

    Raises:
        ValueError: no such folder, or none of the sets in it.
    """
    places = {name: Path(folder) / f"{name}{end}" for name in files for end in (".csv", ".jsonl")
              if (Path(folder) / f"{name}{end}").is_file()}
    if not places:
        raise ValueError(f"--targets {folder}: has none of {', '.join(f'{name}.jsonl' for name in files)}")
    return places


def kind_of_set(name: str, extra: dict[str, tuple[str, str]]) -> str:
    """Kind of a set of the benchmark or of an extra one."""
    return SETS[name].kind if name in SETS else extra[name][1]


def answer(options: argparse.Namespace, extra: dict[str, tuple[str, str]],
           output: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Ask the model about every corpus that is there and label its answers; both jobs go on where they were stopped."""
    sources = {}
    for name in SETS if options.corpora else ():
        folder = Path(options.corpora)
        there = [path for end in ("jsonl", "json", "csv")
                 for path in (folder / name / f"manifest.{end}", folder / f"{name}.{end}") if path.is_file()]
        if there:
            sources[name] = str(there[0])
    sources |= {name: source for name, (source, _) in extra.items()}
    if not sources:
        raise ValueError(f"{options.corpora}: has none of {', '.join(f'{name}/manifest.jsonl' for name in SETS)}")
    from affectgpt.eval import generate, label

    files, kinds = {}, {name: kind_of_set(name, extra) for name in sources}
    for number, (name, source) in enumerate(sources.items(), start=1):
        print(f"{name} ({number} of {len(sources)}): {source}", file=sys.stderr)
        answers, files[name] = output / "answers" / f"{name}.jsonl", output / "predictions" / f"{name}.jsonl"
        files[name].parent.mkdir(parents=True, exist_ok=True)
        root = root_of(options.root, name)
        with contextlib.redirect_stdout(sys.stderr):  # what the two jobs say is progress here
            generate.main([options.model, "--corpus", source, "--output", str(answers), "--target",
                           target_of(source, kinds[name], root), *(["--root", root] if root else []),
                           *forwarded(options, "generate")])
            label.main([str(answers), "--output", str(files[name]), *forwarded(options, "label")])
    return files, kinds


def root_of(root: str | None, name: str) -> str | None:
    """Where the media paths of a set start; None for the folder of its manifest."""
    return root and str(Path(root) / name if (Path(root) / name).is_dir() else root)


def target_of(source: str, kind: str, root: str | None = None) -> str:
    """Which target of its clips a corpus is judged by, as `affectgpt generate --target` names it."""
    from affectgpt.data.readers import read_corpus

    if kind == "sentiment":
        return "valence" if any(clip.targets.valence is not None for clip in read_corpus(source, root)) else "sentiment"
    targets = {"basic": "emotion", "class": "emotion", "openset": "labels", "synonyms": "labels"}
    if kind not in targets:
        raise ValueError(f"{source}: a set of kind {kind} is scored from a file with its targets: use `affectgpt score "
                         f"--kind {kind} --targets FILE`")
    return targets[kind]


def forwarded(options: argparse.Namespace, job: str) -> list[str]:
    """The options that a job is handed."""
    values: dict[str, Any] = {name: getattr(options, name) for name in (*FORWARDED[job], "device")}
    return [part for name, value in values.items() if value is not None
            for part in (f"--{name.replace('_', '-')}", str(value))]


if __name__ == "__main__":
    sys.exit(run_cli(main))
