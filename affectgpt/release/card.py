"""The model card of a release: written from facts, by one template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectgpt import __version__

TEMPLATE = Path(__file__).with_name("card.md.jinja")
NAME = "README.md"
HUB_LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "bsd-3-clause",
                "cc0-1.0", "llama2", "llama3", "llama3.1", "llama3.2", "gemma")
"""Licences that the hub's front matter has names for; any other is "other" with a name."""


def render(facts: dict[str, Any], title: str, licence: str, form: str, files: dict[str, int], example: dict[str, Any],
           command: str) -> str:
    """The card as Markdown with the hub's front matter.

    Args:
        facts: `release.facts.gather`.
        title: name of the model.
        licence: of the release.
        form: "adapter" or "merged".
        files: name -> bytes of the folder.
        example: the stored answer (`release.example`).
        command: how the release was made.
    """
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                     keep_trailing_newline=True, autoescape=False)
    environment.filters.update(cell=_cell, number=_number, yaml=_yaml)
    restricted = [one for one in [*facts["parts"], *facts["corpora"]] if one["kind"] != "open"]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        **facts, title=title, licence=licence, hub_licence=licence if licence in HUB_LICENCES else "other", form=form,
        size=sum(files.values()), example=example, command=command, version=__version__, bound=restricted,
        base_models=[one["name"] for one in facts["parts"] if _hub_id(one["name"])],
        languages=sorted({language for one in facts["corpora"] for language in one["languages"]}) or ["en"],
        weights=sum(size for name, size in files.items() if name.endswith(".safetensors")))


def _hub_id(name: str) -> bool:
    return name.count("/") == 1 and not Path(name).is_absolute() and not name.startswith(".")


def _cell(value: Any) -> str:
    """Text that stays in one cell of a table, and is no markup."""
    text = " ".join(str(value).split())
    for letter in "\\`*_{}[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return text


def _number(value: Any) -> str:
    """A score: percent with two digits, a share with three."""
    if value is None:
        return "none"
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:.2f}"


def _yaml(value: Any) -> str:
    """A value of the front matter."""
    import json

    return json.dumps(value, ensure_ascii=False)
