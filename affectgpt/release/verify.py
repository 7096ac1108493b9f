"""`affectgpt verify`: a released folder is what was released, loads, and answers as it did.

    affectgpt verify release/
    affectgpt verify release/ --quick        # hashes alone, no model is loaded
    affectgpt verify release/ --quantize int8 --clips 8     # and what fewer bits cost: size, speed, other answers
"""

from __future__ import annotations

import argparse
from pathlib import Path

from affectgpt.terminal import printable


def main(arguments: list[str]) -> int:
    """Parse the command line and verify; exit code 2 where something is not as it was released."""
    parser = argparse.ArgumentParser(prog="affectgpt verify", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a released folder")
    parser.add_argument("--quick", action="store_true", help="look at files alone; load no model")
    parser.add_argument("--quantize", choices=("int8", "8bit", "4bit"), help="also compare the model with its LLM in "
                        "fewer bits: size, speed, agreement of answers")
    parser.add_argument("--clips", type=int, default=8, metavar="N", help="drawn clips for that (default: 8)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    folder = Path(options.folder)
    if options.clips < 1:
        raise ValueError(f"--clips is {options.clips}: use 1 or more")
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    from affectgpt.release import manifest

    found = list(manifest.problems(folder))
    if found:
        raise ValueError(f"{folder}: {len(found)} files are not as they were released: "
                         f"{'; '.join(map(printable, found[:8]))}{'; ...' if len(found) > 8 else ''}")
    files = manifest.read_manifest(folder)
    print(f"files     {len(files)} files, {manifest.size_text(sum(one['size'] for one in files.values()))}: every "
          "SHA-256 is the released one", flush=True)
    from affectgpt.model_folder import check_auto_map

    check_auto_map(folder)
    print("code      auto_map stays in the folder", flush=True)
    if options.quick:
        return 0
    from affectgpt.errors import quiet_libraries
    from affectgpt.release import example

    quiet_libraries()
    stored = example.read_example(folder)  # also damaged, before minutes pass
    from affectgpt.inference import Describer

    describer = Describer(folder, options.device)
    print("model     loads: every tensor is there and has its size", flush=True)
    if stored is None:
        print("answer    none is stored in this folder")
    else:
        again = example.answer(folder, stored["file"], stored.get("words"), describer)
        same, words = example.compare(stored, again)
        if not same:
            raise ValueError(f"{folder}: {printable(words)}")
        print(f"answer    {printable(words)}", flush=True)
    if options.quantize:
        from affectgpt.release import quantised

        del describer
        found = quantised.measure(folder, options.quantize, options.clips, options.device)
        print("\n".join([f"fewer bits ({options.quantize}):", *quantised.lines(found, options.quantize)]))
    print(f"\nnext:  affectgpt describe CLIP --model {folder}")
    return 0
