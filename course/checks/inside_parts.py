"""Exercises of notebook 11 on the parts of a model: the logit lens, what a head writes, shares of a logit that sum."""

from contextlib import contextmanager

import torch
from torch import Tensor, nn

from course.checks.attention import near, none_of
from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.inside_hooks import by_hand, runs, shape_of, small_gpt
from helpers.model import CausalSelfAttention, GPTConfig


@exercise("11.3", title="The logit lens", minutes=4, difficulty=1)
@torch.no_grad()
def logit_lens(answer, check):
    model, stream = small_gpt(), 2 * torch.randn(2, 5, 24) + 1
    got = answer(model, stream)
    check.shape(got, (2, 5, 17), slug="shape", hint="A logit for each token of the vocabulary, at every position.")
    centered = stream.double() - stream.double().mean(-1, keepdim=True)
    plain = centered / (centered.pow(2).mean(-1, keepdim=True) + model.ln_f.eps).sqrt()
    head, final = model.head.weight.double().T, model.blocks[-1]
    expected = (plain * model.ln_f.weight.double() + model.ln_f.bias.double()) @ head
    lens = "The model's own last two steps, in their order: the final LayerNorm, then the head."
    wrong = {
        "no-norm": (stream.double() @ head, "the stream went to the head as it is",
                    "No head ever reads a stream that is not normalized: `model.ln_f` comes first."),
        "embedding": (model.ln_f(stream) @ model.wte.weight.T, "those are products with the token embeddings",
                      "This model's head is not tied: it has a weight of its own, `model.head`."),
        "plain-norm": (plain @ head, "that is a LayerNorm without weight and bias",
                       "The final LayerNorm has learned a weight and a bias: use the module `model.ln_f`."),
        "probabilities": (expected.softmax(-1), "those are probabilities", "Return the logits."),
        "log-probabilities": (expected.log_softmax(-1), "those are log-probabilities", "Return the logits."),
        "later-blocks": (model.head(model.ln_f(final(stream))), "a block has read the stream once more",
                         "The lens leaves out the layers that would come: nothing but the last two steps."),
    } | {
        f"other-norm-{i}": (model.head(norm(stream)), "that is a LayerNorm from inside a block",
                            "What stands before the head is `model.ln_f`.")
        for i, norm in enumerate(norm for block in model.blocks for norm in (block.ln_1, block.ln_2))
    }  # fmt: skip
    for slug, (values, problem, hint) in wrong.items():
        slug = "other-norm" if slug.startswith("other-norm") else slug
        check.that(not near(got, values), slug=slug, problem=problem, hint=hint)
    check.close(got, expected, slug="value", tolerance=1e-4, hint=lens)
    ids = torch.randint(17, (2, 5))
    seen, logits = by_hand(model, ids)
    check.close(
        answer(model, seen["stream.1"]), logits, slug="last", tolerance=1e-4,
        hint="At the last stream the lens gives what the model says.",
    )  # fmt: skip
    check.close(
        answer(model, stream[0, 3]), expected[0, 3], slug="one-vector", tolerance=1e-4,
        hint="However many axes come before the last, each vector is read on its own.",
    )  # fmt: skip


