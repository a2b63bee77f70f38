"""Run one call of ``gozen``: every error becomes one line with its name, and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback

import typer

from gozen.cli.invocation import hoist
from gozen.errors import ExitCode, as_gozen_error

RESUME = "interrupted: committed results are kept; run the same command again to continue"


def run(args: list[str]) -> int:
    """Run the command line and return its exit code.

    An error is printed as one line on standard error, ``gozen: CorruptFile: ...``; ``--debug`` adds the traceback.
    """
    # Process 1 of a container has no default handler of SIGTERM: it would run on until its pod's grace period ends.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _call(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has closed it: the interpreter must not flush to it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except Exception as error:
        if "--debug" in args:
            traceback.print_exception(error)
        return _report(error)
    finally:
        signal.signal(signal.SIGTERM, before)
    if code == ExitCode.INTERRUPTED:
        _say(RESUME)
    return code


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _call(args: list[str]) -> int:
    from gozen.cli.app import build_app

    result = build_app()(hoist(args), prog_name="gozen", standalone_mode=False)
    return result if isinstance(result, int) else ExitCode.DONE


def _report(error: Exception) -> int:
    usage = getattr(error, "format_message", None)
    if usage is not None:
        if not usage():  # a group was called without a subcommand: its help has been printed
            return ExitCode.BAD_REQUEST
        ctx = getattr(error, "ctx", None)
        path = ctx.command_path if ctx is not None else "gozen"
        _say(f"BadRequest: {usage().rstrip('.')}; `{path} --help` says what there is")
        return ExitCode.BAD_REQUEST
    known = as_gozen_error(error)
    _say(f"{known.name}: {known}")
    # A rejection has exit code 0 if it is recorded in a commit; here nothing was recorded.
    return known.exit_code or ExitCode.UNREADABLE_INPUT


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print("gozen: " + " ".join(line.split()), file=sys.stderr)  # noqa: T201 - the one line that scripts read
