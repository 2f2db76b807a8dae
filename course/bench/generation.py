"""How fast the course's GPT tells stories, beside `transformers.generate` with the same weights on the same machine.

Both sides continue the same prompts by the same number of tokens and take turns in one process. Told greedily they must
tell the same, which is checked. For one story of a large model, the weights' bytes that a token needs are set against
what the machine's memory can give, measured by summing a buffer far larger than any cache.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable

import torch

from course.lighter import KINDS, lighter
from helpers.checkpoint import load_model
from helpers.errors import CourseError
from helpers.evaluation import evaluate
from helpers.export import to_transformers
from helpers.generation import SHIPPED, encode_prompt, generate_batch
from helpers.model import GPT, GPTConfig

TOKENS = {"storyteller": 200, "gpt2-small": 64}  # how many new ones, unless it is said
BATCHES = (1, 16)
STORIES = 200  # validation stories by which lighter weights are scored
SAMPLING = {"temperature": 0.8}


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
            raise CourseError(f"there is no size {name!r} to tell stories with; the sizes are {', '.join(TOKENS)}")
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
    """The weights that one more token of one story needs, in bytes: all but the rows of other tokens and places."""
    tables = sum(each.numel() for name, each in model.named_parameters() if name == "wpe.weight")
    if not model.config.tied_head:
        tables += model.wte.weight.numel()
    return (model.parameter_count() - tables) * model.head.weight.element_size()


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare_decoding(
    model: GPT, prompt: list[int], batch: int, tokens: int, rounds: int, options: dict, others: dict[str, GPT]
) -> dict:
    """Seconds a token on both sides, their ratio (above 1: ours is faster), and those of `others` beside them."""
    greedy = bool(options.get("greedy"))
    twin = to_transformers(model)
    twin.generation_config.eos_token_id, twin.generation_config.pad_token_id = None, 0
    ids = torch.tensor([prompt] * batch)
    told = {}

    def theirs():
        how = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0, **options}
        new = twin.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, **how)
        told["transformers"] = new[:, len(prompt) :].tolist()

    def ours(which: GPT, name: str):
        told[name] = generate_batch(which, [prompt] * batch, tokens, seed=0, **options)

    sides = {"transformers": theirs, "ours": lambda: ours(model, "ours")}
    sides |= {name: lambda name=name: ours(others[name], name) for name in others}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with torch.random.fork_rng(devices=[]):  # transformers draws from the common generator
        for turn in range(rounds + 1):
            for name in list(sides) if turn % 2 else list(sides)[::-1]:
                spent = seconds(sides[name])
                if turn:  # the first turn warms up
                    times[name].append(spent / tokens)
    median = {name: statistics.median(spent) for name, spent in times.items()}
    ratios = [a / b for a, b in zip(times["transformers"], times["ours"], strict=True)]
    return {
        "batch": batch,
        "tokens": tokens,
        "seconds_per_step": median,
        "tokens_per_second": {name: batch / spent for name, spent in median.items()},
        "ratio": statistics.median(ratios),
        "ratios_by_round": ratios,
        "same_tokens": told["ours"] == told["transformers"] if greedy else None,
    }


def _size(name: str, rounds: int, tokens: int, speed: float) -> dict:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "storyteller":
            model, tokenizer = load_model(SHIPPED)
            prompt = encode_prompt(tokenizer, "Once upon a time")
        else:
            model, tokenizer, prompt = GPT(GPTConfig.gpt2("small")).eval(), None, [11, 250, 640, 257]
    tokens = min(tokens, model.config.context_length - len(prompt))  # beyond its context transformers tells nothing
    small = {kind: lighter(model, kind) for kind in KINDS}
    result: dict = {"parameters": model.parameter_count(), "rows": []}
    for batch in BATCHES:
        for method, options in (("greedy", {"greedy": True}), ("sampling", SAMPLING)):
            others = small if method == "greedy" else {}
            row = compare_decoding(model, prompt, batch, tokens, rounds, options, others)
            if batch == 1:
                needed = bytes_per_token(model)
                row["share_of_bandwidth"] = needed / row["seconds_per_step"]["ours"] / speed
            result["rows"].append({"method": method} | row)
    if tokenizer is not None:
        result["bits_per_byte"] = _losses({"float32": model, **small}, tokenizer)
    return result


def _losses(models: dict[str, GPT], tokenizer) -> dict[str, float]:
    from helpers.stories import load_stories

    stories = list(load_stories("bundled", "validation", STORIES))
    return {name: evaluate(model, tokenizer, stories).bits_per_byte for name, model in models.items()}


def describe_decoding(result: dict) -> str:
    """The result of `run_decoding` as a few lines for a person."""
    lines = [f"memory is read at {result['bandwidth'] / 1e9:.1f} GB/s by {result['threads']} threads"]
    for name, size in result["sizes"].items():
        for row in size["rows"]:
            speed = row["tokens_per_second"]
            line = (
                f"{name}, {row['method']}, {row['batch']} at once: ours {speed['ours']:,.0f} tokens/s, "
                f"transformers {speed['transformers']:,.0f}: {row['ratio']:.2f} times as fast"
            )
            if row["same_tokens"] is not None:
                line += ", the same tokens" if row["same_tokens"] else ", NOT the same tokens"
            if "share_of_bandwidth" in row:
                line += f"; {row['share_of_bandwidth']:.0%} of the memory's speed"
            lines.append(line)
            light = [f"{kind} {speed[kind]:,.0f}" for kind in KINDS if kind in speed]
            if light:
                lines.append(f"    lighter weights, tokens/s: {', '.join(light)}")
        if "bits_per_byte" in size:
            losses = ", ".join(f"{kind} {loss:.4f}" for kind, loss in size["bits_per_byte"].items())
            lines.append(f"    bits per byte on {STORIES} stories: {losses}")
    return "\n".join(lines)
