"""Acted speech whose file names say everything: CREMA-D (Cao et al. 2014) and EmoDB (Burkhardt et al. 2005).

    CREMA-D  AudioWAV/1001_DFA_ANG_XX.wav and VideoFlash/1001_DFA_ANG_XX.flv (or VideoMP4/...mp4)
             processedResults/tabulatedVotes.csv    votes of listeners and viewers (optional)
             processedResults/summaryTable.csv      the emotion that most of them chose (optional)
             VideoDemographics.csv                  the actors' sex (optional)
    EmoDB    wav/03a01Fa.wav (or the files alone): speaker, text, emotion, version

Their sentences carry no emotion, so clips come without words: `words=true` gives them. Nobody splits these corpora
officially; the protocol `speaker-disjoint` does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from affectgpt.data.clip import SEXES, Clip, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.layout import read_csv
from affectgpt.data.readers.places import FILMS, SOUNDS, clip_name, elsewhere, files_named

CREMA_D = Corpus(
    name="cremad", title="CREMA-D (Cao et al. 2014)", licence="Open Database Licence 1.0",
    access="the authors' repository CheyneyComputerScience/CREMA-D (Git LFS)",
    layout="AudioWAV/ACTOR_SENTENCE_EMOTION_LEVEL.wav\nVideoFlash/ACTOR_SENTENCE_EMOTION_LEVEL.flv\n"
           "processedResults/tabulatedVotes.csv\nprocessedResults/summaryTable.csv\nVideoDemographics.csv",
    kinds=("emotion", "emotion_candidates"), labels=("angry", "disgusted", "fearful", "happy", "neutral", "sad"),
    spellings={"ANG": "angry", "DIS": "disgusted", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad",
               "A": "angry", "D": "disgusted", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad"},
    counts={"": 7442},
)
EMO_DB = Corpus(
    name="emodb", title="EmoDB (Burkhardt et al. 2005)", licence="free for research, cite the authors",
    access="emodb.bilderbar.info", languages=("de",), layout="wav/03a01Fa.wav",
    kinds=("emotion", "emotion_candidates"),
    labels=("angry", "bored", "disgusted", "fearful", "happy", "sad", "neutral"),
    spellings={"W": "angry", "L": "bored", "E": "disgusted", "A": "fearful", "F": "happy", "T": "sad", "N": "neutral"},
    counts={"": 535},
)

CREMA_D_SENTENCES = {
    "IEO": "It's eleven o'clock.", "TIE": "That is exactly what happened.", "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.", "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.", "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.", "ITS": "I think I've seen this before.", "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
_CREMA_D_NAME = re.compile(r"(1\d{3})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)")
_EMO_DB_NAME = re.compile(r"(\d\d)([abc]\d\d)([WLEAFTN])([a-z])")
_EMO_DB_MEN = ("03", "10", "11", "12", "15")
"""Speakers by number, as the corpus's page lists them; the other five are women."""
_SUMMARIES = {"voice": "VoiceVote", "face": "FaceVote", "both": "MultiModalVote"}
_VOTERS = {"voice": 1, "face": 2, "both": 3}
"""What raters saw and heard -> the first digit of a row's number in tabulatedVotes.csv."""


def read_cremad(root: Path, votes: Literal["voice", "face", "both"] = "both", words: bool = False,
                emotion: Literal["acted", "perceived"] = "acted") -> list[Clip]:
    """Clips of CREMA-D: the film where there is one, and its sound.

    Args:
        votes: whose votes `Targets.votes` holds (shares of those who voted): of raters who heard, saw, or both.
        words: give the sentence.
        emotion: what the actor was asked for, or what most of these raters chose; a clip for which two emotions got as
            many votes has none then.
    Raises:
        ValueError: no takes, a table without its columns or with votes that are no numbers; of perceived emotions
            neither table, or a clip that is not in it.
    """
    root = Path(root)
    films = _named(root, ("VideoFlash", "VideoMP4", "video"), FILMS, _CREMA_D_NAME)
    sounds = _named(root, ("AudioWAV", "AudioMP3", "audio"), SOUNDS, _CREMA_D_NAME)
    if not films and not sounds:
        raise ValueError(f"{root}: has no takes named as AudioWAV/1001_DFA_ANG_XX.wav; get them with Git LFS"
                         f"{elsewhere(root / 'AudioWAV')}")
    tallies = _tallies(root / "processedResults" / "tabulatedVotes.csv", _VOTERS[votes])
    chosen = _chosen(root, votes, tallies) if emotion == "perceived" else None
    sexes, clips = _sexes(root / "VideoDemographics.csv"), []
    for name in sorted(films.keys() | sounds.keys()):
        actor, sentence, asked, _ = _CREMA_D_NAME.fullmatch(name).groups()
        film, sound = films.get(name), sounds.get(name)
        where = str(film or sound)
        clips.append(Clip(
            id=name, corpus=CREMA_D.name, media=film or sound, audio=sound if film else None, speaker=actor,
            group=actor, sex=sexes.get(actor), words=CREMA_D_SENTENCES.get(sentence) if words else None,
            provenance=where, targets=Targets(votes=tallies.get(name, {}),
                                              emotion=CREMA_D.label(asked, where) if chosen is None else
                                              _of(chosen, name, where))))
    return clips


