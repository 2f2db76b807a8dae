"""The patients whose attention or initialization is ill: report, causes to choose from, the program if it were well."""

from functools import partial

from course.clinic.program import Program, small
from course.clinic.structure import (
    FayAttention,
    GusAttention,
    HanaAttention,
    IvoAttention,
    JunAttention,
    KiraAttention,
    TextByText,
    ada_initialize,
    alone_and_in_company,
    as_it_is_and_padded,
    by_token_less_whole,
    leo_initialize,
    less_added,
    mona_train,
    outputs_as_large,
    read_again,
    whole_and_by_token,
)
from course.clinic.ward import Cause, Patient

Patient(
    name="Ada",
    short="a normal distribution of standard deviation 1 for tokens and positions",
    report=(
        "I wrote the start of the weights myself. The very first loss is far above what I know from others, before "
        "anything was trained. It does fall, quickly even, but after as many steps as theirs I am nowhere near them, "
        "and it tells words in no order. What went wrong?"
    ),
    ill={"initialize": ada_initialize},
    causes=(
        Cause(
            "The learning rate is too high.",
            "The first loss is measured before the first step: no learning rate has had any say in it.",
        ),
        Cause(
            "The targets are shifted by one place too many.",
            "An untrained model whose logits are small has a first loss of ln V whatever it is asked for. Wrong "
            "targets show later, in where the curve ends, and not in how it begins.",
        ),
        Cause(
            "The weights begin too large.",
            "The first loss is many times ln V: before any step the model is certain, and wrong. Only large logits do "
            "that, and they come from large weights. The curve then spends its steps on unlearning.",
            right=True,
        ),
        Cause(
            "The loss is a sum over tokens, not their mean.",
            "A sum over a whole batch would be hundreds of times ln V, would change with the length of the texts, and "
            "dividing it could not spoil what is told.",
        ),
    ),
    thread=(
        "pytorch/pytorch issue 3121: Better initialization in Embedding class",
        "https://github.com/pytorch/pytorch/issues/3121",
    ),
)

Patient(
    name="Fay",
    short="no causal mask",
    report=(
        "I replaced my attention by PyTorch's fused function, and my losses became better than they were, in "
        "training and in validation alike. But what it tells is hopeless: it gets stuck in one word and then in the "
        "next. Read token by token, with a cache, the same validation stories have about three times the loss that "
        "they have read whole."
    ),
    ill={"attention": FayAttention},
    causes=(
        Cause(
            "It has memorized the training stories.",
            "Then the validation loss would be worse than the training loss: nobody has learned those stories. Both "
            "are better than they should be.",
        ),
        Cause(
            "The cache gives new tokens the wrong positions.",
            "Leave the cache out: change the last token of a text that is read whole, and the results before it "
            "change. No cache took part in that.",
        ),
        Cause(
            "The weights were started too large, and attention is stuck on one token.",
            "That would cost training loss, from the first steps on. This curve ends below the other.",
        ),
        Cause(
            "Nothing hides the future: when a text is read whole, each position sees what it should predict.",
            "Good when read whole, bad when the future is not there yet: while it is read token by token, nothing can "
            "be looked up. A changed token that changes results before it is the proof.",
            right=True,
        ),
    ),
    thread=(
        "keras-team/keras issue 23038: MultiHeadAttention silently drops the causal mask",
        "https://github.com/keras-team/keras/issues/23038",
    ),
    base=Program(lr=1e-2, steps=150, batch_size=12, config=small(n_layer=1)),
    observe=whole_and_by_token,
    symptom=by_token_less_whole,
)

Patient(
    name="Gus",
    short="mask after the softmax",
    report=(
        "My losses are even a little better than those of the model beside it. Told text is not: it stumbles, and "
        "token by token my validation stories get a clearly worse loss than read whole. It is not the mask, that I "
        "have checked: I printed the attention weights, and above the diagonal there is nothing but zeros."
    ),
    ill={"attention": GusAttention},
    causes=(
        Cause(
            "There is no causal mask in training.",
            "Then there would be weights above the diagonal, and the printed map has zeros there. Something else of "
            "the future comes through.",
        ),
        Cause(
            "The mask is off by one, so that each position sees the next token.",
            "One diagonal of weights would stand above the main one, and the loss would soon go to nearly nothing: "
            "the next token is the answer.",
        ),
        Cause(
            "What is hidden is hidden too late, after the weights have been made to sum to one.",
            "Zeros above the diagonal, and yet a later token changes earlier results: it has no weight of its own, but "
            "it stands in the sum by which all weights of the row were divided.",
            right=True,
        ),
        Cause(
            "The cache keeps keys and values of another layer.",
            "A later token changes earlier results without any cache; and then told text would be far worse than this.",
        ),
    ),
    thread=(
        "lucidrains/memory-compressed-attention issue 2: The order of masking and softmax operation",
        "https://github.com/lucidrains/memory-compressed-attention/issues/2",
    ),
    observe=whole_and_by_token,
    symptom=by_token_less_whole,
)

