#!/usr/bin/env python3
"""Arrays that NumPy saved, and what NumPy and exact arithmetic say of them.

    make_cases.py make FOLDER     writes x*.npy, files to refuse, and cases.json
    make_cases.py sample FOLDER   likewise, but few cases of every kind
    make_cases.py bits FOLDER     large arrays, and cases of which is not said what is expected
    make_cases.py read FILE...    prints the arrays in .npy files, as JSON
    make_cases.py version         prints the version of NumPy

Needs NumPy 2, and writes the same bytes every time.

An expected number is a text, to be met exactly, or a pair of texts: the interval that the answer must lie in. The
interval is the exact value, found in integer arithmetic, give or take the error bound of NumPy's own algorithm:

    depth = min(n - 1, 19 + ceil(log2(n / 128)))    additions that an element passes through in pairwise summation
    u = 2**-53, or 2**-24 for float32 and complex64
    sum       depth * u * sum|x|
    mean      (depth + 1) * u * sum|x| / n
    var       (depth + 5) * u * var + ((depth + 1) * u * sum|x| / n)**2, each times n / (n - ddof)
              integers of 64 bits are rounded to floats: 2 u sqrt(var * sum(x**2) / n) + u**2 * sum(x**2) / n more
    std       what the interval of the variance leaves, and one rounding
    prod      n * u * |product|; complex: 4 n u |product|
    norm      1: (depth + 3) * u * norm; 2: (depth / 2 + 3) * u * norm; inf: exact for real numbers
    dot       (depth + 3) * u * sum|x y|

So two differences from NumPy are judged by the same measure, and allowed: variances of float32 are worked out in
float64, and the factors of a product come in another order.
"""

import functools
import json
import math
import pathlib
import sys
import warnings
from fractions import Fraction

import numpy as np

