"""Messages of every kind between protected memory pages: no access beyond their ends, and no crash of the reader.

Covered: dtypes, Arrow data of every allowed type, changed bytes, and messages of a call in any order, with
PYTHONMALLOC=debug and MALLOC_PERTURB_; time and memory per byte. fenced.py makes the messages from their numbers.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.effort import REPEATS, SEED, rounds

PROGRAM = Path(__file__).with_name("fenced.py")
KIND = "messages behind a fence"
CHECKED = {"PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "165", "PYTHONFAULTHANDLER": "1"}


def test_no_message_is_read_or_written_beyond():
    number = REPEATS[KIND].now
    command = [sys.executable, str(PROGRAM), str(SEED), "0", str(number)]
    done = subprocess.run(command, env={**os.environ, **CHECKED}, capture_output=True, text=True, check=False)
    *_, last = done.stdout.split()
    for at in rounds(KIND):
        assert str(at) != last, f"message {at} of seed {SEED}, exit code {done.returncode}: {done.stderr[-2000:]}"
    assert (last, done.returncode) == ("done", 0)


def test_a_message_that_is_written_beyond_is_seen():
    """Show that the fence holds: a write behind a message ends the program, or changes a canary."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import ctypes, fenced\n"
        "with fenced.Fence().around(b'x' * 64, bool(int(sys.argv[2]))) as view:\n"
        "    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(view)) + 64, 0, 1)\n"
    )
    for last, said in (("0", b"written behind the message"), ("1", b"Segmentation fault")):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", code, str(PROGRAM.parent), last],
            capture_output=True,
            check=False,
        )
        assert done.returncode != 0
        assert said in done.stderr
