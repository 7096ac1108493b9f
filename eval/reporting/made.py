"""How the labels that are scored were made: extractor, judge, question, languages, refusals; and what must be said
where that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from affectgpt.eval.reporting import page
from affectgpt.metrics.made import NOT_SAID, differences

SHARES = {"extractors": "labels made by", "sources": "made from", "questions": "question asked",
          "languages": "language of the answers"}
RATES = {"refusals": "refused, counted as missing", "empty": "empty answers, counted as missing",
         "skipped": "clips that could not be asked about, counted as missing",
         "unread": "not read: a language that the extractor does not know",
         "cut_off": "answers cut off by their length"}
PRINTED_BY = "Qwen2.5-7B-Instruct"
"""The published extractor of labels (OV-MER, arXiv 2410.01495), behind printed scores of systems that describe."""


def recorded(entry) -> dict | None:
    """What the results of a system say of how its labels were made (`metrics.made`), of the types that it must be;
    None where they say nothing."""
    found = entry.entry.get("made")
    if not isinstance(found, Mapping) or not found:
        return None
    shares = {key: {page.clean(name, 60): share for name, share in found[key].items() if _is_share(share)}
              if isinstance(found.get(key), Mapping) else {} for key in SHARES}
    judge = found.get("judge")
    return {**shares, **{key: found.get(key) if _is_share(found.get(key)) else None for key in RATES},
            "judge": page.clean(judge) if isinstance(judge, str) else None}


def _is_share(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def shown(systems: Sequence) -> list[dict]:
    """A table with a column a system (`reading.SetReport`)."""
    made = [recorded(entry) for entry in systems]
    blocks = [page.heading(3, "How these labels were made")]
    if not any(made):
        return [*blocks, {"kind": "text", "text": "Not recorded: these results do not say which extractor made the "
                          "labels. Label and score the answers again with this version to have it on record."}]
    rows = [[title, *(_shares(one[key]) if one else "not recorded" for one in made)] for key, title in SHARES.items()]
    rows += [["judge of descriptions", *((one["judge"] or "none") if one else "not recorded" for one in made)]]
    rows += [[title, *(_rate(one[key] if one else None) for one in made)] for key, title in RATES.items()]
    return [*blocks, page.table(["", *(page.clean(entry.system) for entry in systems)], rows, numbers=set(),
                                warning=difference(systems), caption="Shares of the answers that are scored.")]


def difference(systems: Sequence) -> str:
    """What a table of several systems must say where their labels were made in different ways; else ""."""
    known = {page.clean(entry.system, 40): recorded(entry) for entry in systems}
    missing = [name for name, one in known.items() if one is None]
    warnings = differences({name: one for name, one in known.items() if one is not None})
    if missing and len(missing) < len(known):
        warnings.append(f"how the labels of {', '.join(missing)} were made is not recorded, so nobody knows whether "
                        "they compare")
    return page.clean(". ".join(f"{text[:1].upper()}{text[1:]}" for text in warnings), 600)


def beside_printed(entry) -> str:
    """The same beside printed scores, which have an LLM's labels wherever a system describes in sentences."""
    made = recorded(entry)
    found = sorted(name for name, share in (made or {"extractors": {}})["extractors"].items()
                   if share >= 0.01 and name != NOT_SAID)
    if found in ([], ["list"]):
        return ""
    return (f"The labels of {page.clean(entry.system)} were made by {', '.join(found)}. Printed systems that describe "
            f"in sentences were labelled by {PRINTED_BY}: a part of any difference may be the extractors'.")


def _shares(found: Mapping[str, float]) -> str:
    pairs = sorted(found.items(), key=lambda pair: -pair[1])
    more = f", {len(pairs) - 6} more" if len(pairs) > 6 else ""
    return ", ".join(f"{_rate(share)} {name or 'none'}" for name, share in pairs[:6]) + more or "not recorded"


def _rate(share: float | None) -> str:
    return "not recorded" if share is None else f"{100 * share:.1f} %".replace(".0 %", " %")
