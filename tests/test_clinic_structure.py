"""Patients whose attention or initialization is ill: each has the symptom that its text speaks of, and a repair of a
few lines takes it away.
"""

import difflib
import inspect
import math
from dataclasses import replace
from functools import cache
from statistics import median

import pytest
import torch
import torch.nn.functional as F

from course.checks import nb10 as checks
from course.clinic import structure
from course.clinic.program import Program, tokenizer
from course.clinic.rounds import recovered
from course.clinic.ward import REGISTRY, healthy_chart
from helpers.model import GPTConfig

# Of each patient: its ill organ, what is to be replaced in it, and what is to stand there.
REPAIRS = {
    "Ada": ("ada_initialize", ("init.normal_(module.weight)", "init.normal_(module.weight, std=0.02)")),
    "Fay": ("FayAttention", ("attn_mask=visible)", "attn_mask=visible, is_causal=cache is None)")),
    "Gus": (
        "GusAttention",
        ("F.softmax(scores, dim=-1)", "scores"),
        ("weights.masked_fill(~visible, 0.0)", "weights.masked_fill(~visible, -math.inf)"),
        ("(weights @ v)", "(weights.softmax(dim=-1) @ v)"),
    ),
    "Hana": ("HanaAttention", ("dim=2", "dim=3")),
    "Ivo": ("IvoAttention", ("mixed.contiguous()", "mixed.transpose(1, 2).contiguous()")),
    "Jun": ("JunAttention", ("config.n_head)", "config.n_head, batch_first=True)"), ("x.size(0)", "x.size(1)")),
    "Kira": ("KiraAttention", ("scores = q @", "scores = q / math.sqrt(d_model // self.n_head) @")),
    "Leo": (
        "leo_initialize",
        (
            "            parameter.normal_(std=1 / math.sqrt(parameter.shape[1]))",
            "            residual = math.sqrt(2 * model.config.n_layer) if name.endswith('proj.weight') else 1\n"
            "            parameter.normal_(std=1 / math.sqrt(parameter.shape[1]) / residual)",
        ),
    ),
    "Mona": ("mona_train", ("(0.55 + 0.45", "min(1, (step + 1) / 10) * (0.55 + 0.45")),
}

# What the texts speak of: (measured, on one machine, at seed 0, ill and well). Other processors round otherwise, and
# after a hundred steps that shows: so they are held loosely, and tightly where both must be equal.
SEEN = {
    "Ada": {"first loss": (45.4, 6.4), "last loss": (4.2, 1.65)},
    "Fay": {"difference": (1.53, 0.0)},
    "Gus": {"difference": (0.43, 0.0)},
    "Hana": {"difference": (4.9, 0.0)},
    "Ivo": {"difference": (0.16, 0.0)},
    "Jun": {"last loss": (1.85, 1.61)},
    "Kira": {"last loss": (4.0, 2.1), "first norm": (5.0, 2.1)},
    "Leo": {"first loss": (6.6, 6.6), "last loss": (4.3, 3.55)},
    "Mona": {"first loss": (6.4, 6.4), "last loss": (4.67, 1.53)},
}


def repaired_source(name: str) -> tuple[str, str]:
    """The ill organ's text, and the repaired one's."""
    organ, *changes = REPAIRS[name]
    source = mended = inspect.getsource(getattr(structure, organ))
    for old, new in changes:
        assert mended.count(old) == 1, (name, old)
        mended = mended.replace(old, new)
    return source, mended


@cache
def repaired(name: str):
    scope = dict(vars(structure))
    exec(compile(repaired_source(name)[1], f"<{name}, repaired>", "exec"), scope)
    return scope[REPAIRS[name][0]]


@cache
def charts(name: str) -> tuple:
    """The patient's chart, that of the program without the fault, and that of the repaired patient."""
    patient = REGISTRY[name]
    (organ,) = patient.ill
    ill, well = patient.observe(patient.program()), healthy_chart(patient.base, patient.observe)
    return ill, well, patient.observe(patient.program(**{organ: repaired(name)}))


@pytest.mark.parametrize("name", REPAIRS)
def test_a_patient_has_its_symptom_and_the_healthy_program_has_it_not(name):
    patient = REGISTRY[name]
    ill, well, _ = charts(name)
    for key, (expected_ill, expected_well) in SEEN[name].items():
        got_ill, got_well = patient.symptom(ill)[key], patient.symptom(well)[key]
        room = max(0.35 * abs(expected_ill - expected_well), 0.1)
        assert got_ill == pytest.approx(expected_ill, abs=room), (key, got_ill)
        assert got_well == pytest.approx(expected_well, abs=room if expected_well else 1e-3), (key, got_well)


@pytest.mark.parametrize("name", REPAIRS)
def test_a_repair_of_few_lines_is_right_and_takes_the_symptom_away(name):
    patient = REGISTRY[name]
    ill, well, after = charts(name)
    assert getattr(checks, REPAIRS[name][0])(repaired(name)).state == "right"
    assert recovered(*map(patient.symptom, (ill, after, well)))
    assert not recovered(*map(patient.symptom, (ill, ill, well)))
    before, mended = (text.splitlines() for text in repaired_source(name))
    changed = [line for line in difflib.ndiff(before, mended) if line[:2] in ("- ", "+ ")]
    assert 2 <= len(changed) <= 6 and 10 <= len(before) <= 40


