"""An extraction of features that stops where $STALL says, "load 6" or "save 2", until it is killed."""

from __future__ import annotations

import os
import sys
import time

from affectgpt.data import reading
from affectgpt.errors import run_cli
from affectgpt.train.extract_features import main

place, number = os.environ["STALL"].split()
count, load, replace = 0, reading.load_clip, os.replace


def stall(where):
    global count
    count += where == place
    if count == int(number) and where == place:
        open(os.environ["STALLED"], "w").close()
        time.sleep(600)


def slow_load(*arguments, **options):
    stall("load")
    return load(*arguments, **options)


def slow_replace(source, target):
    if str(target).endswith(".safetensors"):
        stall("save")
    return replace(source, target)


reading.load_clip, os.replace = slow_load, slow_replace
sys.exit(run_cli(main))
