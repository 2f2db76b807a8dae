"""The patients whose batches, loss or training loop are ill: what they show, that the repair ends it, and that other
right repairs pass their checks, too.
"""

import difflib
import inspect
import math
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F

from course.checks import clinic_data, clinic_learning
from course.checks.exercise import NOT_ATTEMPTED, RIGHT, Check
from course.clinic import data, healthy, learning, other_ways
from course.clinic.program import Chart, one_thread, tokenizer
from course.clinic.rounds import recovered
from course.clinic.ward import REGISTRY, healthy_chart

HEALTHY = {
    "bruno_batches": other_ways.windows, "carla_loss": healthy.loss, "dora_batches": other_ways.padded_sequences,
    "emil_batches": other_ways.collated, "nils_train": other_ways.unclipped, "olga_train": other_ways.accumulating,
    "paul_train": other_ways.new_table, "rosa_train": other_ways.inverse_root, "sven_train": other_ways.searching,
    "quin_train": other_ways.scheduled,
}  # fmt: skip
CHECKS = {name: getattr(module, name) for module in (clinic_data, clinic_learning) for name in module.__all__}
ILL = {name: getattr(data if hasattr(data, name) else learning, name) for name in HEALTHY}
NAMES = [name.split("_")[0].capitalize() for name in HEALTHY]


def well(name: str) -> Chart:
    patient = REGISTRY[name]
    return healthy_chart(patient.base, patient.observe)


@cache
def ill(name: str) -> Chart:
    return REGISTRY[name].observe(REGISTRY[name].program())


# ---------------------------------------------------------------------- what they show

