"""`discosim completion`: what a shell asks while one types; made from the parsers, so that no option is forgotten."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from discosim.cli_console import say
from discosim.cli_help import AddParser, add_verb

Shell = Literal["bash", "zsh", "fish"]
SHELLS: tuple[Shell, ...] = ("bash", "zsh", "fish")
KINDS = ("config", "sweep", "digest", "metric", "policy", "scheduler")
"""Names that a shell may ask for."""
FILES = "files"
_OF_METAVAR = {"CONFIG": f"config {FILES}", "SCENARIO": f"config {FILES}", "PLAN": f"sweep {FILES}"}
_OF_OPTION = {
    "--columns": "metric,",
    "--metric": "metric",
    "--executor": "=serial =local =ray =dask",
    "--against": FILES,
    "--server": f"config {FILES}",
}
_OF_VERB = {"traces show": "digest", "traces digest": "digest", "explain metric": "metric"}
_OF_VERB |= {"explain policy": "policy", "explain scheduler": "scheduler"}


@dataclass(frozen=True)
class Node:
    """What may follow the words of a verb.

    Parameters
    ----------
    path : str
        The verb and its action, '' for the program alone.
    words : mapping of str to str
        Verbs or actions, and what they do.
    options : mapping of str to (str, str)
        Option -> what its value is ('' for a switch), and its help. A value is ``files``, the kind of a name (a comma
        behind it: several), or words that begin with ``=``.
    places : tuple of str
        What each positional argument is; the last one may be repeated.
    """

    path: str
    words: Mapping[str, str]
    options: Mapping[str, tuple[str, str]]
    places: tuple[str, ...]


def add_completion(add: AddParser, parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Add the verb; ``parser`` gives the parser of all verbs."""
    verb = add_verb(
        add,
        "completion",
        "print what makes a shell complete verbs, options and names",
        "completion bash >> ~/.bash_completion",
        "completion zsh > ~/.discosim.zsh   # then: source it in ~/.zshrc",
        "completion fish > ~/.config/fish/completions/discosim.fish",
    )
    verb.add_argument("shell", metavar="SHELL", nargs="?", choices=SHELLS, help="bash, zsh or fish")
    verb.add_argument("--names", choices=KINDS, help=argparse.SUPPRESS)
    verb.set_defaults(call=_completion, parser=parser)


def _completion(options: argparse.Namespace) -> None:
    if options.names:
        say("\n".join(names_of(options.names)))
        return
    if options.shell is None:
        options.parser().error("the following arguments are required: SHELL")
    nodes = list(nodes_of(options.parser()))
    say(fish(nodes) if options.shell == "fish" else bash(nodes, is_zsh=options.shell == "zsh"), end="")


def names_of(kind: str) -> list[str]:
    """Return the names of a kind; those of files by a look at the folder alone, so that a shell need not wait."""
    if kind in {"config", "sweep", "digest"}:
        from discosim.core.shipped import shipped_folder

        root = shipped_folder("traces" if kind == "digest" else "configs")
        pattern = {"config": "*.yaml", "sweep": "sweeps/*.yaml", "digest": "*/*.json"}[kind]
        return sorted({path.stem for path in root.glob(pattern)} - ({"reference"} if kind == "config" else set()))
    if kind == "metric":
        from discosim.metrics.definitions import DEFINITIONS

        return list(DEFINITIONS)
    if kind == "policy":
        from discosim.policies.registry import known_policies

        return sorted(known_policies())
    from discosim.world.engine.schedulers.registry import known_schedulers

    return sorted(known_schedulers())


# --- from parsers to nodes --------------------------------------------------------------------------------------


def nodes_of(parser: argparse.ArgumentParser, path: str = "") -> Iterator[Node]:
    """Yield what may follow each verb and action; a verb of two words, such as ``sweep status``, is an action."""
    words: dict[str, str] = {}
    below: dict[str, argparse.ArgumentParser] = {}
    options: dict[str, tuple[str, str]] = {}
    places: list[str] = []
    for action in parser._actions:  # noqa: SLF001 - argparse offers no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, child in action.choices.items():
                below[name] = child
                words[name] = helps.get(name, "")
        elif action.help is not argparse.SUPPRESS and action.option_strings:
            options |= dict.fromkeys(action.option_strings, (_value(action, path), _words(action.help)))
        elif action.help is not argparse.SUPPRESS:
            places.append(_value(action, path))
    inner: dict[str, dict[str, str]] = {name.partition(" ")[0]: {} for name in words if " " in name}
    for name in [name for name in words if " " in name]:
        verb, _, rest = name.partition(" ")
        inner[verb][rest] = words.pop(name)
    yield Node(path, words | {}, options, tuple(places))
    for name, child in below.items():
        for node in nodes_of(child, f"{path} {name}".strip()):
            yield Node(node.path, {**node.words, **inner.get(name, {})}, node.options, node.places)


def _value(action: argparse.Action, path: str) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return " ".join(f"={choice}" for choice in action.choices)
    for option in action.option_strings:
        if option in _OF_OPTION:
            return _OF_OPTION[option]
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    if metavar in _OF_METAVAR:
        return _OF_METAVAR[metavar]
    if not action.option_strings and path in _OF_VERB:
        return _OF_VERB[path]
    return FILES if action.type is Path or metavar in {"FILE", "DIR", "FOLDER", "IN"} else "-"


def _words(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())


