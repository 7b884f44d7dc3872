"""The verb `discosim traces digest-device`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from discosim.cli_console import say
from discosim.cli_help import AddParser, add_verb
from discosim.core.errors import UserError


def add_digest_device(add: AddParser) -> None:
    """Add the verb."""
    verb = add_verb(
        add,
        "digest-device",
        "digest the speed of your own device, for `devices: [{profile_file: ...}]`",
        "traces digest-device rows.csv --out laptop.json",
        "traces digest-device rows.csv --map ttft_s=first --out laptop.json",
        "traces digest-device llama-bench.json --group Vulkan --out lap.json",
        more="Own rows, llama-bench or llama.cpp timings: docs/how-to/your-own-device.md.",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="requests that one device answered, a row each")
    verb.add_argument("--out", metavar="FILE", type=Path, help="profile to write (JSON; default: print only)")
    verb.add_argument("--name", metavar="NAME", default="", help="name of the profile (default: that of the file)")
    verb.add_argument("--format", metavar="NAME", default="auto", help="rows, llama_bench or llama_server")
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
    verb.add_argument("--title", metavar="TEXT", default="", help="what was measured, in a few words")
    verb.set_defaults(call=_digest_device)


def _digest_device(options: argparse.Namespace) -> None:
    from discosim.core.files import check_target
    from discosim.traces.describe import describe
    from discosim.traces.digest_file import write_own_digest
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
    text = describe(digest)
    if options.out is not None:
        write_own_digest(digest, options.out)
        text += f"\n\nwritten    {options.out}"
    say(text)
