"""Exercises of notebook 14 on shared keys and values: repeated heads, bytes of the cache."""

import torch

from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise
from course.checks.modern_parts import of_type, refuse, whole
from helpers.modern import ModernConfig

# ---------------------------------------------------------------------- 14.7

_SHARED = "The first heads of queries share the first head of keys, the next ones the second."


@exercise("14.7", title="Repeat the heads", minutes=6, difficulty=1)
def repeat_heads(answer, check):
    x = torch.randn(2, 2, 5, 4)
    got, right = answer(x, 6), x[:, [0, 0, 0, 1, 1, 1]]
    shape = getattr(got, "shape", ())
    number = shape[1] if len(shape) == 4 else 0
    check.that(number != 12, slug="times", problem="12 heads came out of 2 where 6 were asked for",
               hint="`heads` is how many there should be. How often is each repeated, then?")  # fmt: skip
    check.that(number != 4, slug="times", problem="4 heads came out of 2 where 6 were asked for",
               hint="How many queries share one head of keys?")  # fmt: skip
    check.that(len(shape) != 5, slug="five-axes", problem=f"the result has five axes, {tuple(shape)}",
               hint="Heads and their repetitions are one axis in the end: (B, heads, S, d_head).")  # fmt: skip
    check.that(len(shape) != 1, slug="axis", problem=f"the result has one axis, {tuple(shape)}",
               hint="Say along which axis: without it all is made flat.")  # fmt: skip
    check.that(tuple(shape) != (2, 2, 5, 4), slug="unchanged", problem="2 heads came out where 6 were asked for",
               hint="Repeat each of them.")  # fmt: skip
    for slug, wrong, problem in (("axis", x.repeat_interleave(3, dim=2), "the keys of each head were repeated"),
                                 ("axis", x.repeat_interleave(3, dim=-1), "features were repeated"),
                                 ("axis", x.repeat_interleave(3, dim=0), "sequences were repeated")):  # fmt: skip
        check.that(tuple(shape) != tuple(wrong.shape), slug=slug, problem=f"{problem}: {tuple(shape)}",
                   hint="The heads are axis 1 of (B, n_kv_head, S, d_head).")  # fmt: skip
    refuse(check, got, right, [
        ("in-turn", x.repeat(1, 3, 1, 1), "the heads are 0, 1, 0, 1, 0, 1", "Neighbors share: 0, 0, 0, 1, 1, 1."),
        ("in-turn", x.flip(1).repeat(1, 3, 1, 1), "the heads are 1, 0, 1, 0, 1, 0", "Neighbors share."),
        ("backwards", right.flip(1), "the last head came first", _SHARED),
        ("one-head", x[:, [0] * 6], "all are the first head", _SHARED),
        ("one-head", x[:, [1] * 6], "all are the last head", _SHARED),
        ("only-the-last", x[:, [0, 1, 1, 1, 1, 1]], "only the last head was repeated", "Each as often."),
        ("only-the-first", x[:, [0, 0, 0, 0, 0, 1]], "only the first head was repeated", "Each as often."),
        ("averaged", x.mean(1, keepdim=True).expand(2, 6, 5, 4), "all are the mean of the heads", "Repeat them."),
        ("reshaped", x.repeat(3, 1, 1, 1).view(2, 6, 5, 4), "sequences are mixed up", "Axis 1 alone is repeated."),
        ("reshaped", x.repeat(1, 1, 3, 1).reshape(2, 6, 5, 4), "keys are mixed up", "Axis 1 alone is repeated."),
        ("reshaped", x.repeat_interleave(3, 3).reshape(2, 6, 5, 4), "features are mixed up", "Axis 1 is repeated."),
        ("reshaped", x.repeat_interleave(3, 2).reshape(2, 6, 5, 4), "keys are mixed up", "Axis 1 is repeated."),
        ("reshaped", x.repeat_interleave(3, 2).reshape(2, 5, 6, 4).transpose(1, 2), "keys are mixed up", "Axis 1."),
        ("groups", x[:, [0, 0, 1, 1, 1, 1]], "the first head was given to two, the second to four", _SHARED),
        ("zeros", torch.cat((x, torch.zeros(2, 4, 5, 4)), 1), "further heads are zeros", "Repeat those that are."),
    ])  # fmt: skip
    agrees(check, got, right, "6 heads from 2", slug="values", tolerance=0.0, hint=_SHARED)
    for B, kept, heads, S in ((1, 1, 4, 3), (3, 4, 8, 1), (2, 3, 6, 2), (2, 3, 12, 5), (1, 8, 16, 2)):
        x = torch.randn(B, S, kept, 6).transpose(1, 2)  # as heads are split: not in one piece of memory
        right = torch.cat([x[:, [head // (heads // kept)]] for head in range(heads)], dim=1)
        agrees(check, answer(x, heads), right, f"{heads} heads from {kept}", slug="other-numbers", tolerance=0.0,
               hint=_SHARED)  # fmt: skip
    x = torch.randn(1, 2, 3, 4).half()
    of_type(check, answer(x, 4), torch.float16, "x")
    x, direction = torch.randn(2, 2, 3, 4).requires_grad_(), torch.randn(2, 4, 3, 4)
    got = answer(x, 4)
    check.that(got.requires_grad, slug="gradients", problem="the result carries no gradient",
               hint="Keys and values learn through it: nothing is detached.")  # fmt: skip
    slope = torch.autograd.grad(got, x, direction, allow_unused=True)[0]
    agrees(check, slope, direction[:, 0::2] + direction[:, 1::2], "the gradient", slug="gradients", hint=_SHARED)
    got = answer(x, 2)  # x itself is handed over here, and not a copy
    agrees(check, got, x.detach(), "2 heads from 2", slug="as-many", tolerance=0.0, hint="x comes back as it is.")
    check.that(got.data_ptr() == x.data_ptr(), slug="copied", problem="2 heads from 2: x was copied",
               hint="Where nothing is shared, nothing needs to be made: return x as it is.")  # fmt: skip


# ---------------------------------------------------------------------- 14.8


@exercise("14.8", title="Bytes of the cache", minutes=8, difficulty=2)
def cache_bytes(answer, check):
    L, n, kept, d, tokens, size = 3, 15, 5, 105, 11, 8
    config = ModernConfig(97, 16, n_layer=L, n_head=n, d_model=d, n_kv_head=kept)
    got, head, right = answer(config, tokens, size), d // n, _counted(config, tokens, size)
    refuse(check, got, right, [
        ("keys-and-values", right / 2, "keys or values are missing", "Both are kept."),
        ("queries", right * 3 / 2, "queries are counted", "A query is used once. Keys and values are kept."),
        ("queries", L * (n + 2 * kept) * head * tokens * size, "queries are counted", "Only keys and values are kept."),
        ("heads-of-queries", right * n / kept, "all heads of queries have keys of their own",
         "They share: config.n_kv_head heads of keys."),
        ("heads", right / kept * (n // kept), "the queries of a head of keys are counted", "config.n_kv_head heads."),
        ("heads", right / kept, "one head is counted", "config.n_kv_head heads of keys."),
        ("layers", right / L, "one layer is counted", "Every layer has its own keys and values."),
        ("width", right * n, "a head's keys are as wide as the model", "A head has config.d_head features."),
        ("width", right * n / kept * n, "each head's keys are as wide as the model", "config.d_head features."),
        ("width", right / head, "a key is one number", "A key has config.d_head numbers."),
        ("one-token", right / tokens, "one token is counted", "Times `tokens`."),
        ("context", right / tokens * 16, "the whole context is counted", "A text of `tokens` tokens."),
        ("context", right / tokens * (tokens - 1), "one token is missing", "All `tokens` tokens are kept."),
        ("context", right / tokens * (tokens + 1), "that is one token too many", "`tokens` tokens are kept."),
        ("numbers", right / size, "those are numbers, not bytes", "Times bytes_a_number."),
        ("other-bytes", right / size * 2, "a number has 2 bytes there", "`bytes_a_number` is an argument."),
        ("other-bytes", right / size * 4, "a number has 4 bytes there", "`bytes_a_number` is an argument."),
        ("bits", right * 8, "those are bits", "Bytes."), ("bits", right / 8, "divided by 8", "They are bytes already."),
        ("square", right * tokens, "it grows with the square of the text", "Scores are not kept."),
        ("unit", right / 1e6, "those are megabytes", "Bytes."), ("unit", right / 2**20, "megabytes", "Bytes."),
        ("unit", right / 1e9, "those are gigabytes", "Bytes."), ("unit", right / 1e3, "kilobytes", "Bytes."),
    ])  # fmt: skip
    check.close(got, right, slug="value", tolerance=1e-9, hint=_KEPT)
    whole(check, got)
    check.close(answer(config, tokens), right // 4, slug="other-bytes", tolerance=1e-9,
                hint="Without another word a number has 2 bytes.")  # fmt: skip
    check.equal(answer(config, tokens, bytes_a_number=1), right // size, slug="other-bytes", hint=_KEPT)
    _with_a_window(answer, check)
    check.equal(answer(config, 40), _counted(config, 40, 2), slug="longer-than-the-context",
                hint="Without a window all tokens are kept, whatever the length of the context.")  # fmt: skip
    for _ in range(20):
        pick = check.random.choice
        kept, groups, head = pick((1, 2, 3)), pick((1, 2, 4)), pick((2, 6))
        config = ModernConfig(
            31, pick((8, 64)), n_layer=pick((1, 2, 5)), n_head=kept * groups, d_model=kept * groups * head,
            n_kv_head=kept, window=pick((None, 1, 4, 9)), sinks=pick((0, 0, 1, 4)),
        )  # fmt: skip
        tokens, size = pick((0, 1, 3, 7, 50)), pick((1, 2, 4))
        got = answer(config, tokens, size)
        check.equal(got, _counted(config, tokens, size), slug="random", hint=_KEPT)
        whole(check, got)


_KEPT = "A key and a value, for each layer, head of keys, feature of a head and token that is kept."


def _with_a_window(answer, check) -> None:
    def config(window, sinks):
        return ModernConfig(97, 16, n_layer=2, n_head=4, d_model=24, n_kv_head=2, window=window, sinks=sinks)

    each = _counted(config(None, 0), 1, 2)
    check.equal(answer(config(None, 3), 8), 8 * each, slug="sinks-alone", hint="Without a window all tokens are kept.")
    for window, sinks, tokens in ((5, 0, 9), (5, 2, 12), (5, 2, 3), (5, 2, 6), (3, 4, 5), (5, 2, 5), (5, 2, 7)):
        got, right = answer(config(window, sinks), tokens), min(tokens, window + sinks) * each
        short = "No more can be kept than the text has tokens. Window and sinks may overlap."
        refuse(check, got, right, [
            ("short-text", (window + sinks) * each, "more tokens are kept than there are", short),
            ("short-text", (min(tokens, window) + sinks) * each, "some tokens are kept twice", short),
            ("short-text", (min(tokens, window) + min(tokens, sinks)) * each, "some tokens are kept twice", short),
            ("window-ignored", tokens * each, "all tokens are kept", "No more than config.window, and the sinks."),
            ("sinks-missing", min(tokens, window) * each, "the sinks are missing", "They are kept besides the window."),
            ("sinks-for-window", min(tokens, sinks) * each, "only the sinks are kept", "And the newest window tokens."),
            ("one-less", min(tokens, window + sinks - 1) * each, "one token is missing", "The newest config.window."),
            ("one-more", min(tokens, window + sinks + 1) * each, "one token too many", "The newest config.window."),
            ("sinks-missing", min(tokens, window - sinks) * each, "sinks are taken from the window", "Both are kept."),
            ("product", min(tokens, window * sinks) * each, "window and sinks were multiplied", "Both are kept."),
            ("larger", max(tokens, window + sinks) * each, "the larger number of tokens is kept", "The smaller."),
        ], when=f"window={window}, sinks={sinks}, {tokens} tokens")  # fmt: skip
        check.equal(got, right, slug="window", when=f"window={window}, sinks={sinks}, {tokens} tokens",
                    hint="The newest config.window tokens and the first config.sinks, if there are any.")  # fmt: skip


def _counted(config: ModernConfig, tokens: int, bytes_a_number: int) -> int:
    """The same, token by token."""
    kept = set(range(tokens))
    if config.window is not None:
        kept = {at for at in kept if tokens - at <= config.window or at < config.sinks}
    key = config.d_model // config.n_head * bytes_a_number
    return sum((key + key) * config.n_kv_head for _ in kept for _ in range(config.n_layer))
