"""What notebooks 01 to 04 teach is what `helpers` use: pair by pair, and of which kind the equality is.

The same text, statement by statement: the pairs of SAME_CODE below, tested here.

The same values, because the notebook builds something simpler, or shows another form, on purpose:

| notebook | taught | used | tested in |
|---|---|---|---|
| 01 | the solution `merge_all` (all pairs again for each merge) | `helpers.bpe.merge_all` (a heap) | test_notebook_01 |
| 01 | the solution `decode` (a list of bytes) | `helpers.bpe.BytePairEncoder.decode` | test_notebook_01 |
| 01 | `BytePairEncoder`, `train` | `helpers.tokenizer` (the `tokenizers` library) | test_bpe, test_tokenizer |
| 02 | the solution `split_by_text` | `helpers.stories.split_stories` | test_notebook_02 |
| 02 | the solution `pack_stream` (a list) | `helpers.dataset` (a file that is mapped) | test_notebook_02 |
| 03 | `kneser_ney` (a dense table of pairs) | `helpers.ngrams.NGramModel` (any order, sorted) | test_notebook_03 |
| 03 | the solution `back_off` (by recursion, a context at a time) | `helpers.ngrams.NGramModel` | test_notebook_03 |
| 03 | the solutions `cross_entropy`, `perplexity`, `bits_per_byte` | `helpers.evaluation` | test_notebook_03 |
| 04 | the solutions `lookup_by_one_hot`, `add_positions` | `helpers.model.GPT.embed` | test_notebook_04 |
"""

import pytest

from tests.taught import assert_same_code

NOT_SHOWN_01 = ("vocab_size", "token_text", "save", "load")
SAME_CODE = [  # notebook, what it teaches, module, what is used (None: the same name), methods that are not shown
    ("01_tokenization", "END", "helpers.bpe", None, ()),
    ("01_tokenization", "PRINTABLE", "helpers.bpe", None, ()),
    ("01_tokenization", "BYTES", "helpers.bpe", None, ()),
    ("01_tokenization", "FIRST_TOKENS", "helpers.bpe", None, ()),
    ("01_tokenization", "BYTE_ID", "helpers.bpe", None, ()),
    ("01_tokenization", "SPLIT_PATTERN", "helpers.bpe", None, ()),
    ("01_tokenization", "splitter", "helpers.bpe", None, ()),
    ("01_tokenization", "split_pieces", "helpers.bpe", None, ()),
    ("01_tokenization", "pair_counts", "helpers.bpe", None, ()),  # here and below: folded solutions
    ("01_tokenization", "merge", "helpers.bpe", None, ()),
    ("01_tokenization", "train", "helpers.bpe", None, ()),
    ("01_tokenization", "BytePairEncoder", "helpers.bpe", None, NOT_SHOWN_01),
    ("02_dataset_eda", "words_of", "course.corpus", None, ()),  # the solution of exercise 2.1
    ("02_dataset_eda", "sentences_of", "course.corpus", None, ()),
    ("02_dataset_eda", "rank_frequencies", "course.corpus", None, ()),
    ("02_dataset_eda", "growth", "course.corpus", None, ()),  # the solution of exercise 2.9
    ("02_dataset_eda", "seen_fraction", "course.corpus", None, ()),
    ("03_baselines", "discount_of", "helpers.ngrams", None, ()),
    ("04_embeddings_and_positions", "sinusoids", "helpers.model", None, ()),  # the solution of exercise 4.7
]


@pytest.mark.parametrize(("notebook", "name", "module", "used_as", "untaught"), SAME_CODE, ids=lambda value: str(value))
def test_what_is_taught_is_what_is_used(notebook, name, module, used_as, untaught):
    assert_same_code(notebook, name, module, used_as=used_as, untaught=untaught)
