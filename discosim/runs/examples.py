"""Which few requests a run keeps token by token, so that their timelines can be drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from discosim.runs.collect import Columns

EXAMPLE_POOL = 300
N_EXAMPLES = 4
LEGIBLE_TOK = (40, 250)


def choose_examples(tokens: Mapping[str, Columns], requests: Mapping[str, Columns]) -> Columns:
    """Return the token rows of a few telling requests of the first replication, for every policy.

    The first is a request that migrates, the next ones where the policies differ most in who spoke first, then in
    TTFT; answers between 40 and 250 tokens are preferred because they can be read in a picture.

    Parameters
    ----------
    tokens : mapping of str to columns
        Token rows by policy.
    requests : mapping of str to columns
        Request rows of the same replication by policy.
    """
    chosen = _chosen_ids(requests)
    names = sorted(tokens)
    parts = {name: _rows(tokens[name], chosen) for name in names}
    sizes = [parts[name]["request_id"].size for name in names]
    joined: Columns = {
        "policy": np.repeat(np.array(names, dtype=object), sizes),
        "replication": np.zeros(sum(sizes), dtype=np.int64),
    }
    for column in parts[names[0]]:
        joined[column] = np.concatenate([parts[name][column] for name in names])
    return joined


def _rows(columns: Columns, ids: list[int]) -> Columns:
    mine = np.isin(columns["request_id"], ids)
    return {name: values[mine] for name, values in columns.items()}


def _chosen_ids(requests: Mapping[str, Columns]) -> list[int]:
    columns = [requests[name] for name in sorted(requests)]
    n = min(EXAMPLE_POOL, columns[0]["request_id"].size)
    output = columns[0]["output_tok"][:n]
    finished = np.all([c["status"][:n] == "finished" for c in columns], axis=0)
    migrations = np.sum([c["n_migrations"][:n] for c in columns], axis=0)
    is_device_first = np.array([c["first_endpoint"][:n] == "device" for c in columns])
    share = is_device_first.mean(axis=0)
    ttft = np.array([c["ttft_s"][:n] for c in columns])
    spread = np.nan_to_num(ttft.max(axis=0) - ttft.min(axis=0))
    legible = (output >= LEGIBLE_TOK[0]) & (output <= LEGIBLE_TOK[1])
    # sorted by: finished everywhere, legible, migrations, disagreement about the first endpoint, spread of TTFT
    keys = (spread, share * (1.0 - share), np.minimum(migrations, 2), legible, finished)
    order = np.lexsort(keys)[::-1]
    return [int(i) for i in order[:N_EXAMPLES]]
