"""Small corpora in the layouts of the readers: a table each whose form tests change, and what lies beside it.

Every reader of `READERS` is in `TABLES` or in `OTHERS`, so that a new one is missed by `test_readers_hostile`.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

from affectgpt.data.readers.cexpr import CLASSES


@dataclass(frozen=True)
class Table:
    """The table of labels of a corpus.

    Args:
        file: its place below the root.
        columns, rows: its cells.
        ids: of the clips that are read.
        name: column of the clip's name; "" where no cell alone is one.
        label: column whose unknown word is an error; "" where any word is right.
        empty: columns whose cells may be empty.
        beside: further files: place -> text.
        options: of the reader.
        again: whether the same row twice is one clip.
    """

    file: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ids: tuple[str, ...]
    name: str = "name"
    label: str = ""
    empty: tuple[str, ...] = ()
    beside: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    again: bool = True

    def text(self, separator: str = ",", line: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
        """The table as CSV."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=separator, lineterminator=line, quoting=quoting)
        writer.writerows((self.columns, *self.rows))
        return out.getvalue()

    def make(self, root: Path, text: str | bytes | None = None) -> Path:
        """Write the corpus, its table with this text; gives the root."""
        text = self.text() if text is None else text
        for place, content in (*self.beside.items(), (self.file, text)):
            file = root / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root


_A, _B = "00000123", "样本_2"
_SUBTITLES = f"name,chinese,english\n{_A},你好,\"Well, hello\"\n{_B},,\n"
_MEDIA = {f"video/{_A}.MP4": "x", f"audio/{_A}.Wav": "x", f"openface_face/{_A}.npy": "x"}
_POOL = {"subtitle_chieng.csv": _SUBTITLES, f"video/{_A}.MP4": "x", f"audio/{_A}.Wav": "x",
         f"openface_face/{_A}/{_A}.npy": "x"}
_OPEN = ("name", "openset"), ((_A, "['happy', 'at ease']"), (_B, "")), (_A, _B)
_PAIR = (_A, "Calm, he says.", "Tense.")
_VOTES = ("", *"ADFHNS", "fileName", "numResponses")
_CEXPR = ("Begin Time - hh:mm:ss.ms", "End Time - hh:mm:ss.ms", *CLASSES)
_MELD = ("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season")
_SCORES = ("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode")


def _open_labels(name: str, **further) -> Table:
    return Table(f"track2_train_{name}.csv", *_OPEN, empty=("openset",), beside={**_POOL, **further})


def _pairs(name: str) -> Table:
    return Table(f"track3_{name}.csv", ("name", "a1", "a2", "preference"),
                 ((*_PAIR, "a1"), (_B, "One.", "Two.", "same")), (_A, _B), label="preference", beside=_POOL)


def _scores(file: str, clip: str, said: str) -> Table:
    return Table(file, _SCORES, (("-3g5yACwYnA", clip, said, "0.5", "", "", "", "Positive", "train"),
                                 ("v_2", "00012_1", "No.", "-1.0", "", "", "", "Negative", "valid")),
                 (f"-3g5yACwYnA_{clip}", "v_2_00012_1"), name="clip_id", label="mode",
                 beside={f"Raw/-3g5yACwYnA/{clip}.mp4": "x"})


