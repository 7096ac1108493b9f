"""A model answers questions about every clip of a corpus; the answers are a JSON Lines file.

    affectgpt generate runs/starter/model --corpus runs/starter/corpus/manifest.jsonl --question labels,description
    affectgpt generate runs/starter --checkpoints all --corpus mer2023/manifest.jsonl --output answers/mer2023.jsonl
    affectgpt generate runs/starter/model --corpus meld/manifest.jsonl --streams all-subsets
    affectgpt generate hf:Qwen/Qwen2.5-Omni-7B --corpus meld/manifest.jsonl --question labels
    affectgpt generate endpoint:http://127.0.0.1:8000/v1#my-model --corpus meld/manifest.jsonl --batch-size 8
    torchrun --nproc-per-node 4 -m affectgpt.cli generate MODEL --corpus MANIFEST --output FILE.jsonl

MODEL is an AffectGPT model folder; a training output folder, whose checkpoints are all asked; hf:ID_OR_FOLDER, any
other Hugging Face chat model; or endpoint:URL#NAME, any OpenAI-compatible server (its key is read from OPENAI_API_KEY).
Answers are greedy unless --sample is given. A job that was killed goes on where it stopped when it is started again,
also with another number of processes (RANK and WORLD_SIZE, as torchrun sets them).
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.devices import is_stream
from affectgpt.environment import package_versions, process_place
from affectgpt.errors import run_cli
from affectgpt.eval.answering import asking
from affectgpt.eval.answering.answerers import Job, open_source
from affectgpt.eval.answering.asking import ALL_SUBSETS, KINDS, OWN_KINDS, TARGETS
from affectgpt.eval.answering.parts import SKIP_KEYS, Key, Parts, beside, check_settings, remove_parts
from affectgpt.eval.answering.work import Work, skipped_rows
from affectgpt.files import write_jsonl
from affectgpt.own_files import check_replaceable, remove_rows


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt generate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="model folder, training output folder, hf:..., or endpoint:...")
    parser.add_argument("--corpus", required=True, help="manifest, or READER:PATH")
    parser.add_argument("--root", metavar="DIR", help="folder that the manifest's media paths start from (default: the "
                        "manifest's own)")
    parser.add_argument("--split", help="split to ask about (default: the one of the corpus that MER-UniBench scores, "
                        "else test)")
    parser.add_argument("--question", default="labels", help=f"some of {', '.join(KINDS)} between commas, or all of "
                        f"these; or of {', '.join(OWN_KINDS)}, whose question is each clip's own")
    parser.add_argument("--ask", metavar="TEXT", help="ask this instead; its rows have the question 'ask'")
    parser.add_argument("--streams", help=f"what the model is shown, for example audio,face,text; {ALL_SUBSETS} asks "
                        "once for each subset (default: all that it takes)")
    parser.add_argument("--target", default="auto", choices=("auto", *TARGETS),
                        help="what a row keeps of a clip's targets (default: the first one that its corpus has of "
                        f"{', '.join(TARGETS)})")
    parser.add_argument("--output", help="JSON Lines file (default: answers/CORPUS-SPLIT.jsonl beside the model)")
    parser.add_argument("--batch-size", type=int, help="clips at once (default: 16; hf: 1; endpoint: 4 requests)")
    parser.add_argument("--max-new-tokens", type=int, help="the longest answer (default: by the answers that an "
                        "AffectGPT model was trained on; others by question)")
    parser.add_argument("--sample", action="store_true", help="draw answers, each from the seed and its clip's name")
    parser.add_argument("--temperature", type=float, help="with --sample (default: 0.7)")
    parser.add_argument("--top-p", type=float, help="with --sample (default: 0.9)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", default="all", help="of a training run: all, best, or steps between commas")
    parser.add_argument("--checkpoint", metavar="NAME", help="what rows call this model's checkpoint")
    parser.add_argument("--limit", type=int, help="ask about the first N clips of the split only")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"),
                        help="what the model computes in (default: its own); float32 gives the same answers in any "
                        "batch, where bfloat16 may choose another of two nearly equal words")
    parser.add_argument("--quantize", choices=("int8", "8bit", "4bit"), help="hold the layers of the LLM of an "
                        "AffectGPT or hf: model in fewer bits: less memory, not always the same words; int8 on a CPU, "
                        "8bit and 4bit by bitsandbytes")
    parser.add_argument("--reader", default="pyav", choices=("pyav", "decord"), help="library that decodes video")
    parser.add_argument("--workers", type=int, default=2, help="threads that read media ahead (default: 2)")
    parser.add_argument("--max-skip-ratio", type=float, default=0.005,
                        help="share of clips that may be unreadable (default: 0.005)")
    parser.add_argument("--overwrite", action="store_true", help="forget earlier answers of this output")
    parser.add_argument("--valence-range", type=float, nargs=2, metavar=("LOW", "HIGH"),
                        help="numbers that the question of valence allows (default: those of the corpus, else -1 1)")
    parser.add_argument("--features", help="feature store to read and extend (default: one that is removed at the end)")
    group = parser.add_argument_group("hf: and endpoint: models")
    group.add_argument("--frames", type=int, default=8, help="pictures of a video (default: 8)")
    group.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the hf: model")
    group.add_argument("--device-map", choices=("auto", "balanced", "sequential"), help="spread an hf: model over the "
                       "GPUs and the memory of this machine (accelerate's device_map)")
    group.add_argument("--endpoint-video", action="store_true", help="send the pictures as one video_url part (vLLM, "
                       "SGLang), with their times, instead of as pictures")
    group.add_argument("--endpoint-extra", metavar="JSON", help="fields that every request has besides or instead; "
                       "null removes one: '{\"max_tokens\": null, \"max_completion_tokens\": 512}'")
    group.add_argument("--endpoint-audio", action="store_true", help="send the sound to the endpoint")
    group.add_argument("--endpoint-logprobs", action="store_true", help="ask the endpoint for confidences")
    group.add_argument("--endpoint-timeout", type=float, default=120.0, help="seconds to wait for an answer")
    group.add_argument("--skip-refused", action="store_true",
                       help="give a clip whose request the endpoint does not take a row without an answer, instead of "
                       "stopping")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = vars(parser.parse_args(arguments))
    del options["debug"]
    run(Job(**options))
    return 0


def run(job: Job) -> Path:
    """Ask what is still unanswered of this process's share, and merge everything once all shares are answered.

    Returns:
        The path of the output, which is there unless other processes still answer.
    Raises:
        ValueError: a setting that cannot be, other settings than those of earlier answers, or too many lost clips.
    """
    started = time.perf_counter()
    rank, world_size = process_place()
    job = replace(job, rank=rank, world_size=world_size)
    asking.check(job)
    job, clips = asking.read_clips(job)
    source = open_source(job)
    subsets = asking.stream_subsets(job, source, clips)
    questions = asking.question_texts(job, source.style)
    asking.check_questions(questions, source.style, clips)
    settings = {
        "model": job.model, "checkpoints": source.checkpoints, **source.identity(), "corpus": job.corpus,
        "split": job.split, "limit": job.limit, "clips": asking.clips_fingerprint(clips), "questions": questions,
        "streams": subsets, "target": job.target, "sampling": vars(job.sampling) if job.sampling else "greedy",
        "max_new_tokens": {kind: asking.tokens_of(job, source, kind) for kind in questions}}
    output = asking.output_of(job, clips)
    if is_finished(job, output, settings):
        return output
    check_replaceable(beside(output, "skipped.jsonl"), SKIP_KEYS, "--output")
    parts = Parts(output, settings, rank, world_size)
    try:
        if parts.torn:
            print(f"note: {parts.torn} torn line was cut off: a kill had left it half written", file=sys.stderr)
        answered = parts.answered()
        work = Work(job, source, parts, questions, subsets, started)
        for checkpoint in source.checkpoints:
            skipped = parts.skipped(clips, job.skip_refused)
            todo = [clip for clip in clips[rank::world_size] if clip.key not in skipped and any(
                key not in answered for key in asking.all_keys([checkpoint], [clip], questions, subsets))]
            if todo:
                work.answer(checkpoint, clips, todo, answered)
        if work.rows:
            print(work.report(), flush=True)
        finish(job, parts, asking.all_keys(source.checkpoints, clips, questions, subsets), clips, settings)
    finally:
        parts.close()
    return output


def is_finished(job: Job, output: Path, settings: dict[str, Any]) -> bool:
    """Whether the output is there already; says so.

    Raises:
        ValueError: it holds something else, or answers of other settings.
    """
    if output.is_dir() or is_stream(output):
        raise ValueError(f"{output}: is a folder, a device or a pipe; answers are collected beside their file, so name "
                         "a JSON Lines file with --output")
    if job.overwrite:
        if job.world_size > 1:
            raise ValueError(f"--overwrite with {job.world_size} processes: each would remove what the others write; "
                             f"remove {output} and {beside(output, 'parts')} yourself, then start them without it")
        remove_answers(output)
    if not output.exists():
        return False
    facts = beside(output, "facts.json")
    if not facts.is_file():
        raise ValueError(f"{output}: exists, and {facts.name} that belongs to answers is not; name another --output")
    check_settings(output, read_json(facts)["settings"], settings)
    remove_parts(output)  # of a job that was killed after its last line but one
    print(f"{output} is finished already ({read_json(facts)['rows']} answers); --overwrite asks again")
    return True


def remove_answers(output: Path) -> None:
    """Remove an output with what lies beside it, for --overwrite.

    Raises:
        ValueError: one of them is not what an earlier job wrote; then none is removed.
    """
    facts, skips = beside(output, "facts.json"), beside(output, "skipped.jsonl")
    if output.exists() and os.path.getsize(output) and not facts.is_file():
        raise ValueError(f"{output}: exists, and {facts.name} that belongs to answers is not, so it is left as it is; "
                         "name another --output")
    if facts.exists() and (not facts.is_file() or "settings" not in read_json(facts)):
        raise ValueError(f"{facts}: does not belong to answers, so it is left as it is; name another --output")
    check_replaceable(skips, SKIP_KEYS, "--output")
    remove_parts(output)
    remove_rows(skips, SKIP_KEYS, "--output")
    for path in (output, facts):
        path.unlink(missing_ok=True)


def finish(job: Job, parts: Parts, keys: list[Key], clips: list, settings: dict[str, Any]) -> None:
    """Merge all parts where every clip is answered or listed as skipped; otherwise say what is missing.

    Raises:
        ValueError: more clips are lost than `--max-skip-ratio` allows; then nothing is merged.
    """
    output = parts.output
    try:
        found, skipped, processes = parts.answered(), parts.skipped(clips, job.skip_refused), parts.processes()
        missing = [key for key in keys if key not in found]
        unanswered = {key[1] for key in missing} & skipped.keys()
        lost = [skipped[clip.key] for clip in clips if clip.key in unanswered]
        waiting = sum(key[1] not in skipped for key in missing)
        if waiting:
            print(f"{len(keys) - waiting} of {len(keys)} answers are there; {waiting} are for the other processes. "
                  f"Whichever ends last writes {output}; if one was killed, start it again")
            return
        if len(lost) > job.max_skip_ratio * len(clips):
            rows = [{name: record[name] for name in SKIP_KEYS} for record in lost]
            write_jsonl(beside(output, "skipped.jsonl"), rows)
            raise ValueError(f"{len(lost)} of {len(clips)} clips cannot be answered, more than the "
                             f"{job.max_skip_ratio:.1%} that --max-skip-ratio allows; the last: {lost[-1]['error']} "
                             f"(list: {beside(output, 'skipped.jsonl')}). {output} was not written; the answers are "
                             "kept: repair these files and run the same command again")
        rows = skipped_rows(job, missing, clips, skipped, settings["checkpoints"])
        facts = {"model": job.model, "rows": len(keys), "answers": len(keys) - len(missing), "clips": len(clips),
                 "skipped": len(lost), "ranks": job.world_size, "repeated": parts.repeated, "settings": settings,
                 "processes": processes, "python": platform.python_version(), "packages": package_versions()}
        count = parts.merge(keys, found, lost, rows, facts)
    except FileNotFoundError:
        if not output.is_file():
            raise
        print(f"{output} was written by another process")  # which had the same to merge
        return
    if lost:
        print(f"{len(lost)} of {len(clips)} clips were skipped; their rows have 'no_answer', and "
              f"{beside(output, 'skipped.jsonl')} lists them", file=sys.stderr)
    print(f"answers: {output} ({count} rows)\nnext:    affectgpt label {shlex.quote(str(output))}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that this job wrote."""
    from affectgpt.features.key import parse_json

    return parse_json(path.read_text(encoding="utf-8"), path)


if __name__ == "__main__":
    sys.exit(run_cli(main))
