"""The code that a model folder carries, so that transformers loads it where this package is not installed.

`affectgpt/models/` needs torch and transformers alone; its files are copied beside the weights, with their imports made
relative, and `auto_map` of config.json and processor_config.json names the classes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from affectgpt.files import atomic_write_json, atomic_write_text

ENTRY = "affectgpt_auto"
"""The module that `auto_map` names: one for all classes, because transformers copies the files of each named module to
a place of their own."""
CLASSES = {"AutoConfig": "AffectGPTConfig", "AutoModel": "AffectGPTForConditionalGeneration",
           "AutoModelForCausalLM": "AffectGPTForConditionalGeneration",
           "AutoModelForImageTextToText": "AffectGPTForConditionalGeneration", "AutoProcessor": "AffectGPTProcessor"}
NOT_COPIED = ("__init__", "lora")
"""`lora` is for training, and needs PEFT."""
_IMPORT = re.compile(r"^(\s*)from affectgpt\.models\.(\w+) import ", re.MULTILINE)
_FROM_PACKAGE = re.compile(r"^(\s*)from affectgpt\.models import ", re.MULTILINE)


def write_standalone(folder: str | Path) -> list[str]:
    """Write the code into a model folder, and name its classes there; returns the names of the files.

    Raises:
        ValueError: no model folder.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: has no config.json, so there is no model to add code to")
    files = standalone_files()
    for name, text in files.items():
        atomic_write_text(folder / name, text)
    references = {auto: f"{ENTRY}.{name}" for auto, name in CLASSES.items()}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    atomic_write_json(folder / "config.json", config | {"auto_map": references})
    atomic_write_json(folder / "processor_config.json", {
        "auto_map": {"AutoProcessor": references["AutoProcessor"]}, "processor_class": CLASSES["AutoProcessor"]})
    return sorted(files)


def standalone_files() -> dict[str, str]:
    """File name -> text of the code that a folder carries."""
    source = Path(__file__).parent / "models"
    files = {f"{ENTRY}.py": _entry()}
    for path in sorted(source.glob("*.py")):
        if path.stem in NOT_COPIED:
            continue
        text = _IMPORT.sub(r"\1from .\2 import ", path.read_text(encoding="utf-8"))
        files[path.name] = _FROM_PACKAGE.sub(r"\1from . import ", text)
    return files


def _entry() -> str:
    return ('"""The classes of this model for transformers: AutoConfig, AutoModel..., AutoProcessor.\n\n'
            'The code beside this file is that of the package affectgpt, with relative imports.\n"""\n\n'
            "from .configuration import AffectGPTConfig\n"
            "from .modeling import AffectGPTForConditionalGeneration\n"
            "from .processing import AffectGPTProcessor\n\n"
            '__all__ = ["AffectGPTConfig", "AffectGPTForConditionalGeneration", "AffectGPTProcessor"]\n')