REALS = ["float32", "float64"]
COMPLEX = ["complex64", "complex128"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = [*REALS, *INTEGERS, "bool", *COMPLEX]

SHAPES = [(), (1,), (2,), (33,), (1500,), (3, 4), (2, 3, 4), (20, 35), (300, 2), (2, 300), (2, 33, 2)]
EMPTY = [(0,), (0, 3), (3, 0), (2, 0, 3)]


class Exact:
    """A list of finite floats or integers as integers of one unit, 2**-shift."""

    def __init__(self, values):
        values = np.asarray(values)
        if values.dtype.kind == "f":
            mantissas, exponents = np.frexp(values.astype(np.float64))
            self.shift = 53 - int(exponents.min(initial=0))
            pairs = zip((mantissas * 2.0**53).astype(np.int64).tolist(), exponents.tolist())
            self.ints = [m << (e + self.shift - 53) for m, e in pairs]
        else:
            self.shift, self.ints = 0, [int(v) for v in values.tolist()]
        self.n = len(self.ints)

    def real(self, scaled, power=1):
        return Fraction(scaled, 1 << (power * self.shift))

    @functools.cached_property
    def sum(self):
        return self.real(sum(self.ints))

    @functools.cached_property
    def magnitude(self):
        return self.real(sum(map(abs, self.ints)))

    @functools.cached_property
    def squares(self):
        return self.real(sum(v * v for v in self.ints), 2)

    @functools.cached_property
    def m2(self):
        """Sum of squares about the mean."""
        return self.squares - self.sum ** 2 / self.n

    @functools.cached_property
    def product(self):
        return self.real(math.prod(self.ints), self.n)


def depth(n):
    return min(n - 1, 19 + max(0, math.ceil(math.log2(n / 128))))


def unit(dtype):
    return Fraction(1, 2**24 if dtype in ("float32", "complex64") else 2**53)


def text(x):
    """A number as its own text; complex numbers take two."""
    if isinstance(x, (complex, np.complexfloating)):
        return [*text(x.real), *text(x.imag)]
    if isinstance(x, (bool, np.bool_)):
        return ["true" if x else "false"]
    if isinstance(x, (int, np.integer)):
        return [str(int(x))]
    return [repr(float(x))]


def texts(array):
    return [part for x in np.asarray(array).ravel() for part in text(x)]


def round_to(x, upward):
    """The nearest float above, or below, a fraction."""
    try:
        near = float(x)
    except OverflowError:
        near = math.copysign(math.inf, x)
    if math.isinf(near):
        return near if (near > 0) == upward else math.copysign(sys.float_info.max, near)
    if upward and Fraction(near) < x:
        return math.nextafter(near, math.inf)
    if not upward and Fraction(near) > x:
        return math.nextafter(near, -math.inf)
    return near


def interval(exact, bound):
    return [repr(round_to(exact - bound, False)), repr(round_to(exact + bound, True))]


def root(x, upward):
    """The square root of a fraction, rounded up or down."""
    scaled = (x.numerator << 400) // x.denominator
    return Fraction(math.isqrt(scaled) + (1 if upward else 0), 1 << 200)


def bound_sum(x, u):
    return depth(x.n) * u * x.magnitude if x.n else 0


def spread(parts, u, ddof, is_rounded):
    """Variance and its bound, of a list of sequences of one length, maybe rounded to floats first."""
    n = parts[0].n
    freedom = Fraction(n) - Fraction(ddof)
    m2 = sum(p.m2 for p in parts)
    mean = sum(((depth(n) + 1) * u * p.magnitude / n) ** 2 for p in parts)
    bound = (depth(n) + 5) * u * m2 / freedom + mean * n / freedom
    if is_rounded:
        squares = sum(p.squares for p in parts)
        bound += (2 * u * root(m2 * squares, True) + u * u * squares) / freedom
    return m2 / freedom, bound


class Line:
    """The elements that a result is made of, and what is known of them exactly."""

    def __init__(self, values):
        self.values = values
        self.dtype, self.kind, self.n = values.dtype.name, values.dtype.kind, values.size

    @functools.cached_property
    def parts(self):
        x = self.values
        return [Exact(x.real), Exact(x.imag)] if self.kind == "c" else [Exact(x)]

    @functools.cached_property
    def is_finite(self):
        return self.kind in "iub" or bool(np.isfinite(self.values).all())

    @functools.cached_property
    def without_nan(self):
        missing = np.isnan(self.values) if self.kind in "fc" else np.zeros(1, bool)
        return Line(self.values[~missing]) if missing.any() else self

    @functools.cached_property
    def magnitudes(self):
        return [root(Fraction(v.real) ** 2 + Fraction(v.imag) ** 2, False) for v in self.values.tolist()]


def judged(op, line, found, ddof, order):
    """What is expected of one line, given what NumPy found; `None` if nothing is promised."""
    if op in ("nanargmin", "nanargmax") and np.isinf(line.without_nan.values).all():
        # NumPy puts infinity in place of NaN, and warns that it cannot be trusted then.
        return ["any"] * len(texts(found))
    if op.startswith("nan"):
        op, line = op[3:], line.without_nan
    kind, n = line.kind, line.n
    if not line.is_finite or n == 0:
        # Parts of complex numbers that are not finite depend on the order of operations.
        return None if kind == "c" and n and op in ("sum", "mean", "prod", "norm") else texts(found)
    u = unit(line.dtype)
    if op == "sum" and kind in "fc":
        return [interval(p.sum, bound_sum(p, u)) for p in line.parts]
    if op == "mean":
        return [interval(p.sum / n, (bound_sum(p, u) + u * p.magnitude) / n) for p in line.parts]
    if op in ("var", "std"):
        if n <= ddof:
            return texts(found)
        var, bound = spread(line.parts, u, ddof, line.dtype in ("int64", "uint64"))
        if op == "var":
            return [interval(var, bound)]
        low, high = root(max(var - bound, Fraction(0)), False), root(var + bound, True)
        return [[repr(round_to(low * (1 - u), False)), repr(round_to(high * (1 + u), True))]]
    if op == "prod" and kind == "f":
        product = line.parts[0].product
        return [interval(product, n * u * abs(product))]
    if op == "prod" and kind == "c":
        x, y = line.parts
        re, im = 1, 0
        for a, b in zip(x.ints, y.ints):
            a, b = a << y.shift, b << x.shift
            re, im = re * a - im * b, re * b + im * a
        re, im = (Fraction(part, 1 << (n * (x.shift + y.shift))) for part in (re, im))
        bound = 4 * n * u * root(re * re + im * im, True)
        return [interval(re, bound), interval(im, bound)]
    if op == "norm":
        parts = line.parts
        if order == math.inf:
            if kind != "c":
                return [repr(float(parts[0].real(max(map(abs, parts[0].ints)))))]
            norm = max(line.magnitudes)
            return [interval(norm, 3 * u * norm)]
        if order == 2:
            norm = root(sum(p.squares for p in parts), False)
            return [interval(norm, (Fraction(depth(n), 2) + 3) * u * norm)]
        if kind == "c":
            norm = sum(line.magnitudes)
        else:
            norm = parts[0].magnitude
        return [interval(norm, (depth(n) + 3) * u * norm)]
    return texts(found)


def lines_of(x, axis):
    """The elements that each result is made of, in the order of the results."""
    if axis is None:
        return [Line(x.ravel())]
    moved = np.moveaxis(x, axis, -1)
    return [Line(line) for line in moved.reshape(math.prod(moved.shape[:-1]), x.shape[axis])]


# Counts and indices are unsigned here, signed in NumPy.
INDICES = ("argmin", "argmax", "nanargmin", "nanargmax", "count_nonzero")


def call(op, x, axis, ddof, order):
    if op == "norm":
        return np.linalg.norm(x.ravel() if axis is None else x, order, axis=axis)
    if op in ("var", "std", "nanvar", "nanstd"):
        return getattr(np, op)(x, axis=axis, ddof=ddof)
    return getattr(np, op)(x, axis=axis)


class Cases:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.arrays, self.cases, self.refused = [], [], []
        self.lines = {}

    def save(self, x):
        x = np.asarray(x, order="C")
        name = f"x{len(self.arrays):03}.npy"
        np.save(self.folder / name, x)
        self.arrays.append({"file": name, "dtype": x.dtype.name, "shape": x.shape})
        return len(self.arrays) - 1, x

    def lines_of(self, array, x, axis):
        if array not in self.lines:
            self.lines = {array: {}}
        known = self.lines[array]
        if axis not in known:
            known[axis] = lines_of(x, axis)
        return known[axis]

    def add(self, array, op, values=None, raises=None, **options):
        self.cases.append({"array": array, "op": op, "values": values, "raises": raises, **options})

    def reduce(self, array, x, op, axis=None, ddof=0, order=2):
        options = {"axis": axis}
        if op.endswith(("var", "std")):
            options["ddof"] = ddof
        if op == "norm":
            options["ord"] = {1: "one", 2: "two", math.inf: "inf"}[order]
        try:
            found = np.asarray(call(op, x, axis, ddof, order))
        except (ValueError, TypeError) as error:
            self.add(array, op, raises=type(error).__name__, **options)
            return
        numbers = []
        flat = found.ravel()
        for i, line in enumerate(self.lines_of(array, x, axis)):
            expected = judged(op, line, flat[i], ddof, order)
            if expected is None:
                return
            numbers += expected
        dtype = "uint64" if op in INDICES else found.dtype.name
        self.add(array, op, [value(op, dtype, found.shape, numbers)], **options)

    def describe(self, array, x):
        if x.size == 0:
            self.add(array, "describe", raises="ValueError")
            return
        (line,) = self.lines_of(array, x, None)
        n_nan = int(np.isnan(x).sum()) if x.dtype.kind in "fc" else 0
        values = [
            value("count", "uint64", (), [str(x.size)]),
            value("nan_count", "uint64", (), [str(n_nan)]),
        ]
        for op in ["sum", "mean", "std", "min", "argmin", "max", "argmax"]:
            found = np.asarray(call(op, x, None, 0, 2))
            expected = judged(op, line, found, 0, 2)
            dtype = "uint64" if op in INDICES else found.dtype.name
            values.append(value(op, dtype, (), expected or ["any"] * len(texts(found))))
        self.add(array, "describe", values)

    def unique(self, array, x):
        values, counts = np.unique(x, return_counts=True)
        self.add(array, "unique_counts", [
            value("values", values.dtype.name, values.shape, texts(values)),
            value("counts", "uint64", counts.shape, texts(counts)),
        ])

    def histogram(self, array, x, bins, ends):
        options = {"bins": bins, "range": None if ends is None else [repr(float(e)) for e in ends]}
        try:
            counts, edges = np.histogram(x, bins, ends)
        except ValueError as error:
            self.add(array, "histogram", raises=type(error).__name__, **options)
            return
        self.add(array, "histogram", [
            value("counts", "uint64", counts.shape, texts(counts)),
            value("edges", "float64", edges.shape, texts(edges)),
        ], **options)

    def bincount(self, array, x, minlength=0):
        try:
            found = np.bincount(x.astype(np.int64), minlength=minlength)
        except ValueError as error:
            self.add(array, "bincount", raises=type(error).__name__, minlength=minlength)
            return
        expected = [value("bincount", "uint64", found.shape, texts(found))]
        self.add(array, "bincount", expected, minlength=minlength)

    def inner(self, array, other, x, y, op):
        found = np.asarray(getattr(np, op)(x.ravel(), y.ravel()))
        numbers = texts(found)
        if x.dtype.kind in "fc" and x.size:
            u, a, b = unit(x.dtype.name), x.ravel().tolist(), y.ravel().tolist()
            if x.dtype.kind == "f":
                numbers = [inner_interval([Fraction(p) * Fraction(q) for p, q in zip(a, b)], x.size, u)]
            else:
                sign = -1 if op == "vdot" else 1
                re, im = [], []
                for p, q in zip(a, b):
                    pr, pi, qr, qi = map(Fraction, (p.real, sign * p.imag, q.real, q.imag))
                    re += [pr * qr, -pi * qi]
                    im += [pr * qi, pi * qr]
                numbers = [inner_interval(re, x.size, u), inner_interval(im, x.size, u)]
        self.add(array, op, [value(op, found.dtype.name, (), numbers)], other=other)

    def refuse(self, name, words):
        self.refused.append({"file": name, "words": words})


def inner_interval(products, n, u):
    return interval(sum(products), (depth(n) + 3) * u * sum(map(abs, products)))


def value(name, dtype, shape, numbers):
    return {"name": name, "dtype": dtype, "shape": shape, "numbers": numbers}


def random(rng, dtype, shape):
    if dtype == "bool":
        return rng.random(shape) < 0.6
    if dtype in INTEGERS:
        # All bits, so that sums, products and ranges wrap.
        info = np.iinfo(dtype)
        return np.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))
    scale = 10.0 ** rng.integers(-3, 4, shape)
    re = rng.standard_normal(shape) * scale
    if dtype in REALS:
        return np.asarray(re, dtype)
    return np.asarray(re + 1j * rng.standard_normal(shape) * scale, dtype)


