"""A server of language models in one loop, written apart from the package: what it logs is known to the last detail.

It runs whole iterations one by one, in the order of vLLM V1's engine core: mail, decide, wait for the oldest iteration.
With ``ahead`` a second iteration is decided while one runs.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

Batch = tuple[list["Asked"], list[tuple["Asked", int]]]


@dataclass(eq=False)
class Asked:
    """A request: when it came, what it is, and what became of it."""

    came_s: float
    prompt: int
    answer: int
    left: int = field(init=False)
    planned: int = 0
    made: int = 0
    look_s: float = 0.0
    taken_s: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.prompt


def requests(n: int, rate_per_s: float, seed: int) -> list[Asked]:
    """Return Poisson arrivals with evenly spread lengths."""
    luck = random.Random(seed)
    at_s, found = 0.0, []
    for _ in range(n):
        found.append(Asked(at_s, luck.randint(50, 1500), luck.randint(40, 200)))
        at_s += luck.expovariate(rate_per_s)
    return found


def decide(running: list[Asked], waiting: list[Asked], now_s: float, budget: int, most: int) -> Batch:
    """Return who decodes, and whose pieces of prompts fill the iteration."""
    decode = [one for one in running if not one.left and one.planned < one.answer]
    left = budget - len(decode)
    pieces = []
    for one in [one for one in running if one.left]:
        if left > 0:
            pieces.append((one, min(left, one.left)))
            left -= pieces[-1][1]
    while waiting and left > 0 and len(running) < most:
        one = waiting.pop(0)
        one.taken_s = now_s
        running.append(one)
        pieces.append((one, min(left, one.left)))
        left -= pieces[-1][1]
    return decode, pieces


def takes_s(decode: list[Asked], pieces: list[tuple[Asked, int]]) -> float:
    """Return how long the GPU takes; no roofline, but its corner rounded off."""
    tok = len(decode) + sum(piece for _, piece in pieces)
    took_s = 1.5e-3 + (0.012**4 + (3.2e-5 * tok) ** 4) ** 0.25 + 2e-5 * len(decode)
    took_s += (1.3e-7 if pieces else 7e-8) * sum(one.prompt + one.planned for one in decode)
    for one, piece in pieces:
        done = one.prompt - one.left
        took_s += 4e-10 * ((done + piece) ** 2 - done**2)
    return took_s


def serve(asked: list[Asked], *, ahead: bool, budget: int = 2048, most: int = 64) -> None:
    """Answer all requests."""
    luck = random.Random(5)
    mail = list(asked)
    waiting: list[Asked] = []
    running: list[Asked] = []
    flight: list[tuple[float, list[Asked]]] = []
    now = gpu = 0.0
    while mail or waiting or running:
        while mail and mail[0].came_s <= now:
            mail[0].look_s = now
            waiting.append(mail.pop(0))
        decode, pieces = decide(running, waiting, now, budget, most)
        if decode or pieces:
            gpu = max(gpu, now) + takes_s(decode, pieces) * luck.lognormvariate(0.0, 0.02)
            for one, piece in pieces:
                one.left -= piece
            makes = [*decode, *(one for one, _ in pieces if not one.left)]
            for one in makes:
                one.planned += 1
            flight.append((gpu, makes))
            if ahead and len(flight) < 2:
                continue
        if not flight:
            now = max(now, mail[0].came_s)
            continue
        end, makes = flight.pop(0)
        now = max(now, end)
        for one in makes:
            one.made += 1
            if one.made == 1:
                one.first_s = now
            if one.made == one.answer:
                one.last_s = now
                running.remove(one)


def write(asked: list[Asked], path: Path, *, stamp: str) -> Path:
    """Write a log that is stamped when the server looks at its mail (``look``), or when a request comes (``came``)."""
    rows = [
        {
            "input_toks": one.prompt,
            "output_toks": one.answer,
            "queued_ts": 5e4 + (one.look_s if stamp == "look" else one.came_s),
            "scheduled_ts": 5e4 + one.taken_s,
            "first_token_ts": 5e4 + one.first_s,
            "last_token_ts": 5e4 + one.last_s,
        }
        for one in asked
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
