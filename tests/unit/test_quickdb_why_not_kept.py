"""Test which functions' results are cached: of those that depend only on their arguments, as far as the code shows.

Covered: functions with NumPy, dataclasses, closures and SciPy are cached. Not cached are functions that read files, the
environment, a clock or random numbers, by any library and in any way; that depend on hashes or addresses; or that
change objects that outlive a call; the message gives the reason. The digest of a cached function:
test_quickdb_user_function.py.
"""

from __future__ import annotations

import functools
import itertools
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gozen.quickdb import why_not_kept


def cell(text: str) -> dict[str, Any]:
    """Run a cell of a notebook; return what it defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(textwrap.dedent(text), "<ipython-input-1>", "exec"), names)
    return names


def reason(text: str) -> str:
    return why_not_kept(cell(text)["map"])


PURE = {
    "percentiles": """
        import numpy as np
        def map(p): return np.percentile(p('a.b'), [5, 50, 95]), np.nanmedian(p('a.c')), p('a.c').mean(dtype=float)
    """,
    "groups": """
        import numpy as np
        BAD = 1 | 2 | 4
        def map(p):
            good = (p('s.flags') & BAD == 0) & np.isfinite(p('s.mag'))
            p = p[good]
            ids, first, star, n = np.unique(p('s.id'), return_index=True, return_inverse=True, return_counts=True)
            mean = np.bincount(star, p('s.mag').astype(float)) / n
            edges = np.r_[0, np.flatnonzero(np.diff(p('s.id'))) + 1]
            out = np.zeros(len(ids))
            out[n > 2] = mean[n > 2]
            out -= 1
            return ids, out, np.add.reduceat(p('s.flux'), edges), [p(f's.{name}')[first] for name in ('ra', 'dec')]
    """,
    "a histogram by name": """
        from numpy import geomspace, histogram
        BINS = geomspace(30, 12000, 41)
        def map(patch): return {kind: histogram(patch(f'm.{kind}'), BINS)[0] for kind in ('early', 'late')}
    """,
    "a lambda": "map = lambda p: (p('a.b')[p('a.c') > 3].mean(), p.size, len(p), p.id)",
    "helpers, limits and names": """
        BANDS, LIMITS, KINDS = ["g", "r"], {"g": 1.0, "r": 2.0}, {"a", "b"}
        def one(p, band): return p(f"forced.{band}.psfflux_mag") < LIMITS[band]
        def map(p): return {b: int(one(p, b).sum()) for b in BANDS if b in KINDS or b in {"g", "r"}}
    """,
    "dicts, and sets without their order": """
        from collections import Counter, defaultdict
        def map(p):
            found, lists = {}, defaultdict(list)
            for key in p('a.b').tolist(): found[key] = found.get(key, 0) + 1
            for key, n in found.items(): lists[n].append(key)
            by_number = sorted(found.items(), key=lambda pair: pair[1])
            return by_number, list(found.keys()), len(set(found.values())), sorted(set(found)), Counter(found)
    """,
    "a set that is filled and asked": """
        def map(p):
            seen, out = set(), []
            kinds = set(p('a.kind').tolist())
            for one in p('a.b').tolist():
                if one not in seen and len(seen) < 9:
                    seen.add(one)
                    out.append(one)
            return out, "star" in kinds
    """,
    "keys of two dicts": """
        def map(a, b):
            known = {k: a.get(k, 0) + b.get(k, 0) for k in sorted(set(a) | set(b))}
            return known, [k for k in sorted(a.keys() & b.keys() - set("c"))], len(set("ab") ^ set("bc"))
    """,
    "dicts reduced": """
        def map(a, b):
            for key, value in b.items(): a[key] = a.get(key, 0) + value
            return {key: a[key] + b[key] for key in a}
    """,
    "closures, partials, methods, properties": """
        import functools, math
        class Root:
            power = 7
        class Base(Root):
            @staticmethod
            def twice(x): return x * 2
            @property
            def half(self): return self.power / 2
        class Cut(Base):
            def __init__(self, limit):
                super().__init__()
                self.limit = limit
            def __call__(self, x): return x < self.limit + self.half
        CUT = Cut(22.5)
        @functools.lru_cache
        def root(x): return math.sqrt(x)
        def wrap(f):
            @functools.wraps(f)
            def g(*a): return f(*a)
            return g
        @wrap
        def more(x, y=3, *, z=4): return [lambda q: q + y + z for _ in range(x)]
        def make(threshold):
            part = functools.partial(more, 2)
            def map(patch): return CUT(patch('a.b')) & (patch('a.c') > threshold), Base.twice(root(2)), part()[0](1)
            return map
        map = make(21)
    """,
    "dataclasses and named tuples": """
        from collections import namedtuple
        from dataclasses import dataclass, field
        from typing import NamedTuple
        Pair = namedtuple("Pair", "x y")
        class Triple(NamedTuple):
            a: int
            b: float = 2.0
        @dataclass
        class Cut:
            low: float
            high: float = 3
            more: list = field(default_factory=list)
            def inside(self, x): return (x > self.low) & (x < self.high)
        @dataclass(frozen=True, order=True)
        class Fixed:
            low: float
            high: float = 3
            @property
            def middle(self): return (self.low + self.high) / 2
        CUT, FIXED, PAIR = Cut(1), Fixed(2), Pair(1, 2)
        def map(p):
            inner = Fixed(2, 3)
            return CUT.inside(p('a.b')).sum(), FIXED.middle, PAIR.x, Triple(2, 3.0).b, inner == FIXED, Cut(1).more
    """,
    "warnings and errors": """
        import warnings
        import numpy as np
        def map(p):
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                try: return np.nanmedian(p('a.b'))
                except ValueError as error: return str(error)
    """,
    "imports inside": """
        def map(p):
            import math
            import numpy as np
            from itertools import groupby
            return [len(list(group)) for _, group in groupby(p('a.b').tolist())], np.linalg.norm(p('a.c')), math.pi
    """,
    "pairs by a tree": """
        import numpy
        import scipy.spatial
        from functools import reduce
        def map(p):
            p = p[reduce(lambda a, b: a & ~b, (p(f"f.{band}.flag") for band in "gri"), p("f.isprimary"))]
            a, b = scipy.spatial.cKDTree(p("f.coord").T).query_pairs(1e-5, output_type="ndarray").T
            return p("f.source_id")[a], numpy.linalg.norm(p("f.coord")[:, a] - p("f.coord")[:, b], axis=0)
    """,
    "a tree and curves that are made before": """
        import numpy as np
        from scipy.interpolate import CubicSpline, interp1d
        from scipy.spatial import KDTree
        TREE, CURVE = KDTree(np.eye(3)), CubicSpline(np.arange(5.0), np.arange(5.0) ** 2)
        FILTER, SMOOTH = interp1d([0, 1], [0, 1]), interp1d(np.arange(5.0), np.arange(5.0), kind="cubic")
        SINCE, LONG = np.datetime64("2026-01-01"), np.timedelta64(1, "h")
        def map(p):
            apart, at = TREE.query(p('o.coord').T, distance_upper_bound=1e-5)
            return at[np.isfinite(apart)], FILTER(p('o.x')), SMOOTH(CURVE(p('o.x'))), p('e.time') > SINCE + LONG
    """,
    "fits": """
        import numpy as np
        from scipy.integrate import simpson
        from scipy.optimize import least_squares, minimize
        from scipy.stats import ks_2samp, pearsonr
        def map(p):
            found = minimize(lambda v: np.sum((p('a.b') - v[0]) ** 2), [0.0])
            near = least_squares(lambda v: p('a.b') - v, found.x, loss="soft_l1")
            r, by_chance = pearsonr(p('a.b'), p('a.c'))
            return near.x, found.success, found.fun, r, ks_2samp(p('a.b'), p('a.c')).pvalue, simpson(p('a.b'))
    """,
    "texts and windows": """
        import numpy as np
        from numpy.lib.stride_tricks import sliding_window_view
        def map(p):
            named = np.char.startswith(p('o.name').astype(str), "M")
            return sliding_window_view(p('o.mag')[named], 3).mean(axis=1)
    """,
    "a table of Arrow": """
        import pyarrow
        COLUMNS = pyarrow.schema([("ra", pyarrow.float64())])
        def map(p): return pyarrow.table([pyarrow.array(p("f.ra"), COLUMNS.field("ra").type)], schema=COLUMNS)
    """,
    "attributes of a function": "def map(p): return p('a.b') * map.factor\nmap.factor = 2",
    "what it made itself may change": """
        import numpy as np
        EDGES, LIMITS = np.arange(5.0), [1, 2]
        def filled(out, limits):
            out[:] = limits[0]
            return out
        def map(p):
            counts = np.zeros(4)
            np.add.at(counts, np.digitize(p('a.b'), EDGES), 1)
            np.add(counts, 1, out=counts)
            for limit in LIMITS: counts[limit] += limit
            return filled(counts, LIMITS), np.histogram(p('a.b'), bins=EDGES)
    """,
    "nothing": "def map(p): pass",
    "chance that is given": "import numpy as np\nDRAWN = np.arange(7.0)\ndef map(p): return DRAWN.sum() + p.size",
    "an object that is called": "class Map:\n    def __call__(self, p): return p.size\nmap = Map()",
    "Messier": "def map(p): return p('a.b')[p('a.name') == 'M87'].sum()",
}


@pytest.mark.parametrize("name", PURE)
def test_what_computes_from_its_arguments_is_kept(name: str) -> None:
    assert reason(PURE[name]) == ""


OUTSIDE = """
import numpy as np;def map(p): return np.load("x")
import numpy as np;def map(p): return np.loadtxt("x")
import numpy as np;def map(p): return np.genfromtxt("x")
import numpy as np;def map(p): return np.fromfile("x")
import numpy as np;def map(p): return np.fromregex("x", "y", float)
import numpy as np;def map(p): return np.memmap("x")
import numpy as np;M = np.memmap("/proc/self/exe", mode="r");def map(p): return M[0]
from numpy import load;def map(p): return load("x")
from numpy import load as median;def map(p): return median("x")
import numpy as np;def map(p):;    module = np;    return module.load("x")
import numpy as np;def map(p): return [np][0].load("x")
import numpy as np;def map(p): return np.lib.npyio.NpzFile("x")
import numpy as np;def map(p): return np.DataSource().open("x")
import numpy as np;def map(p): return np.ctypeslib.load_library("x", ".")
import numpy as np;def map(p): return np.__dict__["load"]("x")
import numpy as np;def map(p): return vars(np)["load"]("x")
import numpy as np;def map(p): return getattr(np, "lo" + "ad")("x")
import numpy as np;def map(p): return np.median.__globals__
import numpy as np;def map(p): return np.bmat("a")
import numpy.lib.npyio as io;def map(p): return io.load("x")
def map(p):;    import numpy.lib;    return numpy.lib
def map(p):;    from numpy import loadtxt as median;    return median("x")
def map(p):;    import pandas;    return pandas.read_csv("x")
def map(p):;    import pandas as pd;    return pd.read_csv("x", engine="pyarrow")
def map(p):;    from pyarrow import csv;    return csv.read_csv("x")
def map(p):;    import pyarrow;    return pyarrow.memory_map("x").read()
import pyarrow;def map(p): return pyarrow.memory_map("x").read()
import pyarrow.parquet as pq;def map(p): return pq.read_table("x")
def map(p):;    import pyarrow.dataset as d;    return d.dataset("x")
def map(p):;    import duckdb;    return duckdb.sql("select 1")
def map(p):;    import h5py;    return h5py.File("x")
import sqlite3;def map(p): return sqlite3.connect("x")
def map(p):;    from astropy.table import Table;    return Table.read("x")
def map(p):;    from astropy.io import fits;    return fits.open("x")
from pathlib import Path;def map(p): return Path("x").read_text()
from pathlib import Path;PATH = Path("x");def map(p): return PATH.stat().st_size
from pathlib import Path;READ = Path("x").read_text;def map(p): return READ()
import os;def map(p): return os.stat("x").st_mtime
import glob;def map(p): return glob.glob("*")
import os;LIST = os.listdir;def map(p): return LIST()
import subprocess;def map(p): return subprocess.check_output("date")
import socket;def map(p): return socket.gethostname()
import urllib.request;def map(p): return urllib.request.urlopen("http://x")
from importlib import resources;def map(p): return resources.files("json")
import pkgutil;def map(p): return pkgutil.get_data("json", "x")
import linecache;def map(p): return linecache.getline("x", 1)
import fileinput;def map(p): return list(fileinput.input("x"))
import io;def map(p): return io.FileIO("x").read()
import tomllib;def map(p): return tomllib.load(p)
import csv;def map(p): return list(csv.reader(p))
import pickle;def map(p): return pickle.loads(b"")
import shelve;def map(p): return shelve.open("x")
import zipfile;def map(p): return zipfile.ZipFile("x")
import mmap;def map(p): return mmap.mmap(0, 1)
import ctypes;LIBRARY = ctypes.CDLL(None);def map(p): return LIBRARY.rand()
import ctypes;def map(p): return ctypes.string_at(0)
def map(p): return open("x").read()
read = open;def map(p): return read("x").read()
FILE = open("/proc/self/comm");def map(p): return FILE.read()
def map(p): return __import__("os").environ
def map(p): return eval("open")("x")
def map(p): return __builtins__["open"]("x")
def map(p): return globals()["x"]
def map(p): return input()
def map(p): return __loader__
import importlib;def map(p): return importlib.import_module("os")
import builtins;def map(p): return builtins.open("x")
import sys;def map(p): return sys.modules["os"].environ
import sys;def map(p): return sys.argv
import os;def map(p): return os.environ["HOME"]
from os import environ;def map(p): return environ["HOME"]
import os;def map(p): return os.getcwd()
import locale;def map(p): return locale.localeconv()
import time;def map(p): return time.localtime()
from time import perf_counter;def map(p): return perf_counter()
from datetime import datetime;def map(p): return datetime.now()
import datetime as d;def map(p): return d.date.today()
import numpy as np;def map(p): return np.datetime64("now")
import numpy as np;def map(p): return np.array("now", dtype="datetime64[s]")
import numpy as np;def map(p): return np.array(["n" + "ow"]).astype("M8[s]")
def map(p):;    from astropy.time import Time;    return Time.now()
import random;def map(p): return random.random()
from random import gauss;def map(p): return gauss(0, 1)
import numpy;def map(p): return numpy.random.normal()
import numpy.random as r;def map(p): return r.normal()
from numpy.random import normal;def map(p): return normal()
from numpy import random;def map(p): return random.normal()
from numpy.random import default_rng;def map(p): return default_rng().normal()
import numpy;RNG = numpy.random.default_rng(1);def map(p): return RNG.normal()
import numpy;DRAW = numpy.random.default_rng(1).normal;def map(p): return DRAW()
import numpy;STATE = numpy.random.RandomState(1);def map(p): return STATE.rand()
def map(p):;    from numpy import random;    return random.normal()
def map(p):;    from numpy.random import default_rng;    return default_rng().normal()
def map(p):;    from scipy.datasets import face;    return face()
import secrets;def map(p): return secrets.token_bytes(3)
import uuid;def map(p): return uuid.uuid4().hex
import os;def map(p): return os.urandom(3)
import tempfile;def map(p): return tempfile.mkdtemp()
import threading;LOCK = threading.Lock();def map(p):;    with LOCK: return 1
import gc;def map(p): return gc.get_objects()
import inspect;def map(p): return inspect.stack()
import logging;def map(p): return logging.getLogger().level
import operator;def map(p): return operator.attrgetter("load")(p)
import operator;ASK = operator.attrgetter("load");def map(p): return ASK(p)
import operator;ASK = operator.methodcaller("load", "x");def map(p): return ASK(p)
def map(p): return "{0.size}".format(p)
FORMAT = "{0.load}".format;def map(p): return FORMAT(p)
def map(p): return "{a.size}".format_map({"a": p})
def map(p): return p._reads._source._ask
def map(p): return p._made
def map(p): return p.__class__.__init__.__globals__
def map(p): return {}.__class__.__base__.__subclasses__()
def map(p): return map.__code__.co_filename
def map(p): return (lambda: 0).__globals__
def map(p): return (x for x in [1]).gi_frame.f_builtins
def map(p):;    try: 1 / 0;    except Exception as error: return error.__traceback__.tb_frame
def map(p): return p("a.b").tofile("x")
def map(p): return p("a.b").ctypes
def map(p): return p("a.b").__array_interface__
def map(p): return p("a.b").base
import re;def map(p): return re.enum.sys.path
import statistics;def map(p): return statistics.random.random()
import collections;def map(p): return collections._sys.path
import numpy as np;F = np.frompyfunc(lambda x: open(x).read(), 1, 1);def map(p): return F("x")
import numpy as np;@np.vectorize;def map(p): return open("x").read()
def map(p):;    match p:;        case int(real=found): return found
def map(p, reader=open): return reader("x").read()
def map(p, *, reader=open): return reader("x").read()
class Map:;    def __call__(self, p): return open("x").read();map = Map()
class Map:;    __call__ = open;map = Map()
import numpy as np;from scipy.spatial import KDTree as T;t = T(np.eye(2));t.x = open;def map(p): return t.x("x")
from scipy.interpolate import interp1d as I;i = I([0, 1], [0, 1]);i.y = open;def map(p): return i.y("x")
from scipy.interpolate import interp1d as I;i = I([0, 1], [0, 1]);def map(p):;    i.x = p.size;    return i
import numpy as np;from scipy.spatial import KDTree;class T(KDTree): pass;t = T(np.eye(2));def map(p): return t.query(p)
from fractions import Fraction;class F(Fraction): pass;f = F(1, 2);def map(p): return f.numerator
class E(Exception): pass;e = E("a");def map(p): return e.args
from scipy.integrate import qmc_quad;def map(p): return qmc_quad(abs, 0, 1)
from scipy.stats import bootstrap;def map(p): return bootstrap((p('a.b'),), max)
class Job:;    def map(self, p): return self.read();    def read(self): return open("x").read();map = Job().map
class Job:;    @property;    def text(self): return open("x").read();JOB = Job();def map(p): return JOB.text
class Job:;    @classmethod;    def text(cls): return open("x").read();def map(p): return Job.text()
class Job:;    def __getattr__(self, name): return open(name);JOB = Job();def map(p): return JOB.anything
class Job:;    def __add__(self, other): return open("x").read();JOB = Job();def map(p): return JOB + 1
class M(type):;    def __call__(cls): return open("x").read();class J(metaclass=M): pass;def map(p): return J()
import functools;map = functools.partial(open, "x")
import functools;def read(path, p): return open(path).read();map = functools.partial(read, "x")
import functools;@functools.lru_cache;def map(p): return open("x").read()
class Job:;    pass;JOB = Job();JOB.read = open;def map(p): return JOB.read("x")
def read(): return open("x");TABLE = {"a": [read]};def map(p): return TABLE["a"][0]()
def helper(): return open("x").read();def map(p): return helper()
def map(p): return [one for one in (open(name) for name in "xy")]
def map(p):;    class Inner:;        text = open("x").read();    return Inner.text
def map(p): return undefined
class C:;    open = 1;    def f(self): self.open = open("x").read();def map(p): return C().f()
def map(p):;    class C:;        open = open("x");    return C.open
map = open
import numpy as np;map = np.load
import os;map = os.stat
"""

HASHES = """
def map(p): return id(p)
def map(p): return hash("a")
def map(p): return object()
def map(p): return list({"a", "b"})
def map(p): return [x for x in {"a", "b"}]
def map(p): return {x for x in p("a.b").tolist()}.pop()
def map(p): return list(set(p("a.b").tolist()))
def map(p): return next(iter(set("ab")))
def map(p): return sorted(set("ab"), key=lambda _: 0)
def map(p):;    found = set("ab");    return found.pop()
def map(p): return list(frozenset("ab"))
S = {"a", "b"};def map(p): return list(S)
S = {"a", "b"};def map(p): return [x for x in S]
S = [{"a", "b"}];def map(p): return list(S[0])
S = {None, 1};def map(p): return list(S)
S = {float("nan"), 1.0};def map(p): return list(S)
S = {"a"};def make():;    T = S;    def map(p): return list(T);    return map;map = make()
def sorted(x): return list(x);def map(p): return sorted(set("ab"))
def map(p): return list(dict(a=1).keys() | dict(b=2).keys())
def map(p): return [x for x in dict(a=1).items() - dict(b=2).items()]
import operator;def map(p): return list(operator.or_(dict(a=1).keys(), dict(b=2).keys()))
def map(p): return list(dict.keys(dict(a=1)) & {"a"})
N = {1, 2};def map(p): return list(N.union("ab"))
def map(p):;    s = set("ab");    return list(s)
def map(p):;    s = set("ab");    return [x for x in s]
def map(p):;    s = set("ab");    t = s;    return list(t)
def map(p):;    s = set("ab");    t = s | t;    s = s | s;    return list(s)
def map(p):;    s = set("ab");    s |= set("c");    return s.pop()
def map(p):;    s = set("ab");    return s
def map(p):;    s = set("ab");    return lambda: list(s)
def map(p):;    s = set("ab") if p else set("c");    return list(s)
def map(p):;    s = set("ab");    return sorted(s, key=len)
def map(p):;    s = set("ab");    return sorted(x for x in s if x)[0] in s, (s,)
def map(p):;    s = set("ab");    return sorted(list(s) + [])
def map(p): return list(set("ab") | set("c"))
def map(p): return max(set("ab") | set("c"), key=len)
def map(a, b): return {k: 1 for k in a.keys() | b.keys()}
def map(a, b): return {k: 1 for k in set(a) | set(b)}
"""

STATE = """
n = 0;def map(p):;    global n;    n += 1;    return n
def map(p):;    map.n += 1;    return map.n;map.n = 0
L = [];def map(p):;    L.append(1);    return len(L)
L = [];def map(p):;    other = L;    other.append(1);    return len(L)
D = {"n": 0};def map(p):;    D["n"] += 1;    return D["n"]
D = {"n": {"m": 0}};def map(p):;    D["n"]["m"] = 1;    return D
D = {"n": 0};def map(p):;    del D["n"];    return D
import numpy as np;A = np.zeros(3);def map(p):;    A[0] += 1;    return A[0]
import numpy as np;A = np.zeros(3);def map(p):;    a = A;    a += 1;    return a[0]
import numpy as np;A = np.zeros(3);def map(p):;    A.fill(p.size);    return A
def map(p, seen=[]):;    seen.append(1);    return len(seen)
def map(p, *, seen={}):;    seen[1] = 1;    return len(seen)
def make():;    n = 0;    def map(p):;        nonlocal n;        n += 1;        return n;    return map;map = make()
def make():;    seen = [];    def map(p):;        seen.append(1);        return len(seen);    return map;map = make()
L = [[1], [2]];def map(p):;    for one in L:;        one.append(1);    return L
L = [];def more(x): x.append(1);def map(p):;    more(L);    return len(L)
L = [];def more(y, x):;    x += [1];def map(p):;    more(p, L);    return len(L)
L = [];def most(x): more(x);def more(x): x.append(1);def map(p):;    most(L);    return len(L)
import numpy as np;A = np.zeros(3);def map(p):;    np.add.at(A, [0], 1);    return A
import numpy as np;A = np.zeros(3);def map(p):;    np.copyto(A, p.size);    return A
import numpy as np;A = np.zeros(3);def map(p): return np.add(A, 1, out=A)
from heapq import heappush;L = [];def map(p):;    heappush(L, p.size);    return L
class M:;    n = 0;    def __call__(self, p):;        self.n += 1;        return self.n;map = M()
class M:;    n = 0;    def map(self, p):;        M.n += 1;        return self.n;map = M().map
class M:;    def __init__(self): self.seen = [];    def map(self, p): self.seen.append(1);map = M().map
class M:;    n = 0;    def count(self): self.n += 1;JOB = M();def map(p): return JOB.count()
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("text", [*lines(OUTSIDE), *lines(HASHES), *lines(STATE)])
def test_what_may_give_another_result_is_not_kept(text: str) -> None:
    assert reason(text.replace(";", "\n"))


