"""A model's `config.json`, as Hugging Face writes it: what it must hold, and what follows for memory and arithmetic."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError, close_match
from discosim.core.json_text import read_json

SHEETS = Path(__file__).parent / "sheets"
BYTES_PER_NUMBER = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0}
FAMILIES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "qwen2_moe": "Qwen2-MoE",
    "qwen3_moe": "Qwen3-MoE",
    "mixtral": "Mixtral",
    "phi3": "Phi-3",
}
"""Values of ``model_type`` whose layers are of the one shape that is reckoned here: attention with grouped heads, and a
gated feed-forward part of three matrices, as one or as experts."""
_BIASED = {"qwen2", "qwen2_moe"}
_NORMED_HEADS = {"qwen3", "qwen3_moe"}
_MADE_BY = "expected the config.json of a language model as Hugging Face writes it"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a transformer, in numbers.

    Parameters
    ----------
    name : str
        For messages and cards.
    n_layers, hidden, n_heads, n_kv_heads, head_dim, vocab : int
        As the config says, >= 1.
    ffn : int
        Width of the dense feed-forward part; 0 where no layer has one.
    n_dense_layers : int
        Layers with a dense feed-forward part instead of experts.
    n_experts, experts_per_tok, expert_ffn, shared_ffn : int
        Routed experts of a layer, how many of them a token goes to, their width, and the width of what every token goes
        to; 0 for a dense model.
    is_tied : bool
        Whether input and output share their embedding.
    attention_biases, head_norms : bool
        Whether queries, keys and values have biases, and norms per head.
    bytes_per_number : float
        Of weights and cache.
    max_context_tok : int
        Context limit.
    warnings : tuple of str
        What was read otherwise than it may be meant, as sentences.
    """

    name: str
    n_layers: int
    hidden: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab: int
    ffn: int
    n_dense_layers: int
    n_experts: int = 0
    experts_per_tok: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0
    is_tied: bool = False
    attention_biases: bool = False
    head_norms: bool = False
    bytes_per_number: float = 2.0
    max_context_tok: int
    warnings: tuple[str, ...] = ()

    @property
    def n_expert_layers(self) -> int:
        """Layers with experts."""
        return self.n_layers - self.n_dense_layers

    @property
    def embedding_params(self) -> int:
        """Numbers of the table of tokens at the input."""
        return self.vocab * self.hidden

    @property
    def head_params(self) -> int:
        """Numbers of the output layer: read once an iteration, whether or not it is the input's table."""
        return self.vocab * self.hidden

    @property
    def always_params(self) -> int:
        """Numbers of the layers that every token passes: attention, norms, router, dense and shared parts."""
        q, kv = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        attention = self.hidden * (2 * q + 2 * kv)
        attention += q + 2 * kv if self.attention_biases else 0
        attention += 2 * self.head_dim if self.head_norms else 0
        layer = attention + 2 * self.hidden
        dense = 3 * self.hidden * self.ffn * self.n_dense_layers
        routed = self.n_expert_layers * (self.hidden * self.n_experts + 3 * self.hidden * self.shared_ffn)
        return self.n_layers * layer + dense + routed

    @property
    def expert_params(self) -> int:
        """Numbers of all routed experts."""
        return self.n_expert_layers * self.n_experts * 3 * self.hidden * self.expert_ffn

    @property
    def params(self) -> int:
        """All numbers of the model."""
        tables = self.embedding_params + (0 if self.is_tied else self.head_params)
        return tables + self.hidden + self.always_params + self.expert_params

    @property
    def expert_share(self) -> float:
        """Share of the routed experts that one token touches; 1 for a dense model."""
        return self.experts_per_tok / self.n_experts if self.n_experts else 1.0

    @property
    def weight_bytes(self) -> float:
        """Bytes of the weights in memory."""
        return self.params * self.bytes_per_number

    @property
    def kv_bytes_per_tok(self) -> float:
        """Bytes of keys and values of one token, all layers."""
        return 2.0 * self.n_layers * self.n_kv_heads * self.head_dim * self.bytes_per_number

    @property
    def flops_per_tok(self) -> float:
        """Operations of the layers' matrices for one token, without attention and output: two a number."""
        return 2.0 * (self.always_params + self.expert_params * self.expert_share * bool(self.n_experts))

    @property
    def flops_per_square_tok(self) -> float:
        """Operations of attention per squared token of a prompt.

        A prompt of p tokens has p^2 / 2 pairs under a causal mask, and each pair costs two products of the width of
        all heads: 2 * 2 * width a pair, half of it a square.
        """
        return 2.0 * self.n_layers * self.n_heads * self.head_dim


