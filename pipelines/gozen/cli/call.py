"""Run one call of ``gozen``: every error becomes one line with its name, and an exit code."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import sys
import traceback

import typer

from gozen.cli.invocation import GLOBAL_OPTIONS, hoist
from gozen.errors import ExitCode, as_gozen_error, problem_of

RESUME = "interrupted: committed results are kept; run the same command again to continue"
_INVALID = re.compile(r"Invalid value for '([^']+)': (.*)", re.DOTALL)


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
        return _report(error, args)
    finally:
        signal.signal(signal.SIGTERM, before)
    if code == ExitCode.INTERRUPTED:
        _say(RESUME)
    return code


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _call(args: list[str]) -> int:
    from gozen.cli.app import command

    result = command()(hoist(args), prog_name="gozen", standalone_mode=False)
    return result if isinstance(result, int) else ExitCode.DONE


def _report(error: Exception, args: list[str]) -> int:
    usage = getattr(error, "format_message", None)
    if usage is not None:
        if not usage():  # a group was called without a subcommand: its help has been printed
            return ExitCode.BAD_REQUEST
        ctx = getattr(error, "ctx", None)
        # An option without its value is reported without the context, which would name the verb.
        path = ctx.command_path if ctx is not None else _verb(args)
        _say(f"BadRequest: {_problem(usage().rstrip('.'), args)}; `{path} --help` shows how to use it")
        return ExitCode.BAD_REQUEST
    known = as_gozen_error(error)
    _say(f"{known.name}: {known}")
    # A rejection has exit code 0 if it is recorded in a commit; here nothing was recorded.
    return known.exit_code or ExitCode.UNREADABLE_INPUT


def _problem(text: str, args: list[str]) -> str:
    """Return the parser's message with the invalid value, which the parser leaves out."""
    found = _INVALID.match(text)
    if found is None:
        return text
    names = found[1].split(" / ")
    given = [value for name, value in itertools.pairwise(args) if name in names]
    given += [word.partition("=")[2] for word in args if word.partition("=")[0] in names and "=" in word]
    value = f" {given[-1]!r}" if given else ""
    return f"invalid value{value} for {found[1]}: {problem_of(found[2])}"


def _verb(args: list[str]) -> str:
    """Return the command that is called, such as ``gozen archive expire``."""
    from gozen.cli.app import command

    path, verb = ["gozen"], command()
    for before, word in zip(["", *args], args, strict=False):
        verbs = getattr(verb, "commands", {})
        if word in verbs and not GLOBAL_OPTIONS.get(before):
            path.append(word)
            verb = verbs[word]
    return " ".join(path)


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print("gozen: " + " ".join(line.split()), file=sys.stderr)  # noqa: T201 - the one line that scripts read