SPECIAL = ["min", "max", "argmin", "argmax", "any", "all", "count_nonzero", "sum", "mean", "var", "std"]
PLAIN = [*SPECIAL, "ptp"]
WITHOUT_NAN = [
    "nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmin", "nanmax", "nanargmin", "nanargmax",
]


def every_reduction(cases, array, x, axis):
    for op in PLAIN:
        cases.reduce(array, x, op, axis)
    for op in WITHOUT_NAN:
        if op == "nanprod" and x.dtype.kind in "fc":
            continue
        cases.reduce(array, x, op, axis)
    for order in (1, 2, math.inf):
        cases.reduce(array, x, "norm", axis, order=order)
    for op in ("var", "nanstd"):
        cases.reduce(array, x, op, axis, ddof=1)
    if x.dtype.kind not in "fc":
        cases.reduce(array, x, "prod", axis)


def axes_of(x):
    # Out of range, too, at both ends. NumPy grants axes 0 and -1 to arrays of rank 0; we do not.
    if x.ndim == 0:
        return [None, 1, -2]
    return [None, *range(x.ndim), -1, x.ndim, -x.ndim - 1]


def plain(cases, rng):
    for dtype in DTYPES:
        for shape in [*SHAPES, *EMPTY]:
            array, x = cases.save(random(rng, dtype, shape))
            for axis in axes_of(x):
                every_reduction(cases, array, x, axis)
            cases.describe(array, x)
            cases.unique(array, x)
            if dtype in REALS or dtype in INTEGERS:
                cases.histogram(array, x, 10, None)
                cases.histogram(array, x, 7, (-100, 100.5))
                cases.histogram(array, x, 3, (5, 5))
                cases.histogram(array, x, 3, (2, 1))
            other, y = cases.save(random(rng, dtype, shape))
            for op in ("dot", "vdot"):
                cases.inner(array, other, x, y, op)


