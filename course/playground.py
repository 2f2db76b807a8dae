"""A place to play: a prompt, a method and its sliders, and the story growing token by token with its probabilities.

`steps` does the work and needs no widgets; `as_html` and `as_text` show what it gave. `Playground` puts sliders around
it where `ipywidgets` is at hand (JupyterLab, VS Code, Colab) and is one story where it is not, as on a page that
is only read. `OrderForm` does so for a model that takes orders: fields, a story, and what a judge says of it (15).
"""

import html
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from itertools import islice

import torch

from helpers.errors import CourseError
from helpers.evaluation import evaluating
from helpers.generation import PROMPT, Storyteller, encode_prompt, generate
from helpers.kv_cache import KVCache, WithoutCache
from helpers.sampling import (
    GREEDY_BELOW,
    beam_search,
    check_options,
    check_prompts,
    penalize_repetition,
    reshape,
    tidy_prompt,
)

METHODS = ("greedy", "sampling", "beam search")


@dataclass(frozen=True)
class Step:
    """One token of a story.

    Attributes:
        text: how it reads.
        probability: what the model itself gave it.
        chance: the chance with which it was sampled, after penalty, temperature and filters; 1 if there was no choice.
        others: the likeliest tokens at this position, each with the model's probability.
        left: how many tokens could have been sampled.
    """

    text: str
    probability: float
    chance: float
    others: tuple[tuple[str, float], ...]
    left: int


def steps(
    teller: Storyteller,
    prompt: str = PROMPT,
    method: str = "sampling",
    max_new_tokens: int = 100,
    *,
    seed: int | None = None,
    beams: int = 4,
    shown: int = 5,
    **options,
) -> Iterator[Step]:
    """A story's tokens as they come, each with its probability. The same seed gives what `generate` gives.

    Args:
        method: "greedy", "sampling" or "beam search" (which is silent until it has finished).
        options: of sampling; see `helpers.generation.generate`.

    Raises:
        CourseError: at once, if the method, the prompt or an option is not possible.
    """
    if method not in METHODS:
        raise CourseError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    options = {"temperature": 1.0} | options
    check_options(max_new_tokens=max_new_tokens, **options)
    ids, end = encode_prompt(teller.tokenizer, tidy_prompt(prompt)), {"eos_token_id": teller.tokenizer.eos_token_id}
    (ids,) = check_prompts(teller.model, [ids])
    if method == "beam search":
        tokens = iter(beam_search(teller.model, ids, max_new_tokens, beams=beams, **end)[0])
    else:
        how = options | end | {"greedy": method == "greedy", "seed": seed, "engine": teller.engine}
        tokens = generate(teller.model, ids, max_new_tokens, **how)
    sampled = method == "sampling" and options["temperature"] >= GREEDY_BELOW
    return _watched(teller, ids, tokens, options if sampled else None, shown)


def _watched(teller: Storyteller, ids: list[int], tokens: Iterator[int], options: dict | None, shown: int):
    """Tokens as they come, each with what the model thought of it. `options` is None where nothing was sampled."""
    tokenizer, ids = teller.tokenizer, list(ids)
    read = _at_once if teller.engine is not None else _one_by_one
    for token, logits in read(teller.model, ids, tokens):
        probability = logits.softmax(-1)
        chances = None if options is None else _reshaped(logits, ids, **options).softmax(-1)
        best = probability.topk(min(shown, len(logits)))
        yield Step(
            tokenizer.decode([token]),
            float(probability[token]),
            1.0 if chances is None else float(chances[token]),
            tuple((tokenizer.decode([i]), p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)),
            1 if chances is None else int((chances > 0).sum()),
        )
        ids.append(token)


def _one_by_one(model, ids: list[int], tokens: Iterator[int]) -> Iterator[tuple[int, torch.Tensor]]:
    """Each token as it comes, with the logits (V,) that it was sampled from."""
    cache, last = KVCache(model) if hasattr(model, "blocks") else WithoutCache(model), None
    for token in tokens:
        with evaluating(model):
            logits = cache.start([ids]) if last is None else cache.append([last])
        yield token, logits[0].float().cpu()
        last = token