Patient(
    name="Hana",
    short="softmax over the queries",
    report=(
        "It trains as well as any other, even a little better, and its attention map has zeros above the diagonal. "
        "But it cannot tell a story: two words, then dots. So I looked at one step with the cache, where "
        "a single new token asks: its attention weights are 1.00 for every token of the text so far. For every one!"
    ),
    ill={"attention": HanaAttention},
    causes=(
        Cause(
            "The softmax is taken over the queries, and not over the keys.",
            "The weights of one query should sum to one; here each of them is one. With a single query, a softmax over "
            "the queries has one number to divide by itself. In training there are many, so it goes unseen.",
            right=True,
        ),
        Cause(
            "The mask comes after the softmax.",
            "Then a row's weights sum to less than one. Here a row sums to as much as there are tokens.",
        ),
        Cause(
            "The scores are not divided by the root of d_head, so that attention is all or nothing.",
            "Large scores give one token nearly all the weight, and the others nearly none. A softmax over the keys "
            "cannot give several tokens a weight of one each.",
        ),
        Cause(
            "The cache holds nothing but copies of the new token.",
            "Then the weights would be equal, but they would still sum to one: each would be one divided by their "
            "number.",
        ),
    ),
    thread=(
        "labmlai/annotated_deep_learning_paper_implementations issue 146: Bug in SA for DDPM UNet?",
        "https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/146",
    ),
    observe=whole_and_by_token,
    symptom=by_token_less_whole,
)

Patient(
    name="Ivo",
    short="heads joined without a transpose",
    report=(
        "Training looks fine. But one and the same story gets another loss when I put padding behind it, which is not "
        "scored, of course. Each head's attention map I have compared with PyTorch's: they agree, and the future is "
        "hidden in all of them. With a single head there is no problem at all."
    ),
    ill={"attention": IvoAttention},
    causes=(
        Cause(
            "Padding is not hidden from the tokens before it.",
            "Padding stands behind the story, so it is the story's future. The maps say that the future is hidden.",
        ),
        Cause(
            "Positions are counted from the end, so that padding moves them.",
            "One head would have the same problem: positions are added before there are any heads.",
        ),
        Cause(
            "Heads read each other's keys, for d_head is too large.",
            "Then the maps would not agree with PyTorch's. They do, so all is well until the values have been mixed.",
        ),
        Cause(
            "What the heads found is joined in the wrong order of axes.",
            "All is right within a head, and with one head; so it is the joining. If time and heads are not swapped "
            "back, which token gets whose features depends on how many tokens there are: padding changes it.",
            right=True,
        ),
    ),
    thread=(
        "jsbaan/transformer-from-scratch pull request 6: Fix several bugs, one critical",
        "https://github.com/jsbaan/transformer-from-scratch/pull/6",
    ),
    observe=as_it_is_and_padded,
    symptom=lambda chart: {"difference": abs(chart.more["the same, padded to 64"] - chart.more["a story as it is"])},
)

Patient(
    name="Jun",
    short="batch and time mixed up",
    report=(
        "I replaced my own attention by PyTorch's layer. It trains, without an error and without a spike, but the loss "
        "stays above that of my old layer, in training and in validation. And the odd thing: score the same story "
        "alone, and then as the last of a batch of eight, and you get two different numbers."
    ),
    ill={"attention": JunAttention},
    causes=(
        Cause(
            "Padding is not masked: beside longer stories a short one gets end tokens behind it, and looks at them.",
            "Here both scores are of equally long rows, padding and all. And padding behind a text cannot change what "
            "a causal model says about the text itself.",
        ),
        Cause(
            "The layer takes the batch for the time: stories look at one another, and not at their own past.",
            "A story's score depends on its neighbours, and the loss stays where a model stays that does not know "
            "what came before the current token. Both follow from one mistake.",
            right=True,
        ),
        Cause(
            "Dropout is on while it is scored, so that every call gives another number.",
            "Then two calls on the same batch would differ as well. These do not: the score changes with the company.",
        ),
        Cause(
            "The causal mask is missing.",
            "A model that sees its future gets too good a loss in training. And the future of another row is not in "
            "this row at all: a missing mask leaves the rows apart.",
        ),
    ),
    thread=(
        "IBM/TabFormer pull request 14: set the correct ordering of dimensions in the input tensor",
        "https://github.com/IBM/TabFormer/pull/14",
    ),
    base=Program(attention=TextByText, generate=read_again),  # begins as the ill one does
    observe=alone_and_in_company,
    symptom=lambda chart: {"last loss": chart.last, "change in company": chart.more["change in company"]},
)  # fmt: skip