def _sexes(table: Path) -> dict[str, str]:
    """Actor -> sex; empty where the table is not there."""
    if not table.is_file():
        return {}
    sexes = {}
    for where, row in read_csv(table, ("ActorID", "Sex")):
        if row["Sex"].lower() not in SEXES:
            raise ValueError(f"{where}: Sex is {row['Sex']!r}: it must be one of {', '.join(SEXES)}")
        sexes[row["ActorID"]] = row["Sex"].lower()
    return sexes


def _chosen(root: Path, votes: str, tallies: dict[str, dict[str, float]]) -> dict[str, str | None]:
    """Take -> the emotion that most raters chose, None where two were chosen by as many."""
    if tallies:
        best = {name: [emotion for emotion, share in shares.items() if share == max(shares.values())]
                for name, shares in tallies.items()}
    else:
        column, best = _SUMMARIES[votes], {}
        for where, row in read_csv(root / "processedResults" / "summaryTable.csv", ("FileName", column)):
            if not row["FileName"] or not row[column]:
                raise ValueError(f"{where}: the row needs FileName and {column}")
            best[clip_name(row["FileName"])] = [CREMA_D.label(letter, where) for letter in row[column].split(":")]
    return {name: found[0] if len(found) == 1 else None for name, found in best.items()}


def _of(chosen: dict[str, str | None], name: str, where: str) -> str | None:
    if name not in chosen:
        raise ValueError(f"{where}: no table of votes has {name}; take the acted emotion (emotion=acted)")
    return chosen[name]


def _tallies(table: Path, voters: int) -> dict[str, dict[str, float]]:
    """Take -> emotion -> share of the votes; empty where the table is not there."""
    if not table.is_file():
        return {}
    shares = {}
    for where, row in read_csv(table, ("", *"ADFHNS", "fileName")):
        if not row[""].isdecimal() or int(row[""]) // 100000 != voters:
            continue
        try:
            counts = {CREMA_D.spellings[key]: float(row[key] or 0) for key in "ADFHNS"}
        except ValueError:
            raise ValueError(f"{where}: votes must be numbers") from None
        total = sum(counts.values())
        if not 0 < total < 1e6 or min(counts.values()) < 0:
            raise ValueError(f"{where}: has {total:g} votes")
        shares[clip_name(row["fileName"])] = {emotion: count / total for emotion, count in counts.items() if count}
    return shares


def read_emodb(root: Path) -> list[Clip]:
    """Clips of EmoDB. Raises ValueError where there are no takes."""
    sounds = _named(Path(root), ("wav", "audio", "."), SOUNDS, _EMO_DB_NAME)
    if not sounds:
        raise ValueError(f"{root}: has no takes named as wav/03a01Fa.wav{elsewhere(Path(root) / 'wav')}")
    clips = []
    for name, file in sorted(sounds.items()):
        speaker, _, emotion, _ = _EMO_DB_NAME.fullmatch(name).groups()
        clips.append(Clip(id=name, corpus=EMO_DB.name, media=file, language="de", speaker=speaker, group=speaker,
                          sex="male" if speaker in _EMO_DB_MEN else "female",
                          targets=Targets(emotion=EMO_DB.label(emotion, str(file))), provenance=str(file)))
    return clips


def _named(root: Path, folders: tuple[str, ...], suffixes: tuple[str, ...], pattern: re.Pattern) -> dict[str, Path]:
    """Name -> file of all takes in the first of these folders that has some; of two suffixes the first counts."""
    for folder in folders:
        found: dict[str, tuple[int, Path]] = {}
        for suffix, file in files_named(root, folder, pattern, suffixes):
            rank = suffixes.index(suffix)
            name = file.stem
            if name not in found or rank < found[name][0]:
                found[name] = rank, file
        if found:
            return {name: file for name, (_, file) in found.items()}
    return {}
