"""Exercise of notebook 15 on several steps from the same answers: the clipped objective."""

import math

import torch

from course.checks.answer_parts import has_slope, one_number, told
from course.checks.decoder_parts import agrees
from course.checks.exercise import exercise
from helpers.alignment import answers_mean

# ---------------------------------------------------------------------- 15.10


@exercise("15.10", title="The clipped objective", minutes=12, difficulty=3)
def clipped_objective(answer, check):
    old = torch.tensor([[-1.0, -2.0, -0.5], [-3.0, -1.5, -2.5], [-0.75, -1.0, -4.0]])
    now = old + torch.tensor([[0.5, -0.6, 0.04], [1.7, -0.45, 0.2], [-0.1, 0.35, -0.8]])
    worth, mask = torch.tensor([1.5, -0.75, 0.5]), torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 1]]).bool()
    for clip, per in ((0.2, "answer"), (0.1, "token"), (0.3, 7.0)):
        got = answer(now, old, worth, mask, clip, per)
        _no_known_clipping(check, got, now.double(), old.double(), worth.double(), mask, clip, per)
        one_number(check, got)
        check.close(got, _token_by_token(now, old, worth, mask, clip, per)[0], slug="value", hint=_THE_SMALLER)
    right = _token_by_token(now, old, worth, mask, 0.2, "answer")[0]
    check.close(answer(now, old, worth, mask), right, slug="defaults", hint='Left out, clip is 0.2 and per "answer".')
    for B, T in ((1, 1), (2, 6), (5, 2), (3, 4)):
        old = -3 * torch.rand(B, T)
        now = (old + 0.5 * torch.randn(B, T)).requires_grad_()
        mask = torch.rand(B, T) < 0.6
        mask[:, -1] = True
        clip, per = check.random.choice((0.05, 0.2, 0.4)), check.random.choice(("answer", "token", 3.0))
        worth = torch.randn(B)
        got = answer(now, old, worth, mask, clip, per)
        right, slope = _token_by_token(now, old, worth, mask, clip, per)
        check.close(got, right, slug="random", hint=_THE_SMALLER)
        has_slope(check, got, "the objective")
        ours = torch.autograd.grad(got, now, allow_unused=True)[0]
        check.that(ours is not None, slug="gradients", problem="no gradient reaches `logprobs`",
                   hint="The ratio is learned through.")  # fmt: skip
        agrees(check, ours, slope, "the gradient with respect to `logprobs`", slug="gradients", tolerance=1e-4,
               hint="0 where a token went too far in the direction of its advantage.")  # fmt: skip


_THE_SMALLER = "Of each token the smaller of ratio times advantage, and clipped ratio times advantage; answers_mean."


def _token_by_token(now, old, worth, mask, clip: float, per) -> tuple[float, torch.Tensor]:
    """The objective by cases, and its gradient with respect to `now`."""
    slope, tokens, found = torch.zeros(now.shape, dtype=torch.float64), int(mask.sum()), 0.0
    for b in range(len(now)):
        length = {"answer": len(now) * int(mask[b].sum()), "token": tokens}.get(per, len(now) * per)
        for t in range(now.shape[1]):
            if not mask[b, t]:
                continue
            ratio, a = math.exp(now[b, t].item() - old[b, t].item()), worth[b].item()
            if a > 0 and ratio > 1 + clip:  # likelier by more than it may become
                found += (1 + clip) * a / length
            elif a < 0 and ratio < 1 - clip:  # less likely by more than it may become
                found += (1 - clip) * a / length
            else:
                found += ratio * a / length
                slope[b, t] = ratio * a / length
    return found, slope


