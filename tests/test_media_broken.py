"""Files that cannot be used: one clear line each, and nothing on the screen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import numbered_picture, read_number, tone, write_clip
from PIL import Image

from affectgpt.media import MediaError, probe, read_audio, read_frames

ROOT = Path(__file__).resolve().parents[1]


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """name -> (path, words of the message)."""
    whole = write_clip(folder / "whole.mp4", sound=tone(2)).read_bytes()
    index_first = {"movflags": "faststart"}
    front = write_clip(folder / "front.mp4", sound=tone(2), container_options=index_first).read_bytes()
    Image.fromarray(numbered_picture(3, 64, 48)).save(folder / "whole.png")
    contents = {
        "empty.mp4": (b"", "the file is empty"),
        "text.mp4": (b"only words\n" * 99, "not a media file"),
        "text.txt": (b"only words\n" * 99, "not a media file"),
        "no_index.mp4": (whole[: len(whole) * 2 // 3], "cut off before its index"),
        "cut.mp4": (front[: (front.index(b"mdat") + len(front)) // 2], "cut off, only"),
        "cut.png": ((folder / "whole.png").read_bytes()[:100], "cut off or broken"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    (folder / "folder.mp4").mkdir()
    files = {name: (folder / name, words) for name, (_, words) in contents.items()}
    files["folder.mp4"] = folder / "folder.mp4", "this is a folder"
    files["gone.mp4"] = folder / "gone.mp4", "no such file"
    return files


def test_every_failure_is_one_clear_line(tmp_path):
    for name, (path, words) in broken_files(tmp_path).items():
        readers = [probe, lambda path: read_frames(path, 4)]
        readers.append(lambda path: read_frames(path, 4, backend="decord"))
        if name != "cut.png":
            readers.append(read_audio)
        for reader in readers:
            with pytest.raises(MediaError) as caught:
                reader(path)
            message = str(caught.value)
            assert message.startswith(f"{path}: ") and words in message and "\n" not in message


def test_cut_off_file_says_how_much_is_left(tmp_path):
    path, _ = broken_files(tmp_path)["cut.mp4"]
    with pytest.raises(MediaError, match=r"only \d+ of 20 frames"):
        read_frames(path, 4)
    with pytest.raises(MediaError, match=r"only \d+ of \d+ sound packets"):
        read_audio(path)


def test_cut_off_webm_gives_what_is_there(tmp_path):
    data = write_clip(tmp_path / "whole.webm").read_bytes()
    path = tmp_path / "cut.webm"
    path.write_bytes(data[: len(data) * 2 // 3])
    frames = read_frames(path, 4)
    assert 1 < probe(path).frames < 20 and frames.indices.max() < probe(path).frames
    assert [read_number(image) for image in frames.images] == frames.indices.tolist()


def test_damaged_sound_is_refused(tmp_path):
    data = bytearray(write_clip(tmp_path / "clip.mp4", frames=0, sound=tone(2)).read_bytes())
    middle = (data.index(b"mdat") + data.index(b"moov")) // 2
    data[middle : middle + 2000] = b"\xaa" * 2000
    (tmp_path / "clip.mp4").write_bytes(data)
    with pytest.raises(MediaError, match="sound packets cannot be decoded"):
        read_audio(tmp_path / "clip.mp4")


def test_colon_in_a_name_is_no_protocol(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=2).rename(tmp_path / "http:%03d.mp4")
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        assert read_frames(Path("http:%03d.mp4"), 2).images.shape[0] == 2
    finally:
        os.chdir(here)
    assert path.exists()


def test_unknown_options(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=2)
    for options in ({"backend": "other"}, {"rule": "other"}, {"max_side": 8, "size": (8, 8)}):
        with pytest.raises(ValueError):
            read_frames(path, 2, **options)


def test_libraries_stay_silent_and_torch_is_not_loaded(tmp_path):
    paths = [str(path) for path, _ in broken_files(tmp_path).values()]
    code = (
        "import sys\nfrom affectgpt.media import MediaError, probe, read_frames, read_audio\n"
        "for path in sys.argv[1:]:\n"
        "    for reader in (probe, lambda p: read_frames(p, 2), read_audio):\n"
        "        try: reader(path)\n        except MediaError: pass\n"
        "assert not {'torch', 'decord', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
