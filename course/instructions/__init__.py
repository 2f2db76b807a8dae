"""Orders for stories, and exact judges of what came of them (15).

`orders` and `wordings` make orders and questions from the grammar's record of a story, `dataset` the shipped set of
them, `reading` reads a story back by the grammar, `judge` says which demands it keeps, `tuning` teaches to listen,
`recording` keeps how well that went. `asked` reads orders in a person's own words, `talk` keeps a conversation, `form`
is what the playground's form for orders does.
"""