# --- bash and zsh -----------------------------------------------------------------------------------------------

_BASH = """\
# Made by `discosim completion {shell}`.
{start}_discosim_words() {{ case "$1" in
{words}
esac; }}
_discosim_options() {{ case "$1" in
{options}
esac; }}
_discosim_value() {{ case "$1|$2" in
{values}
esac; }}
_discosim_place() {{ case "$1|$2" in
{places}
esac; }}
_discosim_fill() {{  # what a value is, and what is typed of it
    local kind typed="$2" before="" name names
    for kind in $1; do
        case "$kind" in
        files)
            compopt -o filenames 2>/dev/null
            while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -f -- "$typed") ;;
        =*) COMPREPLY+=($(compgen -W "${{kind#=}}" -- "$typed")) ;;
        -) ;;
        *)
            names="$(discosim completion --names "${{kind%,}}" 2>/dev/null)"
            if [[ $kind == *, && $typed == *,* ]]; then before="${{typed%,*}},"; fi
            while IFS= read -r name; do COMPREPLY+=("$before$name"); done < <(compgen -W "$names" -- "${{typed##*,}}")
            if [[ $kind == *, ]]; then compopt -o nospace 2>/dev/null; fi ;;
        esac
    done
}}
_discosim() {{
    local typed="${{COMP_WORDS[COMP_CWORD]}}" verb="" awaited="" word i n=0
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        if [[ $word == "=" ]]; then continue; fi
        if [[ -n $awaited ]]; then awaited=""; continue; fi
        if [[ $word == -* ]]; then awaited="$(_discosim_value "$verb" "$word")"
        elif [[ " $(_discosim_words "$verb") " == *" $word "* ]]; then verb="${{verb:+$verb }}$word"
        else n=$((n + 1)); fi
    done
    if [[ $typed == "=" ]]; then typed=""; fi
    if [[ -n $awaited ]]; then _discosim_fill "$awaited" "$typed"
    elif [[ $typed == -* ]]; then COMPREPLY=($(compgen -W "$(_discosim_options "$verb")" -- "$typed"))
    else
        COMPREPLY=($(compgen -W "$(_discosim_words "$verb")" -- "$typed"))
        _discosim_fill "$(_discosim_place "$verb" "$n")" "$typed"
    fi
}}
complete -F _discosim discosim
"""
_ZSH = "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n"


def bash(nodes: list[Node], *, is_zsh: bool = False) -> str:
    """Return the script for bash; zsh reads the same through its ``bashcompinit``."""
    words = [_case(node.path, " ".join(node.words)) for node in nodes if node.words]
    options = [_case(node.path, " ".join(node.options)) for node in nodes]
    values = [
        _case(f"{node.path}|{name}", value) for node in nodes for name, (value, _) in node.options.items() if value
    ]
    places = []
    for node in nodes:
        for i, value in enumerate(node.places):
            last = "*" if i == len(node.places) - 1 else str(i)
            places.append(_case(f"{node.path}|", value, last) if last == "*" else _case(f"{node.path}|{i}", value))
    shell, start = ("zsh", _ZSH) if is_zsh else ("bash", "")
    joined = ("\n".join(lines) for lines in (words, options, values, places))
    return _BASH.format(
        shell=shell, start=start, **dict(zip(("words", "options", "values", "places"), joined, strict=True))
    )


def _case(pattern: str, text: str, glob: str = "") -> str:
    return (
        f"{_quoted(pattern)}{glob}) echo {_quoted(text)} ;;" if text != "-" else f"{_quoted(pattern)}{glob}) echo - ;;"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish -------------------------------------------------------------------------------------------------------

_FISH = """\
# Made by `discosim completion fish`.
function __discosim_at
    set -l words (commandline -opc)
    set -l verb
    for word in $words[2..-1]
        if not string match -q -- '-*' $word
            set -a verb $word
        end
    end
    set -l asked (string split ' ' -- $argv[1])
    test -z "$argv[1]"; and test (count $verb) -eq 0; and return 0
    test -n "$argv[1]"; or return 1
    set -l n (count $asked)
    test (count $verb) -ge $n; or return 1
    test "$verb[1..$n]" = "$asked"
end
complete -c discosim -f
"""


def fish(nodes: list[Node]) -> str:
    """Return the script for fish."""
    lines = []
    for node in nodes:
        at = f"complete -c discosim -n {_fish(f'__discosim_at {_fish(node.path)}')}"
        lines += [f"{at} -a {_fish(word)} -d {_fish(text)}" for word, text in node.words.items()]
        for option, (value, text) in node.options.items():
            name = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            lines.append(f"{at} {name}{_fish_value(value)} -d {_fish(text)}")
        lines += [f"{at}{_fish_value(value, option=False)}" for value in dict.fromkeys(node.places) if value != "-"]
    return _FISH + "\n".join(lines) + "\n"


def _fish_value(value: str, *, option: bool = True) -> str:
    if not value:
        return ""
    words = [kind[1:] for kind in value.split() if kind.startswith("=")]
    names = [f"(discosim completion --names {kind.rstrip(',')})" for kind in value.split() if kind.rstrip(",") in KINDS]
    said = f" -a {_fish(' '.join([*words, *names]))}" if words or names else ""
    takes_files = FILES in value.split()
    return f"{(' -r' if takes_files else ' -x') if option else ''}{' -F' if takes_files else ''}{said}"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
