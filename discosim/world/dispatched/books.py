"""Timelines and bills of planned requests that are over, as `closing` and `shown` put them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged, offsets_of
from discosim.core.timelines import SCALARS, Segments, Timelines
from discosim.core.works import Works
from discosim.world.batch.phones import Begun, Phones
from discosim.world.dispatched.pending import DEVICE, SERVER, Pending
from discosim.world.dispatched.planned import Planned
from discosim.world.engine.job import Job
from discosim.world.engine.stream import joined
from discosim.world.engine_batch import defaults, delivered, raised_rows, worth
from discosim.world.link import Link
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scalars = dict[str, NDArray[Any]]
NAMES = ("server", "device")
SPEAKERS = np.array(["", "server", "device"], dtype=object)
STATUS = np.array(["rejected", "finished", "finished"], dtype=object)


@dataclass(frozen=True)
class Books:
    """Closes the books of requests that are over.

    Parameters
    ----------
    planned : Planned
        What was known of them.
    phones : Phones
        Their devices.
    link : Link
        The last hop; each token is a packet, and there are no outages.
    meter : Meter
        Prices.
    quality : QualityModel or None
        What answers are assumed to be worth.
    """

    planned: Planned
    phones: Phones
    link: Link
    meter: Meter
    quality: QualityModel | None

    def timelines(self, over: Sequence[Pending]) -> Timelines:
        """Return rows as sessions would have left them, in the order given."""
        n, table = len(over), self.planned.table
        who = np.fromiter([pending.i for pending in over], np.int64, n)
        speaker = np.fromiter([pending.speaker for pending in over], np.int64, n)
        made_s, delivered_s = self._tokens(over, who, speaker)
        is_served = speaker > 0
        scalars = self._scalars(over, who, speaker)
        n_shown, nothing = np.count_nonzero(is_served), Ragged(np.empty(0), np.zeros(n + 1, dtype=np.int64))
        return Timelines(
            scalars={name: scalars[name] for name in SCALARS},
            segments=Segments(
                NAMES,
                ("", ""),
                speaker[is_served] - SERVER,
                np.ones(n_shown, dtype=np.int64),
                table.output_tok[who][is_served],
                offsets_of(is_served.astype(np.int64)),
            ),
            generated_s=made_s,
            delivered_s=delivered_s,
            paced_s=nothing,
            sketch_s=nothing,
            work=Works.none(n),
        )

    def _tokens(self, over: Sequence[Pending], who: Ints, speaker: Ints) -> tuple[Ragged, Ragged]:
        """Return when each token that was shown was made, and when it arrived."""
        table, n = self.planned.table, len(over)
        of_server, of_device = (np.flatnonzero(speaker == name) for name in (SERVER, DEVICE))
        server_s = Ragged.of([joined(_job(over[k])) for k in of_server.tolist()])
        arrives_s = delivered(server_s, table.user_id[who[of_server]], self.link)
        values_s, rows = self._begun(over, who, of_device).tokens()
        device_s = raised_rows(Ragged(values_s, rows.offsets), table.arrival_s[who[of_device]])
        nothing = Ragged(np.empty(0), np.zeros(2, dtype=np.int64))
        place = np.full(n, of_server.size + of_device.size)  # who was shown nothing has this one row
        place[of_server], place[of_device] = np.arange(of_server.size), of_server.size + np.arange(of_device.size)
        made_s, shown_s = (
            Ragged.interleaved([raised_rows(of_server_s, table.arrival_s[who[of_server]]), device_s, nothing], place)
            for of_server_s in (server_s, arrives_s)
        )
        return made_s, shown_s

    def _begun(self, over: Sequence[Pending], who: Ints, rows: Ints) -> Begun:
        """Return what devices have turned to for some of the requests."""
        pendings, ids = [over[k] for k in rows.tolist()], who[rows]
        begin_s = np.fromiter([pending.begin_s for pending in pendings], np.float64, rows.size)
        end_s = np.fromiter([pending.prefill_end_s for pending in pendings], np.float64, rows.size)
        return Begun(ids, self.planned.table.output_tok[ids], begin_s, end_s, self.planned.gap_s[ids])

    def _device_bill(
        self, over: Sequence[Pending], who: Ints, speaker: Ints, asks_device: Bools
    ) -> tuple[Floats, Ints]:
        """Return prompt tokens that devices have worked on, and tokens that they have made."""
        table, n = self.planned.table, len(over)
        prompt_tok, made_tok = np.zeros(n), np.zeros(n, dtype=np.int64)
        is_whole = asks_device & ((speaker == DEVICE) | (self.planned.losers == "run_on"))
        prompt_tok[is_whole], made_tok[is_whole] = table.prompt_tok[who[is_whole]], table.output_tok[who[is_whole]]
        is_first = np.fromiter([pending.is_prefill_only for pending in over], np.bool_, n)
        prompt_tok[is_first], made_tok[is_first] = table.prompt_tok[who[is_first]], 1
        has_begun = np.fromiter([pending.begin_s < math.inf for pending in over], np.bool_, n)
        cut = np.flatnonzero(asks_device & has_begun & ~is_whole & ~is_first)
        if cut.size:
            spoke_s = np.fromiter([over[k].spoke_s for k in cut.tolist()], np.float64, cut.size)
            prompt_tok[cut], made_tok[cut], _ = self._begun(over, who, cut).worked(
                spoke_s, table.prompt_tok[who[cut]], finish_prefill=False
            )
        return prompt_tok, made_tok

    def _scalars(self, over: Sequence[Pending], who: Ints, speaker: Ints) -> Scalars:
        """Return the numbers of each request that no token decides."""
        table, meter, n = self.planned.table, self.meter, len(over)
        asks_device = np.fromiter([pending.is_device_asked for pending in over], np.bool_, n)
        device_tok, device_made_tok = self._device_bill(over, who, speaker, asks_device)
        at = np.flatnonzero(np.fromiter([pending.job is not None for pending in over], np.bool_, n))
        arrival_s, output_tok = table.arrival_s[who], table.output_tok[who]
        scalars = defaults(n) | _inside([_job(over[k]) for k in at.tolist()], at, n, arrival_s)
        server_tok, server_made_tok = scalars["server_prompt_tok"], scalars["server_output_tok"]
        server_usd = server_tok * meter.prompt_usd_per_tok + server_made_tok * meter.output_usd_per_tok
        device_j = self.phones.energy_j(who, device_tok, device_made_tok)
        scalars |= {
            "request_id": who,
            "user_id": table.user_id[who],
            "arrival_s": arrival_s,
            "prompt_tok": table.prompt_tok[who],
            "output_tok": output_tok,
            "reader_tok_per_s": table.reader_tok_per_s[who],
            "ttft_target_s": table.ttft_target_s[who],
            "status": STATUS[speaker],
            "first_endpoint": SPEAKERS[speaker],
            "is_device_dispatched": asks_device,
            "n_tok_wasted": server_made_tok + device_made_tok - np.where(speaker > 0, output_tok, 0),
            "device_prefill_tok": device_tok,
            "device_decode_tok": device_made_tok,
            "server_cost_usd": server_usd,
            "device_energy_j": device_j,
            "unified_cost_usd": server_usd + meter.exchange_rate_usd_per_j * device_j,
        }
        if self.quality is not None:
            for name, endpoint in ((SERVER, "server"), (DEVICE, "device")):
                rows = np.flatnonzero(speaker == name)
                scalars["quality_assumed"][rows] = worth(self.quality, output_tok[rows], endpoint)
        return scalars


def _job(pending: Pending) -> Job:
    assert pending.job is not None
    return pending.job


def _inside(jobs: list[Job], at: Ints, n: int, arrival_s: Floats) -> Scalars:
    """Return what the engine says of its jobs, those of rows ``at`` of ``n``."""
    m = len(jobs)
    scalars: Scalars = {name: np.zeros(n, dtype=np.int64) for name in ("server_prompt_tok", "server_output_tok")}
    # no token yet: so much of the prompt as had been computed
    done_tok = [
        job.prompt_tok if job.base_tok else job.prompt_tok - min(job.prefill_left_tok, job.prompt_tok) for job in jobs
    ]
    scalars["server_prompt_tok"][at] = np.fromiter(done_tok, np.int64, m)
    scalars["server_output_tok"][at] = np.fromiter([job.base_tok for job in jobs], np.int64, m)
    scalars["is_server_dispatched"] = np.zeros(n, dtype=np.bool_)
    scalars["is_server_dispatched"][at] = True
    scalars["n_preemptions"] = np.zeros(n, dtype=np.int64)
    scalars["n_preemptions"][at] = np.fromiter([job.n_preemptions for job in jobs], np.int64, m)
    for name in ("gpu_s", "kv_tok_s"):
        scalars[name] = np.zeros(n)
        scalars[name][at] = np.fromiter([getattr(job, name) for job in jobs], np.float64, m)
    scheduled_s = np.full(n, math.nan)
    scheduled_s[at] = np.fromiter([job.scheduled_s for job in jobs], np.float64, m)
    scheduled_s[scheduled_s == math.inf] = math.nan  # it was stopped before
    reached_s = np.full(n, math.nan)
    reached_s[at] = np.fromiter([job.arrival_s for job in jobs], np.float64, m)
    return scalars | {"scheduled_s": scheduled_s - arrival_s, "queue_s": scheduled_s - reached_s}