def _at_once(model, ids: list[int], tokens: Iterator[int]) -> Iterator[tuple[int, torch.Tensor]]:
    """The same for an engine, which has told the whole story before the cache had read a part: read in one pass."""
    story = list(islice(tokens, max(0, model.config.context_length - len(ids) + 1)))
    if story:
        with evaluating(model), torch.inference_mode():
            read = torch.tensor([[*ids, *story[:-1]]], device=next(model.parameters()).device)
            logits = model(read)[0, len(ids) - 1 :].float().cpu()  # (tokens, V)
        yield from zip(story, logits, strict=True)
    yield from _one_by_one(model, [*ids, *story], tokens)  # what goes beyond the context


def _reshaped(logits: torch.Tensor, ids: Sequence[int], repetition_penalty: float | None = None, **options):
    """The logits (V,) that are sampled from after `ids` were said, as `generate` has them."""
    logits = logits[None]
    if repetition_penalty is not None:
        logits = penalize_repetition(logits, torch.tensor([list(ids)]), repetition_penalty)
    return reshape(logits, **options)[0]


def as_text(prompt: str, told: Iterable[Step], width: int = 88) -> str:
    """A story as plain text: each token with its probability in hundredths behind it, in brackets."""
    pieces = [f"{prompt} |"]
    pieces += [f"{one.text.strip() or '¶'}[{100 * one.probability:.0f}]" for one in told]
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece) + 1 > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + piece
    return "\n".join(lines)


def as_html(prompt: str, told: Iterable[Step], note: str = "") -> str:
    """A story as a piece of a page: each token on a ground as dark as the model was sure, its probability below.

    A tooltip names the likeliest tokens at that position.
    """
    body = "".join(map(_token, told))
    note = f'<div style="color:#62636f;font-size:85%;margin-top:6px">{html.escape(note)}</div>' if note else ""
    return (
        '<div style="background:#fdfcf8;color:#22232b;padding:10px 14px;border:1px solid #c5d6ec;line-height:1.25;'
        f'max-width:820px"><span style="color:#62636f">{html.escape(prompt)}</span> {body}{note}</div>'
    )


def _token(one: Step) -> str:
    from course.figures import style

    ground = "#" + "".join(f"{round(255 * part):02x}" for part in style.HEAT(0.9 * one.probability)[:3])
    likeliest = ", ".join(f"{text.strip() or '¶'} {p:.0%}" for text, p in one.others)
    tip = html.escape(f"likeliest here: {likeliest}; {one.left} could be sampled", quote=True)
    word = html.escape(one.text.replace("\n", "¶").replace(" ", "\N{NO-BREAK SPACE}"))
    chip = (
        f'<span title="{tip}" style="display:inline-block;text-align:center;margin:2px 1px;vertical-align:top">'
        f'<span style="background:{ground};color:{style.text_colour(ground)};padding:1px 3px;border-radius:3px;'
        f'font-family:monospace">{word}</span><br>'
        f'<span style="font-size:70%;color:#62636f">{100 * one.probability:.0f}</span></span>'
    )
    return chip + ("<br>" if "\n" in one.text else "")


def display_controls(make: Callable) -> None:
    """Display the `ipywidgets` that `make` gives, below what is there; nothing where they are missing or broken."""
    from IPython.display import display

    try:
        controls = make()
    except Exception:
        return
    display(controls)


