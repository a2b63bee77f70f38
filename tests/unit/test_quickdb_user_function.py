"""Test the digest of a user's function: the same for the same computation, different after any change.

Covered: a cell that is run again elsewhere, changed code, closures, globals, defaults, called functions, base classes,
shared values, the user's own modules, random numbers and clocks, names of columns, functions that cannot be pickled.
"""

from __future__ import annotations

import functools
import importlib
import linecache
import pickle
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gozen.quickdb.user_code.user_function import UserCode


def cell(text: str, filename: str = "<ipython-input-1>", lines: int = 0) -> dict[str, Any]:
    """Run a cell of a notebook; return what it defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("\n" * lines + textwrap.dedent(text), filename, "exec"), names)
    return names


def digest(text: str, filename: str = "<ipython-input-1>", lines: int = 0, name: str = "map") -> str | None:
    return UserCode.of(cell(text, filename, lines)[name]).digest


CELL = """
    import numpy as np
    import functools
    from numpy import histogram
    BINS = 10
    LIMITS = {"low": 1.0, "high": np.array([1, 2])}
    class Root:
        power = 7
    class Base(Root):
        factor = 2
        @staticmethod
        def twice(x): return x * 2
        @property
        def size(self): return 3
    class Cut(Base):
        def __init__(self, limit): self.limit = limit
        def __call__(self, x): return x < self.limit
    CUT = Cut(22.5)
    def inner(x, y=3, *, z=4):
        return [lambda q: q + BINS for _ in range(y)]
    def wrap(f):
        @functools.wraps(f)
        def g(*a): return f(*a)
        return g
    @wrap
    def helped(x): return x + 1
    @functools.lru_cache
    def kept(x): return x + 5
    def make(threshold):
        part = functools.partial(inner, y=5)
        def map(patch):
            "Count."
            assert CUT(patch('forced.i.psfflux_mag')) and LIMITS and Base.twice(2) and helped(1) and kept(2)
            return histogram(patch('forced.g.psfflux_mag'), BINS), part(threshold)
        return map
    map = make(21)
