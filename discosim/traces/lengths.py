"""Length laws: how long prompts and answers are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match
from discosim.core.lookup import places
from discosim.core.portable import exp
from discosim.core.rng import RandomStreams
from discosim.core.scenario import ConstantLengths, DigestLengths, FileLengths, Lengths, LognormalLengths
from discosim.core.versions import Warp
from discosim.traces.catalogue import find_digest, list_digests, load_digest
from discosim.traces.digest import ClientDigest, WorkloadDigest
from discosim.traces.length_file import draw_rows, table_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LENGTHS = "workload.lengths"


def draw_lengths(
    law: Lengths,
    n: int,
    rng: np.random.Generator,
    *,
    sender: Ints | None = None,
    base_dir: Path = Path(),
    versions: RandomStreams | None = None,
) -> tuple[Ints, Ints]:
    """Draw prompt and output lengths of ``n`` requests; the first k do not depend on ``n``.

    Parameters
    ----------
    law : Lengths
        Constant, log-normal, from a workload or client-level digest, or from a file.
    n : int
        Number of requests.
    rng : Generator
        Source of luck.
    sender : array of int, shape (n,), optional
        Client of each request, where the arrivals come from the same client-level digest; without it a
        client-level digest mixes its length groups by their shares.
    base_dir : Path
        Folder that the relative path of a file starts from.
    versions : RandomStreams, optional
        Luck of a version of a measured law (streams ``inputs.lengths.*``); without it the law is as it was measured.

    Returns
    -------
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths >= 1.
    """
    match law:
        case ConstantLengths():
            return np.full(n, law.prompt_tok, dtype=np.int64), np.full(n, law.output_tok, dtype=np.int64)
        case LognormalLengths():
            z = rng.standard_normal((n, 2))
            prompt = law.prompt_median_tok * exp(law.prompt_sigma * z[:, 0])
            output = law.output_median_tok * exp(law.output_sigma * z[:, 1])
            return whole_tokens(prompt), whole_tokens(output)
        case FileLengths():
            table = table_of(law, base_dir)
            warp = None if versions is None else Warp.of(len(table), versions.generator("inputs.lengths.rows"))
            return draw_rows(law, table, n, rng, warp)
        case DigestLengths():
            match _length_digest(law.digest):
                case WorkloadDigest() as joint:
                    return _joint(joint, rng.random((n, 3)), versions)
                case ClientDigest() as clients:
                    return _grouped(clients, rng.random((n, 3)), sender)


def whole_tokens(values: Floats) -> Ints:
    """Round to whole tokens, at least 1."""
    return np.maximum(np.rint(values), 1.0).astype(np.int64)


def _length_digest(name: str) -> WorkloadDigest | ClientDigest:
    fitting = [entry.name for kind in ("workload", "clients") for entry in list_digests(kind)]
    digest = load_digest(name)
    if not isinstance(digest, (WorkloadDigest, ClientDigest)):
        raise UserError(
            (f"digest {name!r} is of kind {find_digest(name).kind} and holds no lengths; {close_match(name, fitting)}"),
            where="workload.lengths",
        )
    return digest


def _joint(digest: WorkloadDigest, u: Floats, versions: RandomStreams | None = None) -> tuple[Ints, Ints]:
    """Draw a rank bin by its count, then a rank inside it for each length.

    Source: our choice, an empirical copula: both marginals are exact, the dependence is the measured one
    down to the width of a bin.
    """
    counts = np.asarray(digest.joint_counts, dtype=float)
    total = counts.sum()
    cell = places(np.cumsum(counts.ravel()), u[:, 0] * total)
    row, column = np.divmod(np.minimum(cell, counts.size - 1), counts.shape[1])
    prompt_rank = _rank_in_bin(counts.sum(axis=1) / total, row, u[:, 1])
    output_rank = _rank_in_bin(counts.sum(axis=0) / total, column, u[:, 2])
    if versions is not None:  # each marginal has a version; the dependence stays as it was measured
        prompt_rank = Warp.of(digest.n, versions.generator("inputs.lengths.prompt")).levels(prompt_rank)
        output_rank = Warp.of(digest.n, versions.generator("inputs.lengths.output")).levels(output_rank)
    return whole_tokens(digest.prompt.ppf(prompt_rank)), whole_tokens(digest.output.ppf(output_rank))


def _rank_in_bin(shares: Floats, index: Ints, u: Floats) -> Floats:
    lower = np.concatenate(([0.0], np.cumsum(shares)))
    return np.minimum(lower[index] + u * shares[index], 1.0)


def _grouped(digest: ClientDigest, u: Floats, sender: Ints | None) -> tuple[Ints, Ints]:
    if sender is None:
        upper = np.cumsum([group.share for group in digest.length_groups])
        group_of = np.searchsorted(upper, u[:, 0] * upper[-1], side="right")
        group_of = np.minimum(group_of, upper.size - 1)
    else:
        group_of = np.array([client.group for client in digest.clients])[sender]
    prompt, output = np.empty(u.shape[0]), np.empty(u.shape[0])
    for index, group in enumerate(digest.length_groups):
        here = group_of == index
        prompt[here] = group.prompt.ppf(u[here, 1])
        output[here] = group.output.ppf(u[here, 2])
    return whole_tokens(prompt), whole_tokens(output)