class Playground:
    """Let it be the last line of a cell: `Playground(teller)`.

    What is stored with a notebook is the example; the sliders appear below it when the cell is run where widgets are.
    """

    def __init__(self, teller: Storyteller, prompt: str = PROMPT, max_new_tokens: int = 60, seed: int = 1):
        self.teller, self.prompt, self.max_new_tokens, self.seed = teller, tidy_prompt(prompt), max_new_tokens, seed
        self._example: list[Step] | None = None

    @property
    def example(self) -> list[Step]:
        """The story that is shown before anything is clicked; told once."""
        if self._example is None:
            self._example = list(steps(self.teller, self.prompt, "sampling", self.max_new_tokens, seed=self.seed))
        return self._example

    def __repr__(self) -> str:
        return as_text(self.prompt, self.example)

    def _repr_html_(self) -> str:
        note = f"sampled at temperature 1 with seed {self.seed}; below each token its probability in hundredths"
        return as_html(self.prompt, self.example, note)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"text/html": self._repr_html_(), "text/plain": repr(self)}, raw=True)
        display_controls(self.widget)

    def widget(self):
        """The sliders, the button and the place where the story grows, as an `ipywidgets` box."""
        import ipywidgets as w

        wide, like = w.Layout(width="96%"), {"style": {"description_width": "130px"}, "layout": w.Layout(width="47%")}
        prompt = w.Text(self.prompt, description="prompt", style={"description_width": "130px"}, layout=wide)
        method = w.Dropdown(options=METHODS, value="sampling", description="method", **like)
        length = w.IntSlider(self.max_new_tokens, 1, 400, description="new tokens", **like)
        sliders = {
            "temperature": w.FloatSlider(1.0, min=0.0, max=3.0, step=0.05, description="temperature", **like),
            "top_k": w.IntSlider(0, 0, 200, description="top-k (0: off)", **like),
            "top_p": w.FloatSlider(1.0, min=0.01, max=1.0, step=0.01, description="top-p (1: off)", **like),
            "min_p": w.FloatSlider(0.0, min=0.0, max=1.0, step=0.01, description="min-p (0: off)", **like),
            "repetition_penalty": w.FloatSlider(1.0, min=0.5, max=2.0, step=0.05, description="repetition", **like),
        }
        beams = w.IntSlider(4, 1, 16, description="beams", disabled=True, **like)
        seed = w.BoundedIntText(self.seed, 0, 2**31 - 1, description="seed", **like)
        button = w.Button(description="Tell", button_style="primary", icon="play")
        place = w.HTML()

        def choose(change) -> None:
            for slider in sliders.values():
                slider.disabled = change["new"] != "sampling"
            beams.disabled = change["new"] != "beam search"

        def tell(_) -> None:
            button.disabled, told = True, []
            try:
                prompt.value = tidy_prompt(prompt.value)  # seen at once: the word goes to the log
                place.value = as_html(prompt.value, [], "thinking ...")
                options = settings({name: slider.value for name, slider in sliders.items()})
                with redirect_stderr(StringIO()) as notes:  # they would go to the log, where nobody looks
                    found = steps(
                        self.teller, prompt.value, method.value, length.value,
                        seed=seed.value, beams=beams.value, **options,
                    )  # fmt: skip
                drawn = 0.0
                for one in found:
                    told.append(one)
                    if time.monotonic() - drawn > 0.04:  # a long story is not sent anew more often than one can see
                        place.value, drawn = as_html(prompt.value, told), time.monotonic()
                said = [f"{len(told)} tokens", *notes.getvalue().splitlines()]
                place.value = as_html(prompt.value, told, "; ".join(said))
            except CourseError as error:
                place.value = f"<em>{html.escape(str(error))}</em>"
            finally:
                button.disabled = False

        method.observe(choose, names="value")
        button.on_click(tell)
        rows = w.Box([method, length, *sliders.values(), beams, seed], layout=w.Layout(flex_flow="row wrap"))
        return w.VBox([prompt, rows, button, place])


def settings(values: dict) -> dict:
    """What the sliders say, as options of `steps`: a slider at its resting place means that nothing is asked for."""
    rest = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    return {name: None if name in rest and value == rest[name] else value for name, value in values.items()}


# ---------------------------------------------------------------------- orders


