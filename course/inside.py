"""What notebook 11 looks at: places of stories at which the truth is known, and what a model's parts do there.

The grammar of the bundled stories says where it named its hero, the friend, the toy and the color again
(`course.skills`). A head that copies shows itself there by where it looks.
"""

import torch
from torch import Tensor

from course.skills import Skills
from helpers import interpret
from helpers.evaluation import evaluating, padded
from helpers.model import GPT

REPEATED, LENGTH = 16, 40  # sequences of random tokens, and how many tokens are said twice


def batch_of(skills: Skills, model: GPT) -> Tensor:
    """The stories of `skills` as ids, (stories, T), padded on the right and cut to the model's context."""
    context = model.config.context_length
    return padded([row[:-1][:context] for row in skills.rows], next(model.parameters()).device)[0]


def looked_back(maps: Tensor, ids: Tensor, rows: Tensor, at: Tensor, true: Tensor) -> Tensor:
    """How much each head looks, from places of stories, at where a token stood before: (N, n_layer, H).

    Args:
        maps: (n_layer, stories, H, T, T), of `helpers.interpret.attention_maps`. ids: (stories, T).
        rows, at: which position of which story looks, (N,) each. true: the token that is looked for, (N,).
    """
    stood = (ids[rows] == true[:, None]).to(maps.dtype)  # (N, T); attention to what comes later is 0 anyway
    looks = maps[:, rows, :, at]  # (N, n_layer, H, T)
    return torch.einsum("nlht,nt->nlh", looks, stood)


def glance(model: GPT, tokenizer, skills: Skills) -> dict:
    """What a model can do, and what its heads look at, in plain numbers: for a record of how skills arrive."""
    generator = torch.Generator().manual_seed(0)
    with evaluating(model), torch.inference_mode():
        twice = interpret.repeated_tokens(model, REPEATED, LENGTH, tokenizer.eos_token_id, generator)
        maps = interpret.attention_maps(model, twice)
        scores = {
            "previous": interpret.previous_token_scores(maps).tolist(),
            "induction": interpret.induction_scores(maps, LENGTH).tolist(),
        }
        ids = batch_of(skills, model)
        maps = interpret.attention_maps(model, ids)
        for role in skills.roles:
            mine = [target for target in skills.targets if target.role == role and target.at < ids.shape[1]]
            rows, at, true = torch.tensor([(target.row, target.at, target.rivals[0]) for target in mine]).T
            scores[f"looks at {role}"] = looked_back(maps, ids, rows, at, true).mean(0).tolist()
        return {"skills": skills.measure(model), "heads": scores}