# The loss of the last ten steps, and the validation loss, without the fault and with it.
LOSSES = {
    "Bruno": ((2.29, 2.26), (0.02, 0.01)),
    "Carla": ((1.64, 1.69), (2.25, 2.27)),
    "Dora": ((1.65, 1.66), (1.32, 1.30)),
    "Emil": ((1.64, 1.69), (1.65, 1.71)),
    "Nils": ((1.69, 1.75), (5.50, 5.56)),
    "Paul": ((1.65, 1.72), (5.66, 5.68)),
    "Rosa": ((2.25, 2.23), (3.22, 3.15)),
    "Sven": ((1.54, 1.50), (4.04, 3.88)),
    "Quin": ((2.08, 2.09), (4.47, 4.43)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_without_the_fault_and_with_it(name):
    for chart, expected in zip((well(name), ill(name)), LOSSES[name], strict=True):
        assert (chart.last, chart.validation) == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize("name", NAMES)
def test_the_symptom_is_gone_without_the_fault_alone(name):
    symptom = REGISTRY[name].symptom
    before, after = symptom(ill(name)), symptom(well(name))
    assert recovered(before, after, after) and not recovered(before, before, after)


def test_nils_norm_grows_just_the_same_with_a_third_of_the_learning_rate():
    patient = REGISTRY["Nils"]
    program = patient.program()
    chart = replace(program, lr=program.lr / 3).run()
    assert well("Nils").validation + 0.5 < chart.validation < ill("Nils").validation  # better, and nowhere near
    for each in (chart, ill("Nils")):
        assert sum(each.norms[-10:]) > 4 * sum(each.norms[:10])


def test_bruno_repeats_its_last_token_and_knows_its_input_before_it_has_learned_anything():
    assert ill("Bruno").sample.endswith("," * 20)
    assert ill("Bruno").first < math.log(tokenizer().vocab_size) - 0.5 < well("Bruno").first


def test_dora_is_no_better_where_stories_are_scored():
    patient, end = REGISTRY["Dora"], tokenizer().eos_token_id
    batches = patient.base.data(seed=0, held_out=True)
    with one_thread():
        score = healthy.evaluate(ill("Dora").model, healthy.loss, batches)
    assert score > well("Dora").validation - 0.05
    _, targets = next(patient.program().data())
    assert ((targets == end).sum(dim=1) > 1).all()


def test_emil_never_stops_and_is_never_asked_to():
    end = tokenizer().eos_token_id
    assert well("Emil").sample.endswith("<|endoftext|>") and "<|endoftext|>" not in ill("Emil").sample
    batches = REGISTRY["Emil"].program().data()
    assert not any((next(batches)[1] == end).any() for _ in range(20))


def test_nils_norms_grow():
    norms = ill("Nils").norms
    assert norms[-1] > 10 * norms[0] and max(well("Nils").norms) < 5
    assert all(late > early for early, late in zip(norms[20::10], norms[40::10], strict=False))


def test_olgas_loss_hides_what_her_norms_show():
    with_it, without = ill("Olga"), well("Olga")
    assert with_it.norms[0] == pytest.approx(4 * without.norms[0], rel=1e-3)
    assert with_it.last == pytest.approx(without.last, abs=0.05)
    assert min(with_it.norms) > 1.0, "clipping cuts at every step"


def test_pauls_table_stands_still_and_has_a_gradient():
    patient = REGISTRY["Paul"]
    with one_thread(), torch.random.fork_rng(devices=[]):
        model = patient.base.model()
        steps = learning.paul_train(model, healthy.loss, patient.base.data(), 6, 5e-3)
        next(steps)
        table, other = model.wte.weight.clone(), model.blocks[0].mlp.fc.weight.clone()
        next(steps)
        assert model.wte.weight.grad.norm() > 0.1
        assert torch.equal(model.wte.weight, table) and not torch.equal(model.blocks[0].mlp.fc.weight, other)


def test_rosas_rate_is_about_ten_times_as_high_as_asked_for():
    def peak(train) -> float:
        run = clinic_learning.Trained(train, Check(None, "1"), [torch.ones(2, 3)] * 30, 30, 5e-3)
        return max(run.rates)

    assert peak(other_ways.inverse_root) == pytest.approx(5e-3, rel=0.05)
    assert 6 < peak(learning.rosa_train) / 5e-3 < 12


def test_sven_takes_the_last_rate_that_he_tries_and_quin_stops_at_a_quarter():
    def moved(train, steps):
        """How far the weights go in each step, measured by the longest way of a weight."""
        patient = REGISTRY["Sven" if train is learning.sven_train else "Quin"]
        with one_thread(), torch.random.fork_rng(devices=[]):
            model, ways = patient.base.model(), []
            before = [p.detach().clone() for p in model.parameters()]
            for _ in train(model, healthy.loss, patient.base.data(), steps, 5e-3):
                after = [p.detach().clone() for p in model.parameters()]
                ways.append(max(float((a - b).abs().max()) for a, b in zip(after, before, strict=True)))
                before = after
        return ways

    assert max(moved(learning.sven_train, 12)) < 1e-3  # its rate is a tenth of 5e-3
    ways = moved(learning.quin_train, 24)
    assert max(ways[:4]) > 1e-3 and max(ways[7:]) == 0


# ---------------------------------------------------------------------- the organs


@pytest.mark.parametrize("name", HEALTHY)
def test_the_ill_organ_differs_in_few_lines_and_is_short(name):
    text, repaired = (inspect.getsource(organ).splitlines()[1:] for organ in (ILL[name], HEALTHY[name]))
    assert 5 <= len(text) + 1 <= 40
    if name != "carla_loss":  # hers is written otherwise than the program's
        changes = [line for line in difflib.ndiff(text, repaired) if line[0] in "+-" and line[2:].strip()]
        assert 1 <= len(changes) <= 5, changes


@pytest.mark.parametrize("name", HEALTHY)
def test_the_ill_organ_is_not_attempted_and_the_healthy_one_right(name):
    assert CHECKS[name](ILL[name]).state == NOT_ATTEMPTED
    result = CHECKS[name](HEALTHY[name])
    assert result.state == RIGHT, result


def rewritten(organ, *lines: tuple[str, str]):
    source = inspect.getsource(organ)
    for old, new in lines:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    scope = dict(vars(other_ways)) | {"F": F}
    exec(source, scope)
    return scope[organ.__name__]


OTHER_WAYS = {
    "bruno-cuts-both-shorter": ("bruno_batches", rewritten(
        data.bruno_batches, ("targets = torch.stack([stream[i : i + time] for i in starts])",
                             "inputs, targets = inputs[:, :-1], inputs[:, 1:]"))),
    "bruno-from-the-healthy-batches": ("bruno_batches", rewritten(
        data.bruno_batches, ("inputs = torch.stack([stream[i : i + time] for i in starts])",
                             "pieces = torch.stack([stream[i : i + time + 1] for i in starts])"),
        ("targets = torch.stack([stream[i : i + time] for i in starts])",
         "inputs, targets = pieces[:, :-1], pieces[:, 1:]"))),
    "carla-on-other-axes": ("carla_loss", lambda model, inputs, targets: F.cross_entropy(
        model(inputs).transpose(1, 2), targets)),
    "dora-by-where": ("dora_batches", rewritten(
        data.dora_batches, ("yield torch.tensor(inputs), torch.tensor(targets)",
                            "inputs, targets = torch.tensor(inputs), torch.tensor(targets)\n"
                            "        yield inputs, targets.masked_fill((inputs == end) & (targets == end), -100)"))),
    "emil-counts-ends": ("emil_batches", rewritten(
        data.emil_batches, ("targets[targets == end] = -100",
                            "targets[(targets == end).cumsum(dim=1) > 1] = -100"))),
    "nils-clears-behind": ("nils_train", rewritten(
        learning.nils_train, ("        optimizer.step()\n", "        optimizer.step()\n        model.zero_grad()\n"))),
    "olga-divides-gradients": ("olga_train", rewritten(
        learning.olga_train, ("        norm =", "        for p in model.parameters():\n            p.grad /= 4\n"
                              "        norm ="))),
    "paul-adds-a-group": ("paul_train", rewritten(
        learning.paul_train, ("    model.train()\n",
                              '    optimizer.add_param_group({"params": [model.wte.weight]})\n    model.train()\n'))),
    "paul-fills-the-old-table": ("paul_train", rewritten(
        learning.paul_train, ("    model.wte = nn.Embedding(model.config.vocab_size, model.config.d_model)\n", ""))),
    "rosa-scales-the-formula": ("rosa_train", rewritten(
        learning.rosa_train, ("model.config.d_model**-0.5 *", "lr * warm_up**0.5 *"))),
    "rosa-by-a-cosine": ("rosa_train", rewritten(
        other_ways.inverse_root, ("(warm_up / step) ** 0.5", "0.6 + 0.4 * math.cos(math.pi * step / steps)"))),
    "sven-keeps-a-clone": ("sven_train", rewritten(
        learning.sven_train, ("    trial = copy.deepcopy(model)\n",
                              "    start = copy.deepcopy(model.state_dict())\n    trial = copy.deepcopy(model)\n"),
        ("        losses =", "        trial.load_state_dict(start)\n        losses ="))),
    "quin-counts-whole-steps": ("quin_train", rewritten(
        learning.quin_train, ("done / steps", "done // 4 / steps"), ("(done + 1) / 10", "(done // 4 + 1) / 10"))),
    "quin-counts-from-one": ("quin_train", rewritten(
        other_ways.scheduled, ("done / steps", "(done + 1) / steps"))),
}  # fmt: skip


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_other_right_repairs_pass(way):
    name, answer = OTHER_WAYS[way]
    result = CHECKS[name](answer)
    assert result.state == RIGHT, result
