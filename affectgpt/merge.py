"""`affectgpt merge`: a trained model as one folder that needs no other, LoRA added into the LLM and all parts inside.

    affectgpt merge runs/starter --to merged/
    affectgpt merge runs/qwen/model --to merged/ --dtype bfloat16 --max-shard-size 5GB

The folder carries the code that loads it: transformers alone can, and `affectgpt describe --model`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Parse the command line and merge."""
    parser = argparse.ArgumentParser(prog="affectgpt merge", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="RUN_OR_FOLDER", help="a training run, or a model folder")
    parser.add_argument("--to", required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"),
                        help="of the LLM's weights (default: what it was trained in, which gives the same answers)")
    parser.add_argument("--max-shard-size", default="5GB", metavar="SIZE", help="bytes of a file (default: 5GB)")
    parser.add_argument("--force", action="store_true", help="replace a folder that affectgpt wrote")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    from affectgpt.model_folder import model_of

    model_of(options.source)  # told before anything slow is imported
    if Path(options.to).exists() and not options.force:
        raise ValueError(f"--to {options.to}: exists already; --force replaces it, or choose another name")
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    from affectgpt.merging import merge_folder

    merge_folder(options.source, options.to, options.dtype, options.max_shard_size, options.force, _bar)
    size = sum(path.stat().st_size for path in Path(options.to).iterdir())
    print(f"model: {options.to} ({size / 1e9:.2f} GB)\nnext:  affectgpt describe CLIP --model {options.to}")
    return 0


def _bar(names):
    from tqdm import tqdm

    return tqdm(names, unit="tensor", file=sys.stderr, disable=not sys.stderr.isatty())