TABLES: dict[str, Table] = {
    "mercaptionplus": _open_labels("mercaptionplus", **{
        "track3_train_mercaptionplus.csv": f"name,reason\n{_A},\"He laughs,\nloudly.\"\n"}),
    "mercaption": _open_labels("mercaption", **{"track3_train_mercaption.csv": f"name,reason\n{_A},He laughs.\n"}),
    "ovmerd": _open_labels("ovmerd", **{"track3_train_ovmerd.csv": f"name,reason\n{_A}.mp4,He laughs.\n"}),
    "humanov": _open_labels("human"),
    "emer": Table("final-EMER-reason.csv", ("name", "chinese", "english"), ((_A, "他笑。", "He laughs,\nloudly."),
                                                                          (_B, "", "")), (_A, _B),
                  empty=("english",), beside={"openset.csv": f"name,openset\n{_B},['happy']\n", **_MEDIA}),
    "emer-v1": Table("gt-eng.csv", ("names", "emotions", "subtitles", "reasons"),
                     ((_A, "happy", "Well!", "He laughs."), (_B, "", "", "")), (_A, _B), name="names",
                     label="emotions", empty=("emotions", "subtitles", "reasons"), beside=_MEDIA),
    "ovmerdplus": Table("ovlabel.csv", *_OPEN, empty=("openset",),
                        beside={"subtitle_eng.csv": f"name,sentence\n{_A}.mp4,Well!\n", **_MEDIA}),
    "mer2025-track1": Table("track1_train_disdim.csv", ("name", "discrete", "valence"),
                            ((_A, "happy", "1.5"), (_B, "", "")), (_A, _B), label="discrete",
                            empty=("discrete", "valence"), beside=_POOL),
    "mer2026-track1": Table("track1_train.csv", ("name", "discrete"), ((_A, "happy"), (_B, "")), (_A, _B),
                            label="discrete", empty=("discrete",), beside=_POOL),
    "emoprefer": _pairs("emoprefer"), "emopreferv2": _pairs("emopreferv2"),
    "emoprefer-candidates": Table("track3_candidate.csv", ("name", "a1", "a2"), (_PAIR,), (_A,), beside=_POOL),
    "mer-candidates": Table("track_all_candidates.csv", ("name", "duration"), ((_A, "1"), (_B, "")), (_A, _B),
                            beside=_POOL),
    "mer2023": Table("train-label.csv", ("name", "discrete", "valence"), ((_A, "happy", "1.5"), (_B, "", "")),
                     (_A, _B), label="discrete", empty=("discrete", "valence"), beside={f"train/{_A}.AVI": "x"}),
    "mer2024": Table("label-disdim.csv", ("name", "discrete", "valence"), ((_A, "happy", "1.5"), (_B, "", "")),
                     (_A, _B), label="discrete", empty=("discrete", "valence"),
                     beside={f"video-labeled/{_A}.mp4": "x", "label-transcription.csv": _SUBTITLES}),
    "meld": Table("train_sent_emo.csv", _MELD,
                  (("1", "Don’t, \"you\"!", "Joey", "joy", "positive", "0", "0", "8"),
                   ("2", "", "", "neutral", "neutral", "0", "1", "8")),
                  ("train_dia0_utt0", "train_dia0_utt1"), name="", label="Emotion", empty=("Utterance", "Speaker"),
                  beside={"train_splits/dia0_utt0.MP4": "x"}),
    "cmumosi": _scores("label.csv", "1", "IT WAS, GOOD"), "cmumosei": _scores("label.csv", "10", "Well."),
    "sims": _scores("label.csv", "0001", "你好"), "simsv2": _scores("meta.csv", "0001", "你好"),
    "dfew": Table("EmoLabel_DataSplit/train(single-labeled)/set_1.csv", ("video_name", "label"),
                  (("1", "1"), ("2", "7")), ("1", "2", "3"), name="video_name", label="label", beside={
                      "EmoLabel_DataSplit/test(single-labeled)/set_1.csv": "video_name,label\n3,4\n",
                      "Clip/original/part_1/1.mp4": "x"}),
    "cexpr": Table("annotation/01.csv", _CEXPR, (("00:00:01.5", "00:00:02", "1 ", *[""] * 7),),
                   ("01_Fearfully-Surprised_0",), name="", beside={"videos/01.mp4": "x"}, again=False),
    "ravdess": Table("labels.csv", ("file", "actor", "emotion"), (("a.opus", "01", "calm"), ("b.opus", "20", "sad")),
                     ("a", "b"), name="", label="emotion", beside={"a.opus": "x"}),
    "cremad": Table("processedResults/tabulatedVotes.csv", _VOTES,
                    (("300001", "6", "2", "0", "0", "0", "0", "1001_DFA_ANG_XX", "8"),
                     ("300002", "0", "1", "0", "1", "", "0", "1002_IEO_HAP_HI", "2")),
                    ("1001_DFA_ANG_XX", "1002_IEO_HAP_HI"), name="", options={"emotion": "perceived"}, beside={
                        "AudioWAV/1001_DFA_ANG_XX.WAV": "x", "AudioWAV/1002_IEO_HAP_HI.wav": "x",
                        "VideoFlash/1001_DFA_ANG_XX.flv": "x"}),
    "news": Table("clip_attrs.csv", ("clipN", "class", "phraseN", "phrase_txt"),
                  (("001", "gn", "1", "got it"), ("011", "ists", "1", ""), ("099", "ists", "2", "no table")),
                  ("001", "011"), name="", label="class", empty=("phrase_txt",), options={"words": True},
                  beside={"001.csv": "AU01\n0.5\n", "011.csv": "AU01\n0.5\n"}),
}


def _merr(root: Path, grain: str, key: str) -> Path:
    row = {key: "He laughs.", "pseu_emotion": "surprise", "text": "Well!", "AU_list": []}
    (root / f"MERR_{grain}_grained.json").write_text(json.dumps({f"{_A}.mp4": row, _B: {key: ""}}), encoding="utf-8")
    return root


def _mafw(root: Path) -> Path:
    for split, line in (("train", "00001.mp4 anger"), ("test", "00002.mp4 helplessness")):
        file = root / "Train & Test Set" / "single" / "no_caption" / "set_1" / f"{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{line}\r\n\r\n")
    return root


def _emodb(root: Path) -> Path:
    (root / "wav").mkdir()
    (root / "wav" / "03a01Fa.WAV").write_text("x")
    return root


def _iemocap(root: Path) -> Path:
    folder = root / "Session5" / "dialog" / "EmoEvaluation"
    folder.mkdir(parents=True)
    (folder / "Ses05F_impro01.txt").write_text(
        "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        "[6.2901 - 8.2357]\tSes05F_impro01_F000\tneu\t[2.5000, 2.0000, 3.0000]\nC-E2:\tNeutral;\t()\n\n"
        "[9.0000 - 9.5000]\tSes05F_impro01_M000\texc\t[4.5000, 4.0000, 3.0000]\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
        "[9.5000 - 9.9000]\tSes05F_impro01_M001\txxx\t[4.5000, 4.0000, 3.0000]\n")
    (folder / "._Ses05F_impro01.txt").write_bytes(b"\0\xff")
    return root


def _manifest(root: Path) -> Path:
    (root / "m.csv").write_text(f"id,media\n{_A},a.mp4\n")
    return root / "m.csv"


OTHERS = {"merr-coarse": lambda root: _merr(root, "coarse", "caption"),
          "merr-fine": lambda root: _merr(root, "fine", "smp_reason_caption"), "mafw": _mafw, "emodb": _emodb,
          "iemocap": _iemocap, "iemocap6": _iemocap, "manifest": _manifest}
"""Readers without a table of rows and columns -> how their corpus is made; gives the root."""