"""


def test_the_same_cell_run_again_elsewhere_has_the_same_digest() -> None:
    first = digest(CELL)
    assert first is not None
    assert digest(CELL) == first
    assert digest(CELL, "<ipython-input-27>") == first
    assert digest(CELL, lines=40) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("patch('forced.g.psfflux_mag'), BINS", "patch('forced.r.psfflux_mag'), BINS"),
        ("BINS = 10", "BINS = 11"),
        ("BINS = 10", "BINS = 10.0"),
        ('"low": 1.0', '"low": -1.0'),
        ("np.array([1, 2])", "np.array([1, 3])"),
        ("np.array([1, 2])", "np.array([1, 2], np.int32)"),
        ("x * 2", "x * 3"),
        ("return 3", "return 4"),
        ("factor = 2", "factor = 3"),
        ("power = 7", "power = 8"),
        ("22.5", "22.6"),
        ("x < self.limit", "x > self.limit"),
        ("y=3", "y=4"),
        ("z=4", "z=5"),
        ("def inner(x, y=3, *, z=4)", "def inner(x, y=3, z=4)"),
        ("q + BINS", "q - BINS"),
        ("return x + 1", "return x + 2"),
        ("return x + 5", "return x + 6"),
        ("y=5", "y=6"),
        ("make(21)", "make(22)"),
        ("make(21)", "make(True)"),
        ("from numpy import histogram", "from numpy import histogram2d as histogram"),
    ],
)
def test_a_change_of_anything_that_it_uses_changes_the_digest(old: str, new: str) -> None:
    changed = CELL.replace(old, new)
    assert changed != CELL
    assert digest(changed) != digest(CELL)


def test_what_the_function_does_not_use_does_not_matter() -> None:
    assert digest(CELL + "\n    OTHER = object()") == digest(CELL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.arange(3), np.arange(4)),
        (np.arange(3), np.arange(3.0)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        ([1, 2], (1, 2)),
        ([[1], 2], [[1, 2]]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({1, 2}, {1, 3}),
        (0.0, -0.0),
        (1, True),
        ("1", 1),
        (None, "None"),
        (np.array(["a", "b"], object), np.array(["a", "c"], object)),
        (b"a", "a"),
    ],
    ids=str,
)
def test_shared_values_are_told_apart(one: object, other: object) -> None:
    function = cell("def map(p, shared): return shared")["map"]
    assert UserCode.of(function, shared=one).digest != UserCode.of(function, shared=other).digest
    assert UserCode.of(one).digest == UserCode.of(pickle.loads(pickle.dumps(one))).digest is not None


@pytest.mark.parametrize(
    "change",
    [
        "map.k = 2",
        "Cut.__call__ = other",
        "Cut.__add__ = functools.partial(other, 1)",
        "Cut.factor = 2",
        "CUT.limit = 2",
        "CUT.__class__ = Base",
        "LIST.k = 2",
        "TEXT = Text('a')",
        "MANY.default_factory = list",
        "QUEUE = deque([1], 3)",
        "ARRAY = np.asfortranarray(ARRAY)",
        "OBJECTS[0] = other",
        "NUMBERS = {8, 0}",
        "PART.keywords['y'] = 2",
        "kept.k = 2",
        "helper.__kwdefaults__ = {'y': 2}",
        "helper.__defaults__ = (2,)",
        "VECTOR = np.vectorize(other)",
        "VOID = np.array([(1.00000000002, 2)], 'f8,i4')[0]",
        "np.set_printoptions(precision=3)",
        "TREE = KDTree(np.eye(3) * 2)",
        "TREE = KDTree(np.eye(3), leafsize=1)",
        "TREE = KDTree(np.eye(3), boxsize=2)",
        "CURVE = interp1d([0, 1], [0, 2])",
        "SINCE = np.datetime64('2026-01-02')",
    ],
)
def test_what_is_set_later_changes_the_digest(change: str) -> None:
    names = cell("""
        import functools
        from collections import defaultdict, deque
        import numpy as np
        from scipy.interpolate import interp1d
        from scipy.spatial import KDTree
        class Base:
            def __init__(self, limit): self.limit = limit
            def __call__(self, x): return x < self.limit
        class Cut(Base): pass
        class List(list): pass
        class Text(str): pass
        def other(*x): return 7
        @functools.lru_cache
        def kept(x): return x
        def helper(x=1, *, y=1): return x + y
        CUT, LIST, TEXT, MANY, QUEUE = Cut(1), List([1]), "a", defaultdict(int, a=1), deque([1], 2)
        ARRAY, OBJECTS, NUMBERS, PART = np.ones((2, 3)), np.array([map, 1]), {0, 8}, functools.partial(helper, y=1)
        VECTOR, VOID = np.vectorize(helper), np.array([(1.00000000001, 2)], "f8,i4")[0]
        TREE, CURVE, SINCE = KDTree(np.eye(3)), interp1d([0, 1], [0, 1]), np.datetime64("2026-01-01")
        def map(p): return map.k, CUT, LIST, TEXT, MANY, QUEUE, ARRAY, OBJECTS, NUMBERS, PART, kept, VECTOR, more()
        def more(): return VOID, TREE, CURVE, SINCE
        map.k = 1
    """)
    before = UserCode.of(names["map"]).identity
    assert UserCode.of(names["map"]).identity == before
    with np.printoptions():
        exec(change, names)
        assert UserCode.of(names["map"]).identity != before


@pytest.mark.parametrize(
    "text",
    [
        "def eta(x): return x.max()\nALL = [eta]\ndef map(p): return {f.__name__: f(p('a.b')) for f in ALL}",
        "def make():\n    def eta(x): return x\n    return [eta]\nALL = make()\ndef map(p): return ALL[0].__qualname__",
    ],
)
def test_a_function_may_call_a_result_by_the_name_of_another_one(text: str) -> None:
    renamed = text.replace("eta", "sigma")
    assert None is not digest(text) != digest(renamed)


def test_a_property_that_is_kept_in_its_object_travels() -> None:
    names = cell("""
        import functools
        class Cut:
            @functools.cached_property
            def limit(self): return 3
        CUT = Cut()
        def map(p): return CUT.limit
    """)
    code = UserCode.of(names["map"])
    assert code.digest
    assert pickle.loads(code.pickled(names["map"]))(None) == 3


def test_what_a_cached_function_says_that_it_wraps_is_not_believed() -> None:
    names = cell("""
        import functools
        import statistics
        @functools.wraps(statistics.mean)
        @functools.lru_cache
        def map(x): return x + 1
    """)
    code = UserCode.of(names["map"])
    assert code.digest
    assert pickle.loads(code.pickled(names["map"]))(1) == 2


def test_a_tree_that_is_made_again_has_the_same_digest() -> None:
    text = """
        import numpy as np
        from scipy.spatial import KDTree
        TREE = KDTree(np.random.default_rng(1).normal(size=(100, 3)))
        def map(p): return TREE.query(p('o.coord').T)
    """
    assert digest(text) == digest(text) is not None


def test_values_that_refer_to_themselves_have_a_digest() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    assert UserCode.of(ring).digest
    names = cell("def map(patch): return map(patch)")
    assert UserCode.of(names["map"]).digest


@pytest.mark.parametrize(
    "text",
    [
        "import random\ndef map(p): return random.random()",
        "import random as chance\ndef map(p): return chance.gauss(0, 1)",
        "from random import gauss\ndef map(p): return gauss(0, 1)",
        "import numpy\ndef map(p): return numpy.random.normal()",
        "import numpy.random as r\ndef map(p): return r.normal()",
        "from numpy.random import normal\ndef map(p): return normal()",
        "from numpy.random import default_rng\ndef map(p): return default_rng().normal()",
        "import numpy\nrng = numpy.random.default_rng(1)\ndef map(p): return rng.normal()",
        "import time\ndef map(p): return time.time()",
        "from time import perf_counter\ndef map(p): return perf_counter()",
        "import time as t\ndef map(p): return t.monotonic()",
        "from datetime import datetime\ndef map(p): return datetime.now()",
        "import datetime as d\ndef map(p): return d.datetime.now().year",
        "def map(p):\n    import random\n    return random.random()",
        "def map(p):\n    from numpy.random import default_rng\n    return default_rng().normal()",
        "import os\ndef map(p): return os.urandom(3)",
        "import os\ndef map(p): return os.environ['HOME']",
        "import secrets\ndef map(p): return secrets.token_bytes(3)",
        "import uuid\ndef map(p): return uuid.uuid4().hex",
        "def map(p): return open('x').read()",
        "def helper(): return open('x').read()\ndef map(p): return helper()",
        "import threading\nlock = threading.Lock()\ndef map(p):\n    with lock: return 1",
        "class Map:\n    def __call__(self, p): return open('x').read()\nmap = Map()",
    ],
    ids=lambda text: text.replace("\n", "; "),
)
def test_what_is_not_repeatable_has_no_digest(text: str) -> None:
    assert digest(text) is None


def test_columns_and_texts_are_found_everywhere() -> None:
    names = cell("""
        COLUMNS = ['forced.ra']
        def other(p, name='forced.dec'): return p(name)
        def map(p): return p('forced.g.psfflux_mag'), other(p), (lambda: p(COLUMNS[0]))()
    """)
    strings = UserCode.of(names["map"]).strings
    assert {"forced.ra", "forced.dec", "forced.g.psfflux_mag"} <= set(strings)


def test_texts_come_in_the_order_of_the_code() -> None:
    names = cell("""
        def map(p):
            late = p('objects.ra')
            return late, p('lightcurves.ra'), p('areas.ra')
    """)
    found = [text for text in UserCode.of(names["map"]).strings if text.endswith(".ra")]
    assert found == ["objects.ra", "lightcurves.ra", "areas.ra"]


def test_the_lines_of_a_cell_come_along_for_tracebacks() -> None:
    text = "def map(p):\n    return 1 / 0\n"
    linecache.cache["<cell 9>"] = (len(text), None, text.splitlines(keepends=True), "<cell 9>")
    assert UserCode.of(cell(text, "<cell 9>")["map"]).sources() == {"<cell 9>": text.splitlines(keepends=True)}


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of modules as beside a script; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def loads_without(folder: Path, data: bytes) -> Any:
    """Unpickle where a folder's modules cannot be imported, as in a worker."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    sys.path.remove(str(folder))
    importlib.invalidate_caches()
    return pickle.loads(data)


