"""The same bits on every processor: our own exponential, and no function of numpy whose last bits hang on one."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import discosim
from discosim.core.portable import exp

PACKAGE = Path(discosim.__file__).parent
SIMULATED = ("core", "world", "policies", "metrics", "runs", "kernel")
"""Rooms from which numbers reach result files."""
DRAWN = tuple(
    f"traces/{name}.py" for name in ("arrivals", "concurrency", "length_file", "lengths", "past", "think", "workload")
)
CHOSEN_BY_PROCESSOR = {
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp", "logaddexp2", "power", "float_power"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh", "cbrt", "hypot"),
    *("geomspace", "logspace", "dot", "vdot", "inner", "matmul", "vecdot", "matvec", "tensordot", "polyfit", "linalg"),
    *("cov", "corrcoef", "convolve", "correlate"),
}
"""numpy's with vectors of AVX-512, or by a library of linear algebra."""
OF_SCALARS = {
    ("world/engine/costs/physics.py", "(1.0 - self.expert_share) ** (tok + self.other_tok)"),
    ("world/quality.py", "below ** (k - 1)"),
    ("traces/arrivals.py", "client.cv ** (-2)"),
    ("traces/arrivals.py", "rng.gamma(1.0 + 1.0 / shape) ** (1.0 / shape)"),
}
"""Powers of Python's own numbers: the C library's, as the compiled engine's."""


def exact(x: float) -> Fraction:
    """Return e to the power of x with some 40 digits, by its series and repeated squares."""
    steps = 8
    part = Fraction(x) / 2**steps
    total = term = Fraction(1)
    for k in range(1, 40):
        term = Fraction(round(term * part * 2**400 / k), 2**400)
        total += term
    for _ in range(steps):
        total = Fraction(round(total * total * 2**400), 2**400)
    return total


def test_exp_is_off_by_less_than_one_last_place() -> None:
    rng = np.random.default_rng(5)
    values = np.concatenate(
        [rng.uniform(-30.0, 30.0, 300), rng.normal(0.0, 0.3, 300), [0.0, 1.0, -1.0, 0.3465, -0.3466]]
    )
    for value, found in zip(values.tolist(), exp(values).tolist(), strict=True):
        assert abs(Fraction(found) - exact(value)) < Fraction(math.ulp(found)), value


def test_exp_at_its_ends() -> None:
    values = np.array([-np.inf, -746.0, -740.0, 0.0, 709.7, 710.0, np.inf])
    found = exp(values)
    assert found.tolist() == [0.0, 0.0, pytest.approx(math.exp(-740.0), rel=0.01), 1.0, found[4], np.inf, np.inf]
    assert found[4] == pytest.approx(math.exp(709.7), rel=1e-15)
    assert values[2] == -740.0  # what was given stays


def test_exp_keeps_the_shape() -> None:
    assert exp(np.zeros((2, 3))).tolist() == [[1.0] * 3] * 2
    assert exp(np.zeros(0)).size == 0


def test_no_number_of_a_result_hangs_on_the_processor() -> None:
    files = [path for room in SIMULATED for path in sorted((PACKAGE / room).rglob("*.py"))]
    files += [PACKAGE / name for name in DRAWN]
    assert len(files) > 150
    found = [f"{path.relative_to(PACKAGE)}:{line} {what}" for path in files for line, what in chosen_by_processor(path)]
    assert not found


def chosen_by_processor(path: Path) -> list[tuple[int, str]]:
    name, text = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
    return [(line, what) for line, what in in_text(text) if (name, what) not in OF_SCALARS]


def in_text(text: str) -> list[tuple[int, str]]:
    """Return lines and expressions that call such a function, multiply matrices or raise to a power that varies."""
    found = []
    for node in ast.walk(ast.parse(text)):
        is_bad = False
        match node:
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=attr):
                is_bad = attr in CHOSEN_BY_PROCESSOR
            case ast.Call(func=ast.Attribute(attr="dot" | "matmul")):
                is_bad = True
            case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
                is_bad = True
            case ast.BinOp(op=ast.Pow(), left=left, right=right):
                whole = isinstance(right, ast.Constant) and isinstance(right.value, int)
                both = isinstance(left, ast.Constant)
                is_bad = not (both or (whole and right.value == 2) or is_half(right))
        if is_bad and isinstance(node, ast.expr | ast.stmt):
            found.append((node.lineno, ast.unparse(node)))
    return found


def is_half(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0.5


@pytest.mark.parametrize("line", ["np.exp(x)", "a @ b", "a @= b", "a.dot(b)", "x ** k", "x ** 3", "np.linalg.norm(x)"])
def test_the_look_finds_each_kind(line: str) -> None:
    assert in_text(line)


@pytest.mark.parametrize("line", ["exp(x)", "math.exp(x)", "a * b", "x ** 2", "10.0 ** k", "np.einsum('i,i->', a, b)"])
def test_the_look_lets_pass_what_is_fixed(line: str) -> None:
    assert not in_text(line)
