"""Published rates at which people read and listen, in tokens per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discosim.core.scenario import Reader

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RateGroup:
    """A group of people who consume text alike.

    Parameters
    ----------
    label : str
        Age group of readers, or language of listeners.
    share : float
        Share of the population, in percent; shares of a table sum to 100 up to rounding.
    s_per_tok : float
        Time one token takes, seconds, > 0.
    """

    label: str
    share: float
    s_per_tok: float


READING = (
    RateGroup("18-24", 28.04, 0.196),
    RateGroup("25-44", 51.87, 0.230),
    RateGroup("45-54", 11.19, 0.240),
    RateGroup("55-64", 5.56, 0.249),
    RateGroup("65+", 3.33, 0.264),
)
"""Reading by age. Source: Andes (arXiv 2404.16283), number lists of the authors' code; labels from Fig. 2
of v2.

The rates are 236 to 175 words per minute at 1.3 tokens a word; their weighted mean is 4.50 tok/s, not the
4.8 tok/s that the paper's text gives as the average.
"""

LISTENING = (
    RateGroup("English", 79.29, 0.31),
    RateGroup("Chinese", 7.03, 0.15),
    RateGroup("Korean", 6.92, 0.19),
    RateGroup("French", 3.58, 0.15),
    RateGroup("Spanish", 3.17, 0.13),
)
"""Listening by language. Source: as `READING`; the paper's text gives 3.3 tok/s as the average."""

TABLES: dict[Literal["reading", "listening"], tuple[RateGroup, ...]] = {
    "reading": READING,
    "listening": LISTENING,
}


def rates_of_users(reader: Reader, n_users: int, rng: np.random.Generator) -> Floats:
    """Return the consumption rate of each user.

    Parameters
    ----------
    reader : Reader
        A fixed rate, or the name of a table.
    n_users : int
        Number of users, >= 1.
    rng : Generator
        Draws the group of each user where a table is named.

    Returns
    -------
    array of float, shape (n_users,)
        Rates in tok/s, > 0. User k has the same rate whatever ``n_users`` is.
    """
    if not isinstance(reader.tok_per_s, str):
        return np.full(n_users, float(reader.tok_per_s))
    groups = TABLES[reader.tok_per_s]
    upper = np.cumsum([group.share for group in groups])
    rates = np.array([1.0 / group.s_per_tok for group in groups])
    drawn = np.searchsorted(upper / upper[-1], rng.random(n_users), side="right")
    return rates[np.minimum(drawn, rates.size - 1)]
