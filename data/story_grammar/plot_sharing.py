"""Two friends want the same loved thing; a quarrel ends in a mishap; a fair way of sharing is found."""

from data.story_grammar.engine import Entry, Table

NAME = "sharing"

VARIABLES = {
    # What the friend finds unfair decides what is advised and what is done. `claim` goes after "because".
    "sharing_reason": Table(
        [
            Entry(
                "always first",
                claim="you {always|never let me} {go first|choose first}",
                advice="{draw straws|toss a penny}",
                done="[friend] {won|lost} the first turn {fair and square|with a smile|without a fuss}",
                moral="luck is fair to everybody",
            ),
            Entry(
                "too long",
                claim="you have had it {for hours|the whole week}",
                advice="{fetch|borrow} {an egg timer|a kitchen timer}",
                done="[friend] {enjoyed|had} a turn until {time was up|the minutes ran out}",
                moral="{waiting|a turn} goes quickly with {company|jokes to tell}",
            ),
            Entry(
                "guest",
                claim="{guests|visitors} {should|must} {go|choose} first",
                advice="let {visitors|guests} {start|begin}",
                done="[friend] {bowed|blushed|beamed} and {took|enjoyed} the {first|very first} turn",
                moral="a {good|fine} host {lets {visitors|guests} begin}",
            ),
            Entry(
                "lent",
                claim="I {lent|loaned} you my [sharing_loan] {last {week|summer}|twice}",
                advice="{swap|trade} {treasures|things} {until {supper|teatime}|for an hour}",
                done="[friend] {handed over|brought} the [sharing_loan] {in return|with a grin}",
                moral="a swap {makes two friends {rich|glad}}",
            ),
            Entry(
                "bored",
                claim="I {never|hardly ever} get {more than|anything but} a {look|glance}",
                advice="{make up|think up} a game {for two|with two jobs}",
                done="[friend] became the {captain|judge} of {the|their} new game",
                moral="adventures {get better|are bigger} with a team",
            ),
        ]
    ),
    "sharing_loan": Table(
        ["trumpet", "jump rope", "telescope", "hammock"]
    ),
    # What the quarrel upsets decides what has to be put right.
    "sharing_crash": Table(
        [
            Entry("milk", crash="{spilled|knocked over} a {bottle|carton} of milk",
                  tidy="{mopped|wiped} up the milk"),
            Entry("pigeons", crash="{startled|frightened} a flock of {plump|dozing} pigeons",
                  tidy="{tossed|offered} the pigeons {corn|crumbs}"),
            Entry("baby", crash="{woke|frightened} a {sleepy|plump|tiny} baby",
                  tidy="{sang|hummed} the {baby|little one} a lullaby"),
            Entry("paint", crash="{tipped over|spilled} a {can|bucket} of {fresh |thick |}paint",
                  tidy="{wiped|scraped} away the paint"),
            Entry("beans", crash="{spilled|tipped over} a {sack|bag|bowl} of {beans|raisins}",
                  tidy="{gathered|picked} up {everything|every last one}"),
        ]
    ),
    "sharing_mood": Table(
        ["guilty", "ashamed", "mean", "foolish", "greedy", "silly"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>",
         "{Nothing|No treasure|No present} {pleased|delighted|cheered} [hero] {more than|like} [hero.his] "
         "{new|own|old} [color] [toy]."],
    ],
    [
        ["<one_day> [a friend_kind] {named|called} [friend] {came by|stopped by|dropped in}, "
         "{saw|spied|admired|spotted|noticed} the [toy] and {itched|longed|asked|hoped} to [toy.play] too."],
        ['"{No|Never|Certainly not}, {it belongs to me|it is {all mine|mine alone}|I had it first}," '
         '{growled|snapped|cried} '
         "[hero] with a {frown|pout}."],
    ],
    [
        ['"{But that|That} is {rude|greedy|nasty}, because [sharing_reason.claim]," {protested|shouted|yelled} '
         "[friend], and in the {struggle|tussle|tug-of-war} they [sharing_crash.crash]."],
        ["[hero] {felt|began to feel} {quite |rather |}[sharing_mood] when [helper], {hearing the|curious about "
         'the} {fuss|noise}, {asked|said}, "{Could you not|Why not|Would it help to} [sharing_reason.advice]?"'],
    ],
    [
        ["{Patiently|Together|Side by side}, [hero] and [friend] [sharing_crash.tidy], and {next|afterward|then} "
         "[sharing_reason.done]."],
        ["By {sunset|bedtime|evening} the [color] [toy] had {been passed along|changed hands|gone back and forth} "
         "{nine|ten|twenty|forty} times, and [hero] {no longer felt|was done feeling|had stopped feeling} "
         "[sharing_mood]."],
        ['"{It seems|I think|I see now|It is true} that [sharing_reason.moral]," {said|murmured|admitted|remarked|'
         "declared} [hero].",
         "{Nowadays|Even now|To this day}, [friend] {brings|carries} {extra|spare} {pebbles|stickers} to "
         "{swap|trade}, so that [hero] need never feel [sharing_mood] again.",
         "<ending>"],
    ],
]
