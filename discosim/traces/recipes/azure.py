"""Azure LLM inference traces 2023: conversation and code."""

from __future__ import annotations

from pathlib import Path

from discosim.traces.digest import Card, WorkloadDigest
from discosim.traces.readers import azure
from discosim.traces.recipes.recipe import Recipe
from discosim.traces.recipes.workloads import ARRIVAL_METHOD, LENGTH_METHOD, workload_digest

_COMMIT = "b469a113cedca53ddc3bdea71a143dc4b7d8700c"


def _recipe(service: str) -> Recipe:
    name = f"azure-{service}"
    raw_file = f"AzureLLMInferenceTrace_{service}.csv"

    def build(path: Path, sha256: str) -> WorkloadDigest:
        trace = azure.read(path)
        card = Card(
            title=f"Azure LLM inference trace 2023, {service} service, one hour",
            origin=f"https://github.com/Azure/AzurePublicDataset/blob/master/data/{raw_file}",
            commit=_COMMIT,
            licence="CC-BY-4.0",
            citation=("Patel et al., Splitwise: Efficient Generative LLM Inference Using Phase Splitting, ISCA 2024"),
            raw_file=raw_file,
            raw_sha256=sha256,
            method=f"{ARRIVAL_METHOD}; {LENGTH_METHOD}",
            quirks=(
                "The stream of a whole service, not of one user or device.",
                "Less than one hour; the page says 11 November 2023, the rows say 16 November 2023.",
                "No latency and no session names.",
            ),
        )
        return workload_digest(name, card, trace.prompt_tok, trace.output_tok, trace.arrival_s)

    return Recipe(name, "workload", f"azure-llm-2023/{raw_file}.xz", build)


RECIPES = tuple(_recipe(service) for service in ("conv", "code"))