@pytest.mark.parametrize("name", REPAIRS)
def test_the_ill_code_itself_is_not_attempted(name):
    source, _ = repaired_source(name)
    scope = {key: value for key, value in vars(structure).items() if key in ("math", "torch", "F", "nn", "Tensor")}
    exec(source.replace(REPAIRS[name][0], "mine"), scope)
    assert getattr(checks, REPAIRS[name][0])(scope["mine"]).state == "not attempted"


def test_fay_and_gus_have_losses_that_are_too_good():
    for name in ("Fay", "Gus"):
        ill, well, _ = charts(name)
        assert ill.last < well.last and ill.more["read whole"] < well.more["read whole"]
    fay = charts("Fay")[0].more
    assert fay["read token by token"] / fay["read whole"] == pytest.approx(3, abs=0.7)


def test_a_map_of_gus_and_of_hana_looks_causal():
    rows = torch.eye(6)[None]
    for organ in (structure.GusAttention, structure.HanaAttention):
        layer = attention_map_of(organ)
        weights = layer(rows)[0]
        assert bool((weights.triu(1) == 0).all()) and bool((weights.tril() > 0).sum() == 21)
    assert bool((layer(rows)[0].sum(0) - 1).abs().max() < 1e-5), "Hana's columns sum to one"
    gus = attention_map_of(structure.GusAttention)(rows)[0].sum(-1)
    assert bool((gus[:-1] < 0.999).all()) and gus[-1] == pytest.approx(1)


def attention_map_of(organ):
    """A layer that returns its attention weights for the rows of an identity: its values are one-hot."""
    layer = organ(GPTConfig(1, 6, n_layer=1, n_head=1, d_model=6))
    with torch.no_grad():
        layer.qkv.bias.zero_(), layer.proj.bias.zero_()
        layer.proj.weight.copy_(torch.eye(6))
        layer.qkv.weight[:12].normal_()
        layer.qkv.weight[12:].copy_(torch.eye(6))
    return layer.requires_grad_(False)


def test_hana_gives_every_token_a_weight_of_one_if_a_single_query_asks():
    layer = attention_map_of(structure.HanaAttention)

    class Everything:
        def extend(self, k, v):
            return torch.randn(1, 1, 6, 6), torch.eye(6)[None, None], None

    assert torch.equal(layer(torch.randn(1, 1, 6), Everything()), torch.ones(1, 1, 6))


def test_ivo_with_a_single_head_is_well():
    one, many = (structure.IvoAttention(GPTConfig(1, 8, n_layer=1, n_head=n, d_model=8)) for n in (1, 4))
    x = torch.randn(2, 8, 8)
    for layer, is_well in ((one, True), (many, False)):
        q, k, v = (p.unflatten(-1, (layer.n_head, -1)).transpose(1, 2) for p in layer.qkv(x).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        assert torch.allclose(layer(x), layer.proj(mixed), atol=1e-5) == is_well


def test_jun_scores_a_story_otherwise_in_company_and_the_healthy_program_does_not():
    ill, well, after = (chart.more["change in company"] for chart in charts("Jun"))
    assert ill > 0.005 and well < 1e-4 and after < 1e-4


def test_kira_is_sure_before_she_has_learned_anything():
    kira = REGISTRY["Kira"]
    sure = {}
    for who, program, scale in (("ill", kira.program(), 1.0), ("well", kira.base, 8.0)):
        model, shares, seen = program.model(0), [], []
        inputs = next(program.data(0))[0]
        for block in model.blocks:
            block.attn.qkv.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(output))
        with torch.no_grad():
            model(inputs)
        for wide in seen:
            q, k, _ = wide.chunk(3, dim=-1)
            past = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).tril()
            weights = (q @ k.transpose(1, 2) / scale).masked_fill(~past, -math.inf).softmax(-1)
            shares.append((weights.amax(-1)[:, 10:] > 0.5).float().mean().item())
        sure[who] = min(shares)
    assert sure["ill"] > 0.5 and sure["well"] < 0.1


def test_leos_stream_grows_many_times_and_in_the_healthy_model_much_less():
    leo, growth = REGISTRY["Leo"], []
    for program in (leo.program(), leo.base, leo.program(initialize=repaired("Leo"))):
        model, sizes = program.model(0), []
        for block in model.blocks:
            block.register_forward_hook(lambda _, inputs, output, sizes=sizes: sizes.append(float(output.std())))
        inputs = next(program.data(0))[0]
        with torch.no_grad():
            begun = float(model.embed(inputs).std())
            model(inputs)
        assert sizes[0] < sizes[3] < sizes[7] < sizes[-1]
        growth.append(sizes[-1] / begun)
    ill, well, after = growth
    assert ill > 15 and well < 8 and after < 8


def test_mona_ends_where_a_model_ends_that_knows_only_frequencies():
    ill, well, _ = charts("Mona")
    program = REGISTRY["Mona"].base
    batches = program.data(0)
    targets = torch.cat([next(batches)[1].flatten() for _ in range(40)])
    counts = torch.bincount(targets[targets >= 0], minlength=tokenizer().vocab_size).double()
    probabilities = counts[counts > 0] / counts.sum()
    entropy = float(-(probabilities * probabilities.log()).sum())
    assert abs(median(ill.losses[30:80]) - entropy) < 0.4 < entropy - well.last
    assert max(ill.norms[:50]) > max(ill.norms[-20:])


def test_the_layer_that_reads_again_tells_what_a_cache_tells():
    program = replace(Program(), steps=2)
    model = program.model(0)
    assert structure.read_again(model, [5, 7, 9], 6, end=-1) == program.generate(model, [5, 7, 9], 6, end=-1)