def _no_known_clipping(check, got, now, old, worth, mask, clip: float, per) -> None:
    d, A, low, high = now - old, worth[:, None], 1 - clip, 1 + clip
    ratio = d.exp()
    held = ratio.clamp(low, high)

    def made(values, with_mask=mask, way=per):
        return answers_mean(values, with_mask, way)

    def smaller(ratio, A=A, low=low, high=high, **options):
        return made(torch.minimum(ratio * A, ratio.clamp(low, high) * A), **options)

    def as_one(of_answers):
        return smaller(of_answers.exp()[:, None].expand_as(now))

    right, each = smaller(ratio), "minimum of two products, each with the advantage."
    told(check, got, right, [
        ("maximum", made(torch.maximum(ratio * A, held * A)), "the larger of both was taken", "The smaller."),
        ("no-minimum", made(held * A), "only the clipped ratio is there",
         "A token that went the wrong way has to be pulled back: the minimum of both."),
        ("no-clip", made(ratio * A), "nothing is clipped", "The second product has the ratio between two borders."),
        ("clipped-again", made(torch.where(A < 0, torch.minimum(ratio * A, held * A).maximum(3 * A),
                                           torch.minimum(ratio * A, held * A))),
         "a bad answer is clipped a second time", "A token that went the wrong way is pulled back from however far."),
        ("one-sided", smaller(ratio, low=0.0), "the ratio is clipped above only", "From 1 - clip to 1 + clip."),
        ("one-sided", smaller(ratio, high=math.inf), "the ratio is clipped below only", "From 1 - clip to 1 + clip."),
        ("ratios-compared", made(torch.minimum(ratio, held) * A), "the ratios were compared, without advantages",
         f"The {each} With a bad answer the smaller one has the larger ratio."),
        ("no-exponential", smaller(d), "the ratio is a difference of logarithms", "Its exponential is the ratio."),
        ("no-exponential", smaller(1 + d), "the ratio is 1 plus a difference of logarithms", "exp is not a line."),
        ("quotient", smaller(now / old), "logarithms were divided", "log(a / b) = log a - log b: exp of it."),
        ("upside-down", smaller((-d).exp()), "the ratio is old over new", "The policy now, over what it was then."),
        ("logarithms-clipped", made(torch.minimum(ratio * A, d.clamp(-clip, clip).exp() * A)),
         "the logarithm was clipped", "First the ratio, then its borders."),
        ("around-zero", smaller(ratio, low=-clip, high=clip), "the borders lie around 0", "Around 1."),
        ("product-clipped", made(torch.minimum(ratio * A, (ratio * A).clamp(low, high))), "the product was clipped",
         "The ratio is, and then multiplied."),
        ("sign", -right, "the sign is turned", "It is to be made large. The loss turns the sign later."),
        ("across", smaller(ratio, worth[None]), "the advantages went along the tokens",
         "All tokens of an answer have its advantage: advantages[:, None]."),
        ("no-advantage", smaller(ratio, torch.ones_like(A)), "the advantages are missing", f"The {each}"),
        ("no-advantage", smaller(ratio, A.sign()), "only the signs of the advantages are there", f"The {each}"),
        ("no-advantage", smaller(ratio, A.mean().expand_as(A)), "all answers have one advantage", "Each has its own."),
        ("advantages-clipped", made(torch.minimum(ratio * A, ratio * A.clamp(low, high))),
         "the advantages were clipped", "The ratio is, and then multiplied."),
        ("other-border", smaller(ratio, low=1 / high), "the lower border is 1 / (1 + clip)", "It is 1 - clip."),
        ("probabilities", smaller(1 + now.exp() - old.exp()), "probabilities were subtracted",
         "A ratio is the exponential of a difference of logarithms."),
        ("old-ignored", smaller(now.exp()), "`old` is missing", "The ratio compares now with then."),
        ("whole-answers", as_one((d * mask).sum(1)), "the ratio is that of whole answers", "A ratio for each token."),
        ("whole-answers", as_one((d * mask).sum(1) / mask.sum(1)), "an answer has one ratio", "One for each token."),
        *[("per-ignored", smaller(ratio, way=way), "`per` was not handed on", "answers_mean(values, mask, per).")
          for way in ("answer", "token")],
        ("clip-fixed", smaller(ratio, low=0.8, high=1.2), "clip is 0.2 whatever was given", "It is an argument."),
        ("mask-ignored", smaller(ratio, with_mask=torch.ones_like(mask)), "prompts and padding count",
         "answers_mean takes the mask."),
        ("not-averaged", torch.minimum(ratio * A, held * A) * mask, "there is a number for each token",
         "answers_mean makes one of them."),
        ("not-averaged", torch.minimum(ratio * A, held * A), "there is a number for each token", "answers_mean."),
    ])  # fmt: skip