WAYS = {
    "global": "def map(p): return THING(p)",
    "alias": "def map(p):;    thing = THING;    return thing(p)",
    "closure": "def make(thing):;    def map(p): return thing(p);    return map;map = make(THING)",
    "default": "def map(p, thing=THING): return thing(p)",
    "keyword": "def map(p, *, thing=THING): return thing(p)",
    "attribute of a function": "def map(p): return map.thing(p);map.thing = THING",
    "attribute of an object": "class C: pass;C_ = C();C_.thing = THING;def map(p): return C_.thing(p)",
    "attribute of a class": "class C:;    thing = staticmethod(THING);def map(p): return C.thing(p)",
    "base class": "class B:;    thing = staticmethod(THING);class C(B): pass;C_ = C();def map(p): return C_.thing(p)",
    "property": "class C:;    @property;    def thing(self): return THING(1);C_ = C();def map(p): return C_.thing",
    "call of an object": "class C:;    def __call__(self, p): return THING(p);map = C()",
    "method": "class C:;    def map(self, p): return THING(p);map = C().map",
    "class method": "class C:;    @classmethod;    def map(cls, p): return THING(p);map = C.map",
    "operator": "class C:;    def __mul__(self, p): return THING(p);C_ = C();def map(p): return C_ * p",
    "list": "LIST = [1, [THING]];def map(p): return LIST[1][0](p)",
    "dict": "DICT = {'a': THING};def map(p): return DICT['a'](p)",
    "array": "import numpy as np;ARRAY = np.array([THING, 1]);def map(p): return ARRAY[0](p)",
    "partial": "import functools;PART = functools.partial(THING, 1);def map(p): return PART()",
    "map": "def map(p): return [one for one in filter(THING, [1, 2])]",
    "lambda": "map = lambda p: THING(p)",
    "inner function": "def map(p):;    def inner(): return THING(p);    return inner()",
    "comprehension": "def map(p): return [THING(one) for one in [1, 2]]",
    "generator": "def each(p): yield THING(p);def map(p): return next(each(p))",
    "helpers": "def a(p): return THING(p);def b(p): return a(p);def map(p): return b(p)",
    "recursion": "def map(p, n=3): return map(p, n - 1) if n else THING(p)",
    "decorator": "def deco(f):;    def g(p): return THING(f(p));    return g;@deco;def map(p): return p",
    "borrowed name": "import functools, math;@functools.wraps(math.sqrt);def map(p): return THING(p)",
    "cache": "import functools;@functools.lru_cache(None);def map(p): return THING(p)",
    "vectorize": "import numpy as np;@np.vectorize;def f(x): return THING(x);def map(p): return f(p('a.b'))",
    "dataclass": "import dataclasses;@dataclasses.dataclass;class C:;    t: int = THING;def map(p): return C().t(p)",
    "class inside": "def map(p):;    class C:;        thing = THING(p);    return C.thing",
}
THINGS = {
    "open": "THING = open",
    "numpy.load": "from numpy import load as THING",
    "numpy.random": "from numpy.random import normal as THING",
    "a generator of chance": "import numpy as np;THING = np.random.default_rng(1).normal",
    "a clock": "from time import ctime as THING",
    "the system": "from os import stat as THING",
    "a path": "from pathlib import Path as THING",
    "id": "THING = id",
    "getattr": "THING = getattr",
    "an attribute getter": "from operator import attrgetter;THING = attrgetter('a')",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_reads_is_found_by_whatever_way_it_is_reached(way: str) -> None:
    for name, text in THINGS.items():
        assert reason(f"{text};{WAYS[way]}".replace(";", "\n")), name
    for text in ("from math import sqrt as THING", "from numpy import median as THING", "def THING(x): return x"):
        assert reason(f"{text};{WAYS[way]}".replace(";", "\n")) == ""


@pytest.mark.parametrize("lender", [np.median, np.linalg.norm, np.add, functools.reduce, len, np.float64])
def test_borrowed_names_do_not_make_a_function_a_known_one(lender: Any) -> None:
    def read(p: Any) -> str:
        return Path("x").read_text()

    assert why_not_kept(functools.wraps(lender)(read))
    assert why_not_kept(functools.wraps(lender)(functools.lru_cache(read)))
    renamed = types.FunctionType(read.__code__, {"__name__": "numpy", "Path": Path})
    assert why_not_kept(renamed)


def test_what_a_module_of_the_users_has_beside_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_beside.py").write_text(
        "import os\nfrom pathlib import Path\ndef f(x): return x.size * 2\ndef g(x): return Path('x').read_text()\n"
        "class Cut:\n    def inside(self, x): return x > 1\n    def save(self): open('x', 'w').write('a')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert reason("import mine_beside\ndef map(p): return mine_beside.f(p)") == ""
    assert reason("from mine_beside import f as map") == ""
    assert reason("from mine_beside import Cut\nCUT = Cut()\ndef map(p): return CUT.inside(p('a.b'))") == ""
    assert reason("import mine_beside\ndef map(p): return mine_beside.g(p)") == "g uses pathlib.Path"
    assert reason("from mine_beside import Cut\nCUT = Cut()\ndef map(p): return CUT.save()") == "Cut.save uses open"


def test_a_name_of_the_users_does_not_open_that_of_a_library() -> None:
    text = """
        from astropy.timeseries import LombScargle
        class Periods:
            def __init__(self, t, y): self.of = LombScargle(t, y)
            def NAME(self): return self.of.NAME(0.1, method="bootstrap")
        def map(p): return Periods(p('a.t'), p('a.y')).NAME()
    """
    assert reason(text.replace("NAME", "false_alarm_probability")) == "map uses .false_alarm_probability"
    assert reason(text.replace("NAME", "power")) == ""


def test_a_name_of_numpy_that_somebody_has_replaced_is_another_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import numpy as np\ndef map(p): return np.median(p('a.b'))"
    assert reason(text) == ""
    monkeypatch.setattr(np, "median", lambda _: Path("x").read_text())
    assert reason(text) == "map uses numpy.median"


def test_what_is_shared_and_how_it_is_reduced_counts_too() -> None:
    names = cell("""
        def map(p, shared): return shared
        def changes(p, shared): shared["n"] = 1
        def adds(a, b): return a + b
        def reads(a, b): return open("x").read()
    """)
    assert why_not_kept(names["map"], names["adds"], shared={"n": [1, 2.5], "m": np.zeros(3)}) == ""
    assert why_not_kept(names["map"], names["reads"]) == "reads uses open"
    assert why_not_kept(names["map"], shared=open)
    assert why_not_kept(names["map"], shared=itertools.count())
    assert why_not_kept(names["changes"], shared={}) == "changes changes shared, which lives longer than one call"


def test_what_does_not_like_to_be_looked_at_is_not_kept_and_breaks_nothing() -> None:
    assert reason("""
        class Shy:
            @property
            def __dict__(self): raise OSError("not now")
            __slots__ = ()
        SHY = Shy()
        def map(p): return SHY
    """)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "cannot be analysed" in why_not_kept(len, shared=deep)


@pytest.mark.parametrize("method", ["__init__(self, low=1)", "__hash__(self)"])
def test_a_frozen_dataclass_that_asks_the_clock_in_a_method_of_its_own_is_not_kept(method: str) -> None:
    assert "time" in reason(f"""
        import time
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class Fixed:
            low: float = 1
            def {method}: return int(time.time())
        FIXED = Fixed
        def map(p): return hash(Fixed())
    """)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import numpy as np\ndef map(p): return np.loadtxt('x')", "map uses numpy.loadtxt"),
        ("def outer():\n    def map(p): return open('x')\n    return map\nmap = outer()", "outer.map uses open"),
        ("def map(p):\n    import pandas\n    return pandas", "map uses the module pandas"),
        ("def map(p): return p('a.b').tofile('x')", "map uses .tofile"),
        ("L = []\ndef map(p): L.append(p.size)", "map changes L, which lives longer than one call"),
    ],
)
def test_the_reason_names_the_function_and_what_it_uses(text: str, said: str) -> None:
    assert reason(text) == said
