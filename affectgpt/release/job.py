"""`affectgpt release`: a run's model -> a folder that others can load, check and cite.

    affectgpt release runs/starter --to release/
    affectgpt release runs/mine --to release/ --form adapter --licence cc-by-nc-4.0 --results unibench/unibench.json
    affectgpt release official-60/ --to release/ --data-licence mercaptionplus=research-only

The folder holds the weights (merged: everything, LoRA added; adapter: the trained parts over base models by name),
configuration, tokenizer, code that needs nothing but torch and transformers, a drawn clip with the model's answer, a
model card written from what the run recorded, `results.json`, `release.json` and, last, SHA-256 of every file. A
release that gives others more than its parts and data allow is refused. An interrupted one leaves nothing that looks
whole.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from affectgpt.files import atomic_folder, atomic_write_json, atomic_write_text

FORMS = ("merged", "adapter")


def main(arguments: list[str]) -> int:
    """Parse the command line and release."""
    parser = argparse.ArgumentParser(prog="affectgpt release", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run's output folder, or a model folder")
    parser.add_argument("--to", required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--form", choices=FORMS, default="merged", help="merged: all weights, loads anywhere "
                        "(default); adapter: trained parts alone, small, over base models by name")
    parser.add_argument("--name", help="title of the card (default: the recipe's or the folder's name)")
    parser.add_argument("--licence", help="of the release (default: the freest that its parts and data allow)")
    parser.add_argument("--results", nargs="+", default=[], metavar="FILE", help="result files of affectgpt score, "
                        "unibench or evaluate (default: the run's own evaluation)")
    parser.add_argument("--part-licence", action="append", default=[], metavar="NAME=LICENCE",
                        help="of a base part that the table does not know")
    parser.add_argument("--data-licence", action="append", default=[], metavar="NAME=LICENCE",
                        help="of a corpus whose record does not say it, such as a manifest of your own")
    parser.add_argument("--watts", type=float, help="power of the machine, for the estimate of energy")
    parser.add_argument("--max-shard-size", default="5GB", metavar="SIZE", help="of a file of weights (default: 5GB)")
    parser.add_argument("--no-example", action="store_true", help="store no answer: where the model cannot run here")
    parser.add_argument("--force", action="store_true", help="replace an earlier release at --to")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if Path(options.to).exists() and not options.force:
        raise ValueError(f"--to {options.to}: exists already; --force replaces an earlier release, or choose another "
                         "name")
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    release(options, f"affectgpt release {shlex.join(arguments)}")
    return 0


def release(options: argparse.Namespace, command: str) -> Path:
    """Write the folder.

    Raises:
        ValueError: no finished model, licences that forbid it or are not known, a result file that is none.
    """
    from affectgpt.model_folder import check_model_folder
    from affectgpt.release import card, facts, licences, manifest

    source = check_model_folder(facts.model_folder(options.run))
    known = facts.gather(options.run, options.results, licences.said(options.part_licence, "--part-licence"),
                         licences.said(options.data_licence, "--data-licence"), options.watts)
    licence = licences.choose(facts.ingredients(known), options.licence)  # before anything is written
    title = options.name or known["recipe"].get("name") or source.resolve().name
    with atomic_folder(options.to, overwrite=options.force) as folder:
        _write_model(source, folder, options)
        hashed = manifest.write_manifest(folder)  # the model is whole: it may be asked
        stored = _example(folder, options)
        atomic_write_json(folder / "results.json", {"results": known["results"]})
        atomic_write_json(folder / "release.json", {"title": title, "licence": licence, "form": options.form,
                                                    "command": command, **known})
        files = {name: (folder / name).stat().st_size for name in manifest.files_of(folder)}
        atomic_write_text(folder / card.NAME, card.render(known, title, licence, options.form, files, stored, command))
        manifest.write_manifest(folder, hashed)
    size = sum(file.stat().st_size for file in Path(options.to).rglob("*") if file.is_file())
    print(f"{options.to}: {title}, {options.form}, licence {licence}, {manifest.size_text(size)}\n"
          f"stored answer: {stored['answer'] or '(none)'}\n\ncard:  {Path(options.to) / card.NAME}\n"
          f"next:  affectgpt verify {options.to}; affectgpt push {options.to} --repo YOU/NAME")
    return Path(options.to)


def _write_model(source: Path, folder: Path, options: argparse.Namespace) -> None:
    """Weights, configuration, tokenizer, code."""
    from affectgpt.release import weights

    if options.form == "merged":
        weights.merged(source, folder, options.max_shard_size)
    else:
        weights.adapter(source, folder)


def _example(folder: Path, options: argparse.Namespace) -> dict:
    from affectgpt.inference import Describer
    from affectgpt.release.example import write_example

    if options.no_example:
        return {"file": "", "answer": ""}
    return write_example(folder, Describer(folder))
