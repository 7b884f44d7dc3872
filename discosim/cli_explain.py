"""The verb `discosim explain`: what a metric, a policy or a scheduler is."""

from __future__ import annotations

import argparse
from pathlib import Path

from discosim.cli_console import say, say_json
from discosim.cli_help import AddParser, add_verb
from discosim.cli_results import add_json
from discosim.core.errors import UserError


def add_explain(add: AddParser) -> None:
    """Add the verb with its topics."""
    parser = add_verb(
        add,
        "explain",
        "say what a metric, a policy or a scheduler is",
        "explain metric",
        "explain metric qoe_andes",
        "explain policy disco",
        "explain scheduler andes_v2",
    )
    topics = parser.add_subparsers(metavar="TOPIC", required=True)
    for topic, call, example in (
        ("metric", _explain_metric, "qoe_andes"),
        ("policy", _explain_policy, "disco"),
        ("scheduler", _explain_scheduler, "andes_v2"),
    ):
        examples = (f"explain {topic}", f"explain {topic} {example}")
        parser = add_verb(topics.add_parser, topic, f"explain one {topic}, or list all", *examples)
        parser.add_argument("name", metavar="NAME", nargs="?", help=f"name of a {topic} (default: list all)")
        if topic == "metric":
            add_json(parser)
        parser.set_defaults(call=call)


def _explain_metric(options: argparse.Namespace) -> None:
    from discosim.metrics.definitions import all_definitions, definition, explain, list_metrics

    if options.json:
        from discosim.report.documents import definitions_document

        say_json(definitions_document([definition(options.name)] if options.name else all_definitions()))
        return
    say(explain(options.name) if options.name else list_metrics())


def _explain_policy(options: argparse.Namespace) -> None:
    from discosim.policies.describe import explain, list_policies

    say(explain(_own_kind(options.name, "policy")) if options.name else list_policies())


def _explain_scheduler(options: argparse.Namespace) -> None:
    from discosim.config.schedulers import explain_scheduler, list_schedulers

    say(explain_scheduler(_own_kind(options.name, "scheduler")) if options.name else list_schedulers())


def _own_kind(name: str, topic: str) -> str:
    """Import a class in a file of the user's, who wants to hear of it; return any other kind as it is."""
    from discosim.config.own_kinds import found_kind, names_file
    from discosim.policies import Policy
    from discosim.world.engine.schedulers.base import Scheduler

    if not names_file(name):
        return name
    try:
        return found_kind(name, (Path.cwd(),), Policy if topic == "policy" else Scheduler)[0]
    except UserError as error:
        raise UserError(error.message, where=f"explain {topic}") from None
