"""The official emotion-wheel tables of MER2025 and MER2026: any spelling of an emotion -> its place on five wheels.

Three steps lead from a surface form to a root (Lian et al., AffectGPT, arXiv 2501.16566, and OV-MER, arXiv 2410.01495):
forms F (surface form -> base words), synonyms S (base word -> words of the wheels) and wheels W (word -> root). Ties
are broken by the alphabet, as in the official code. The tables are not part of this project: `affectgpt wheels fetch`.
The project's own table, without those ties, is `affectgpt.words.lexicon`; both answer `root(label, wheel, level)`.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from affectgpt.words.lexicon import LEVELS, WHEELS

_SHARED = {
    "synonym.xlsx": "23f81f9ab1d2418aaf96775304fb5dc52c62bb5d5ef652a97471d045fc9d2e29",
    "wheel1.xlsx": "e70485d354b82a7491ff24648273182a5f4f13f92c76e6b3e4f9033f5e6afcc1",
    "wheel2.xlsx": "acc001e076a8e60440361f58dd8c05ed900c4890c84bb7d8d1df93708a7d9c87",
    "wheel3.xlsx": "d62f30bf88c17c55876634cd088eacaef98278fc25457474364439872f9dbf83",
    "wheel4.xlsx": "660260561b7fe15550f3679a01e7c783608ce3403d4c28db0a88520f68d83aea",
    "wheel5.xlsx": "2dd4595b2cf8e7628ca06a416a8e38ac831614b244f23d1ae613dc34007649f1",
}
PINS: dict[str, dict[str, str]] = {
    "mer2025": {"format.csv": "ba6de7d61db8e129d1d7ef8a2aae22a9e93a2c2e3e683e6f2735d04455f016f2", **_SHARED},
    "mer2026": {"format.csv": "82234299875465ecf6c196ace42ffbe745baaeea72b5e39de955af36929982a4", **_SHARED},
}
"""Version -> file -> SHA-256. The scores of the two are not interchangeable: 60 surface forms differ."""

NPZ = "wheel_mapping.npz"
NPZ_PINS = {"4cb21790c3392a14fb2ace6d1b7ed63e38c708872621a1c75b8872808211427b": "mer2026"}
"""SHA-256 of the one-file form of the tables -> version."""

SOURCES = {
    "mer2025": "https://raw.githubusercontent.com/zeroQiaoba/MERTools/fb8dda0ebd52281f69affcbec3cc34dfd281f1ba/"
               "MER2025/MER2025_Track23/emotion_wheel/",
    "mer2026": "https://raw.githubusercontent.com/zeroQiaoba/MERTools/1052cb82fb05b91f821bd197de5bb123fcc9b0e3/"
               "MER2026/MER2026_Track2/emotion_wheel/",
}
"""Version -> where `affectgpt wheels fetch` gets the files; non-commercial research use, see that repository."""


_SHEET_XML = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_TEXTS = "xl/sharedStrings.xml"


@dataclass(frozen=True)
class WheelTables:
    """Tables of one version.

    Attributes:
        version: "mer2025", "mer2026", or "unpinned" for files that are neither.
        forms: surface form -> base words, F.
        synonyms: base word -> words of the wheels, S.
        wheels: wheel -> level -> word -> root, W.
    """

    version: str
    forms: dict[str, list[str]]
    synonyms: dict[str, list[str]]
    wheels: dict[str, dict[str, dict[str, str]]]
    _roots: dict[tuple[str, str], dict[str, str | None]] = field(default_factory=dict, repr=False, compare=False)

    def base(self, word: str) -> str | None:
        """L1: the alphabetically first base word of a surface form in lower case."""
        return min(self.forms[word]) if word in self.forms else None

    def canonical(self, word: str) -> str | None:
        """L2: the alphabetically first wheel word of `base`; words that share it are synonyms."""
        base = self.base(word)
        return min(self.synonyms[base]) if base is not None else None

    def root(self, word: str, wheel: str, level: str = "level1") -> str | None:
        """L3: of all wheel words of all base words, the alphabetically first that is on this wheel -> its root.

        Args:
            word: surface form in lower case, as `published_list` gives it.
            level: "level1" for the innermost ring, "level2" for the one around it.
        """
        known = self._roots.setdefault((wheel, level), {})
        if word not in known:
            places = self.wheels[wheel][level]
            found = [name for base in self.forms.get(word, ()) for name in self.synonyms[base] if name in places]
            known[word] = places[min(found)] if found else None
        return known[word]


def load_tables(folder: str | Path, any_version: bool = False) -> WheelTables:
    """Tables from a folder of xlsx and csv files, or of `wheel_mapping.npz` where those are not all there.

    A folder that has neither, but folders named by version, stands for the one of mer2025, as the published numbers do.

    Args:
        any_version: also take files whose hashes are not pinned; scores from them compare with nobody's.
    Raises:
        ValueError: files are missing, or are of no pinned version.
    """
    folder = Path(folder)
    names = list(PINS["mer2025"])
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of emotion wheels; get them with `affectgpt wheels fetch`")
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        hashes = {name: _sha256(folder / name) for name in names}
        version = next((version for version, pins in PINS.items() if pins == hashes), None)
        if version is None:
            odd = [name for name in names if all(hashes[name] != pins[name] for pins in PINS.values())]
            _check_version(folder, odd or ["format.csv and the rest"], any_version)
        return _from_files(folder, version or "unpinned")
    if (folder / NPZ).is_file():
        version = NPZ_PINS.get(_sha256(folder / NPZ))
        if version is None:
            _check_version(folder, [NPZ], any_version)
        return _from_npz(folder / NPZ, version or "unpinned")
    if len(missing) == len(names) and (folder / "mer2025").is_dir():
        return load_tables(folder / "mer2025", any_version)
    raise ValueError(f"{folder}: {', '.join(missing)} and {NPZ} are missing; get the tables with "
                     "`affectgpt wheels fetch`")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_version(folder: Path, names: list[str], any_version: bool) -> None:
    if not any_version:
        raise ValueError(f"{folder}: {', '.join(names)} are not those of {' or '.join(PINS)}: scores from other tables "
                         "compare with nobody's. Fetch the tables again with `affectgpt wheels fetch`")


def _from_files(folder: Path, version: str) -> WheelTables:
    forms: dict[str, list[str]] = {}
    with (folder / "format.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["name"].strip().lower()
            for word in [name, *row["format"].split(",")]:
                word = word.strip().lower()
                if word and name not in forms.setdefault(word, []):
                    forms[word].append(name)
    synonyms: dict[str, list[str]] = {}
    for row in _sheet(folder / "synonym.xlsx"):
        for name, words in zip(row[::2], row[1::2], strict=False):  # eight runs of an LLM, side by side
            if name is None:
                continue
            name = name.strip().lower()
            for word in [name, *(words or "").split(",")]:
                word = word.strip().lower()
                if word and name not in synonyms.setdefault(word, []):
                    synonyms[word].append(name)
    unknown = sorted(base for bases in forms.values() for base in bases if base not in synonyms)
    if unknown:
        raise ValueError(f"{folder / 'format.csv'}: its word {unknown[0]!r} is not in synonym.xlsx, so the two files "
                         "are not of one version")
    return WheelTables(version, forms, synonyms, {wheel: _wheel(_sheet(folder / f"{wheel}.xlsx")) for wheel in WHEELS})


def _sheet(path: Path) -> list[tuple]:
    """Rows of the first sheet without its heading: text, None for blank cells.

    Read from the parts of the file (ECMA-376), since these sheets are plain tables and openpyxl takes longer to import
    than all tables together take to read.
    """
    from xml.etree import ElementTree

    try:
        with zipfile.ZipFile(path) as book:
            names = book.namelist()
            texts = [] if _TEXTS not in names else [
                "".join(part.text or "" for part in item.iter(f"{_SHEET_XML}t"))
                for item in ElementTree.fromstring(book.read(_TEXTS)).iter(f"{_SHEET_XML}si")]
            sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
        found = []
        for row in sheet.iter(f"{_SHEET_XML}row"):
            cells: dict[int, str | None] = {}
            for cell in row.iter(f"{_SHEET_XML}c"):
                cells[_column(cell.get("r", ""), len(cells))] = _cell_text(cell, texts)
            found.append(tuple(cells.get(place) for place in range(max(cells, default=-1) + 1)))
        width = max(map(len, found), default=0)
        return [row + (None,) * (width - len(row)) for row in found[1:]]
    except (zipfile.BadZipFile, KeyError, IndexError, ValueError, OSError, ElementTree.ParseError) as error:
        raise ValueError(f"{path}: cannot be read as a spreadsheet ({error})") from error


def _cell_text(cell, texts: list[str]) -> str | None:
    """Text of a cell: a shared text, one of its own, or a number as it is written."""
    if cell.get("t") == "inlineStr":
        return "".join(part.text or "" for part in cell.iter(f"{_SHEET_XML}t")) or None
    value = cell.find(f"{_SHEET_XML}v")
    if value is None or value.text is None:
        return None
    return texts[int(value.text)] if cell.get("t") == "s" else value.text


def _column(place: str, following: int) -> int:
    """Number of a cell's column, from 0: "B7" is 1; the next one where it does not say."""
    letters = place.rstrip("0123456789")
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1 if 0 < number <= 16384 else following


