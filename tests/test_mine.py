"""Your GPT: kept answers put together, equal to the course's model, with the course's part where one does not fit."""

import re
import subprocess
import sys

import pytest
import torch

from course import mine, scoreboard
from course.checks import kept
from course.checks.cells import course_part
from course.checks.registry import all_exercises
from helpers import model as reference
from helpers.files import repository_root

OF_THE_MODEL = [one for one in all_exercises().values() if one.of_the_model]
NAMES = (
    "sinusoids split_heads merge_heads CausalSelfAttention MLP Block GPT initialize generate apply_temperature "
    "keep_top_k keep_top_p sample_by_inversion beam_step"
).split()
CONFIG = reference.GPTConfig(vocab_size=50, context_length=16, n_layer=2, n_head=2, d_model=16)


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return tmp_path


def by_name(name: str):
    return next(one for one in OF_THE_MODEL if one.part == name)


def keep(name: str, source: str) -> None:
    kept.keep(by_name(name).number, name, name, source)


def keep_all() -> None:
    for one in OF_THE_MODEL:
        keep(one.part, course_part(one.number))


def test_the_parts_are_those_that_the_course_says():
    assert [one.part for one in OF_THE_MODEL] == NAMES


def test_with_nothing_kept_it_is_the_courses(capsys):
    module = mine.load()
    assert capsys.readouterr().out == "runs/my_gpt.py: 0 of 14 parts are yours.\n"
    assert mine.count() == (0, 14)
    assert_equal_to_the_bit(module)


def test_with_all_kept_it_is_the_learners_and_equal_to_the_bit(runs):
    keep_all()
    module = mine.load(quiet=True)
    assert mine.count() == (14, 14) and {part.whose for part in mine.parts()} == {mine.YOURS}
    text = (runs / "my_gpt.py").read_text(encoding="utf-8")
    assert text.startswith('"""My GPT: 14 of its 14 parts are mine.') and "The course's:" not in text
    assert_equal_to_the_bit(module)


def assert_equal_to_the_bit(module) -> None:
    models = []
    for GPT in (module.GPT, reference.GPT):
        torch.manual_seed(3)
        models.append(GPT(CONFIG))
    ids, targets = torch.randint(50, (2, 16)), torch.randint(50, (2, 16))
    (logits, loss), (expected, expected_loss) = (model(ids, targets) for model in models)
    assert torch.equal(logits, expected) and torch.equal(loss, expected_loss)
    loss.backward(), expected_loss.backward()
    pairs = zip(models[0].named_parameters(), models[1].named_parameters(), strict=True)
    for (name, parameter), (other, wanted) in pairs:
        assert name == other and torch.equal(parameter, wanted) and torch.equal(parameter.grad, wanted.grad)


def test_the_file_is_python_that_runs_by_itself(runs):
    keep("MLP", course_part(by_name("MLP").number))
    mine.write()
    code = (
        "from my_gpt import GPT, GPTConfig, generate; import torch; "
        "model = GPT(GPTConfig(9, 8, n_layer=1, n_head=2, d_model=4)).eval(); "
        "print(generate(model, torch.tensor([[1, 2]]), 3, lambda logits: logits.argmax(-1)).shape)"
    )
    environment = {"PYTHONPATH": f"{repository_root()}:{runs}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "torch.Size([1, 5])\n", done.stderr


def test_another_way_of_adding_up_is_no_fault():
    source = course_part(by_name("CausalSelfAttention").number)
    fused = re.search(r" +mixed = F\.scaled_dot_product_attention\(.*?\n        \)", source, re.DOTALL)[0]
    by_hand = """\
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril() if mask is None else mask
        mixed = scores.masked_fill(~seen, -math.inf).softmax(dim=-1) @ v"""
    keep("CausalSelfAttention", source.replace(fused, by_hand))
    assert part_of("CausalSelfAttention").whose == mine.YOURS


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("Block", "self.ln_2(x)", "self.ln_1(x)", "away from the course's"),
        ("MLP", "self.fc", "self.up", "parameters are not those"),
        ("merge_heads", ".transpose(1, 2)", "", "RuntimeError"),
        ("split_heads", "n_head, d_model // n_head).transpose(1, 2)", "n_head, -1)", "RuntimeError"),
        ("MLP", "return ", "return my_helper(", "not valid Python"),
        ("GPT", "self.ln_f(x)", "x", "away from the course's"),
    ],
)
def test_a_part_that_does_not_fit_is_left_out_and_the_others_stay(name, old, new, says):
    keep_all()
    source = course_part(by_name(name).number)
    assert old in source
    keep(name, source.replace(old, new)) if says != "not valid Python" else kept.path_of(
        by_name(name).number, name
    ).write_text("def MLP(:\n", encoding="utf-8")
    found = mine.parts()
    assert [part.name for part in found if part.whose != mine.YOURS] == [name]
    assert says in part_of(name).why
    assert mine.count() == (13, 14) and "13 of the 14 parts" in repr(scoreboard.show()), "one that does not fit is none"
    assert mine.summary() == "runs/my_gpt.py: 13 of 14 parts are yours."


def part_of(name: str) -> mine.Part:
    return next(part for part in mine.parts() if part.name == name)


def test_a_part_that_needs_another_cell_is_left_out(capsys):
    keep("MLP", course_part(by_name("MLP").number).replace("self.activation(self.fc(x))", "my_gelu(self.fc(x))"))
    mine.load()
    assert "it uses my_gelu, which stands in another cell" in capsys.readouterr().out


def test_a_part_by_its_name_says_whose_it_is(capsys):
    keep("Block", course_part(by_name("Block").number))
    assert mine.part("Block").__name__ == "Block" and mine.part("MLP").__name__ == "MLP"
    assert capsys.readouterr().out == (
        f"Block: yours, exercise {by_name('Block').number}\nMLP: the course's, exercise {by_name('MLP').number}\n"
    )


def test_the_command_lists_what_is_there_and_forgets(runs):
    keep("Block", course_part(by_name("Block").number))
    out = command()
    assert "yours    The block" in out and "1 of 14 parts are yours" in out
    assert f"1 of {len(all_exercises())} exercises" in out
    out = command("--forget", by_name("Block").number, "--missing")
    assert "your answer is no longer kept" in out and "0 of 14" in out
    assert (runs / "my_gpt.py").exists()


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "course", "mine", *arguments], cwd=repository_root(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
