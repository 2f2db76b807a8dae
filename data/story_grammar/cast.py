"""Who and what the stories are about: the tables from which variables are drawn.

Names and things recur through a story, so every row carries the forms in which it can be printed again.
"""

from data.story_grammar.engine import Entry, Table

SHE = {"he": "she", "him": "her", "his": "her", "himself": "herself"}
HE = {"he": "he", "him": "him", "his": "his", "himself": "himself"}

# Few on purpose: a small model learns to copy a name in three minutes if there are a dozen, and not if there are
# fifty. What tells names apart is nothing but which of them the story gave; each must be met often enough.
GIRLS = "Lily Mia Rosie Nora Poppy Ruby".split()
BOYS = "Tom Ben Max Sam Leo Pip".split()

ANIMALS = """rabbit fox bear mouse squirrel hedgehog puppy kitten duck frog mole otter badger piglet lamb pony raccoon
beaver turtle penguin koala panda monkey goat""".split()


def _people(names: list[str], forms: dict[str, str]) -> list[Entry]:
    return [Entry(name, **forms) for name in names]


def _genders() -> list[Entry]:
    animals = [Entry(kind) for kind in ANIMALS]
    return [
        Entry("she", names=_people(GIRLS, SHE), kinds=[*animals, Entry("girl", 6.0)]),
        Entry("he", names=_people(BOYS, HE), kinds=[*animals, Entry("boy", 6.0)]),
    ]


TRAITS = """brave shy curious cheerful gentle clever quiet playful kind lively careful friendly silly dreamy
patient busy bold polite merry thoughtful eager sleepy proud stubborn tidy funny""".split()

# A grown-up who is not of the family. `who` introduces them.
HELPERS = [
    Entry("Mrs. Owl", who="a wise old owl called Mrs. Owl", **SHE),
    Entry("Mr. Crow", who="a clever crow called Mr. Crow", **HE),
    Entry("Mr. Fern", who="a gardener called Mr. Fern", **HE),
    Entry("Miss Plum", who="a teacher called Miss Plum", **SHE),
    Entry("Mrs. Bell", who="a shopkeeper called Mrs. Bell", **SHE),
    Entry("Mr. Stone", who="a farmer called Mr. Stone", **HE),
    Entry("Doctor Moss", who="a friendly doctor called Doctor Moss", **SHE),
    Entry("Captain Reed", who="a sailor called Captain Reed", **HE),
    Entry("Old Walter", who="a fisherman called Old Walter", **HE),
    Entry("Mrs. Thistle", who="a neighbor called Mrs. Thistle", **SHE),
    Entry("Mr. Button", who="a tailor called Mr. Button", **HE),
    Entry("Mrs. Crumb", who="a baker called Mrs. Crumb", **SHE),
    Entry("Officer Hill", who="a police officer called Officer Hill", **SHE),
    Entry("Mr. Wheel", who="a bus driver called Mr. Wheel", **HE),
    Entry("Granny Oak", who="an old goose called Granny Oak", **SHE),
    Entry("Mr. Pepper", who="a cook called Mr. Pepper", **HE),
]

# Someone of the hero's family. `kin` goes after "her" or "his".
FAMILY = [
    Entry("Mama", kin="mother", **SHE),
    Entry("Papa", kin="father", **HE),
    Entry("Grandma", kin="grandmother", **SHE),
    Entry("Grandpa", kin="grandfather", **HE),
    Entry("Aunt May", kin="aunt", **SHE),
    Entry("Uncle Joe", kin="uncle", **HE),
]


def _place(text: str, at: str, to: str, *spots: str) -> Entry:
    return Entry(text, at=at, to=to, spots=list(spots))


# `spots` are where something small can lie hidden there, and where someone small can hide.
PLACES = [
    _place("park", "in the park", "to the park", "under the wooden bench", "behind the fountain", "beside the slide"),
    _place("forest", "in the forest", "to the forest", "inside a hollow log", "among the ferns", "behind a mossy rock"),
    _place("beach", "on the beach", "to the beach", "behind the rowboat", "beside a tide pool", "among the seashells"),
    _place("garden", "in the garden", "to the garden", "under the rose bush", "behind the shed", "among the cabbages"),
    _place("farm", "on the farm", "to the farm", "behind the haystack", "under the old tractor", "inside the barn"),
    _place("meadow", "in the meadow", "to the meadow", "in the tall grass", "among the daisies", "behind the gate"),
    _place("hill", "on the hill", "to the hill", "under the apple tree", "behind the windmill", "among the bushes"),
    _place("river", "by the river", "to the river", "under the bridge", "among the reeds", "on a flat stone"),
    _place("pond", "by the pond", "to the pond", "beside the lily pads", "under a willow", "behind the little dock"),
    _place("market", "at the market", "to the market", "under a fruit stall", "behind a stack of baskets",
           "beside the flower cart"),
    _place("library", "at the library", "to the library", "behind a tall shelf", "under the reading table",
           "beside the big globe"),
    _place("playground", "at the playground", "to the playground", "under the swings", "in the sandbox",
           "behind the seesaw"),
    _place("village", "in the village", "to the village", "behind the well", "under the clock tower",
           "beside the mill"),
    _place("lake", "by the lake", "to the lake", "under a canoe", "behind the boathouse", "among the pebbles"),
    _place("orchard", "in the orchard", "to the orchard", "under a pear tree", "behind the ladder",
           "inside a fruit crate"),
    _place("zoo", "at the zoo", "to the zoo", "beside the parrot cage", "behind the ticket booth",
           "near the elephant house"),
    _place("harbor", "at the harbor", "to the harbor", "behind the barrels", "under a fishing net",
           "beside the lighthouse"),
    _place("castle", "at the castle", "to the castle", "behind a stone pillar", "under the stairs",
           "beside the iron door"),
    _place("train station", "at the train station", "to the train station", "under the ticket window",
           "beside a brown suitcase", "behind the clock"),
    _place("toy shop", "in the toy shop", "to the toy shop", "behind the dollhouse", "under the counter",
           "beside a row of robots"),
]

