"""How the labels that are scored were made: extractor, judge, question, languages, refusals; and what must be said
where that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from affectgpt.eval.reporting import page

SHARES = {"extractors": "labels made by", "sources": "made from", "questions": "question asked",
          "languages": "language of the answers"}
RATES = {"refusals": "refused, counted as missing", "empty": "empty answers, counted as missing",
         "unread": "not read: a language that the extractor does not know",
         "cut_off": "answers cut off by their length"}
PRINTED_BY = "Qwen2.5-7B-Instruct"
"""The published extractor of labels (OV-MER, arXiv 2410.01495), behind printed scores of systems that describe."""


def shown(systems: Sequence) -> list[dict]:
    """A table with a column a system (`report.SetReport`)."""
    made = [entry.entry.get("made") for entry in systems]
    blocks = [page.heading(3, "How these labels were made")]
    if not any(isinstance(one, Mapping) for one in made):
        return [*blocks, {"kind": "text", "text": "Not recorded: these results do not say which extractor made the "
                          "labels. Label and score the answers again with this version to have it on record."}]
    made = [one if isinstance(one, Mapping) else {} for one in made]
    rows = [[title, *(_shares(one.get(key)) for one in made)] for key, title in SHARES.items()]
    rows += [["judge of descriptions", *(page.clean(one["judge"]) if one.get("judge") else "none" if one else
                                         "not recorded" for one in made)]]
    rows += [[title, *(_rate(one.get(key)) for one in made)] for key, title in RATES.items()]
    columns = ["", *(page.clean(entry.system) for entry in systems)]
    return [*blocks, page.table(columns, rows, numbers=set(), warning=difference(systems),
                                caption="Shares of the answers that are scored.")]


def extractors_of(entry) -> tuple[str, ...] | None:
    """Names of what made at least 1 % of the labels, sorted; None where it was not recorded."""
    recorded = entry.entry.get("made")
    found = recorded.get("extractors") if isinstance(recorded, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    return tuple(sorted(page.clean(name) for name, share in found.items()
                        if isinstance(share, int | float) and share >= 0.01))


def difference(systems: Sequence) -> str:
    """What a table of several systems must say where their labels were made by different extractors; else ""."""
    found = {entry.system: extractors_of(entry) for entry in systems}
    if len(set(found.values())) < 2:
        return ""
    names = "; ".join(f"{page.clean(system, 40)}: {', '.join(one) if one else 'not recorded'}"
                      for system, one in found.items())
    return f"These labels were not made alike ({names}). A part of any difference may be the extractors'."


def beside_printed(entry) -> str:
    """The same beside printed scores, which have an LLM's labels wherever a system describes in sentences."""
    found = extractors_of(entry)
    if found is None or found == ("list",):
        return ""
    return (f"The labels of {page.clean(entry.system)} were made by {', '.join(found) or 'nothing'}. Printed systems "
            f"that describe in sentences were labelled by {PRINTED_BY}: a part of any difference may be the "
            "extractors'.")


def _shares(found) -> str:
    if not isinstance(found, Mapping) or not found:
        return "not recorded"
    pairs = sorted(((name, share) for name, share in found.items() if isinstance(share, int | float)),
                   key=lambda pair: -pair[1])
    return ", ".join(f"{_rate(share)} {page.clean(name, 60) or 'none'}" for name, share in pairs[:6]) + \
        (f", {len(pairs) - 6} more" if len(pairs) > 6 else "")


def _rate(share) -> str:
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
        return "not recorded"
    return f"{100 * share:.1f} %".replace(".0 %", " %")
