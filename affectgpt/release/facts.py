"""Facts about a trained model, read from what its run wrote: nothing here is typed by hand.

`gather` reads the recipe and `training.json` of a run, the lists of skipped clips and result files, and gives plain
values, which the card shows and `release.json` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affectgpt.config import Recipe, load_recipe
from affectgpt.files import parse_object, read_jsonl
from affectgpt.model_folder import model_of
from affectgpt.release import licences
from affectgpt.release.licences import Ingredient

OFFICIAL, OFFICIAL_CORPUS = "official.json", "mercaptionplus"
"""What a converted official checkpoint has beside it, and what the published ones were trained on."""
STARTER_CORPUS = "affectgpt-starter-corpus"
"""What `corpus.json` of a starter corpus calls itself."""

WATTS = {"H200": 700, "H100": 700, "A100": 400, "L40": 300, "A10": 150, "V100": 300, "RTX 4090": 450, "RTX 3090": 350,
         "L4": 72, "T4": 70}
"""GPU -> its power in watts by its maker's data sheet (the SXM form where there are several)."""
WATTS_OF_A_THREAD = 10
"""Assumed for a CPU, which no run measures."""


def gather(run: str | Path, results: Sequence[str] = (), part_licences: Mapping[str, str] | None = None,
           data_licences: Mapping[str, str] | None = None, watts: float | None = None) -> dict[str, Any]:
    """Everything the card and `release.json` say of a model.

    Args:
        run: a run's output folder, or a model folder.
        results: result files of `affectgpt score`, `unibench` and `evaluate`; those that a run keeps beside its model
            (`evaluation/results.json`) are found.
        part_licences, data_licences: name -> licence, where the tables do not know it.
        watts: power of the whole machine, in place of the data sheet's.
    Raises:
        ValueError: no finished model; a licence that is not known; a result file that is none.
    """
    from affectgpt.models.configuration import AffectGPTConfig

    folder = model_of(run)
    config = AffectGPTConfig.from_pretrained(folder)
    recipe = load_recipe(folder / "recipe.yaml") if (folder / "recipe.yaml").is_file() else None
    training = folder / "training.json"
    trained = parse_object(training.read_text(encoding="utf-8"), str(training)) if training.is_file() else {}
    parts = _parts(config, folder, dict(part_licences or {}))
    corpora = _corpora(recipe, folder, dict(data_licences or {}))
    found = [Path(name) for name in results]
    kept = folder.parent / "evaluation" / "results.json"
    if not found and kept.is_file():
        found = [kept]
    return {
        "streams": list(config.streams), "preset": config.preset, "projector": config.projector,
        "fusion": config.fusion if "fusion" in config.streams else "none", "lora_rank": config.lora_rank,
        "parts": [{**vars(one), "revision": revision(one.name)} for one in parts], "corpora": corpora,
        "recipe": _recipe(recipe), "training": trained,
        "energy": _energy(trained, watts), "skipped": _skipped(folder.parent),
        "results": [row for path in found for row in result_rows(path)],
        "official": _official(folder),
    }


def ingredients(facts: dict[str, Any]) -> list[Ingredient]:
    """Parts and corpora with their terms."""
    return [*(Ingredient(one["what"], one["name"], one["licence"], one["kind"]) for one in facts["parts"]),
            *(Ingredient("corpus", one["name"], one["licence"], one["kind"]) for one in facts["corpora"])]


def _parts(config, folder: Path, known: dict[str, str]) -> list[Ingredient]:
    named = {"LLM": config.llm}
    if "audio" in config.streams:
        named["audio encoder"] = config.audio_encoder
    if config.visual_streams:
        named["visual encoder"] = config.visual_encoder
    for what, name in named.items():
        if not name:
            raise ValueError(f"{folder}: config.json does not name its {what}, so its licence cannot be looked up")
    return [licences.part(what, name, known.get(name)) for what, name in named.items()]


def revision(name: str) -> str:
    """Which weights a name stands for here: a commit of a hub, or SHA-256 of files; "not recorded" where none is at
    hand."""
    from affectgpt.features.key import encoder_revision

    try:
        return encoder_revision(name)
    except (ValueError, OSError):
        return "not recorded"


def _corpora(recipe: Recipe | None, folder: Path, known: dict[str, str]) -> list[dict]:
    """Name, reader, licence, protocol and weight of each corpus that the recipe trains on; further ones that the user
    names.

    Raises:
        ValueError: nothing says what the model was trained on, so nothing says what may be done with it.
    """
    from affectgpt.config.sections import CorpusSection
    from affectgpt.data.mixture import corpora_of
    from affectgpt.data.readers import READERS, reader_of

    if recipe is not None:
        sections = [section for _, section in corpora_of(recipe.data) if section.weight]
    elif (folder / OFFICIAL).is_file():
        sections = [CorpusSection(OFFICIAL_CORPUS)]
    elif known:
        sections = []
    else:
        raise ValueError(f"{folder}: has no recipe.yaml, so nothing says what it was trained on; say it, for example "
                         "--data-licence mercaptionplus=cc-by-nc-4.0")
    found, named = [], dict(known)
    for section in sections:
        record = reader_of(section.reader, str(folder)).corpus
        name = record.name
        if section.reader == "manifest":
            name = Path(str(section.root)).parent.name or str(section.root)
            if _is_starter(Path(str(section.root))):
                named.setdefault(name, "apache-2.0")
        said = named.pop(name, None) or named.pop(str(section.root), None)
        one = licences.data(name, record.licence, said)
        found.append({"name": name, "title": _title(section, record), "reader": section.reader,
                      "licence": one.licence, "kind": one.kind, "protocol": section.protocol,
                      "weight": section.weight, "languages": list(record.languages)})
    for name, licence in named.items():
        record = READERS[name].corpus if name in READERS else None
        one = licences.data(name, "", licence)
        found.append({"name": name, "title": record.title if record else "as said at the release", "reader": "",
                      "licence": one.licence, "kind": one.kind, "protocol": "not recorded", "weight": "not recorded",
                      "languages": list(record.languages) if record else []})
    return found