Patient(
    name="Kira",
    short="scores not divided by the root of d_head",
    report=(
        "One head, as wide as the model, and weights that keep everything about as large as it was. The first loss is "
        "right. Then it falls slowly, and stays far above a model which differs in its attention's code alone. The "
        "gradient norm is larger than there before anything is trained. In the untrained model's attention maps many "
        "rows already have nearly all of their weight on one token."
    ),
    ill={"attention": KiraAttention},
    causes=(
        Cause(
            "The learning rate is too high.",
            "The gradient of the first step is already too large, and the maps were made before any step. The other "
            "model does well at the same rate.",
        ),
        Cause(
            "The scores are too large, because nothing divides them by the root of d_head.",
            "A score is a sum of d_head products, here as many as the model is wide. Undivided, its softmax is all or "
            "nothing before anything was learned, and where it is, hardly any gradient tells it to look elsewhere.",
            right=True,
        ),
        Cause(
            "The token embedding was started too large.",
            "It is the head, too: then the first loss would be far above ln V. It is not.",
        ),
        Cause(
            "There is no causal mask.",
            "To see the future does not hurt a training loss, and it does not put a row's weight on one token.",
        ),
    ),
    thread=(
        "mlc-ai/mlc-llm pull request 3426: fix missing 1/sqrt(d) scaling in attention fallback path",
        "https://github.com/mlc-ai/mlc-llm/pull/3426",
    ),
    base=Program(initialize=partial(less_added, embeddings=0.05), config=small(n_head=1)),
    symptom=lambda chart: {"last loss": chart.last, "first norm": chart.norms[0]},
)

Patient(
    name="Leo",
    short="residual projections not scaled with depth",
    report=(
        "Twelve blocks, and an initialization of my own. The first loss is right, no gradient is large, nothing "
        "spikes; but the loss lags behind that of a model which is only started otherwise. I printed how large the "
        "residual stream is behind each block of the untrained model: it grows from block to block, to many times "
        "what it was."
    ),
    ill={"initialize": leo_initialize},
    causes=(
        Cause(
            "The learning rate is too low for so deep a model.",
            "The model beside it is as deep and has the same rate. And the growing stream was seen before any step.",
        ),
        Cause(
            "LayerNorm is missing in the blocks.",
            "Then each block would multiply what the last one gave it, and the stream would grow far more than this: "
            "by a factor a block, and not by about as much each time.",
        ),
        Cause(
            "What the sublayers add to the stream is not made smaller for the number of them.",
            "Each sublayer adds about as much as the one before. So the stream's size grows with the root of their "
            "number, the tokens drown in it, and each block changes less of it than the one before.",
            right=True,
        ),
        Cause(
            "The token embedding was started too large.",
            "It is the head, too: the first loss would be far above ln V. And a large beginning would make the "
            "stream's growth look smaller.",
        ),
    ),
    thread=(
        "huggingface/transformers issue 47458: GPT-2's c_proj weights start too large",
        "https://github.com/huggingface/transformers/issues/47458",
    ),
    base=Program(
        initialize=partial(less_added, embeddings=0.1), steps=60, lr=1e-2,
        config=small(n_layer=12, n_head=2, d_model=32),
    ),
)  # fmt: skip

Patient(
    name="Mona",
    short="post-LN without warm-up",
    report=(
        "I wanted to train a Transformer as in 2017: LayerNorms after the sums, weights that keep everything about as "
        "large as it was. The loss falls at once, to about where a model is that knows how frequent each token is "
        "and nothing else. There it lies for most of the run, without a NaN and without a sign of life. What I feed it "
        "I have decoded and read: these are my stories."
    ),
    ill={"train": mona_train},
    causes=(
        Cause(
            "The learning rate is ten times too low.",
            "The loss has fallen from ln V to where it is within the first steps; with too low a rate it would "
            "creep. What it then does is next to nothing, and slow is not nothing.",
        ),
        Cause(
            "Gradients are not reset between steps.",
            "They would pile up: the norm would grow from step to step, and the gradient that is used would not be the "
            "loss's own. Here it is, and the norm is low but for a few spikes.",
        ),
        Cause(
            "The inputs do not reach the model: every position gets the same token.",
            "What enters was read, and an untrained model's results change with it. That the trained one no longer "
            "minds its input is what happened to it, not why.",
        ),
        Cause(
            "The first steps are too large for this architecture: the learning rate begins at its full height.",
            "In post-LN all that comes back passes every LayerNorm, and Adam's first steps are as large for every "
            "weight, whatever its gradient. It has been thrown to where only the frequencies of tokens are learned.",
            right=True,
        ),
    ),
    thread=(
        "Xiong et al. 2020: On Layer Normalization in the Transformer Architecture",
        "https://arxiv.org/abs/2002.04745",
    ),
    base=Program(
        initialize=outputs_as_large, steps=100, lr=8e-3,
        config=small(n_layer=3, norm="post"),
    ),
)  # fmt: skip