def read_model(file: str | PathLike[str]) -> ModelConfig:
    """Read a `config.json`.

    Raises
    ------
    UserError
        If it cannot be read, is none of a language model, or describes a shape that is not reckoned here.
    """
    path = Path(file)
    try:
        content = read_json(path.read_bytes(), where=str(path))
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
    except UserError as error:
        raise UserError(f"is no JSON ({error.message}); {_MADE_BY}", where=str(path)) from None
    return model_of(content, name=path.stem if path.stem != "config" else path.parent.name or "model", where=str(path))


def model_of(content: Any, *, name: str, where: str) -> ModelConfig:
    """Return what a parsed `config.json` describes; ``where`` names it in messages."""
    if not isinstance(content, Mapping) or not ({"model_type", "architectures", "hidden_size"} & content.keys()):
        raise UserError(f"holds no model_type, architectures or hidden_size; {_MADE_BY}", where=where)
    if isinstance(inner := content.get("text_config"), Mapping):
        raise UserError(
            f"describes a model of several kinds of input; write its text_config ({inner.get('model_type')}) as a "
            "file of its own",
            where=where,
        )
    family = _family(content, where)
    _refuse_other_shapes(content, where)
    read = _Keys(content, where)
    hidden, n_layers = read.count("hidden_size"), read.count("num_hidden_layers")
    n_heads = read.count("num_attention_heads")
    n_kv_heads = read.count("num_key_value_heads", n_heads)
    if n_heads % n_kv_heads:
        raise UserError(
            f"num_attention_heads is {n_heads}, no multiple of num_key_value_heads, {n_kv_heads}", where=where
        )
    if content.get("head_dim") is None and hidden % n_heads:
        raise UserError(f"hidden_size is {hidden}, no multiple of {n_heads} heads; give head_dim", where=where)
    experts = _experts(read, family, n_layers)
    return ModelConfig(
        name=str(content.get("_name_or_path") or name),
        n_layers=n_layers,
        hidden=hidden,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=read.count("head_dim", hidden // n_heads),
        vocab=read.count("vocab_size"),
        is_tied=bool(content.get("tie_word_embeddings", False)),
        attention_biases=bool(content.get("attention_bias", family in _BIASED)),
        head_norms=family in _NORMED_HEADS,
        bytes_per_number=_bytes_per_number(content, where),
        max_context_tok=read.count("max_position_embeddings"),
        warnings=tuple(_doubts(content)),
        **experts,
    )


def _family(content: Mapping[str, Any], where: str) -> str:
    kind = content.get("model_type")
    if kind is None:
        named = content.get("architectures")
        first = str(named[0]) if isinstance(named, list) and named else ""
        plain = first.removesuffix("ForCausalLM").lower()
        kind = next((family for family in FAMILIES if family.replace("_", "") == plain), first or None)
    if kind not in FAMILIES:
        raise UserError(
            f"unknown architecture {kind!r}; {close_match(str(kind), FAMILIES)}. For another one give the coefficients "
            "themselves, or the config of a model of like shape",
            where=where,
        )
    return str(kind)


def _refuse_other_shapes(content: Mapping[str, Any], where: str) -> None:
    for key in ("kv_lora_rank", "q_lora_rank"):
        if content.get(key):
            raise UserError(
                f"{key} is set: its attention is latent (DeepSeek's), which is not reckoned here; give the "
                "coefficients themselves",
                where=where,
            )
    if quantized := content.get("quantization_config"):
        method = quantized.get("quant_method", "unnamed") if isinstance(quantized, Mapping) else quantized
        raise UserError(
            f"quantization_config is set ({method}): its bytes and kernels are not reckoned here; take the config of "
            "the unquantized model, and scale weights and compute by what the quantized one saves",
            where=where,
        )


def _experts(read: _Keys, family: str, n_layers: int) -> dict[str, int]:
    """Return the feed-forward parts, whatever a family calls them."""
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    held = [key for key in names if read.content.get(key) is not None]
    if not held:
        if family.endswith("moe") or family == "mixtral":
            raise UserError(
                f"is of a model with experts and names none; expected {' or '.join(names)}", where=read.where
            )
        return {"ffn": read.count("intermediate_size"), "n_dense_layers": n_layers}
    n_experts, per_tok = read.count(held[0]), read.count("num_experts_per_tok")
    if per_tok > n_experts:
        raise UserError(f"num_experts_per_tok is {per_tok}, of {n_experts} experts", where=read.where)
    width = read.count("moe_intermediate_size", read.content.get("intermediate_size"))
    shared = read.count("shared_expert_intermediate_size", 0, least=0)
    step = read.count("decoder_sparse_step", 1)
    only = read.content.get("mlp_only_layers") or []
    sparse = [i for i in range(n_layers) if i not in only and (i + 1) % step == 0]
    n_dense = n_layers - len(sparse)
    return {
        "ffn": read.count("intermediate_size") if n_dense else 0,
        "n_dense_layers": n_dense,
        "n_experts": n_experts,
        "experts_per_tok": per_tok,
        "expert_ffn": width,
        "shared_ffn": shared,
    }


def _bytes_per_number(content: Mapping[str, Any], where: str) -> float:
    kind = content.get("dtype", content.get("torch_dtype"))
    if kind is None or kind == "auto":
        return 2.0
    if not isinstance(kind, str) or kind.removeprefix("torch.") not in BYTES_PER_NUMBER:
        raise UserError(f"unknown dtype {kind!r}; {close_match(str(kind), BYTES_PER_NUMBER)}", where=where)
    # servers load 32-bit checkpoints in 16 bit (vLLM's dtype "auto")
    return 2.0 if kind.removeprefix("torch.") == "float32" else BYTES_PER_NUMBER[kind.removeprefix("torch.")]


def _doubts(content: Mapping[str, Any]) -> list[str]:
    found = []
    if content.get("dtype", content.get("torch_dtype")) in {None, "float32", "torch.float32"}:
        found.append("The config names no 16-bit type; weights and cache are reckoned with 2 bytes a number.")
    if content.get("sliding_window") and content.get("use_sliding_window", True):
        found.append(
            f"The config has a sliding window of {content['sliding_window']} tokens; attention is reckoned as full."
        )
    return found


@dataclass(frozen=True)
class _Keys:
    """Whole numbers of a config, or one line that says what is wrong with them."""

    content: Mapping[str, Any]
    where: str

    def count(self, key: str, default: Any = None, *, least: int = 1) -> int:
        value = self.content.get(key)
        value = default if value is None else value
        if value is None:
            raise UserError(f"has no {key}; {_MADE_BY}", where=self.where)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise UserError(f"{key} must be a whole number, found {value!r}", where=self.where)
        if not least <= value <= 10**9:
            raise UserError(f"{key} must be from {least} to 1e9, found {value}", where=self.where)
        return int(value)


@cache
def known_models() -> dict[str, Mapping[str, Any]]:
    """Return the configs that travel with the package, by name; each with a ``source``."""
    with (SHEETS / "models.toml").open("rb") as file:
        return dict(tomllib.load(file))


def find_model(name: str) -> ModelConfig:
    """Return a model that travels with the package.

    Parameters
    ----------
    name : str
        Its name, with or without the organisation before the slash; case does not count.

    Raises
    ------
    UserError
        For another name, with the nearest known one.
    """
    known = known_models()
    plain = name.rpartition("/")[2].lower()
    for held, sheet in known.items():
        if plain in {held.lower(), *(str(other).lower() for other in sheet.get("also", ()))}:
            return model_of(sheet["config"], name=held, where=held)
    raise UserError(
        f"unknown model {name!r}; {close_match(name, known)}. For another one name the file of its config.json"
    )