MAIN = "import mine\ndef map(x): return mine.f(x)"


def test_modules_beside_a_script_travel_with_it(beside: Path) -> None:
    (beside / "theirs.py").write_text("OFFSET = 5\ndef g(x): return x + OFFSET\n")
    (beside / "mine.py").write_text("import theirs\ndef f(x): return theirs.g(x) * 2\n")
    function = cell(MAIN)["map"]
    code = UserCode.of(function)
    assert code.digest
    assert loads_without(beside, code.pickled(function))(1) == 12


def test_packages_beside_a_script_travel_with_it(beside: Path) -> None:
    (beside / "pack").mkdir()
    (beside / "pack/__init__.py").write_text("from pack.inner import g\n")
    (beside / "pack/inner.py").write_text("class Scale:\n    by = 3\ndef g(x): return x * Scale.by\n")
    function = cell("from pack import g\ndef map(x): return g(x)")["map"]
    assert loads_without(beside, UserCode.of(function).pickled(function))(2) == 6


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("mine.py", "import theirs\ndef f(x): return theirs.g(x) * 3\n"),
        ("theirs.py", "OFFSET = 6\ndef g(x): return x + OFFSET\n"),
    ],
)
def test_a_changed_module_changes_the_digest(beside: Path, file: str, text: str) -> None:
    (beside / "theirs.py").write_text("OFFSET = 5\ndef g(x): return x + OFFSET\n")
    (beside / "mine.py").write_text("import theirs\ndef f(x): return theirs.g(x) * 2\n")
    before = digest(MAIN)
    assert before
    (beside / file).write_text(text)
    for name in ("mine", "theirs"):
        del sys.modules[name]
    importlib.invalidate_caches()
    linecache.clearcache()
    for cached in beside.rglob("*.pyc"):
        cached.unlink()
    assert digest(MAIN) != before


