"""The verbs of `discosim traces`: parse, call, print."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from discosim.cli_console import say, say_json
from discosim.cli_digests import UNIT_HELP, add_digest_chunks, add_digest_device, add_digest_latency, add_digest_rtt
from discosim.cli_help import AddParser, add_verb
from discosim.cli_results import add_json
from discosim.core.errors import UserError

MAP_HELP = "a server's log: our name of a field and the file's, may be repeated (prompt_tok=n_in)"


def add_traces(add: AddParser) -> None:
    """Add the verb with its actions."""
    verb = add_verb(
        add,
        "traces",
        "look at shipped digests and at trace files",
        "traces list",
        "traces show azure-conv",
        "traces check mine.jsonl",
        "traces convert quickstart quickstart.csv --to vidur",
        "traces digest-latency service.csv --out service.json",
        "traces digest-rtt ping.txt --out home.json",
    )
    add_action = verb.add_subparsers(metavar="ACTION", required=True).add_parser
    for add_one in (
        _add_list,
        _add_show,
        _add_check,
        _add_convert,
        _add_digest,
        add_digest_latency,
        add_digest_rtt,
        add_digest_chunks,
        add_digest_device,
        _add_fit_engine,
    ):
        add_one(add_action)


def _add_list(add: AddParser) -> None:
    verb = add_verb(add, "list", "list the shipped digests", "traces list")
    add_json(verb)
    verb.set_defaults(call=_traces_list)


def _traces_list(options: argparse.Namespace) -> None:
    from discosim.traces.catalogue import list_digests, load_digest

    if options.json:
        from discosim.report.documents import headed

        held = [(entry, load_digest(entry.name, entry.kind).card.title) for entry in list_digests()]
        rows = [{"kind": entry.kind, "name": entry.name, "title": title} for entry, title in held]
        say_json(headed("traces list", {"digests": rows}))
        return
    for entry in list_digests():
        say(f"{entry.kind:<9} {entry.name:<38} {load_digest(entry.name, entry.kind).card.title}")


def _add_show(add: AddParser) -> None:
    verb = add_verb(add, "show", "show a digest: its card and its figures", "traces show azure-conv")
    verb.add_argument("name", metavar="NAME", help="name of a shipped digest (`discosim traces list`)")
    add_json(verb)
    verb.set_defaults(call=_traces_show)


def _traces_show(options: argparse.Namespace) -> None:
    if options.json:
        from discosim.core.json_text import read_json
        from discosim.report.documents import headed
        from discosim.traces.catalogue import find_digest

        entry = find_digest(options.name)
        digest = read_json(entry.path.read_bytes(), where=str(entry.path))
        say_json(headed("traces show", {"kind": entry.kind, "name": entry.name, "digest": digest}))
        return
    from discosim.traces.describe import describe

    say(describe(options.name))


def _add_check(add: AddParser) -> None:
    verb = add_verb(
        add,
        "check",
        "read a trace file and print what is in it",
        "traces check mine.jsonl",
        "traces check service.csv --format llmperf",
        "traces check mine.csv --unit ms",
        "traces check server.csv --map prompt_tok=n_in --map output_tok=n_out",
        more="Read plain or packed: gzip, xz, bzip2, Zstandard, LZ4, a zip of one file.",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="trace file")
    verb.add_argument("--format", metavar="NAME", default="auto", help="trace format (default: look at the file)")
    verb.add_argument("--unit", metavar="UNIT", default="auto", help=UNIT_HELP)
    verb.add_argument("--map", metavar="OURS=THEIRS", action="append", default=[], dest="mapping", help=MAP_HELP)
    add_json(verb)
    verb.set_defaults(call=_traces_check)


def _traces_check(options: argparse.Namespace) -> None:
    from discosim.traces.check import check, inspect_trace
    from discosim.traces.mapping import parse_mapping

    asked = (options.file, options.format, options.unit, parse_mapping(options.mapping))
    if options.json:
        from discosim.report.documents import headed
        from discosim.traces.check_plain import plain

        say_json(headed("traces check", plain(inspect_trace(*asked))))
    else:
        say(check(*asked))


def _add_convert(add: AddParser) -> None:
    verb = add_verb(
        add,
        "convert",
        "write a workload in the format of another simulator",
        "traces convert mine.jsonl mine.csv --to vidur",
        "traces convert pice w.csv --to blis --set workload.n_requests=50",
    )
    verb.add_argument("source", metavar="IN", help="a trace file, or a configuration whose workload is drawn")
    verb.add_argument("out", metavar="OUT", type=Path, help="file to write, replaced if it exists")
    verb.add_argument("--to", metavar="FORMAT", required=True, help="mooncake, vidur, splitwise, blis or native")
    verb.add_argument(
        "--format", metavar="NAME", default="auto", help="format of a trace file (default: look at the file)"
    )
    verb.add_argument("--unit", metavar="UNIT", default="auto", help=UNIT_HELP)
    set_help = "change the configuration; may be repeated (workload.n_requests=100)"
    verb.add_argument("--set", metavar="a.b=c", action="append", default=[], dest="overrides", help=set_help)
    verb.add_argument("--seed", metavar="N", type=int, help="replace the configuration's seed")
    verb.set_defaults(call=_traces_convert)


def _traces_convert(options: argparse.Namespace) -> None:
    from discosim.runs.convert import convert

    changes = {"overrides": options.overrides, "seed": options.seed, "unit": options.unit}
    say(convert(options.source, options.out, options.to, format=options.format, **changes))


def _add_digest(add: AddParser) -> None:
    verb = add_verb(
        add,
        "digest",
        "compute digests from the raw files under DISCOSIM_TRACES",
        "traces digest azure-conv --out mine",
        "traces digest --all",
        more="DISCOSIM_TRACES names the folder of the raw files: docs/traces.md.",
    )
    verb.add_argument("names", metavar="NAME", nargs="*", help="names of shipped digests")
    verb.add_argument("--all", action="store_true", help="compute every digest")
    verb.add_argument("--out", metavar="DIR", type=Path, default=Path("traces"), help="default: traces")
    verb.set_defaults(call=_traces_digest)


def _traces_digest(options: argparse.Namespace) -> None:
    if bool(options.names) == options.all:
        raise UserError("name the digests to compute, or give --all", where="traces digest")
    raw = os.environ.get("DISCOSIM_TRACES")
    if not raw or not Path(raw).is_dir():
        raise UserError(
            "set DISCOSIM_TRACES to the folder of the raw traces (see docs/traces.md)", where="traces digest"
        )

    from discosim.traces.recipes.build import build_all

    for path in build_all(Path(raw), options.out, options.names or None):
        say(str(path))


def _add_fit_engine(add: AddParser) -> None:
    verb = add_verb(
        add,
        "fit-engine",
        "fit iteration times of your own server, for `server.kind: engine`",
        "traces fit-engine times.csv --kv-tok 400000 --max-context-tok 8192 \\\n"
        "    --kv-bytes-per-tok 131072 --out mine.json",
    )
    verb.add_argument("file", metavar="FILE", type=Path, help="CSV: phase, batch, tokens, time_s or time_ms")
    verb.add_argument("--out", metavar="FILE", type=Path, required=True, help="digest to write (JSON)")
    needed = (
        ("--kv-tok", int, "KV tokens that fit into one replica"),
        ("--kv-bytes-per-tok", float, "bytes of a token's KV cache"),
        ("--max-context-tok", int, "context limit of the model"),
    )
    for option, number, text in needed:
        verb.add_argument(option, metavar="N", type=number, required=True, help=text)
    verb.add_argument("--n-gpus", metavar="N", type=int, default=1, help="GPUs of one replica (default: 1)")
    unit_help = "of the times, whatever their column is called: s, ms or us (default: by the column's name)"
    verb.add_argument("--unit", metavar="UNIT", default="auto", help=unit_help)
    for option in ("--model", "--hardware"):
        verb.add_argument(option, metavar="NAME", default="unnamed", help=f"name of the {option[2:]}")
    verb.set_defaults(call=_traces_fit_engine)
    verb = add_verb(
        add,
        "fit-profile",
        "fit iteration times to kernel times (LLMServingSim's profiles), for `server.kind: engine`",
        "traces fit-profile RTX4090/Llama-3.1-8B/bf16 --out mine.json",
    )
    verb.add_argument("folder", metavar="FOLDER", type=Path, help="with meta.yaml and a folder tp<N>")
    verb.add_argument("--out", metavar="FILE", type=Path, required=True, help="digest to write (JSON)")
    verb.add_argument("--tp", metavar="N", type=int, default=1, help="GPUs that share every layer (default: 1)")
    verb.add_argument(
        "--ep", metavar="N", type=int, default=1, help="data-parallel ranks that share the routed experts (default: 1)"
    )
    verb.add_argument("--model-file", metavar="FILE", type=Path, help="config.json (default: the model of meta.yaml)")
    verb.add_argument("--gpu", metavar="NAME", help="GPU of the sheet (default: the hardware of meta.yaml)")
    verb.add_argument(
        "--overhead-ms",
        metavar="N",
        type=float,
        default=1.0,
        help="what an iteration takes besides (default: 1)",
    )
    verb.set_defaults(call=_traces_fit_profile)


def _traces_fit_engine(options: argparse.Namespace) -> None:
    from discosim.core.files import check_target
    from discosim.traces.engine_fit import fit_engine, write_fit

    check_target(options.out, source=options.file)
    facts = ("model", "hardware", "n_gpus", "kv_tok", "kv_bytes_per_tok", "max_context_tok", "unit")
    digest = fit_engine(options.file, name=options.out.stem, **{name: getattr(options, name) for name in facts})
    say(write_fit(digest, options.out))


def _traces_fit_profile(options: argparse.Namespace) -> None:
    from discosim.core.files import check_target
    from discosim.traces.engine_fit import write_fit
    from discosim.traces.gpu_sheet import find_gpu
    from discosim.traces.model_config import find_model, read_model
    from discosim.traces.profile_fit import fit_profile
    from discosim.traces.readers.kernel_profile import read_profile

    check_target(options.out)
    for option in ("tp", "ep"):
        if not 1 <= getattr(options, option) <= 1024:
            raise UserError(f"must be from 1 to 1024 (got {getattr(options, option)})", where=f"--{option}")
    if not 0.0 <= options.overhead_ms <= 1e6:
        raise UserError(f"must be from 0 to 1e6 (got {options.overhead_ms:g})", where="--overhead-ms")
    held = read_profile(options.folder, options.tp)
    digest = fit_profile(
        options.folder,
        read_model(options.model_file) if options.model_file else find_model(held.model),
        find_gpu(options.gpu or held.hardware),
        name=options.out.stem,
        tp=options.tp,
        ep=options.ep,
        overhead_s=options.overhead_ms * 1e-3,
    )
    say(write_fit(digest, options.out))
