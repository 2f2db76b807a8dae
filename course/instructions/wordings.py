"""How demands and questions are worded: tables of English, with some wordings that no training order uses.

Each table maps what is said to two lists: the wordings of training orders, and wordings held out to see whether a model
took in what is meant or how it is put. A wording may use `{hero}`, `{a_toy}` and so on; `orders.forms` fills them in.
"""

Wordings = tuple[list[str], list[str]]  # of training orders, and held out

# What an order begins with: before "a shy fox named Ivy", and where nothing is said of the hero.
ABOUT: Wordings = (
    ["Tell a story about {}", "Tell me a story about {}", "Please tell a story about {}", "Write a story about {}",
     "I want a story about {}", "A story about {}, please"],
    ["Could you make up a tale about {}", "I would love to hear about {}"],
)
WITHOUT_HERO: Wordings = (
    ["Tell a story", "Tell me a story", "Please tell a story", "Write a story", "I want a story", "A story, please"],
    ["Could you make up a tale", "I would love to hear a tale"],
)

# The hero, by what of them is asked for.
HERO: dict[tuple[str, ...], Wordings] = {
    ("trait", "kind", "hero"): (
        ["{a_trait} {kind} named {hero}", "{hero}, {a_trait} {kind}", "{a_trait} {kind} called {hero}"],
        ["{hero} the {trait} {kind}", "{a_kind} who is {trait} and whose name is {hero}"],
    ),
    ("kind", "hero"): (
        ["{a_kind} named {hero}", "{hero}, {a_kind}", "{a_kind} called {hero}"],
        ["{hero} the {kind}", "{a_kind} whose name is {hero}"],
    ),
    ("trait", "hero"): (
        ["{a_trait} hero named {hero}", "{a_trait} hero called {hero}", "{hero}, {a_trait} hero"],
        ["{trait} {hero}", "{hero}, who is {trait}"],
    ),
    ("trait", "kind"): (["{a_trait} {kind}"], ["{a_kind} who is {trait}"]),
    ("hero",): (["{hero}", "a hero named {hero}", "a hero called {hero}"], ["a hero whose name is {hero}"]),
    ("kind",): (["{a_kind}"], ["a hero that is {a_kind}"]),
    ("trait",): (["{a_trait} hero"], ["a hero who is {trait}"]),
}

# Parts of the order's sentence; which come, and in which order, is drawn.
TOY: dict[tuple[str, ...], Wordings] = {
    ("color", "toy"): (["with {a_color} {toy}", "and {a_color} {toy}"], ["and the {toy}, which is {color}"]),
    ("toy",): (["with {a_toy}", "and {a_toy}"], ["and something to play with, namely {a_toy}"]),
    ("color",): (["with {a_color} toy", "and {a_color} toy"], ["and a toy that is {color}"]),
}
# "Friend" stands right before the name: a model of two layers sees one word back in its first, and hardly more.
FRIEND: Wordings = (
    ["and friend {friend}", "with friend {friend}", "and dear friend {friend}"],
    ["together with best friend {friend}", "and good old friend {friend}"],
)
PLACE: Wordings = (
    ["near the {place}", "by the {place}", "close to the {place}"],
    ["where the {place} is not far", "set around the {place}"],
)

# What happens: after "in which" or as a sentence of its own. Both wordings of training share the word that matters:
# there are a dozen plots, each is asked for in few orders, and a word is learned twice as fast as two.
PLOT: dict[str, Wordings] = {
    "baking": (["there is baking", "they try baking for a friend"], ["the oven is hot for a friend"]),
    "a contest": (["there is a contest", "they enter a contest"], ["two of them want to win a prize"]),
    "fear overcome": (["a fear is overcome", "there is a fear to overcome"], ["courage wins over a fear"]),
    "lost and found": (
        ["something is lost and found again", "a toy is lost"],
        ["a treasure goes missing for a while"],
    ),
    "a newcomer": (["a newcomer moves in", "there is a newcomer"], ["there are new neighbors"]),
    "a rescue": (["there is a rescue", "they come to the rescue"], ["a little one in trouble is helped"]),
    "a secret": (["there is a secret", "a surprise is kept secret"], ["a surprise is made for a friend"]),
    "sharing": (["there is a quarrel about sharing", "sharing is learned"], ["two friends take turns in the end"]),
    "learning a skill": (["there is a skill to learn", "a skill is learned"], ["practice helps in the end"]),
    "a storm": (["there is a storm", "a storm comes"], ["wild weather breaks something"]),
    "stuck": (["a friend gets stuck", "somebody is stuck"], ["a friend cannot get loose"]),
    "truth": (["somebody tells the truth", "the truth is told"], ["something breaks and honesty counts"]),
}
HAPPENS: Wordings = (["in which {}", "where {}"], ["such that {}"])

# How it ends, after a semicolon or as a sentence of its own.
ENDING: dict[str, Wordings] = {
    "friendship": (
        ["it ends with a friendship", "there is a friendship in the end"],
        ["at last they are close friends"],
    ),
    "bedtime": (["it ends at bedtime", "it is bedtime in the end"], ["the last thing is a good sleep"]),
    "memory": (["it ends with a happy memory", "there is a memory in the end"], ["at last it is a fond memory"]),
}

# Questions about a story that was told, by the fact that answers them; the answer is one phrase.
QUESTION: dict[str, tuple[list[str], list[str], str]] = {
    "hero": (["Who is the story about?", "What is the hero's name?"], ["Whose story is this?"], "{hero}."),
    "kind": (["What is {hero}?", "What kind of hero is {hero}?"], ["Which creature is {hero}?"], "{A_kind}."),
    "trait": (["What is {hero} like?", "How is {hero} described?"], ["Which word tells how {hero} is?"], "{Trait}."),
    "friend": (["Who is {hero}'s friend?", "Who else is in the story?"], ["Who is there besides {hero}?"], "{friend}."),
    "toy": (["What does {hero} love?", "What is {hero}'s toy?"], ["Which thing is dear to {hero}?"], "The {toy}."),
    "color": (
        ["What color is the {toy}?", "Which color has the {toy}?"],
        ["How would you paint the {toy}?"],
        "{Color}.",
    ),
    "place": (["Where is the story set?", "Which place is named?"], ["Where could one meet {hero}?"], "The {place}."),
}
# Those that only one kind of story answers, with the fact that they ask for.
PLOT_QUESTION: dict[str, list[tuple[str, str]]] = {
    "lost and found": [("Who lost the {toy}?", "hero"), ("Who found the {toy}?", "friend"), ("What was lost?", "toy")],
    "stuck": [("Who was stuck?", "friend"), ("Who fetched help?", "hero")],
    "a newcomer": [("Who moved in?", "friend")],
    "a secret": [("Who was surprised?", "friend"), ("Who kept the secret?", "hero")],
    "baking": [("Who baked?", "hero"), ("For whom did they bake?", "friend")],
    "learning a skill": [("Who learned something?", "hero")],
    "truth": [("Who told the truth?", "hero")],
    "fear overcome": [("Who was afraid?", "hero"), ("Who gave advice?", "friend")],
    "a storm": [("What was lost in the storm?", "toy"), ("Who found the {toy}?", "friend")],
    "sharing": [("What did they share?", "toy")],
}
