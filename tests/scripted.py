"""A model that says what a script has it say: to each message of a user an answer, token by token, and then its end."""

import torch

from helpers.instructions import END_OF_ANSWER, SPEAKER, add_chat_tokens
from helpers.model import GPTConfig
from helpers.tokenizer import Tokenizer, load_tokenizer

TOKENIZER = add_chat_tokens(load_tokenizer())


class Scripted(torch.nn.Module):
    """`answers` maps what a user says to what the model says; anything else is answered by "Hm.".

    Attributes:
        heard: every text that it was asked to go on from, as the template has it.
    """

    def __init__(self, answers: dict[str, str], context_length: int = 256, tokenizer: Tokenizer = TOKENIZER):
        super().__init__()
        self.config = GPTConfig(len(tokenizer), context_length, n_layer=1, n_head=1, d_model=4)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.tokenizer, self.answers = tokenizer, answers
        self.heard: list[str] = []

    def forward(self, ids):
        """Logits (B, T, V) that leave no choice."""
        user, assistant = (self.tokenizer.token_to_id(SPEAKER[role]) for role in ("user", "assistant"))
        logits = torch.zeros(*ids.shape, self.config.vocab_size)
        for row, tokens in enumerate(ids.tolist()):
            begin = len(tokens) - tokens[::-1].index(assistant)  # of the answer
            asked = tokens[len(tokens) - tokens[::-1].index(user) : begin - 1]
            if begin == len(tokens):
                self.heard.append(self.tokenizer.decode(tokens))
            said = self.tokenizer.encode(self.answers.get(self.tokenizer.decode(asked), "Hm."))
            said.append(self.tokenizer.token_to_id(END_OF_ANSWER))
            logits[row, -1, said[min(len(tokens) - begin, len(said) - 1)]] = 1000.0
        return logits
