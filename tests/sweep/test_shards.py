"""Parts of a sweep: a job array of Slurm tells its tasks apart, and together they are the whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_samples import SWEEP, contents, sweep, write

from discosim.core.errors import UserError
from discosim.sweep.shards import parse_shard

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "many-machines.md"


def array(task: int, first: int, last: int, step: int = 1) -> dict[str, str]:
    """Return what Slurm sets for one task of --array=first-last:step."""
    n = (last - first) // step + 1
    last = first + (n - 1) * step
    held = {"ID": task, "COUNT": n, "MIN": first, "MAX": last, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in held.items()}


@pytest.mark.parametrize(
    ("first", "last", "step", "n"), [(1, 16, 1, 16), (0, 15, 1, 16), (0, 14, 7, 3), (5, 5, 1, 1), (3, 12, 4, 3)]
)
def test_every_task_of_an_array_has_a_part_of_its_own(first: int, last: int, step: int, n: int) -> None:
    tasks = range(first, last + 1, step)
    found = [parse_shard("slurm", array(task, first, last, step)) for task in tasks]
    assert found == [(i, n) for i in range(1, n + 1)]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "SLURM_ARRAY_TASK_ID is not set, so this is no task of an array; submit it with sbatch --array=1-16, or"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT is not set"),
        (array(1, 1, 4) | {"SLURM_ARRAY_TASK_MIN": "x"}, r"SLURM_ARRAY_TASK_MIN must be a whole number \(got 'x'\)"),
        # --array=3,7: two tasks that are not next to each other
        (array(3, 3, 4) | {"SLURM_ARRAY_TASK_MAX": "7"}, r"not evenly spaced \(task 3 of 2, from 3 to 7 by 1\)"),
        (array(7, 3, 4) | {"SLURM_ARRAY_TASK_MAX": "7"}, r"not evenly spaced \(task 7 of 2, from 3 to 7 by 1\)"),
        (array(2, 1, 5, 2), r"not evenly spaced \(task 2 of 3, from 1 to 5 by 2\)"),
        (array(1, 1, 4) | {"SLURM_ARRAY_TASK_STEP": "0"}, "not evenly spaced"),
    ],
)
def test_what_is_no_such_array_is_one_line(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=f"^--shard slurm: .*{message}") as caught:
        parse_shard("slurm", environment)
    assert "--shard i/n" in str(caught.value)


@pytest.mark.long
def test_the_script_of_the_page_runs_in_a_shell_as_an_array_would(tmp_path: Path) -> None:
    script = re.search(r"```sh\n(#!/bin/bash\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    text = script[1]
    first, last = map(int, re.search(r"#SBATCH --array=(\d+)-(\d+)\n", text).groups())  # type: ignore[union-attr]
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "discosim"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m discosim "$@"\n')
    command.chmod(0o755)
    write(tmp_path).rename(tmp_path / "hops.yaml")
    (tmp_path / "job.sbatch").write_text(text, encoding="utf-8")
    env = os.environ | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": _path()}
    tasks = []
    for task in range(first, last + 1):
        line = ["bash", "-e", "job.sbatch"]
        own = env | array(task, first, last) | {"SLURM_CPUS_PER_TASK": "1"}
        tasks.append(subprocess.Popen(line, cwd=tmp_path, env=own, stdout=subprocess.PIPE, text=True))
    for process in tasks:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    collect = [str(command), "sweep", "collect", "results/sample"]
    subprocess.run(collect, cwd=tmp_path, env=env, check=True, capture_output=True)
    sweep(write(tmp_path, SWEEP), tmp_path / "serial")
    found, whole = contents(tmp_path / "results" / "sample"), contents(tmp_path / "serial")
    assert {name: body for name, body in whole.items() if name != "comparisons.csv"} == found


def _path() -> str:
    return os.pathsep.join([str(PAGE.parents[2]), *filter(None, sys.path)])
