"""The language of a text, told by its letters."""

from __future__ import annotations

import re

_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")


def language_of(text: str) -> str:
    """"en", "zh", "mixed" of the two, or "unknown" (no letters, or those of another script)."""
    chinese, latin = len(_CHINESE.findall(text)), len(_LATIN.findall(text)) / 4  # a Chinese character is a word
    if not chinese:
        return "en" if latin * 8 >= sum(map(str.isalpha, text)) and latin else "unknown"
    return "zh" if chinese > 4 * latin else "mixed" if chinese > 0.1 * latin else "en"