def _title(section, record) -> str:
    if section.reader != "manifest":
        return record.title
    return "the starter corpus: drawn faces, a synthetic voice, written sentences" \
        if _is_starter(Path(str(section.root))) else f"a manifest, {Path(str(section.root)).name}"


def _is_starter(manifest: Path) -> bool:
    mark = manifest.parent / "corpus.json"
    return mark.is_file() and STARTER_CORPUS in mark.read_text(encoding="utf-8", errors="replace")[:500]


def _recipe(recipe: Recipe | None) -> dict[str, Any]:
    if recipe is None:
        return {}
    train = recipe.train
    return {"name": recipe.name, "description": recipe.description, "epochs": train.epochs, "batch": train.batch_size,
            "accumulation": train.accumulation, "pack_tokens": train.pack_tokens,
            "learning_rate": train.learning_rate, "seed": train.seed, "engine": train.engine,
            "zero_stage": train.zero_stage, "questions": recipe.data.questions}


def _energy(trained: dict, watts: float | None) -> dict[str, Any]:
    """Kilowatt-hours as hours times an assumed power, with what was assumed; nothing where the time is not known."""
    seconds, hardware = trained.get("seconds"), str(trained.get("hardware") or "")
    if not seconds:
        return {}
    if watts is not None:
        how, power = f"{watts:g} W, as given", float(watts)
    else:
        gpu = next((name for name in WATTS if name in hardware), None)
        count = hardware.partition(" ")[0]
        number = int(count) if count.isdecimal() else 1
        one = WATTS[gpu] if gpu else WATTS_OF_A_THREAD
        power = one * max(number, 1)
        how = f"{number} x {one} W ({'the data sheet of ' + gpu if gpu else 'assumed for a CPU thread'})"
    return {"kilowatt_hours": round(seconds / 3600 * power / 1000, 4), "assumed": how}


def _skipped(run: Path) -> int:
    """Clips that the run could not read."""
    return sum(1 for path in sorted((run / "features").glob("skipped*.jsonl")) for _ in read_jsonl(path, True))


def _official(folder: Path) -> dict[str, Any]:
    path = folder / OFFICIAL
    if not path.is_file():
        return {}
    facts = parse_object(path.read_text(encoding="utf-8"), str(path))
    return {"file": facts.get("file"), "sha256": facts.get("sha256")}


# ---------------------------------------------------------------------------- results


def result_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a result table: set, inputs, metric, value, low, high, clips, runs, extractor, file.

    Raises:
        ValueError: a file that none of `affectgpt score`, `unibench` and `evaluate` wrote.
    """
    try:
        values = parse_object(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    if "benchmark" in values:
        return _benchmark(path, values)
    if "subsets" in values:
        return [_row(path, f"{values['split']} split, {values['clips']} clips", name, "accuracy", row["accuracy"],
                     row["interval"], row["clips"], 1, "rules (first basic emotion)")
                for name, row in values["subsets"].items()]
    if "checkpoints" in values:
        return _scored(path, values)
    raise ValueError(f"{path}: no result file of affectgpt score, unibench or evaluate; --results takes those")


def _benchmark(path: Path, values: dict) -> list[dict[str, Any]]:
    """Rows of `unibench.json`: each set of the chosen checkpoint, or of the only one, and their mean."""
    chosen = (values.get("chosen") or {}).get("checkpoint")
    keys = [chosen] if chosen else list(values["checkpoints"])
    rows = []
    for key in keys:
        inputs = f"checkpoint {key}" if len(values["checkpoints"]) > 1 else ""
        for mode, cells in values["checkpoints"][key].items():
            for name, cell in cells.items():
                if cell and cell["primary"] is not None:
                    title = values["mean_label"] if name not in values["about"] else name
                    rows.append(_row(path, title, inputs, mode, cell["primary"], cell["interval"],
                                     cell.get("scored") or 0, 1, _extractor(values)))
    return rows


def _extractor(values: dict) -> str:
    return values.get("extractor") or "not recorded in the result file"


def _scored(path: Path, values: dict) -> list[dict[str, Any]]:
    checkpoints, rows = values["checkpoints"], []
    extractor = _extractor(values)
    for mode in values["metric"]:
        spread = (values.get("spread") or {}).get(mode) or {}
        if len(checkpoints) > 1 and spread.get("runs"):
            rows.append(_row(path, values["set"], "", f"{mode}: {values['metric'][mode]}", spread["mean"],
                             (spread["min"], spread["max"]), values["n_clips"], spread["runs"], extractor))
            continue
        entry = next(iter(checkpoints.values()))[mode]
        rows.append(_row(path, values["set"], "", f"{mode}: {values['metric'][mode]}", entry["primary"],
                         entry["interval"], entry["scored"], 1, extractor))
    return rows


def _row(path: Path, name: str, inputs: str, metric: str, value, interval, clips: int, runs: int,
         extractor: str) -> dict[str, Any]:
    low, high = interval
    return {"set": name, "inputs": inputs, "metric": metric, "value": value, "low": low, "high": high, "clips": clips,
            "runs": runs, "extractor": extractor, "file": path.name}
