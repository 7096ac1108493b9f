"""Facts about splits, found by counting: what is in them, what they share, and what the published folds of C-EXPR-DB
are.

    affectgpt compare cexpr --facts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from affectgpt.baselines.split import NAMES, ON_TEST, Split, target_of
from affectgpt.data.clip import Clip, absent_files
from affectgpt.data.readers import cexpr

PROBLEMS = 5
"""Bad lines of a fold that are shown; all are counted."""


def split_facts(split: Split, classes: Sequence[str]) -> dict[str, Any]:
    """What one split is.

    Returns:
        name; train, validation, test: class -> clips; validation_is_test; shared_groups and shared_speakers: how many
        groups (videos, dialogues) and speakers with training clips have test clips too; shared_with_validation: groups
        with training and validation clips; absent: part -> classes that it lacks.
    """
    parts = {name: getattr(split, name) for name in NAMES}
    counts = {name: Counter(map(target_of, clips)) for name, clips in parts.items()}
    return {
        "name": split.name, **{name: {word: counts[name][word] for word in classes} for name in NAMES},
        "validation_is_test": split.chosen_on_test,
        "shared_groups": len(_groups(split.train) & _groups(split.test)),
        "shared_with_validation": len(_groups(split.train) & _groups(split.validation)),
        "shared_speakers": len(_speakers(split.train) & _speakers(split.test)),
        "absent": {name: [word for word in classes if not counts[name][word]] for name in NAMES},
    }


def split_notes(splits: Sequence[Split], classes: Sequence[str]) -> list[str]:
    """What a reader of scores on these splits must know, a line each."""
    facts, notes = [split_facts(split, classes) for split in splits], []
    if any(fact["validation_is_test"] for fact in facts):
        notes.append(f"warning: {ON_TEST}")
    for key, what in (("shared_groups", "videos or dialogues"), ("shared_speakers", "speakers")):
        if any(fact[key] for fact in facts):
            numbers = [fact[key] for fact in facts]
            several = f"{min(numbers)} to {max(numbers)}" if min(numbers) < max(numbers) else str(numbers[0])
            notes.append(f"warning: {several} {what} have clips in training and in test"
                         + (" of a split" if len(splits) > 1 else ""))
    for part, effect in (("train", "which therefore cannot be learnt there"), ("validation", ""), ("test", "")):
        lacking = [(fact["name"], fact["absent"][part]) for fact in facts if fact["absent"][part]]
        if lacking and (part == "train" or len(splits[0].test) > 1):  # one clip has one class
            if len(lacking) > 3:
                notes.append(f"note: {len(lacking)} of {len(facts)} splits have no {part} clip of some class"
                             f"{', ' * bool(effect)}{effect}")
            else:
                notes += [f"note: {name} has no {part} clip of {', '.join(absent)}{', ' * bool(effect)}{effect}"
                          for name, absent in lacking]
        ones = [fact["name"] for fact in facts if len(fact["absent"][part]) == len(classes) - 1]
        if ones and part != "test" and len(classes) > 1:
            notes.append(f"warning: {', '.join(ones[:3])}: all {part} clips are of one class")
    return notes


def _groups(clips: Iterable[Clip]) -> set[str]:
    return {f"{clip.split if not clip.group else ''} {clip.group or clip.dialogue}" for clip in clips
            if clip.group or clip.dialogue}


def _speakers(clips: Iterable[Clip]) -> set[str]:
    return {clip.speaker for clip in clips if clip.speaker}


# ---------------------------------------------------------------------------- C-EXPR-DB as published


def cexpr_facts(root: str | Path) -> dict[str, Any]:
    """What the annotation and the published folds of C-EXPR-DB are.

    Returns:
        segments, seven (without "other"), videos, minutes, classes (name -> segments), media (segments whose video is
        there), transcripts (kind -> segments), folds: a list of `fold_facts`.
    Raises:
        ValueError: as the reader, for the annotation; a bad line of a fold is counted instead.
    """
    root = Path(root).expanduser()
    clips = cexpr.annotated(root)
    by_name = {clip.id: clip for clip in clips}
    counts = Counter(clip.targets.emotion for clip in clips)
    return {
        "segments": len(clips), "seven": len(clips) - counts["other"], "videos": len({clip.group for clip in clips}),
        "minutes": round(sum(clip.end - clip.start for clip in clips if clip.end is not None) / 60, 2),
        "classes": {name: counts[name] for name in cexpr.CORPUS.labels},
        "media": sum(clip.media is not None and not absent_files(clip) for clip in clips),
        "transcripts": _transcripts(root, by_name),
        "folds": [fold_facts(root, number, by_name) for number in range(cexpr.CORPUS.folds)],
    }


def fold_facts(root: Path, number: int, by_name: dict[str, Clip]) -> dict[str, Any]:
    """What one published fold is.

    Returns:
        fold; missing: files that are not there; train, validation, test: segments; classes: split -> class -> segments;
        validation_is_test: both files name the same segments; shared_videos: videos with segments in training and in
        test; shared_with_validation: the same of validation; absent: split -> classes that it lacks; bad_lines,
        no_segment (named, but nowhere annotated) and other_class (than annotated): how many lines; problems: the first.
    """
    folder = cexpr.fold_folder(root, number)
    names: dict[str, list[str]] = {split: [] for split in cexpr.FOLD_FILES.values()}
    found = Counter()
    missing, problems = [], []
    for file, split in cexpr.FOLD_FILES.items():
        if not (folder / file).is_file():
            missing.append(str(folder / file))
            continue
        for where, line in cexpr.fold_lines(folder / file):
            try:
                name, label, _ = cexpr.fold_line(line, where)
                kind, message = _problem(name, label, by_name, where)
            except ValueError as error:
                name, kind, message = "", "bad_lines", str(error)
            if kind:
                found[kind] += 1
                problems.append(message)
            if name in by_name:
                names[split].append(name)
    videos = {split: {by_name[name].group for name in listed} for split, listed in names.items()}
    classes = {split: Counter(by_name[name].targets.emotion for name in listed) for split, listed in names.items()}
    return {
        "fold": number, "missing": missing, **{split: len(listed) for split, listed in names.items()},
        "classes": {split: {word: counts[word] for word in cexpr.CORPUS.labels} for split, counts in classes.items()},
        "validation_is_test": bool(names["test"]) and set(names["validation"]) == set(names["test"]),
        "shared_videos": len(videos["train"] & videos["test"]),
        "shared_with_validation": len(videos["train"] & videos["validation"]),
        "absent": {split: [word for word in cexpr.CORPUS.labels if not counts[word]]
                   for split, counts in classes.items()},
        **{kind: found[kind] for kind in ("bad_lines", "no_segment", "other_class")}, "problems": problems[:PROBLEMS],
    }


def _problem(name: str, label: int, by_name: dict[str, Clip], where: str) -> tuple[str, str]:
    if name not in by_name:
        return "no_segment", f"{where}: {name} is in no annotation"
    if cexpr.CORPUS.labels[label] != by_name[name].targets.emotion:
        return "other_class", (f"{where}: {name} has class {label} ({cexpr.CORPUS.labels[label]}), and is annotated as "
                               f"{by_name[name].targets.emotion}")
    return "", ""


def _transcripts(root: Path, by_name: dict[str, Clip]) -> dict[str, int]:
    """Kind of transcript -> segments; the first transcript of a segment counts, others are compared with it."""
    texts: dict[str, list[str]] = {}
    for number in range(cexpr.CORPUS.folds):
        for file in sorted(cexpr.fold_folder(root, number).glob("*.txt")):
            for where, line in cexpr.fold_lines(file):
                try:
                    name, _, text = cexpr.fold_line(line, where)
                except ValueError:
                    continue  # counted among the bad lines of its fold
                if text is not None and name in by_name:
                    texts.setdefault(name, []).append(text)
    kinds = Counter(dict.fromkeys(("words", "one_word", "nobody_is_speaking", "empty", "none", "differ"), 0))
    for name in by_name:
        found = texts.get(name)
        if found is None:
            kinds["none"] += 1
            continue
        kinds["differ"] += len(set(found)) > 1
        kinds["nobody_is_speaking" if cexpr.is_nobody(found[0]) else "empty" if not found[0] else
              "one_word" if len(found[0].split()) == 1 else "words"] += 1
    return dict(kinds)


def print_cexpr(facts: dict[str, Any]) -> None:
    """Print what `cexpr_facts` found."""
    print(f"C-EXPR-DB: {facts['segments']} annotated segments of {facts['videos']} videos, {facts['minutes']:.1f} "
          f"minutes; {facts['seven']} of the seven classes; the videos of {facts['media']} are here")
    for name, count in sorted(facts["classes"].items(), key=lambda item: -item[1]):
        print(f"  {name:<24}{count:>4}")
    words = facts["transcripts"]
    print(f"transcripts: {words['words']} of several words, {words['one_word']} of one word, "
          f"{words['nobody_is_speaking']} say that nobody is speaking, {words['empty']} are empty, {words['none']} "
          f"segments have none; {words['differ']} differ between folds")
    for fold in facts["folds"]:
        for file in fold["missing"]:
            print(f"fold {fold['fold']}: {file} is missing")
        same = "validation is the test" if fold["validation_is_test"] else "validation is not the test"
        print(f"fold {fold['fold']}: {fold['train']} train, {fold['validation']} validation, {fold['test']} test; "
              f"{same}; {fold['shared_videos']} of {facts['videos']} videos are in train and test, "
              f"{fold['shared_with_validation']} in train and validation")
        for split, absent in fold["absent"].items():
            if absent and fold[split]:
                print(f"  no {split} segment of {', '.join(absent)}")
        bad = fold["bad_lines"] + fold["no_segment"] + fold["other_class"]
        if bad:
            print(f"  {bad} lines cannot be used as they are: {fold['bad_lines']} unreadable, {fold['no_segment']} "
                  f"name no segment, {fold['other_class']} say another class; {'; '.join(fold['problems'])}")