def test_a_value_that_is_set_in_a_module_changes_the_digest(beside: Path) -> None:
    (beside / "mine.py").write_text("LIMIT = 5\ndef f(x): return x < LIMIT\n")
    function = cell(MAIN)["map"]
    before = UserCode.of(function).digest
    importlib.import_module("mine").LIMIT = 6
    assert UserCode.of(function).digest not in (before, None)


def test_a_module_whose_file_has_gone_has_a_digest(beside: Path) -> None:
    (beside / "mine.py").write_text("FACTOR = 2\n")
    importlib.invalidate_caches()
    module = importlib.import_module("mine")
    function = cell("import mine\ndef map(p): return mine.FACTOR")["map"]
    (beside / "mine.py").unlink()
    before = UserCode.of(function).digest
    module.FACTOR = 3  # type: ignore[attr-defined]
    assert None is not before != UserCode.of(function).digest


def test_what_cannot_be_pickled_raises_as_it_is_sent() -> None:
    lock = threading.Lock()

    def function(x: Any) -> Any:
        return lock, x

    code = UserCode.of(function)
    assert code.digest is None
    with pytest.raises(TypeError, match="pickle"):
        code.pickled(function)


def test_bound_methods_and_partials_are_what_they_are_made_of() -> None:
    names = cell("""
        class Job:
            def __init__(self, n): self.n = n
            def map(self, p): return self.n
    """)
    one, same, other = (UserCode.of(names["Job"](n).map).digest for n in (1, 1, 2))
    assert one == same != other
    add = functools.partial(names["Job"].map, names["Job"](3))
    assert UserCode.of(add).digest != UserCode.of(functools.partial(names["Job"].map, names["Job"](4))).digest
