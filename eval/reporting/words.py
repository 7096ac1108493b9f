"""Numbers of a report as text."""

from __future__ import annotations

from affectgpt.metrics import stats


def number(value: float | None) -> str:
    """Two decimals, or "none"."""
    return "none" if value is None else f"{value:.2f}"


def interval(ends: list) -> str:
    """"low to high"."""
    return "no interval" if None in ends else f"{ends[0]:.2f} to {ends[1]:.2f}"


def with_interval(found: dict | None) -> str:
    """Primary score with its interval."""
    return f"{number(found['primary'])} ({interval(found['interval'])})" if found else ""


def p_value(found: dict, p: float | None = None) -> str:
    """p of a comparison, or a p that was adjusted from it; never below what its draws can tell."""
    return stats.p_text(found["p"] if p is None else p, found.get("floor", 0.0))
