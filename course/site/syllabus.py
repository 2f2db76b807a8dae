"""The notebooks of the course in order, those that exist and those that are planned: the one list of them."""

from dataclasses import dataclass

from course.site import notebooks


@dataclass(frozen=True)
class Entry:
    """One notebook: its file's name without the ending, its stage, a short title, a line on what it does."""

    name: str
    stage: str
    title: str
    line: str

    @property
    def number(self) -> str:
        return self.name[:2]

    @property
    def exists(self) -> bool:
        return (notebooks.folder() / f"{self.name}.ipynb").exists()


_TEXT, _BAR, _PARTS = "From text to tokens", "What a model must beat", "The parts of a GPT"
_TRAIN, _JUDGE, _BEYOND = "Learning", "Judging and repairing", "Inside and beyond"
_SINCE = "What came after"

SYLLABUS = (
    Entry("00_start_here", "Before you begin", "Start here", "Your machine, the map, and a first story."),
    Entry("01_tokenization", _TEXT, "Tokenization", "Byte pair encoding from nothing, and GPT-2's own."),
    Entry("02_dataset_eda", _TEXT, "The stories", "Look at the data before a model does, and mend it."),
    Entry("03_baselines", _BAR, "Baselines", "Count n-grams, measure them fairly, open the scoreboard."),
    Entry("04_embeddings_and_positions", _PARTS, "Embeddings", "Tokens as vectors, and how order gets in."),
    Entry("05_self_attention", _PARTS, "Self-attention", "From averaging to many causal heads."),
    Entry("06_gpt2_decoder", _PARTS, "The decoder", "GPT-2, twelve layers, every parameter counted."),
    Entry("07_training", _TRAIN, "Training", "The loop, resumed exactly; a storyteller on the CPU."),
    Entry("08_training_on_a_gpu", _TRAIN, "On a GPU", "The full 124M parameters on a free GPU."),
    Entry("09_perplexity_and_sampling", _JUDGE, "Sampling", "Perplexity done right; ways to choose a token."),
    Entry("10_debugging_clinic", _JUDGE, "The clinic", "Real bugs, known by their symptoms."),
    Entry("11_looking_inside", _BEYOND, "Looking inside", "Heads, lenses, ablations, with the truth known."),
    Entry("12_pretrained_gpt2", _BEYOND, "Pretrained", "OpenAI's weights in your model, and yours in theirs."),
    Entry("13_scaling_up", _BEYOND, "Scaling up", "A scaling law of your own, and many processes."),
    Entry("14_since_gpt2", _SINCE, "Since GPT-2", "What changed since 2019, part by part, and what it buys."),
    Entry("15_following_instructions", _SINCE, "Listening", "It takes orders; judges, and a reward that is hacked."),
)
