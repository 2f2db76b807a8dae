"""Two friends want the same loved thing; a quarrel ends in a mishap; a fair way of sharing is found."""

from data.story_grammar.engine import Entry, Table

NAME = "sharing"

VARIABLES = {
    # What the friend finds unfair decides what is advised and what is done. `claim` goes after "because".
    "sharing_reason": Table(
        [
            Entry(
                "always first",
                claim="you {always|forever} {go first|win|choose first}",
                advice="{draw straws|toss a penny|pull {numbers|names} from a {jar|bonnet}|roll {dice|a "
                       "die}}",
                done="[friend] {won|lost} the {first|lucky|opening} turn {by chance|with a giggle|fair and "
                     "square|by luck}",
                moral="{chance|luck} {is fair to everybody|has no favorites|picks without {fuss|favorites|"
                      "malice}}",
            ),
            Entry(
                "too long",
                claim="you have had it {since {breakfast|sunrise|yesterday}|for hours|the whole week}",
                advice="{use|fetch|borrow} {an hourglass|a stopwatch|an egg timer|a kitchen timer}",
                done="[friend] {enjoyed|had} it until {time was up|the minutes ran out|the last second "
                     "ticked away}",
                moral="{waiting|a turn} {goes|passes} quickly with {company|jokes to tell|a riddle|somebody "
                      "nice}",
            ),
            Entry(
                "guest",
                claim="{guests|visitors} {should|ought to|must} {go|be|choose} first",
                advice="{treat|welcome} {visitors|guests} like {royalty|heroes|relatives}",
                done="[friend] {bowed|curtsied|blushed|beamed} and {took|enjoyed} the {guest's|visitor's} "
                     "turn",
                moral="a {good|fine|proper} host {shares before being asked|lets {visitors|guests} begin}",
            ),
            Entry(
                "lent",
                claim="I {lent|loaned} you my [sharing_loan] {last {week|month|summer}|twice|yesterday}",
                advice="{swap|trade} {treasures|things|belongings} {until {supper|noon|tomorrow}|fairly|like "
                       "merchants}",
                done="[friend] {handed over|dragged out|brought} the [sharing_loan] {in exchange|as payment|"
                     "in return}",
                moral="{lending|a loan|a swap} {comes back like a boomerang|makes two {people|friends} {rich|"
                      "glad}}",
            ),
            Entry(
                "bored",
                claim="{watching|waiting} {is|feels} {dull|boring|no fun|{awfully|dreadfully} lonesome}",
                advice="{invent|make up|think up|design} a game {for two|with two jobs|that needs {partners|"
                       "a team}}",
                done="[friend] became the {captain|conductor|ringmaster|judge|announcer} of {the|their} new "
                     "game",
                moral="{games|adventures} {grow|get better|are bigger} with {partners|two players|a team}",
            ),
        ]
    ),
    "sharing_loan": Table(
        [
            "stilts", "sled", "tricycle", "trumpet", "magnifying glass", "xylophone", "jump rope",
            "telescope", "yo-yo", "fishing rod", "hammock", "skates", "pogo stick", "tambourine",
        ]
    ),
    # What the quarrel upsets decides what has to be put right.
    "sharing_crash": Table(
        [
            Entry("milk", crash="{spilled|knocked over|upset} a {bottle|pitcher|carton} of milk",
                  tidy="{mopped|wiped|sponged} up the milk"),
            Entry("sandwich", crash="{squashed|trampled|flattened} {somebody's|a picnicker's} sandwich",
                  tidy="{made|buttered|toasted} a fresh sandwich"),
            Entry("pigeons", crash="{startled|scattered|frightened} a flock of {plump|dozing} pigeons",
                  tidy="{fed|tossed|offered} the pigeons {corn|crumbs}"),
            Entry("noses", crash="{bumped|banged|bonked} {noses|foreheads|heads}",
                  tidy="{rubbed|patted|cooled} their {bruises|bumps}"),
            Entry("sleeve", crash="{ripped|tore|shredded} a {pocket|sleeve|seam}",
                  tidy="{sewed|stitched|pinned} up the {rip|tear}"),
            Entry("baby", crash="{woke|disturbed} a {snoozing|napping|drowsy} {baby|infant}",
                  tidy="{sang|hummed} the {baby|little one} a lullaby"),
            Entry("eggs", crash="{cracked|smashed} {six|seven|eight|twelve} {fresh|speckled} eggs",
                  tidy="{scrubbed|rinsed|washed} away the yolk"),
            Entry("puzzle", crash="{upset|ruined} {somebody's|a half-finished|a giant} jigsaw puzzle",
                  tidy="{sorted|rebuilt|reassembled} the puzzle"),
            Entry("paint", crash="{tipped over|spilled} a {can|tub|bucket} of {fresh |thick |}paint",
                  tidy="{wiped|scraped|cleaned} away the paint"),
            Entry("beans", crash="{spilled|dumped} a {sack|bag|bowl} of {beans|lentils|raisins}",
                  tidy="{gathered|picked} up {everything|each one}"),
        ]
    ),
    "sharing_mood": Table(
        [
            "guilty", "ashamed", "sulky", "selfish", "mean", "foolish", "grouchy", "greedy", "awful",
            "regretful", "childish", "unfriendly", "silly",
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>",
         "{Nothing|No treasure|No present} {pleased|delighted|cheered} [hero.him] {more than|like} "
         "[hero.his] {new|trusty|own|old|darling} [color] [toy]."],
    ],
    [
        ["<one_day> [a friend_kind] {named|called} [friend] {visited|came by|stopped by|dropped in}, {saw|"
         "spied|admired|spotted|noticed} the [toy] and {begged|pleaded|itched|longed|asked|hoped} to "
         "[toy.play] too."],
        ['"{Certainly|Absolutely|Definitely} not, {it belongs to me|it is {only|all} mine|you might {lose|'
         'spoil} it|I had it first}," {snapped|growled|grumbled|hissed|barked|huffed} [hero] with a {scowl|'
         'frown|pout|glare|sneer}.'],
    ],
    [
        ['"{But that|That} is {unfair|unkind|rude|greedy|nasty}, because [sharing_reason.claim]," {argued|'
         'protested|complained|shouted|yelled|whined} [friend], and in the {scuffle|squabble|struggle|tussle|'
         'tug-of-war} they [sharing_crash.crash].'],
        ['[hero] {felt|looked|seemed} {quite |rather |}[sharing_mood] when [helper], {hearing the|annoyed by '
         'the|curious about the} {racket|fuss|commotion|quarrel|hubbub}, {asked|said}, "{Could you perhaps|'
         'Could you not|Why not|Suppose you|Would it help to} [sharing_reason.advice]?"'],
    ],
    [
        ["{Quickly|Together|Side by side|With red cheeks|Without grumbling} they [sharing_crash.tidy], and "
         "{next|afterward|then} [sharing_reason.done]."],
        ["By {sunset|bedtime|dusk|suppertime|twilight|nightfall} the [color] [toy] had {changed places|"
         "changed sides|been passed along|been swapped} {nine|ten|twenty|forty|countless} times, and [hero] "
         "{was {no longer|not at all|hardly}|no longer felt|did not feel|had stopped feeling} "
         "[sharing_mood]."],
        ['"{It seems|I think|I see now|It is true} that [sharing_reason.moral]," {said|murmured|admitted|'
         'remarked|declared} [hero].',
         "{Since then|Ever since}, [friend] {has carried|carries|brings} {extra|spare} {marbles|crayons|"
         "pebbles|stickers|snacks} in case [hero] {feels|looks} [sharing_mood].",
         "<ending>"],
    ],
]