def products(cases, rng):
    """Factors near 1, so that products neither overflow nor vanish."""
    for dtype in [*REALS, *COMPLEX]:
        for shape in [(), (0,), (7,), (200,), (30, 5), (3, 0)]:
            x = rng.uniform(0.8, 1.25, shape) * rng.choice([-1, 1], shape)
            if dtype in COMPLEX:
                x = x * np.exp(1j * rng.uniform(0, 6, shape))
            array, x = cases.save(np.asarray(x, dtype))
            for axis in axes_of(x):
                cases.reduce(array, x, "prod", axis)
            if x.ndim and x.size:
                x = x.copy()
                x.flat[::3] = np.nan
                array, x = cases.save(x)
                for axis in axes_of(x):
                    cases.reduce(array, x, "nanprod", axis)
                    cases.reduce(array, x, "prod", axis)


def not_finite(cases, rng):
    inf, nan = math.inf, math.nan
    patterns = [
        [nan], [inf], [-inf], [inf, -inf], [nan, inf], [1.0, nan, 2.0], [nan, nan, nan], [0.0, -0.0], [-0.0, 0.0],
        [inf, inf, 1.0], [-inf, 5.0, nan, nan], [3.0, nan, 3.0, -7.0, -7.0, nan],
    ]
    for dtype in [*REALS, *COMPLEX]:
        for pattern in patterns:
            array, x = cases.save(np.asarray(pattern, dtype))
            for axis in (None, 0):
                every_reduction(cases, array, x, axis)
            cases.describe(array, x)
            cases.unique(array, x)
            if dtype in REALS:
                cases.histogram(array, x, 4, None)
                cases.histogram(array, x, 4, (-8, 8))
                cases.reduce(array, x, "prod")
        for shape in [(40,), (2100,), (6000,), (50, 60), (4, 5, 6)]:
            for special in ([nan], [inf], [inf, -inf], [nan, inf, -inf]):
                x = random(rng, dtype, shape)
                x.flat[rng.integers(0, x.size, 1 + x.size // 50)] = rng.choice(special, 1 + x.size // 50)
                if x.ndim > 1:
                    x[..., 1] = special[0]
                array, x = cases.save(x)
                for axis in [None, *range(x.ndim)]:
                    every_reduction(cases, array, x, axis)
                cases.describe(array, x)


def hard(cases, rng):
    """Data on which a plain loop loses all digits."""
    for dtype in REALS:
        tiny = 1e-30 if dtype == "float32" else 1e-300
        far = 1e6 if dtype == "float32" else 1e15
        data = [
            np.repeat([1e16, 1.0, -1e16], 700),
            rng.permutation(np.concatenate([v := rng.standard_normal(1000) * 1e12, -v, rng.random(500)])),
            rng.random(3000) + far,
            rng.random((300, 7)) + far,
            np.cumprod(np.full(600, 0.9)),
            (-1.0) ** np.arange(2049) / np.arange(1, 2050),
            np.full(1000, 0.1),
            np.full(64, tiny),
            # Squares of float32 must not overflow.
            np.linspace(-1, 1, 4097) * 1e18,
        ]
        for x in data:
            array, x = cases.save(np.asarray(x, dtype))
            for axis in [None, *range(x.ndim)]:
                for op in ("sum", "mean", "var", "std", "nansum", "nanmean", "nanvar", "nanstd"):
                    cases.reduce(array, x, op, axis)
                if np.abs(x).max() < 1e17:
                    cases.reduce(array, x, "norm", axis, order=1)
                    cases.reduce(array, x, "norm", axis, order=2)
            cases.describe(array, x)
    for dtype in COMPLEX:
        x = np.asarray(rng.random((90, 11)) + 1e5 - 1j * 1e5 * rng.random((90, 11)), dtype)
        array, x = cases.save(x)
        for axis in (None, 0, 1):
            for op in ("sum", "mean", "var", "std"):
                cases.reduce(array, x, op, axis)
    for dtype in ("int64", "uint64"):
        info = np.iinfo(dtype)
        x = rng.choice(np.asarray([info.min, info.max, info.max - 1], dtype), (100, 30))
        array, x = cases.save(x)
        for axis in (None, 0, 1):
            for op in ("sum", "mean", "var", "std"):
                cases.reduce(array, x, op, axis)


def small_integers(cases, rng):
    for dtype in [*INTEGERS, "bool"]:
        for n in (0, 1, 40, 3000):
            array, x = cases.save(rng.integers(0, 2 if dtype == "bool" else 100, n).astype(dtype))
            cases.bincount(array, x)
            cases.bincount(array, x, 200)
            cases.unique(array, x)
    for dtype in INTEGERS[:4]:
        array, x = cases.save(np.asarray([3, -1], dtype))
        cases.bincount(array, x)


def large(cases, rng):
    """Many blocks."""
    for dtype in DTYPES:
        array, x = cases.save(random(rng, dtype, (900, 65)))
        ops = ["sum", "min", "argmax", "count_nonzero", "all"]
        for op in [*ops, "mean", "std", "nanargmin"]:
            cases.reduce(array, x, op)
        for op in [*ops, "var", "nanmax"]:
            cases.reduce(array, x, op, 0)
        cases.describe(array, x)


def refused(cases, rng):
    folder, x = cases.folder, rng.standard_normal((30, 4))
    np.save(folder / "swapped.npy", x.astype(x.dtype.newbyteorder()))
    cases.refuse("swapped.npy", ["byte order", "hint", "astype"])
    np.save(folder / "fortran.npy", np.asfortranarray(x))
    cases.refuse("fortran.npy", ["Fortran order", "hint", "ascontiguousarray"])
    np.save(folder / "object.npy", np.array([{}, 1], object))
    cases.refuse("object.npy", ["pickled Python objects", "hint"])
    np.save(folder / "half.npy", x.astype(np.float16))
    cases.refuse("half.npy", ["f2", "hint", "astype"])
    np.save(folder / "structured.npy", np.zeros(3, [("a", "i4"), ("b", "f8")]))
    cases.refuse("structured.npy", ["hint"])
    np.save(folder / "text.npy", np.array(["ab", "c"]))
    cases.refuse("text.npy", ["U2", "hint"])
    np.save(folder / "time.npy", np.array(["2026-11-22"], "M8[D]"))
    cases.refuse("time.npy", ["M8[D]", "hint"])
    np.savez(folder / "several.npz", x=x, y=x)
    cases.refuse("several.npz", ["not a .npy file", "hint", ".npz"])
    np.save(folder / "whole.npy", x)
    whole = (folder / "whole.npy").read_bytes()
    (folder / "short.npy").write_bytes(whole[:-100])
    cases.refuse("short.npy", ["988 bytes", "1088", "hint"])
    (folder / "header.npy").write_bytes(whole[:50])
    cases.refuse("header.npy", ["header"])
    (folder / "nothing.npy").write_bytes(b"")
    cases.refuse("nothing.npy", ["not a .npy file"])
    cases.refuse("missing.npy", ["missing.npy", "No such file"])


def sample(cases, rng):
    for dtype in DTYPES:
        for shape in [(), (3, 0), (40, 7)]:
            array, x = cases.save(random(rng, dtype, shape))
            for axis in [None, *range(x.ndim)]:
                for op in ["sum", "nanmean", "std", "min", "argmax"] if axis is None else ["var", "nanargmin"]:
                    cases.reduce(array, x, op, axis)
            cases.describe(array, x)
            if dtype == "int16":
                cases.histogram(array, x, 9, None)
                cases.unique(array, x)
                cases.inner(array, array, x, x, "dot")
    not_finite_at_all = np.asarray([math.nan, math.inf, -math.inf, 1])
    for dtype in [*REALS, *COMPLEX]:
        array, x = cases.save(not_finite_at_all.astype(dtype))
        for op in ["sum", "nanmin", "max", "argmax", "any", "nanstd"]:
            cases.reduce(array, x, op)
        cases.describe(array, x)


def unjudged(cases, rng):
    """Arrays of many blocks, without what is expected."""
    for dtype in [*REALS, "int64", "uint8", "complex64"]:
        for shape in [(3, 20_000), (20_000, 3), (200, 100)]:
            array, x = cases.save(random(rng, dtype, shape))
            for op in ["sum", "var", "nanmax", "argmin", "prod", "norm", "describe", "unique_counts"]:
                cases.add(array, op, axis=None)
            for op in ["mean", "std", "min", "nanargmax", "nanprod", "norm", "any"]:
                for axis in (0, 1):
                    cases.add(array, op, axis=axis)
            cases.add(array, "dot", other=array)


def make(folder, parts):
    warnings.simplefilter("ignore")
    cases = Cases(folder)
    for seed, part in enumerate(parts):
        part(cases, np.random.default_rng(20261122 + seed))
    found = {"numpy": np.__version__, "arrays": cases.arrays, "cases": cases.cases, "refused": cases.refused}
    (cases.folder / "cases.json").write_text(json.dumps(found))


def read(files):
    arrays = [np.load(file) for file in files]
    print(json.dumps([value("", x.dtype.name, x.shape, texts(x)) for x in arrays]))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", folder]:
            make(folder, [plain, products, not_finite, hard, small_integers, large, refused])
        case ["sample", folder]:
            make(folder, [sample, refused])
        case ["bits", folder]:
            make(folder, [unjudged])
        case ["version"]:
            print(np.__version__)
        case ["read", *files]:
            read(files)
        case _:
            sys.exit(__doc__)
