"""A check of stories by rules that were written by hand, by reading stories, and know nothing of the grammar's engine:
what `course.instructions.reading` is held against."""

import re

NAMES = "Lily Mia Rosie Nora Poppy Ruby Tom Ben Max Sam Leo Pip".split()
COLORS = "red blue green yellow orange purple white golden"
TOYS = "kite ball drum boat doll robot train hat whistle lantern wagon bell"
TRAIT, KIND, HERO, PLACE = r"(?P<trait>\w+)", r"(?P<kind>\w+)", r"(?P<hero>\w+)", r"(?P<place>.+)"
WHO = rf"an? {TRAIT} (?:little|young) {KIND}"
OPENINGS = (
    rf"(?:Once upon a time|Once|Long ago|Many years ago), there was {WHO} (?:named|called) {HERO} who "
    rf"(?:lived|had a \w+ home) (?:near|not far from|close to|next to) the {PLACE}\.",
    rf"{HERO} was {WHO} (?:who lived|who spent every day|who had a home|from a house) "
    rf"(?:near|close to|beside|right by) the {PLACE}\.",
    rf"(?:Once, in a|In a|In a certain) \w+ \w+ (?:near|beside|not far from) the {PLACE} lived {WHO} (?:named|called) "
    rf"{HERO}\.",
    rf"There once was an? {TRAIT} {KIND} (?:named|called) {HERO}, and (?:everyone|all the neighbors|all the children) "
    rf"(?:near|around|close to) the {PLACE} (?:liked|knew|loved|smiled at) (?:him|her)\.",
    rf"This is the story of {HERO}, {WHO} who (?:played|walked|wandered) (?:near|around|past) the {PLACE} "
    r"(?:every day|in all weather|nearly every morning|whenever s?he could)\.",
)
# Words that only one kind of story has.
PLOTS = {
    "baking": r"the big bowl|the old cookbook|the scales|kneaded and|measured and|stirred and",
    "a contest": r"\b(?:poster|notice|billboard)\b.* (?:announced|promised) an? ",
    "fear overcome": r"who (?:hated|could not bear|had never liked) ",
    "lost and found": r"but (?:found|discovered|came upon) (?:only|nothing except|nothing but) a ",
    "a newcomer": r"\b(?:van|cart) (?:full of|stuffed with|carrying) ",
    "a rescue": r"\b(?:thin|tiny|frightened) (?:cry|peep) ",
    "a secret": r"(?:shared|whispered|had) a secret",
    "sharing": r"to (?:play|\w+) .*too\..*(?:struggle|tussle|tug-of-war)",
    "learning a skill": r"and (?:longed|decided|hoped|itched) to (?:learn that|try that|do the same) ",
    "a storm": r"(?:gift|present) from .* and (?:strolled|marched|trotted|wandered|skipped|set off) ",
    "stuck": r"(?:found|discovered|met|noticed|came upon) an? \w+ (?:named|called) \w+ (?:near|close|not far|on the) ",
    "truth": r"Accidents happen|Mistakes happen",
}
ENDINGS = {
    "friendship": r"From that day on, \w+ and \w+ (?:were|met) ",
    "bedtime": r"That (?:night|evening), \w+ (?:fell asleep|went to bed|lay down) with ",
    "memory": r"And (?:whenever|each time|every time) ",
}


def facts_by_hand(text: str) -> dict[str, str]:
    """What the rules find in a story."""
    found: dict[str, str] = {}
    first = re.match(r'.*?[.](?=[ \n]|$)', text, flags=re.DOTALL)
    for opening in OPENINGS:
        if first and (match := re.fullmatch(opening, first[0])):
            found |= match.groupdict()
    if toy := re.search(rf"\b({COLORS.replace(' ', '|')}) ({TOYS.replace(' ', '|')})\b", text):
        found |= {"color": toy[1], "toy": toy[2]}
    plots = [plot for plot, rule in PLOTS.items() if re.search(rule, text, flags=re.DOTALL)]
    if len(plots) == 1:
        found["plot"] = plots[0]
    # No other story has these names in it. Where there is only one of them, the friend has the hero's own, as the
    # storyteller likes to have it; a story about the truth has no friend.
    names = [name for name in re.findall(r"\b[A-Z][a-z]+\b", text) if name in NAMES]
    if names and found.get("plot") != "truth":
        found["friend"] = next((name for name in names if name != found.get("hero")), names[0])
    # An ending that names another hero, toy or color than the story is not this story's.
    last = re.split(r'(?<=[.!?"]) |\n\n', text)[-1]
    named = set(re.findall(rf"\b(?:{'|'.join(NAMES)}|{COLORS.replace(' ', '|')}|{TOYS.replace(' ', '|')})\b", last))
    for ending, rule in ENDINGS.items():
        if re.match(rule, last) and named <= {found.get(fact) for fact in ("hero", "friend", "color", "toy")}:
            found["ending"] = ending
    return found