class OrderForm:
    """A form for orders, as the last line of a cell: `OrderForm(teller, hero="Ruby", toy="kite")`.

    Fields choose what a story is to have, the order is worded, the story told, and beside it stands of each demand
    whether it is kept. What is stored with a notebook is the example, as with `Playground`.
    """

    def __init__(
        self, teller: Storyteller, judge: Callable | None = None, temperature=0.7, seed: int = 1, **demands: str
    ):
        """
        Args:
            teller: with chat tokens, as `course.instructions.tuning` makes it.
            judge: given demands and a story it says of each whether it is kept, as a dictionary or a `Verdict`; the
                exact one, `course.instructions.judge.judge`, if none is given.
            demands: of the example: names of `course.instructions.orders.FACTS` with values; a fox with a kite if none.

        Raises:
            CourseError: the model takes no orders, or no story can have what is demanded.
        """
        from course.instructions import form, orders, talk
        from course.instructions import judge as judges

        self.form = form
        talk.Talk(teller.tokenizer, teller.model.config.context_length)  # refuses a model that takes no orders
        self.demands = demands or {"kind": "fox", "toy": "kite"}
        orders.check_demands(self.demands)
        self.teller, self.judge, self.temperature, self.seed = teller, judge or judges.judge, temperature, seed
        self._example: tuple[str, str, dict[str, bool]] | None = None

    @property
    def example(self) -> tuple[str, str, dict[str, bool]]:
        """The order, its story and the verdict that are shown before anything is clicked; told once."""
        if self._example is None:
            order = self.form.worded(self.demands, self.seed)
            *_, story = self.form.told(self.teller, order, self.temperature, self.seed)
            self._example = order, story, self.form.verdict(self.judge, self.demands, story)
        return self._example

    def __repr__(self) -> str:
        return self.form.as_text(*self.example, self.demands)

    def _repr_html_(self) -> str:
        note = f"sampled at temperature {self.temperature:g} with seed {self.seed}"
        order, story, kept = self.example
        return self.form.as_html(order, story, self.demands, kept, note)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"text/html": self._repr_html_(), "text/plain": repr(self)}, raw=True)
        display_controls(self.widget)

    def widget(self):
        """The fields, the buttons and the place where the story grows, as an `ipywidgets` box."""
        import ipywidgets as w

        form, like = self.form, {"style": {"description_width": "90px"}, "layout": w.Layout(width="31%")}
        fields = {
            fact: w.Dropdown(options=values, value=self.demands.get(fact, form.NOTHING), description=fact, **like)
            for fact, values in form.fields().items()
        }
        temperature = w.FloatSlider(self.temperature, min=0.0, max=2.0, step=0.05, description="temperature", **like)
        seed = w.BoundedIntText(self.seed, 0, 2**31 - 1, description="seed", **like)
        tells = w.Button(description="Tell", button_style="primary", icon="play")
        surprises = w.Button(description="Surprise me", icon="random")
        limit, place = w.HTML(f"<small>{form.LIMIT}</small>"), w.HTML()

        def tell(_) -> None:
            tells.disabled = surprises.disabled = True
            try:
                demands = {fact: field.value for fact, field in fields.items() if field.value != form.NOTHING}
                order = form.worded(demands, seed.value)
                place.value, drawn = form.as_html(order, "", demands, note="thinking ..."), 0.0
                for story in form.told(self.teller, order, temperature.value, seed.value):
                    if time.monotonic() - drawn > 0.04:
                        place.value, drawn = form.as_html(order, story, demands), time.monotonic()
                place.value = form.as_html(order, story, demands, form.verdict(self.judge, demands, story))
            except CourseError as error:
                place.value = f"<em>{html.escape(str(error))}</em>"
            finally:
                tells.disabled = surprises.disabled = False

        def surprise(button) -> None:
            demands, seed.value = form.surprise(random.Random()), random.randrange(1000)
            for fact, field in fields.items():
                field.value = demands.get(fact, form.NOTHING)
            tell(button)

        tells.on_click(tell)
        surprises.on_click(surprise)
        rows = w.Box([*fields.values(), temperature, seed], layout=w.Layout(flex_flow="row wrap"))
        return w.VBox([rows, w.HBox([tells, surprises, limit]), place])
