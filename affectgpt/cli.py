"""`affectgpt VERB`: thin; each verb calls one function."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from affectgpt import __version__
from affectgpt.errors import quiet_libraries, run_cli
from affectgpt.files import write_jsonl
from affectgpt.terminal import check_text, json_line, parse_intermixed, printable

STARTER_MODEL = Path("runs/starter/model")
"""Where the main job leaves its model; `describe` takes it where no other is named."""

VERBS = """\
  starter             make the starter corpus, train on it, judge the model, describe a clip (the main job)
  describe FILE...    describe the emotion in videos, sounds and pictures
  serve               keep a model warm and answer over HTTP; describe uses it where it runs
  extract RECIPE      compute the features of frozen encoders once, for every later run
  caption RECIPE      describe clips anew: cues, descriptions, labels, votes, a filtered manifest
  textualize RECIPE   clips as words: what is said, what face and voice show
  train RECIPE        train a model as a recipe says (--dry-run shows what would happen)
  features RECIPE     train and judge fusion heads on features of frozen encoders (the feature-based baseline)
  textualized RECIPE  clips as words, classified: encoders, LLMs, prompts, pairs of basic emotions
  benchmark           clips a second, the published way against this one; MFU of a model of any size
  generate MODEL      answers of a model, another model or an endpoint to questions about a corpus
  label FILE          answers -> emotion labels and sentiment
  judge FILE          an LLM's ratings of descriptions beside human-checked ones (EMER)
  score FILE          labels -> scores, as published and strict, with intervals
  unibench            all sets of MER-UniBench in one table
  report RESULTS      scores -> a page to look at
  submit FILE         labels -> the file that a track of MER2025 or MER2026 takes; --check one made elsewhere
  wheels fetch        get the official emotion wheels that published scores need
  compare CORPUS      text, textualized cues, features by fusion and AffectGPT on the same folds, in one table
  evaluate MODEL      label accuracy of a model for every subset of its streams
  corpus FOLDER       make the starter corpus alone
  prepare CORPUS      a corpus as downloaded -> a manifest, what cannot be used and why, leaks, a report
  data list|info      which corpora can be read, what each is, what is there of one
  info MODEL          what a model is made of
  convert FILE        an official checkpoint -> a model folder, and back
  release RUN         a trained model -> a folder that others can load, check and cite, with its card
  verify FOLDER       a released folder: hashes, loading, its stored answer again
  vllm export|describe  the LLM for a vLLM server, and answers through one
  push FOLDER         a released folder -> a model hub (a dry run unless --yes)
  merge RUN           a trained model as one folder with all its parts, which transformers loads by itself
