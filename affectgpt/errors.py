"""How a command ends: one clear line for a user's mistake, a traceback only where it was asked for.

Users' mistakes and bad media are `ValueError` everywhere in this project; there is no own exception tree.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence

from affectgpt.terminal import make_output_safe, printable

USER_ERROR = 2
BUG = 1
INTERRUPTED = 130
BROKEN_PIPE = 141


def describe_error(error: BaseException) -> str:
    """One line of plain words for an exception: what happened and to which file."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([*names, error.strerror])
    return " ".join(str(error).split()) or type(error).__name__


def run_cli(function: Callable[[list[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Run `function(arguments)` as a command and return its exit code.

    argv: the arguments without the program's name; None takes `sys.argv[1:]`. Every `--debug` before a
    bare `--` is taken out and shows tracebacks; a parser may still declare it, for its help text.

    Exit codes: what `function` returns (None is 0); 2 for `ValueError` and `OSError`; 130 for Ctrl-C;
    141 where the reader of the output is gone; 1 for any other exception, which is a bug.
    `SystemExit`, which argument parsers raise, passes through.
    """
    make_output_safe()
    given = list(sys.argv[1:] if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)
    debug = "--debug" in given[:end]
    arguments = [argument for argument in given[:end] if argument != "--debug"] + given[end:]
    try:
        code = function(arguments)
        sys.stdout.flush()
        return code or 0
    except BrokenPipeError:
        # Python flushes again at exit and would complain: the output goes nowhere from here on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        message, code = _verdict(error, debug)
    print(f"error: {printable(message)}", file=sys.stderr, flush=True)
    return code


def _verdict(error: BaseException, debug: bool) -> tuple[str, int]:
    """The line to print for an exception, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if isinstance(error, (ValueError, OSError)):
        return describe_error(error), USER_ERROR
    hint = "report it with the traceback above" if debug else "run it again with --debug to see where"
    return f"{type(error).__name__}: {describe_error(error)} (a bug in affectgpt; {hint})", BUG


def quiet_libraries() -> None:
    """No progress bars and warnings of libraries between a user and an answer."""
    import logging
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