def _wheel(rows: list[tuple]) -> dict[str, dict[str, str]]:
    """Level -> word -> root; a blank cell repeats the one above it, and a word on two places has the later one."""
    tree: dict[str, dict[str, list[str]]] = {}
    above = ["", "", ""]
    for row in rows:
        above = [str(new).strip().lower() if new is not None else old for new, old in zip(row[:3], above, strict=True)]
        tree.setdefault(above[0], {}).setdefault(above[1], []).append(above[2])
    level1, level2 = {}, {}
    for root, rings in tree.items():
        level1[root], level2[root] = root, min(rings)  # a root has no ring of its own: its first child stands for it
        for ring, words in rings.items():
            for word in (ring, *words):
                level1[word], level2[word] = root, ring
    return {"level1": level1, "level2": level2}


def _from_npz(path: Path, version: str) -> WheelTables:
    from affectgpt.npz import load_npz

    values = load_npz(path)
    try:
        forms, synonyms, wheels = values["format_mapping"], values["raw_mapping"], values["wheel_map_whole"]
        return WheelTables(version, {word: list(dict.fromkeys(bases)) for word, bases in forms.items()},
                           {word: list(names) for word, names in synonyms.items()},
                           {wheel: {level: dict(wheels[wheel][level]) for level in LEVELS} for wheel in WHEELS})
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: has no table {error}; fetch it again with `affectgpt wheels fetch`") from error
