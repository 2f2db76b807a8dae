"""The exercise of notebook 11 on path patching: some parts speak as in another text, and all others are held."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from course.checks.attention import near, none_of
from course.checks.exercise import exercise
from course.checks.inside_hooks import by_hand, put_at, small_gpt
from helpers.model import GPT

LAYER = 2  # of three: what is below it can hold and react


@exercise("11.8", title="One path", minutes=12, difficulty=3)
@torch.no_grad()
def fed_by(answer, check):
    model, ids = small_gpt(3), torch.randint(17, (3, 6))
    seen, plain = by_hand(model, ids)
    clean, other = _below(seen, LAYER), _below(by_hand(model, torch.randint(17, (3, 6)))[0], LAYER)
    given = model, ids, LAYER, clean, other
    one_head, when = [("heads.0", np.s_[:, :, 1])], "one head of layer 0 changed"
    got = answer(*given, one_head)
    check.shape(got, (3, 6, 72), slug="shape", hint='What passes "qkv": (B, T, 3 * d_model). `record` hears it.')
    check.that(
        near(model(ids), plain), slug="left-behind", problem="afterwards the model says something else than before",
        hint="Every patch must be closed: open them all on one ExitStack, in one `with`.",
    )  # fmt: skip
    held = "Every place of `clean` is held: `patch` puts there what it said in this text, whatever it now reads."
    late = "Of two patches at one place the later has the last word. So: first hold, then change."
    wrong = {
        "nothing": (_fed(*given, []), "nothing has changed: it is what enters in this text", late),
        "not-held": (_fed(*given, one_head, through=("heads", "mlp")), "all other parts have reacted to the change",
                     f"That is activation patching: all ways are open. {held}"),
        "heads-react": (_fed(*given, one_head, through=("heads",)), "the other heads have reacted to the change", held),
        "mlps-react": (_fed(*given, one_head, through=("mlp",)), "the MLPs have reacted to the change",
                       f"`through` is empty here, so nothing may react. {held}"),
        "whole-place": (_fed(*given, [("heads.0", ...)]), "all heads of layer 0 speak as in the other text",
                        "Only what the index points to is changed: hand it on to `patch`."),
        "rest-lost": (_fed(*given, one_head, rest=torch.zeros_like), "the other heads of layer 0 say nothing",
                      "The rest of a place goes on as in this text."),
        "swapped": (_fed(model, ids, LAYER, other, clean, one_head), "that one head speaks as in this text, and all "
                    "others as in the other", "`clean` is held, `other` comes in where something is changed."),
        "other-text": (_qkv(model, LAYER, other), "it is what enters in the other text",
                       "Only the parts `changed` speak as there."),
        "other-layer": (_fed(*given, one_head, read=LAYER - 1), "it is what enters the layer below",
                        'Listen at the place f"qkv.{layer}".'),
    }  # fmt: skip
    none_of(wrong, got, check, when=when)
    check.close(got, _fed(*given, one_head), slug="value", tolerance=1e-4, when=when, hint=held)
    two = [("heads.0", np.s_[:, :, 1]), ("mlp.1", np.s_[:, 3])]
    got = answer(*given, two)
    when = "a head of layer 0 and position 3 of MLP 1 changed"
    wrong = {
        "only-last": (_fed(*given, two[1:]), "only the last of the parts speaks as in the other text",
                      "All of `changed` are open at the same time, and what passes is recorded once."),
        "only-first": (_fed(*given, two[:1]), "only the first of the parts speaks as in the other text",
                       "All of `changed` are open at the same time, and what passes is recorded once."),
        "rest-reacts": (_fed(*given, two, skip=True), "the other positions of MLP 1 have reacted",
                        f"A place that is changed in part is held in the rest: hold all of it. {late}"),
    }  # fmt: skip
    none_of(wrong, got, check, when=when)
    check.close(got, _fed(*given, two), slug="several", tolerance=1e-4, when=when, hint=held)
    twice = [("heads.0", np.s_[:, :, 0]), ("heads.0", np.s_[:, :, 1])]
    got, when = answer(*given, twice), "two heads of layer 0 changed"
    wrong = {
        "one-per-place": (_fed(*given, twice[1:]), "only the last of the two heads speaks as in the other text",
                          "`changed` is a list: one place may come twice. A dict keeps only the last."),
        "first-per-place": (_fed(*given, twice[:1]), "only the first of the two heads speaks as in the other text",
                            "`changed` is a list: one place may come twice."),
    }  # fmt: skip
    none_of(wrong, got, check, when=when)
    check.close(got, _fed(*given, twice), slug="twice", tolerance=1e-4, when=when, hint=held)
    got, when = answer(*given, one_head, ("mlp",)), 'one head changed, through=("mlp",)'
    free = '`through` names kinds of places: "mlp" is "mlp.0" and "mlp.1". These are not held.'
    wrong = {
        "held-all": (_fed(*given, one_head), "the MLPs were held, too", free),
        "free-all": (_fed(*given, one_head, ("mlp", "heads")), "the heads have reacted, too", free),
        "inverted": (_fed(*given, one_head, ("heads",)), "the MLPs were held, and the heads have reacted", free),
    }  # fmt: skip
    none_of(wrong, got, check, when=when)
    check.close(got, _fed(*given, one_head, ("mlp",)), slug="through", tolerance=1e-4, when=when, hint=free)
    heads = [("heads.0", np.s_[:, :, 1]), ("heads.1", np.s_[:, :, 0])]
    got, when = answer(*given, heads, ("mlp",)), 'a head of layer 0 and one of layer 1 changed, through=("mlp",)'
    check.close(got, _fed(*given, heads, ("mlp",)), slug="rest", tolerance=1e-4, when=when, hint=held)
    both, when = [*one_head, ("mlp.1", np.s_[:, 3])], 'a head and a position of MLP 1 changed, through=("mlp",)'
    hint = "The rest of a changed place is held like the others, unless `through` names its kind: then it reacts."
    check.close(answer(*given, both, ("mlp",)), _fed(*given, both, ("mlp",)), slug="rest-of-a-kind", tolerance=1e-4,
                when=when, hint=hint)  # fmt: skip
    heads_free = answer(*given, [("embedding", np.s_[:, 2])], ("heads",))
    when = 'the embedding at position 2 changed, through=("heads",)'
    check.close(heads_free, _fed(*given, [("embedding", np.s_[:, 2])], ("heads",)), slug="other-kind", tolerance=1e-4,
                when=when, hint='`through` may name any kind: "heads" is "heads.0", "heads.1" and so on.')  # fmt: skip
    whole, when = [("mlp.0", ...)], "all of MLP 0 changed, with the index `...`"
    check.close(answer(*given, whole), _fed(*given, whole), slug="whole", tolerance=1e-4, when=when, hint=held)
    token, when = [("embedding", np.s_[:, 2])], "the embedding at position 2 changed, everything above it held"
    check.close(answer(*given, token), _fed(*given, token), slug="embedding", tolerance=1e-4, when=when, hint=held)
    lower = _below(clean, 1), _below(other, 1)
    got, when = answer(model, ids, 1, *lower, one_head), "layer=1, one head of layer 0 changed"
    check.close(got, _fed(model, ids, 1, *lower, one_head), slug="layer", tolerance=1e-4, when=when,
                hint='Which attention is asked about is said by `layer`: listen at f"qkv.{layer}".')  # fmt: skip


def _below(seen: dict[str, Tensor], layer: int) -> dict[str, Tensor]:
    """What passed the places below an attention, from the bottom up."""
    return {name: seen[name] for name in ("embedding", *(f"{n}.{i}" for i in range(layer) for n in ("heads", "mlp")))}


def _qkv(model: GPT, layer: int, said: dict[str, Tensor]) -> Tensor:
    """What enters an attention if the places below it say this: the stream is their sum."""
    stream = said["embedding"]
    for i in range(layer):
        stream = stream + model.blocks[i].attn.proj(said[f"heads.{i}"].flatten(2)) + said[f"mlp.{i}"]
    return model.blocks[layer].attn.qkv(model.blocks[layer].ln_1(stream))


def _fed(model, ids, layer, clean, other, changed, through=(), rest=None, skip=False, read=None) -> Tensor:
    """What is asked for, without a hook, or what a mistake makes of it.

    Args:
        rest: what the rest of a changed place says, of what it should. skip: whether changed places are not held.
        read: which attention is heard.
    """
    said: dict[str, Tensor] = {}

    def says(place: str, reacts: Tensor) -> Tensor:
        parts = [at for name, at in changed if name == place]
        free = place.partition(".")[0] in through or (skip and bool(parts))
        value = reacts if free else clean[place]
        value = rest(value) if rest and parts else value
        for at in parts:
            value = put_at(value, other[place], at)
        said[place] = value
        return value

    stream = says("embedding", model.embed(ids))
    for i, block in enumerate(model.blocks[:layer]):
        q, k, v = block.attn.heads(block.ln_1(stream))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        stream = stream + block.attn.proj(says(f"heads.{i}", mixed).flatten(2))
        stream = stream + says(f"mlp.{i}", block.mlp(block.ln_2(stream)))
    return _qkv(model, layer if read is None else read, said)
