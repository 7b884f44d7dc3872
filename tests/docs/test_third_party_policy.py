"""The how-to's last step: a policy of another package, named by its entry point, is used in a configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "how-to" / "write-a-policy.md"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder on the path that holds the page's policy as an installed package."""
    blocks = blocks_of(PAGE)
    (toml,) = [tomllib.loads(block.code) for block in blocks if block.language == "toml"]
    points = toml["project"]["entry-points"]["discosim.policies"]
    module, _, name = points["patient"].partition(":")
    first = next(block.code for block in blocks if block.language == "python")
    (header,) = [block.code for block in blocks if "no-run" in block.tags and block.code.startswith("class ")]
    kind_lines = header.partition(":\n")[2]
    signature = f'class {name}(Policy):\n    """Wake the device when the service keeps the reader waiting."""\n'
    assert signature in first
    source = "from typing import ClassVar\n" + first.replace(signature, f"{signature}\n{kind_lines}")
    path = tmp_path / "site" / Path(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    facts = tmp_path / "site" / "my_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"{key} = {value}" for key, value in points.items()]
    (facts / "entry_points.txt").write_text("\n".join(["[discosim.policies]", *lines, ""]), encoding="utf-8")
    return tmp_path / "site"


def _discosim(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "discosim", *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=site.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_third_party_policy_is_explained_and_run(installed: Path) -> None:
    explained = _discosim(installed, "explain", "policy", "patient")
    assert explained.stdout.startswith("patient: Wake the device"), explained.stderr
    assert "patience_s (default 1.0)" in explained.stdout
    scenario = (ROOT / "configs" / "quickstart.yaml").read_text(encoding="utf-8")
    (policies,) = [b.code for b in blocks_of(PAGE) if b.language == "yaml" and b.code.startswith("policies:")]
    scenario = scenario[: scenario.index("\npolicies:")] + "\n" + policies
    (installed.parent / "mine.yaml").write_text(scenario, encoding="utf-8")
    short = ("--set", "replications=1", "--set", "workload.n_requests=50")
    run = _discosim(installed, "run", "mine.yaml", *short)
    assert run.returncode == 0, run.stderr
    assert "\nPatient-0.5 " in run.stdout
    refused = _discosim(installed, "run", "mine.yaml", *short, "--set", "policies.Patient-0.5.patience_s=-1")
    assert refused.returncode == 2
    assert "patience_s: must be >= 0" in refused.stderr