# `day` goes after "It was" or "on"; `sky` is a sentence without its capital and full stop.
WEATHER = [
    Entry("sunny", day="a sunny day", sky="the sun was shining"),
    Entry("windy", day="a windy day", sky="the wind was blowing"),
    Entry("cloudy", day="a cloudy day", sky="gray clouds filled the sky"),
    Entry("warm", day="a warm day", sky="the air was warm"),
    Entry("chilly", day="a chilly day", sky="the air was cold and clear"),
    Entry("misty", day="a misty day", sky="a thin mist hung over everything"),
    Entry("rainy", day="a rainy day", sky="a soft rain was falling"),
    Entry("snowy", day="a snowy day", sky="snowflakes were drifting down"),
    Entry("bright", day="a bright day", sky="there was not a cloud to be seen"),
    Entry("breezy", day="a breezy day", sky="a light breeze was stirring the leaves"),
]

COLORS = "red blue green yellow orange purple white golden".split()


def _toy(text: str, play: str, playing: str) -> Entry:
    return Entry(text, play=play, playing=playing)


# What the hero loves. `play` goes after "to", `playing` after "was"; both say `it`.
TOYS = [
    _toy("kite", "fly it high", "flying it high"),
    _toy("ball", "bounce it", "bouncing it"),
    _toy("drum", "beat it loudly", "beating it loudly"),
    _toy("boat", "float it in a puddle", "floating it in a puddle"),
    _toy("doll", "dress it up", "dressing it up"),
    _toy("robot", "wind it up", "winding it up"),
    _toy("train", "push it along", "pushing it along"),
    _toy("hat", "put it on", "putting it on"),
    _toy("whistle", "blow it", "blowing it"),
    _toy("lantern", "swing it gently", "swinging it gently"),
    _toy("wagon", "pull it along", "pulling it along"),
    _toy("bell", "ring it", "ringing it"),
]

# How the hero feels when things go wrong; the same word comes back when they are mended. `ly` goes after "cried".
FEELINGS = [
    Entry("sad", ly="sadly"),
    Entry("worried", ly="nervously"),
    Entry("upset", ly="unhappily"),
    Entry("miserable", ly="in a tiny voice"),
    Entry("cross", ly="grumpily"),
    Entry("tearful", ly="with a sniff"),
    Entry("gloomy", ly="with a long sigh"),
]

# Something good to eat. `some` goes after "ate" or "shared".
TREATS = [
    Entry("honey cake", some="some honey cake"),
    Entry("apple pie", some="a slice of apple pie"),
    Entry("pancakes", some="a stack of pancakes"),
    Entry("berry jam", some="toast with berry jam"),
    Entry("carrot soup", some="a bowl of carrot soup"),
    Entry("ginger cookies", some="a plate of ginger cookies"),
    Entry("plum muffins", some="two warm plum muffins"),
    Entry("cherry ice cream", some="a scoop of cherry ice cream"),
    Entry("lemonade", some="some fresh lemonade"),
    Entry("hot cocoa", some="some hot cocoa"),
    Entry("popcorn", some="a bag of popcorn"),
    Entry("cheese sandwiches", some="a few cheese sandwiches"),
    Entry("peach pudding", some="a dish of peach pudding"),
    Entry("walnut bread", some="a few slices of walnut bread"),
    Entry("watermelon", some="a big piece of watermelon"),
]

VARIABLES = {
    "gender": Table(_genders()),
    "hero": Table("names", of="gender", differs_from=("friend",)),
    "kind": Table("kinds", of="gender"),
    "trait": Table([Entry(trait) for trait in TRAITS]),
    "friend_gender": Table(_genders()),
    "friend": Table("names", of="friend_gender", differs_from=("hero",)),
    "friend_kind": Table("kinds", of="friend_gender"),
    "helper": Table(HELPERS),
    "family": Table(FAMILY),
    "friend_trait": Table([Entry(trait) for trait in TRAITS]),
    "place": Table(PLACES),
    "spot": Table("spots", of="place"),
    "weather": Table(WEATHER),
    "color": Table(COLORS),
    "toy": Table(TOYS),
    "feeling": Table(FEELINGS),
    "treat": Table(TREATS),
}