"""

JOBS = {
    "train": ("train.sft", "main"), "extract": ("train.extract_features", "main"),
    "benchmark": ("train.benchmark", "main"),
    "caption": ("caption.job", "main"), "textualize": ("textualize.job", "main"),
    "features": ("train.features", "main"),
    "textualized": ("train.textualized", "main"),
    "starter": ("train.starter", "main"), "corpus": ("train.starter", "corpus_main"),
    "evaluate": ("eval.accuracy", "main"),
    "generate": ("eval.generate", "main"), "label": ("eval.label", "main"), "judge": ("eval.judge", "main"),
    "score": ("eval.score", "main"), "unibench": ("eval.unibench", "main"), "report": ("eval.report", "main"),
    "submit": ("eval.submit", "main"),
    "compare": ("eval.compare.job", "main"),
    "wheels": ("eval.wheels", "main"), "data": ("data.catalogue", "main"),
    "prepare": ("prepare.job", "main"), "convert": ("official.job", "main"),
    "release": ("release.job", "main"), "verify": ("release.verify", "main"), "push": ("release.push", "main"),
    "vllm": ("release.vllm", "main"),
    "merge": ("merge", "main"), "serve": ("serve.job", "main"),
}
"""Verb -> the module and function that do it."""


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    # Before torch loads its threads: those that spin while they wait stand still beside any other busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return run_cli(_dispatch, argv)


def _dispatch(arguments: list[str]) -> int | None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"AffectGPT {__version__}\n\nusage: affectgpt VERB [options]; affectgpt VERB --help for each\n\n{VERBS}")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(__version__)
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb == "describe":
        return describe(rest)
    if verb == "info":
        return info(rest)
    if verb in JOBS:
        module, function = JOBS[verb]
        return getattr(importlib.import_module(f"affectgpt.{module}"), function)(rest)
    import difflib

    verbs = list(dict.fromkeys(line.split()[0] for line in VERBS.splitlines()))
    near = difflib.get_close_matches(verb, verbs, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(verbs)}"
    raise ValueError(f"unknown verb {verb!r}; {hint}")


def describe(arguments: list[str]) -> int:
    """Describe files; the good ones are answered and the bad ones are listed."""
    parser = argparse.ArgumentParser(
        prog="affectgpt describe", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Describe the emotion in videos, sounds and pictures: evidence, labels and polarity.",
        epilog="examples:\n  affectgpt describe clip.mp4\n  affectgpt describe interviews/ --json > answers.jsonl\n"
               "  affectgpt describe call.wav --subtitle 'I am fine.' --streams audio,text")
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="media files or folders of them (sub-folders too); after --, names that begin with a dash")
    parser.add_argument("--model", default=str(STARTER_MODEL), help=f"model folder (default: {STARTER_MODEL})")
    parser.add_argument("--subtitle", help="the words spoken in every FILE, '' for none; without it they are "
                        "recognised")
    parser.add_argument("--streams", help="what to look at, for example audio,face,text (default: all)")
    parser.add_argument("--question", help="ask something else")
    parser.add_argument("--batch-size", type=int, default=4, help="clips at once (default: 4)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--quantize", choices=("int8", "8bit", "4bit"), help="hold the LLM's layers in fewer "
                        "bits: less memory, not always the same words; int8 on a CPU, 8bit and 4bit by bitsandbytes")
    parser.add_argument("--reader", default="pyav", choices=("pyav", "decord"), help="library that decodes video")
    parser.add_argument("--track", type=int, metavar="N",
                        help="which sound track of a FILE with several, from 0 (default: as a player chooses)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--max-new-tokens", type=int, metavar="N",
                        help="the longest answer (default: by the answers that the model was trained on)")
    parser.add_argument("--skipped", default="skipped.jsonl", metavar="LIST",
                        help="where to list unreadable files (default: skipped.jsonl); only a list of an earlier "
                        "run is replaced")
    parser.add_argument("--local", action="store_true",
                        help="load the model here even where `affectgpt serve` holds it")
    parser.add_argument("--timings", action="store_true",
                        help="say on stderr where the time went; loads the model here")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return _describe(parse_intermixed(parser, arguments))


def _describe(options: argparse.Namespace) -> int:
    import time

    started = time.perf_counter()
    from affectgpt.media.finding import search
    from affectgpt.own_files import SKIPPED_KEYS, check_replaceable, remove_rows

    # All that can be wrong is told before anything slow is imported or loaded.
    streams = [stream.strip() for stream in options.streams.split(",")] if options.streams is not None else None
    _check(options, streams)
    check_replaceable(options.skipped, SKIPPED_KEYS, "--skipped")
    found = search(options.files)
    if found.files and found.left_out:
        print(f"note: left out of the folders: {printable(found.left_out_line())}", file=sys.stderr)
    total = len(found.files) + len(found.unusable)
    remove_rows(options.skipped, SKIPPED_KEYS, "--skipped")  # of an earlier run
    skipped = []

    def skip(file: str, reason: str) -> None:
        skipped.append({"file": file, "reason": reason})
        print(f"error: {printable(reason)}", file=sys.stderr, flush=True)

    for path, reason in found.unusable:
        skip(str(path), f"{path}: {reason}")
    if not found.files:
        return _end(options, skipped, total)

    from affectgpt.description import Skipped

    spent: dict[str, float] = {}
    results = _results(options, found.files, streams, spent)
    for result in _with_progress(results, len(found.files)):
        if isinstance(result, Skipped):
            skip(result.file, result.reason)
            continue
        for name, seconds in result.timings.items():
            spent[name] = spent.get(name, 0.0) + seconds
        print(json_line(result.as_dict()) if options.json else _readable(result), flush=True)
    if options.timings:
        print(f"seconds: {', '.join(f'{name} {seconds:.2f}' for name, seconds in spent.items())}; "
              f"in all {time.perf_counter() - started:.2f}", file=sys.stderr)
    return _end(options, skipped, total)


def _results(options: argparse.Namespace, files: list[Path], streams: list[str] | None, spent: dict[str, float]):
    """A `Description` or `Skipped` for each file: from a server that holds the model, or from the model loaded here."""
    client = None
    if not (options.local or options.timings):
        from affectgpt.serve.client import find

        client = find(options.model, options.device, options.quantize)
    done = 0
    if client is not None:
        for done, result in enumerate(_served(client, options, files), start=1):
            yield result
    if done < len(files):
        yield from _computed(options, files[done:], streams, spent, client)


def _served(client, options: argparse.Namespace, files: list[Path]):
    """Results of a server, up to the first file that it cannot answer about."""
    from affectgpt.description import Description, Skipped
    from affectgpt.serve.client import NotServed

    _note_unused(options, [one.strip() for one in options.streams.split(",")] if options.streams else client.streams)
    for file in files:
        try:
            yield Description.of_dict(client.describe(file, {
                "subtitle": options.subtitle, "streams": options.streams, "question": options.question,
                "max_new_tokens": options.max_new_tokens, "track": options.track, "reader": options.reader}))
        except LookupError as error:
            yield Skipped(str(file), str(error))
        except NotServed as error:
            print(f"note: the server that holds this model gave no answer ({printable(str(error))}); loading the "
                  "model here", file=sys.stderr)
            return


def _note_unused(options: argparse.Namespace, streams: list[str]) -> None:
    from affectgpt.data.clip import spoken

    if spoken(options.subtitle) and "text" not in streams:
        print("note: --subtitle is not used, because text is not among the streams", file=sys.stderr)


def _computed(options: argparse.Namespace, files: list[Path], streams: list[str] | None, spent: dict[str, float],
              client=None):
    """Results of the model, loaded here; a `client` that was asked before has told what is to be said once."""
    import time

    started = time.perf_counter()
    from affectgpt.data.clip import Clip
    from affectgpt.inference import Describer

    imported = time.perf_counter()
    quiet_libraries()
    describer = Describer(options.model, options.device, quantize=options.quantize)
    if client is None:
        _note_unused(options, describer.check_streams(streams))
    spent |= {"imports": imported - started, "model": time.perf_counter() - imported}
    clips = [Clip(id=str(file), media=file, words=options.subtitle) for file in files]
    yield from describer.describe(clips, streams, options.question, batch_size=min(options.batch_size, len(clips)),
                                  reader=options.reader, max_new_tokens=options.max_new_tokens, track=options.track)


def _check(options: argparse.Namespace, streams: list[str] | None) -> None:
    """Raise ValueError for an option of `describe` that cannot be, or a folder that holds no finished model."""
    import importlib.util

    from affectgpt.model_folder import check_folder_streams, check_model_folder

    for name in ("batch_size", "max_new_tokens"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} is {value}: use 1 or more")
    for name in ("subtitle", "question"):
        check_text(f"--{name}", getattr(options, name))
    if options.question is not None and not options.question.strip():
        raise ValueError("--question is empty: give a question, or leave it out")
    if options.reader == "decord" and importlib.util.find_spec("decord") is None:
        raise ValueError("--reader decord: the package decord is not installed; pip install decord, or use pyav")
    if options.quantize in ("8bit", "4bit") and importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError(f"--quantize {options.quantize} needs bitsandbytes: pip install bitsandbytes, or use "
                         "--quantize int8 on a CPU")
    check_folder_streams(check_model_folder(options.model), streams)
    if options.device == "cuda":
        if options.quantize == "int8":
            raise ValueError("--quantize int8 is for the CPU, and the device is cuda: leave one of them out")
        import torch

        if not torch.cuda.is_available():
            raise ValueError("--device cuda: torch finds no GPU on this machine; use --device cpu")


def _with_progress(results: Iterator, total: int) -> Iterator:
    """The results as they come; on a terminal with a bar below them, where there are several."""
    if total < 2 or not sys.stderr.isatty():
        yield from results
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="clip", file=sys.stderr) as bar:
        for result in results:
            with bar.external_write_mode():  # the bar makes room for what is printed
                yield result
            bar.update()


def _end(options: argparse.Namespace, skipped: list[dict], total: int) -> int:
    """List what was skipped, where its error line is not all there is to say; returns the exit code."""
    if skipped and total > 1:
        write_jsonl(options.skipped, skipped)
        print(f"{len(skipped)} of {total} files were skipped; listed in {printable(options.skipped)}", file=sys.stderr)
    return 2 if skipped else 0


def _readable(result) -> str:
    words = f'\n  words     "{printable(result.words)}"' if result.words else ""
    notes = f"\n  note      {'; '.join(map(printable, result.notes))}" if result.notes else ""
    text = printable(result.description, keep="\n").replace("\n", "\n  ") or "(no answer)"
    return (f"{printable(result.file)}\n  {text}"
            f"\n  labels    {', '.join(map(printable, result.labels)) or '(none)'}"
            f"\n  polarity  {result.polarity or '(unknown)'}{words}\n  streams   {', '.join(result.streams)}{notes}"
            f"\n  seconds   {result.seconds:.2f}")


def info(arguments: list[str]) -> int:
    """Say what a model is made of."""
    parser = argparse.ArgumentParser(prog="affectgpt info", description="What a model is made of.",
                                     epilog="example:\n  affectgpt info runs/starter/model",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=str(STARTER_MODEL), help=f"model folder (default: {STARTER_MODEL})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    from affectgpt.model_folder import check_model_folder

    folder = check_model_folder(options.model)
    from affectgpt.models.configuration import AffectGPTConfig

    config = AffectGPTConfig.from_pretrained(folder).to_dict()
    training = folder / "training.json"
    facts = {
        "folder": str(folder), "preset": config["preset"], "llm": config["llm"],
        "audio_encoder": config["audio_encoder"], "visual_encoder": config["visual_encoder"],
        "streams": config["streams"], "projector": config["projector"], "fusion": config["fusion"],
        "tokens": {s: config[f"{s}_tokens"] for s in config["streams"] if s != "text"},
        "frames": config["frames"], "audio_positions": config["audio_positions"],
        "lora_rank": config["lora_rank"], "label_words": config["label_space"],
        "trained_parameters": _parameters(folder),
        "training": json.loads(training.read_text(encoding="utf-8")) if training.is_file() else None,
    }
    if options.json:
        print(json_line(facts))
        return 0
    for key, value in facts.items():
        if isinstance(value, list):
            value = ", ".join(value)
        elif isinstance(value, dict):
            value = ", ".join(f"{name} {count:,}" if isinstance(count, int) else f"{name} {count}"
                              for name, count in value.items())
        print(f"{key.replace('_', ' '):<20}{printable(str(value))}")
    return 0


def _parameters(folder: Path) -> dict[str, int]:
    """Part -> number of stored parameters, from the headers of its files alone."""
    from math import prod

    from safetensors import SafetensorError, safe_open

    from affectgpt.models.weight_files import weight_files

    sizes: dict[str, int] = {}
    for file in weight_files(folder):
        try:
            with safe_open(file, "numpy") as tensors:
                for name in tensors.keys():
                    part = "LoRA" if "lora_" in name else name.split(".")[0]
                    sizes[part] = sizes.get(part, 0) + prod(tensors.get_slice(name).get_shape())
        except SafetensorError as error:
            raise ValueError(f"{file}: cannot be read, the model is half written ({error}); train it again") from error
    return sizes


if __name__ == "__main__":
    sys.exit(main())
