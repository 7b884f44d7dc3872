"""The verbs `discosim traces digest-*` for rows of one's own: parse, call, write, print."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from discosim.cli_console import say
from discosim.cli_help import AddParser, add_verb
from discosim.core.errors import UserError

if TYPE_CHECKING:
    from discosim.traces.kinds import Digest

UNIT_HELP = "what arrivals, latencies or round trips are in: s, ms, us or ns (default: the format's own unit)"


def _add_file(
    verb: argparse.ArgumentParser, what: str, formats: str = "name of the reader", *, must_write: bool = True
) -> None:
    """Add what all of them take: the file, where the digest goes, the format and a title."""
    verb.add_argument("file", metavar="FILE", type=Path, help=what)
    out = "digest to write (JSON)" if must_write else "digest to write (JSON; default: print only)"
    verb.add_argument("--out", metavar="FILE", type=Path, required=must_write, help=out)
    verb.add_argument("--format", metavar="NAME", default="auto", help=f"{formats} (default: recognised)")
    verb.add_argument("--title", metavar="TEXT", default="", help="what was measured, in a few words")


def _show(digest: Digest, out: Path | None) -> None:
    """Write a digest where that is wanted, and print it."""
    from discosim.traces.describe import describe
    from discosim.traces.digest_file import write_own_digest

    doubts = "".join(f"\nwarning: {quirk}" for quirk in digest.card.quirks if quirk.startswith("Doubtful"))
    if out is None:
        say(describe(digest) + doubts)
        return
    write_own_digest(digest, out)
    say(f"{describe(digest)}\n{doubts}\nwritten    {out}")


def add_digest_latency(add: AddParser) -> None:
    """Add the verb that digests latencies of a service."""
    verb = add_verb(
        add,
        "digest-latency",
        "digest latencies of your own service, for `server.digest_file`",
        "traces digest-latency service.csv --out service.json",
        "traces digest-latency probes.csv --group gpt-5.4 --out gpt.json",
        more="What the file must look like: docs/how-to/bring-your-own-trace.md.",
    )
    _add_file(verb, "per-request latencies: a load test's, or your own table")
    verb.add_argument("--group", metavar="NAME", help="which service, where the file holds several")
    place = "client: TTFT holds the wide area (default); server: the load test ran beside the server"
    verb.add_argument("--measured-at", metavar="PLACE", default="client", help=place)
    verb.add_argument("--unit", metavar="UNIT", default="auto", help=UNIT_HELP)
    verb.set_defaults(call=_digest_latency)


def _digest_latency(options: argparse.Namespace) -> None:
    from discosim.core.files import check_target
    from discosim.traces.own_digest import digest_latency

    check_target(options.out, source=options.file)
    digest = digest_latency(
        options.file,
        format=options.format,
        group=options.group,
        title=options.title,
        measured_at=options.measured_at,
        unit=options.unit,
    )
    _show(digest, options.out)


def add_digest_rtt(add: AddParser) -> None:
    """Add the verb that digests round trips of a last hop."""
    verb = add_verb(
        add,
        "digest-rtt",
        "digest round trips of your own last hop, for `link.digest_file`",
        "traces digest-rtt ping.txt --out home.json",
        "traces digest-rtt atlas.json --group 'probe 1003' --out probe.json",
        "traces digest-rtt l.txt --unit ms --measured-to gateway --out w.json",
        more="What the file must look like: docs/how-to/own-device-and-last-hop.md.",
    )
    told = "what ping printed, results of RIPE Atlas, rows of M-Lab, a table (rtt_ms) or a plain list"
    _add_file(verb, told)
    verb.add_argument("--group", metavar="NAME", help="which path, where the file holds several")
    end = "host: a distant one, so that it holds the wide area (default); gateway: the first one behind the last hop"
    verb.add_argument("--measured-to", metavar="PLACE", default="host", help=end)
    verb.add_argument("--unit", metavar="UNIT", default="auto", help=UNIT_HELP)
    verb.set_defaults(call=_digest_rtt)


def _digest_rtt(options: argparse.Namespace) -> None:
    from discosim.core.files import check_target
    from discosim.traces.own_rtt import digest_rtt

    check_target(options.out, source=options.file)
    digest = digest_rtt(
        options.file,
        format=options.format,
        group=options.group,
        title=options.title,
        measured_to=options.measured_to,
        unit=options.unit,
    )
    _show(digest, options.out)


def add_digest_chunks(add: AddParser) -> None:
    """Add the verb that digests tokens that come together."""
    verb = add_verb(
        add,
        "digest-chunks",
        "digest how tokens of your own streams come together, for `server.chunks`",
        "traces digest-chunks profile_export.jsonl --out mine.json",
        "traces digest-chunks streams.csv --unit ms --out mine.json",
        more="What the file must look like: docs/how-to/bursty-streams.md.",
    )
    forms = "AIPerf's records, vllm bench's detailed result, or own streams (JSON lines or a table)"
    _add_file(verb, forms, "aiperf, vllm, own-json or own-table")
    verb.add_argument(
        "--unit", metavar="UNIT", default="auto", help="what times without a unit in their name are in: s, ms, us, ns"
    )
    verb.add_argument(
        "--threshold-ms", metavar="N", type=float, default=1.0, help="tokens less apart came together (default: 1)"
    )
    verb.set_defaults(call=_digest_chunks)


def _digest_chunks(options: argparse.Namespace) -> None:
    from discosim.core.files import check_target
    from discosim.traces.own_chunks import digest_chunks

    check_target(options.out, source=options.file)
    digest = digest_chunks(
        options.file,
        format=options.format,
        title=options.title,
        unit=options.unit,
        threshold_s=1e-3 * options.threshold_ms,
    )
    _show(digest, options.out)


def add_digest_device(add: AddParser) -> None:
    """Add the verb that digests the speed of a device."""
    verb = add_verb(
        add,
        "digest-device",
        "digest the speed of your own device, for `devices: [{profile_file: ...}]`",
        "traces digest-device rows.csv --out laptop.json",
        "traces digest-device rows.csv --map ttft_s=first --out laptop.json",
        "traces digest-device llama-bench.json --group Vulkan --out lap.json",
        more="Own rows, llama-bench or llama.cpp timings: docs/how-to/your-own-device.md.",
    )
    forms = "rows, llama_bench or llama_server"
    _add_file(verb, "requests that one device answered, a row each", forms, must_write=False)
    verb.add_argument("--name", metavar="NAME", default="", help="name of the profile (default: that of the file)")
    for option in ("--group", "--model"):
        verb.add_argument(option, metavar="NAME", help="which device or model, where the file holds several")
    map_help = "our name of a column and the file's, may be repeated (ttft_s=first)"
    verb.add_argument("--map", metavar="OURS=THEIRS", action="append", default=[], dest="mapping", help=map_help)
    unit_help = "of times whose columns do not say it: s, ms, us or ns"
    verb.add_argument("--unit", metavar="UNIT", default="auto", help=unit_help)
    numbers = (
        ("--chars-per-tok", "characters of a token, where the file counts characters (default: 4)"),
        ("--params-b", "parameters of the model in billions, for an energy that is assumed"),
        ("--decode-tok-per-s", "decode rate, where the rows do not tell it"),
    )
    for option, text in numbers:
        verb.add_argument(option, metavar="N", type=float, help=text)
    verb.set_defaults(call=_digest_device)


def _digest_device(options: argparse.Namespace) -> None:
    from discosim.core.files import check_target
    from discosim.traces.mapping import parse_mapping
    from discosim.traces.own_device import digest_device

    if options.out is not None:
        check_target(options.out, source=options.file)
    if options.group is not None and options.model is not None:
        raise UserError("give --group or --model, not both", where="traces digest-device")
    for option in ("chars_per_tok", "params_b", "decode_tok_per_s"):
        value = getattr(options, option)
        if value is not None and not 1e-3 <= value <= 1e6:
            raise UserError(f"must be from 0.001 to 1e6 (got {value:g})", where="--" + option.replace("_", "-"))
    digest = digest_device(
        options.file,
        name=options.name or ("" if options.out is None else options.out.stem),
        format=options.format,
        group=options.group if options.model is None else options.model,
        mapping=parse_mapping(options.mapping),
        unit=options.unit,
        chars_per_tok=options.chars_per_tok,
        params_b=options.params_b,
        decode_tok_per_s=options.decode_tok_per_s,
        title=options.title,
    )
    _show(digest, options.out)
