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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affectgpt.files import atomic_folder, atomic_write_json, atomic_write_text
from affectgpt.release.card import NAME as CARD

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
    from affectgpt.release import licences

    quiet_libraries()
    release(options.run, options.to, options.form, options.name, options.licence, results=options.results,
            part_licences=licences.said(options.part_licence, "--part-licence"),
            data_licences=licences.said(options.data_licence, "--data-licence"), watts=options.watts,
            max_shard_size=options.max_shard_size, example=not options.no_example, overwrite=options.force,
            command=f"affectgpt release {shlex.join(arguments)}")
    print(f"\ncard:  {Path(options.to) / CARD}\nnext:  affectgpt verify {options.to}; affectgpt push {options.to} "
          "--repo YOU/NAME")
    return 0


def release(run: str | Path, to: str | Path, form: str = "merged", title: str | None = None, licence: str | None = None,
            *, results: Sequence[str] = (), part_licences: Mapping[str, str] | None = None,
            data_licences: Mapping[str, str] | None = None, watts: float | None = None, max_shard_size: str = "5GB",
            example: bool = True, overwrite: bool = False, command: str = "") -> dict[str, Any]:
    """Write a release; returns the stored answer (`release.example`).

    Args:
        run: a run's output folder, or a model folder.
        title: of the card; None for the recipe's name, or the folder's.
        licence: None for the freest that parts and data allow.
        results, part_licences, data_licences, watts: as `release.facts.gather`.
        example: ask the model about a drawn clip, and store its answer.
        command: how the release was made, for the card.
    Raises:
        ValueError: no finished model, licences that forbid it or are not known, a result file that is none, a folder
            that exists, without `overwrite`.
    """
    from affectgpt.model_folder import model_of
    from affectgpt.release import card, facts, licences, manifest, weights

    source = model_of(run)
    known = facts.gather(run, results, part_licences, data_licences, watts)
    licence = licences.choose(facts.ingredients(known), licence)  # before anything is written
    title = title or known["recipe"].get("name") or source.resolve().name
    stored: dict[str, Any] = {"file": "", "answer": ""}
    with atomic_folder(to, overwrite=overwrite) as folder:
        if form == "merged":
            weights.merged(source, folder, max_shard_size)
        else:
            weights.adapter(source, folder)
        hashed = manifest.write_manifest(folder)  # the model is whole: it may be asked
        if example:
            from affectgpt.inference import Describer
            from affectgpt.release.example import write_example

            stored = write_example(folder, Describer(folder))
        atomic_write_json(folder / "results.json", {"results": known["results"]})
        atomic_write_json(folder / "release.json", {"title": title, "licence": licence, "form": form,
                                                    "command": command, **known})
        files = {name: (folder / name).stat().st_size for name in manifest.files_of(folder)}
        atomic_write_text(folder / CARD, card.render(known, title, licence, form, files, stored, command))
        manifest.write_manifest(folder, hashed)
    size = sum(file.stat().st_size for file in Path(to).rglob("*") if file.is_file())
    print(f"{to}: {title}, {form}, licence {licence}, {manifest.size_text(size)}\nstored answer: "
          f"{stored['answer'] or '(none)'}", flush=True)
    return stored
