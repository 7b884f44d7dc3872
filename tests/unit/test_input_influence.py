"""What each row of an input does to a number: influences, weights of rows, and quantiles beyond the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from thin_inputs import scenario

from discosim.metrics.influence import NUMBERS, influence, is_beyond
from discosim.metrics.input_uncertainty import Rows, bounding_levels, open_part, versions_half_widths
from discosim.metrics.tails import Tails
from discosim.runs.simulate import simulate


def test_an_influence_belongs_to_the_number_of_the_summary() -> None:
    """Of one replication, value by value; the mean of influences is 0."""
    run = simulate(scenario(replications=1))
    checked = 0
    for policy in run.summary.policies:
        columns = {name: values[run.columns["policy"] == policy] for name, values in run.columns.items()}
        for name in (name for name in NUMBERS if name in run.summary.metrics):
            number, found = run.summary.value(policy, name).mean, influence(name, columns)
            if np.isnan(number):
                assert found is None or name.endswith("p99_9_s"), name  # too rare for the summary
                continue
            assert found is not None, name
            assert found.value == pytest.approx(number, rel=1e-12, abs=1e-15), name
            assert found.each.mean() == pytest.approx(0.0, abs=1e-12 * max(1.0, abs(number))), name
            checked += 1
    assert checked > 60


def test_weights_of_rows_give_the_variance_of_a_mean() -> None:
    """Four rows, each met five times: requests are worth what their row is, so the variance is that of the rows."""
    x = np.array([1.0, 2.0, 4.0, 9.0])
    code = np.tile(np.arange(4), 5).reshape(2, 10)
    each = x[code.ravel()] - 4.0
    assert Rows("x", 4, code, 4).variance(each) == pytest.approx(np.var(x) / 4)


def test_luck_inside_a_row_is_not_taken_for_the_input() -> None:
    """Requests that do not depend on the row they met: the bias is 1 % of what it would be without the correction."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        each = rng.standard_normal(600)
        found.append(Rows("x", 20, rng.integers(0, 20, (1, 600)), 20).variance(each - each.mean()))
    # uncorrected it is 1/600 on average; half of the corrected ones are cut at 0, the other half are small
    assert np.mean(found) < 0.25 / 600


def test_blocks_take_the_memory_of_a_series_along() -> None:
    """A period of two blocks of ten: without blocks the variance of the mean is a tenth of that with them."""
    x = np.repeat(np.random.default_rng(2).standard_normal(40), 10)
    x -= x.mean()
    code = np.arange(400)[None]
    alone, together = (Rows("x", 400, code, 400, block=b).variance(x) for b in (1, 10))
    assert together / alone == pytest.approx(1 + 2 * sum((1 - k / 10) ** 2 for k in range(1, 10)), rel=0.35)


def test_levels_bound_a_quantile_as_the_binomial_law_says() -> None:
    """Ranks of 400 rows around the p95: the risk of each side is 2.5 % up to one rank."""
    from scipy.stats import binom

    low, high = (level * 400 + 0.5 for level in bounding_levels(400, 0.95))
    assert binom.cdf(np.floor(low) - 1, 400, 0.95) <= 0.025 <= binom.cdf(np.ceil(low) - 1, 400, 0.95)
    assert binom.sf(np.ceil(high) - 1, 400, 0.95) <= 0.025 <= binom.sf(np.floor(high) - 1, 400, 0.95)
    assert bounding_levels(22, 0.99)[1] == 1.0


@pytest.mark.parametrize(
    ("n", "name", "expected"),
    [
        (99, "ttft_p99_s", True), (100, "ttft_p99_s", False), (20, "ttft_p95_s", False), (19, "ttft_p95_s", True),
        (1, "ttft_p50_s", True), (2, "ttft_p50_s", False), (1, "ttft_mean_s", False), (99, "tbt_pooled_p99_s", True),
    ],
)  # fmt: skip
def test_a_quantile_asks_for_a_row_beyond_it(n: int, name: str, expected: bool) -> None:
    assert is_beyond(n, name) is expected


def test_more_replications_leave_the_part_of_the_input() -> None:
    rng = np.random.default_rng(4)
    few, many = (versions_half_widths(10 + rng.standard_normal(r), 0.0)[1] for r in (50, 5000))
    assert few == pytest.approx(2.0, rel=0.35)
    assert many == pytest.approx(1.96, rel=0.05)


def test_a_pair_of_quantiles_beyond_the_rows_is_not_known_as_if_rows_were_the_truth() -> None:
    """Of 21 rows, p99 and p98 lie beyond the outermost: to first order their ratio does not move, in versions it does.

    A straight line from 1 to 2 above the last of 21 rows, met evenly: where that row's level U lies below 0.98,
    the two are 1 + (0.98 - U) / (1 - U) and 1 + (0.99 - U) / (1 - U), and U is a beta variable (21, 1).
    """
    n, size = 21, 22_000
    level = (np.arange(size) + 0.5) / size
    code = np.minimum((level * (n + 1)).astype(int), n)
    top = n / (n + 1)
    values = np.where(level < top, level / top, 1 + (level - top) / (1 - top))
    columns = {"status": np.full(size, "finished"), "ttft_s": values}
    rows = Rows("a service", n, code[None], n + 1)
    own = open_part("ttft_p99_s", columns, [rows])
    assert own is not None
    found = own.found
    assert found is not None
    assert found.sorted_values is not None
    lower = replace(found, level=0.98, value=float(np.quantile(values, 0.98)))
    other = replace(own, found=lower)
    rng = np.random.default_rng(2)
    u = rng.beta(n, 1, 100_000)

    def quantile(q: float) -> np.ndarray:
        return np.where(u < q, 1 + (q - u) / (1 - u), q / u)

    expected = np.std(quantile(0.99) - quantile(0.98))
    # of 60 versions a standard deviation is known to 9 % and more, as the law is skewed
    assert Tails().variance(rows, own, other, 1.0) ** 0.5 == pytest.approx(expected, rel=0.35)
    assert Tails().variance(rows, own, own, 1.0) == 0.0
    assert Tails().variance(rows, own, None, 1.0) ** 0.5 == pytest.approx(np.std(quantile(0.99)), rel=0.35)
