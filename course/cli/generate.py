"""Let a model continue a text, token by token.

examples:
  python -m course generate
  python -m course generate "Once upon a time, a little fox named Mia" --seed 7
  python -m course generate --model runs/storyteller --temperature 1 --top-p 0.9 --number 3
  python -m course generate "Tom had a red kite" --min-p 0.05 --repetition-penalty 1.1 --stop "."
  python -m course generate "One day," --beams 4 --max-new-tokens 60
  python -m course generate --engine ctranslate2 --int8 --number 20
  echo "Once there was a fox" | python -m course generate
"""

import argparse
import os
import select
import stat
import sys
from itertools import takewhile

from course.cli.options import add_engine, add_model, add_sampling, check_engine, engine, load, sampling
from helpers.errors import CourseError

LONGEST = 100_000  # characters of a prompt that is piped in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "prompt",
        nargs="?",
        metavar="PROMPT",
        help='how the story begins (default: what is piped in, or "Once upon a time"); - waits for what is piped in',
    )
    parser.add_argument("--ids", metavar="N,N,...", help="begin with these token ids instead of a text")
    parser.add_argument("--number", type=int, default=1, metavar="N", help="how many stories (default 1)")
    parser.add_argument(
        "--beams", type=int, metavar="N", help="beam search: the likeliest story that N beams find; nothing is sampled"
    )
    add_model(parser)
    add_engine(parser)
    add_sampling(parser)


def run(arguments: argparse.Namespace) -> int:
    options = sampling(arguments)
    check_engine(arguments)
    if arguments.number < 1:
        raise CourseError(f"number must be at least 1, got {arguments.number}")
    if arguments.seed is not None and arguments.seed + arguments.number > 2**63:
        raise CourseError("each story has a seed of its own, and the last one's must be below 2^63: lower --seed")
    if arguments.beams is not None:
        _check_beams(arguments)
    from helpers.generation import PROMPT, encode_prompt, generate, stream_text, until
    from helpers.instructions import END_OF_ANSWER
    from helpers.sampling import beam_search, check_prompts, tidy_prompt

    ids = None if arguments.ids is None else _ids(arguments.ids)
    if ids is not None and arguments.prompt is not None:
        raise CourseError("give a PROMPT or --ids, not both")
    prompt = arguments.prompt
    if ids is None and (prompt == "-" or (prompt is None and _input_waits())):
        prompt = _read_input() or prompt
    prompt = PROMPT if prompt is None else tidy_prompt(prompt)
    if ids is None and (not prompt.strip() or prompt == "-"):
        raise CourseError('the prompt is empty: give a beginning such as "Once upon a time"')
    model, tokenizer = load(arguments)
    start = encode_prompt(tokenizer, prompt) if ids is None else ids
    (start,) = check_prompts(model, [start])  # what does not fit is said once, not for each story
    stop, end_of_answer = options.pop("stop"), tokenizer.token_to_id(END_OF_ANSWER)  # None where no orders are taken
    options |= {"eos_token_id": tokenizer.eos_token_id, "engine": engine(arguments, model)}
    for number in range(arguments.number):
        if number:
            print("\n" + "-" * 40)
        seed = None if arguments.seed is None else arguments.seed + number
        if arguments.beams is None:
            new = generate(model, start, **options | {"seed": seed})
        else:
            limits = {"beams": arguments.beams, "eos_token_id": tokenizer.eos_token_id}
            new, _ = beam_search(model, start, arguments.max_new_tokens, **limits)
        print(prompt if ids is None else tokenizer.decode(ids), end="", flush=True)
        new = takewhile(lambda token: token != end_of_answer, new)
        for piece in until(stream_text(tokenizer, new), stop):
            print(piece, end="", flush=True)
        print()
    return 0


def _input_waits() -> bool:
    """Whether something was piped in. Nobody is waited for who may never write: that is what "-" is for."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
        return stat.S_ISREG(mode) or (stat.S_ISFIFO(mode) and bool(select.select([sys.stdin], [], [], 0.2)[0]))
    except (OSError, ValueError, AttributeError):  # there is no input, or it cannot be asked
        return False


def _read_input() -> str:
    """The whole input, without the end of its last line."""
    if sys.stdin is None:
        return ""
    try:
        text = sys.stdin.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        raise CourseError("the input is not UTF-8: save it with the encoding UTF-8 and try again") from error
    if len(text) > LONGEST:
        raise CourseError(f"the input is longer than {LONGEST:,} characters: give only how the story begins")
    return text.removeprefix("\ufeff").rstrip("\r\n")


def _check_beams(arguments: argparse.Namespace) -> None:
    if arguments.beams < 1:
        raise CourseError(f"beams must be at least 1, got {arguments.beams}")
    for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "greedy", "engine"):
        if getattr(arguments, name) not in (None, False):
            raise CourseError(
                f"--beams finds the likeliest story and samples nothing: leave out --{name.replace('_', '-')}"
            )
    if arguments.number > 1:
        raise CourseError("--beams finds one story, so --number must be 1")


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise CourseError(f"--ids needs whole numbers with commas between them, got {text!r}") from error