@exercise("11.6", title="What a head writes", minutes=8, difficulty=2)
@torch.no_grad()
def written_by_heads(answer, check):
    attn = CausalSelfAttention(GPTConfig(17, context_length=12, n_layer=2, n_head=4, d_model=24)).eval()
    for parameter in attn.parameters():
        parameter.normal_()
    heads, n_head, d_head = torch.randn(2, 5, 4, 6), 4, 6
    weight, bias = attn.proj.weight, attn.proj.bias
    alone = torch.zeros(4, 2, 5, 4, 6)
    for h in range(n_head):
        alone[h, :, :, h] = heads[:, :, h]  # all other heads are silent
    expected = torch.stack([attn.proj(one.flatten(-2)) - bias for one in alone], dim=-2)
    got = answer(attn, heads)
    check.that(
        shape_of(got) != (2, 5, 24), slug="summed", problem="the heads are added up already",
        hint="Each head's own part is asked for: the axis of the heads, (..., H, d_model), must stay.",
    )  # fmt: skip
    check.shape(got, (2, 5, 4, 24), slug="shape", hint="(..., H, d_model): a vector for the stream from each head.")
    rows = torch.einsum("bthe,hed->bthd", heads, weight.unflatten(0, (n_head, d_head)))
    striped = torch.einsum("bthe,deh->bthd", heads, weight.unflatten(1, (d_head, n_head)))
    sliced = weight.unflatten(1, (n_head, d_head))
    columns = "`proj` reads the heads side by side: head 0's features first, then head 1's. Its weight is (d_model, "
    columns += "d_model), outputs by inputs; which columns belong to head h?"
    wrong = {
        "bias": (expected + bias, "every head has got the bias", "`proj.bias` is no head's: leave it out."),
        "bias-shared": (expected + bias / n_head, "the bias was divided among the heads",
                        "`proj.bias` is no head's: leave it out."),
        "rows": (rows, "a head was multiplied with rows of `proj.weight`", columns),
        "interleaved": (striped, "a head was given every fourth column", columns),
        "all-slices": (torch.einsum("bthe,dge->bthd", heads, sliced), "each head went through every head's columns",
                       columns),
        "all-alike": (expected.sum(-2, keepdim=True).expand_as(expected), "all heads write the same, their sum",
                      "In einsum an index that stands in the result is not summed over: `h` must stand there."),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.close(got, expected, slug="value", tolerance=1e-4, hint=columns)
    with runs(check, "heads of shape (3, 4, 6)", "axes", "There may be any number of axes before (H, d_head)."):
        got = answer(attn, heads[0, :3])
    check.close(got, expected[0, :3], slug="axes", tolerance=1e-4, hint="Any number of axes before (H, d_head).")


@exercise("11.7", title="Shares that sum", minutes=10, difficulty=3)
@torch.no_grad()
def shares(answer, check):
    ln = nn.LayerNorm(24, eps=0.5)  # so large that it is seen where it is forgotten
    ln.weight.normal_(), ln.bias.normal_()
    parts = {name: torch.randn(3, 24) * 0.5 + mean for name, mean in (("token", 0.3), ("head 0.0", -1), ("mlp 0", 2.0))}
    direction = torch.randn(3, 24)
    total = torch.stack(list(parts.values())).sum(0)
    got = answer(ln, parts, direction)
    names = [*parts, "final bias"]
    check.that(isinstance(got, dict), slug="dict", problem=f"got {shown(got)}", hint="A dict, by the parts' names.")
    check.that(
        set(got) != set(parts), slug="final-bias", problem='"final bias" is missing',
        hint="The bias of the last LayerNorm adds to the logit, too. It is no part's: give it an entry of its own.",
    )  # fmt: skip
    check.equal(sorted(got), sorted(names), slug="keys", when="the keys", hint="Every part by its name.")
    for name in names:
        check.shape(
            got[name], (3,), slug="shape", when=f"the share of {name!r}",
            hint="A number for each sequence: multiply entry by entry, and sum over the features alone.",
        )  # fmt: skip
    said = torch.stack([got[name] for name in parts])
    every = torch.stack(list(parts.values()))
    wrong = {
        slug: (_of(every, total, ln, direction, **change), problem, hint)
        for slug, change, problem, hint in (
            ("own-scale", {"own": True}, "each part was divided by a scale of its own",
             "The LayerNorm divides the whole stream, by one number for each position. Take the variance of the sum."),
            ("mean", {"mean": "none"}, "the mean was not taken off", "A LayerNorm takes off the mean first. The mean "
             "of a sum is the sum of the means: each part gives up its own."),
            ("total-mean", {"mean": "total"}, "the mean of the whole sum was taken off every part",
             "Each part gives up its own mean; together that is the mean of the sum."),
            ("weight", {"weight": False}, "`ln.weight` was left out",
             "After the division a LayerNorm multiplies, feature by feature, with its weight."),
            ("unbiased", {"unbiased": True}, "the variance was divided by n - 1",
             "LayerNorm divides by n: `var(..., unbiased=False)`."),
            ("eps", {"eps": "none"}, "`ln.eps` was left out", "The root is of variance + eps."),
            ("eps-outside", {"eps": "outside"}, "`ln.eps` was added after the root", "The root is of variance + eps."),
            ("not-rooted", {"root": False}, "it was divided by the variance", "A LayerNorm divides by the root."),
            ("no-scale", {"scale": False}, "nothing was divided by the scale",
             "Hold the scale at what it was, and divide by it: the root of the variance of the sum, plus eps."),
        )
    } | {
        "bias-everywhere": (_of(every, total, ln, direction) + direction @ ln.bias,
                            "every part has got the bias", "The bias counts once: in an entry of its own."),
    }  # fmt: skip
    none_of(wrong, said, check)
    hint = "Center the part, divide by the sum's scale, multiply by `ln.weight`, then the product with `direction`."
    for row, name in enumerate(parts):
        check.close(
            got[name], _of(every, total, ln, direction)[row], slug="value", tolerance=1e-4,
            when=f"the share of {name!r}", hint=hint,
        )  # fmt: skip
    logit = (ln(total) * direction).sum(-1)
    check.close(sum(got.values()), logit, slug="sum", tolerance=1e-4, when="the sum of all shares, against the logit",
                hint='With "final bias", direction times `ln.bias`, the shares sum to the logit.')  # fmt: skip
    bare = nn.LayerNorm(24, bias=False)
    with _no_bias(check):
        got = answer(bare, parts, direction)
    check.equal(sorted(got), sorted(parts), slug="no-bias", when="a LayerNorm without a bias",
                hint='`ln.bias` is None there, and "final bias" has no entry.')  # fmt: skip
    check.close(sum(got.values()), (bare(total) * direction).sum(-1), slug="sum", tolerance=1e-4,
                when="the sum of all shares, without a bias", hint="It is the logit.")  # fmt: skip


@contextmanager
def _no_bias(check):
    try:
        yield
    except (TypeError, AttributeError) as error:
        hint = "A LayerNorm may have no bias: then `ln.bias` is None, and there is nothing to add."
        check.fail(f"with a LayerNorm without a bias: {error}", slug="no-bias", hint=hint)


def _of(every, total, ln, direction, own=False, mean="own", weight=True, unbiased=False, eps="inside", root=True,
        scale=True) -> Tensor:  # fmt: skip
    """The shares, (parts, B), part by part and number by number; or what a mistake makes of them."""
    found = torch.zeros(len(every), len(direction), dtype=torch.float64)
    for i, part in enumerate(every.double()):
        for b, toward in enumerate(direction.double()):
            whole = part[b] if own else total[b].double()
            variance = (whole - whole.mean()).pow(2).sum() / (len(whole) - unbiased)
            spread = variance + ln.eps * (eps == "inside")
            spread = (spread.sqrt() if root else spread) + ln.eps * (eps == "outside")
            off = {"own": part[b].mean(), "total": total[b].double().mean(), "none": 0}[mean]
            scaled = (part[b] - off) / (spread if scale else 1) * (ln.weight.double() if weight else 1)
            found[i, b] = (scaled * toward).sum()
    return found
