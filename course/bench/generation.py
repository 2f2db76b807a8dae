"""How fast stories are generated: the readable cache, `transformers.generate`, and CTranslate2 in fp32 and in int8.

All sides have the same weights, continue the same prompts by the same number of tokens and take turns in one process.
Greedy stories of ours, of `transformers` and of the engine in fp32 must be the same, which is checked. For one story of
a large model, the weights' bytes that a token needs are set against what the machine's memory can give, measured by
summing a buffer far larger than any cache.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable

import torch

from course.engine import CTranslate2Engine
from course.export import to_transformers
from helpers.checkpoint import load_model
from helpers.errors import CourseError
from helpers.generation import SHIPPED, encode_prompt, generate_batch
from helpers.model import GPT, GPTConfig

TOKENS = {"storyteller": 200, "gpt2-small": 64}  # how many new ones, unless it is said
BATCHES = (1, 16)
METHODS = {"greedy": {"greedy": True}, "sampling": {"temperature": 0.8}}
ENGINES = {"engine": False, "engine int8": True}  # whether it is quantized
PEERS = ("ours", *ENGINES)  # each set against transformers


def run_decoding(sizes: Iterable[str] = tuple(TOKENS), rounds: int = 3, tokens: int | None = None) -> dict:
    """Everything that `python -m course bench` says about decoding, for JSON.

    Args:
        sizes: of `TOKENS`; "storyteller" is the shipped model, "gpt2-small" has 124M random weights.
        rounds: turns for each side; medians are reported.
        tokens: how many new tokens; None: as in `TOKENS`.

    Raises:
        CourseError: a size is unknown, or a number is not at least 1.
    """
    sizes = list(sizes)
    for name in sizes:
        if name not in TOKENS:
            raise CourseError(f"there is no size {name!r} to generate with; the sizes are {', '.join(TOKENS)}")
    if rounds < 1:
        raise CourseError(f"rounds must be at least 1, not {rounds}")
    if tokens is not None and tokens < 1:
        raise CourseError(f"tokens must be at least 1, not {tokens}")
    speed = bandwidth()
    result: dict = {"bandwidth": speed, "threads": torch.get_num_threads(), "sizes": {}}
    for name in sizes:
        result["sizes"][name] = _size(name, rounds, tokens or TOKENS[name], speed)
        gc.collect()
    return result


def bandwidth(megabytes: int = 512, reads: int = 5) -> float:
    """Bytes a second at which all threads together read memory: the best of a few sums over a large buffer."""
    buffer = torch.ones(megabytes * 2**18)  # float32
    return megabytes * 2**20 / min(seconds(buffer.sum) for _ in range(reads))


def bytes_per_token(model: GPT) -> int:
    """The weights that one more token of one story needs, in bytes: all but other tokens' and positions' vectors."""
    tables = sum(each.numel() for name, each in model.named_parameters() if name == "wpe.weight")
    if not model.config.tied_head:
        tables += model.wte.weight.numel()
    return (model.parameter_count() - tables) * model.head.weight.element_size()


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare_decoding(model: GPT, prompt: list[int], batch: int, tokens: int, rounds: int, options: dict) -> dict:
    """Seconds a step of each side, their ratios (above 1: faster than transformers), and whether they agree."""
    greedy = bool(options.get("greedy"))
    theirs = to_transformers(model)
    theirs.generation_config.eos_token_id, theirs.generation_config.pad_token_id = None, 0
    ids, found = torch.tensor([prompt] * batch), {}

    def transformers():
        how = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0, **options}
        new = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, **how)
        found["transformers"] = new[:, len(prompt) :].tolist()

    def ours(name: str, engine):
        found[name] = generate_batch(model, [prompt] * batch, tokens, seed=0, engine=engine, **options)

    engines = {"ours": None} | {name: CTranslate2Engine(model, int8) for name, int8 in ENGINES.items()}
    sides: dict[str, Callable] = {"transformers": transformers}
    sides |= {name: lambda name=name, engine=engine: ours(name, engine) for name, engine in engines.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with torch.random.fork_rng(devices=[]):  # transformers samples with the common generator
        for turn in range(rounds + 1):
            for name in list(sides) if turn % 2 else list(sides)[::-1]:
                spent = seconds(sides[name])
                if turn:  # the first turn warms up
                    times[name].append(spent / tokens)
    by_round = {name: [a / b for a, b in zip(times["transformers"], times[name], strict=True)] for name in PEERS}
    median = {name: statistics.median(spent) for name, spent in times.items()}
    return {
        "batch": batch,
        "tokens": tokens,
        "seconds_per_step": median,
        "tokens_per_second": {name: batch / spent for name, spent in median.items()},
        "ratios": {name: statistics.median(ratios) for name, ratios in by_round.items()},
        "ratios_by_round": by_round,
        "same_tokens": found["ours"] == found["transformers"] == found["engine"] if greedy else None,
    }


def _size(name: str, rounds: int, tokens: int, speed: float) -> dict:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "storyteller":
            model, tokenizer = load_model(SHIPPED)
            prompt = encode_prompt(tokenizer, "Once upon a time")
        else:
            model, prompt = GPT(GPTConfig.gpt2("small")).eval(), [11, 250, 640, 257]
    tokens = min(tokens, model.config.context_length - len(prompt))  # transformers ends at the context
    result: dict = {"parameters": model.parameter_count(), "rows": []}
    for batch in BATCHES:
        for method, options in METHODS.items():
            row = compare_decoding(model, prompt, batch, tokens, rounds, options)
            if batch == 1:
                needed = bytes_per_token(model)
                row["fraction_of_bandwidth"] = needed / row["seconds_per_step"]["ours"] / speed
            result["rows"].append({"method": method} | row)
    return result


def describe_decoding(result: dict) -> str:
    """The result of `run_decoding` as a few lines for a person."""
    lines = [f"memory is read at {result['bandwidth'] / 1e9:.1f} GB/s by {result['threads']} threads"]
    for name, size in result["sizes"].items():
        for row in size["rows"]:
            speed = row["tokens_per_second"]
            line = (
                f"{name}, {row['method']}, {row['batch']} at once: transformers {speed['transformers']:,.0f} tokens/s"
            )
            for side in PEERS:
                line += f"; {side} {speed[side]:,.0f} ({row['ratios'][side]:.2f} times)"
            if row["same_tokens"] is not None:
                line += "; the same tokens" if row["same_tokens"] else "; NOT the same tokens"
            if "fraction_of_bandwidth" in row:
                line += f"; ours at {row['fraction_of_bandwidth']:.0%} of the memory's speed"
            lines.append(line)
    return "\n".join(lines)
