"""Something frightens the hero, a friend explains it, and courage comes."""

from data.story_grammar.engine import Entry, Table

NAME = "fear overcome"

VARIABLES = {
    # What frightens the hero decides what happens, what the friend says of it, and how it turns out.
    "fear": Table(
        [
            Entry(
                "high places",
                when="<one_day>",
                event="{everyone|a crowd of cousins} {climbed|raced} up {the|a} ladder to the {tree house|tower}, but "
                      "{on|at} the {second|third} rung [hero]'s legs {turned to jelly|began to wobble}",
                truth="{High up|On a ladder|Up there}, {it is best to look|you should look} at {the clouds|your own "
                      "nose}, never {down|at the ground}",
                go="climbed {rung by rung|inch by inch|bit by bit} to the {very|tip} top",
                find="{saw|admired|spotted} {houses|sheep} {below|down there} as {tiny|small} as {crumbs|peas}",
            ),
            Entry(
                "wobbly bridges",
                when="<one_day>",
                event="[hero] had to {carry|bring} {a pie|some eggs|a parcel|fresh milk} {over|across} the "
                      "{rope|plank} bridge, but {its|all the} {boards|ropes} {groaned|shook} at {the first "
                      "{step|breeze}|every step}",
                truth="{Bridges|Good bridges|All long bridges} {wobble|creak} {because|when|if} {they want to "
                      "dance|they feel cheerful}",
                go="{stepped|shuffled|walked|skipped} {from plank to plank|along the middle} without {looking "
                   "down|stopping once}",
                find="{reached|touched} the {far|other} {side|end} in {ten|twenty|forty} steps",
            ),
            Entry(
                "deep water",
                when="{One|Late one} summer {morning|afternoon|evening},",
                event="a {swimming teacher|coach} {told|invited|called} the {little|young} ones to {hop|slide} into "
                      "the pool, but to [hero] {it|the water} looked {as deep as the ocean|full of sharks}",
                truth="{Water|Even deep water} {carries|rocks} {anyone|everybody} who {lies|stays} {still|calm} like "
                      "{a lily|a leaf}",
                go="{slid|slipped} {right|straight} in and {lay back|floated} like {a raft|a log}",
                find="{felt|let} the {gentle ripples|water} {rock|cradle} [hero.him] {like|as softly as} {a hammock|"
                     "a pillow}",
            ),
            Entry(
                "big crowds",
                when="<one_day>",
                event="[hero] was {picked|asked} to dance {a jig|a waltz} {in front of|for} the {whole|entire} "
                      "{town|school}, {and|but} {a hundred|fifty} faces {stared|peered} back",
                truth="{An audience|A full hall} is {only|just|nothing but} {a bunch|a lot} of {cousins|neighbors} "
                      "{glad to be sitting down|like us}",
                go="{stepped|marched|hopped|climbed} {back|right} onto the {stage|platform} and danced {every step|in "
                   "neat circles}",
                find="{heard|made} the {audience|mayor} {cheer|shout for more} until the {benches|curtains} "
                     "{shook|trembled}",
            ),
            Entry(
                "strange noises",
                when="<one_day>",
                event="something {up in|inside} the attic {groaned|moaned} {three times|again and again|on and "
                      "on|twice}, {just|very much} like a {ghost|goblin|troll}",
                truth="{Old houses|All wooden beams} {mutter|sigh} {whenever|because|if} {they feel cold|nobody talks "
                      "to them}",
                go="{climbed|marched|crawled} back up and {pushed|flung} open the {squeaky|attic} door",
                find="{startled|woke|discovered} {a sleepy moth|a grumpy owl}",
            ),
        ]
    ),
    # What the friend teaches, and the hero does.
    "fear_trick": Table(
        [
            Entry("count", say="count {slowly|calmly|gently} to {twenty|thirty}", doing="counting",
                  after="count {slowly|calmly}"),
            Entry("breathe", say="breathe {in and out like a sleepy cow|as slowly as a snail crawls}",
                  doing="breathing in and out", after="breathe {in and out|slowly}"),
            Entry("knight", say="{pretend|imagine} you are a {bold|noble} knight",
                  doing="acting like a knight", after="be as {bold|noble} as a knight"),
            Entry("lion", say="{pretend|imagine} you are a {roaring|proud} lion",
                  doing="acting like a lion", after="be as {bold|proud} as a lion"),
            Entry("joke", say="tell yourself {a joke|something funny}", doing="telling jokes",
                  after="think of {jokes|riddles}"),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        ["[fear.when] [fear.event]."],
        ["[hero], who {hated|could not bear|had never liked} [fear], {grabbed|took|caught hold of|reached for} the "
         "[toy] and {bolted|dashed|rushed} [place.to], where [friend], [a friend_trait] [friend_kind], was {knitting a "
         "sock|reading a comic|folding paper}."],
    ],
    [
        ['"[fear.truth]," {explained|murmured|chuckled|remarked|answered|replied} [friend], {winking|smiling|with a '
         '{nod|grin}}, "{so|and} {next time|from now on|if you tremble}, [hero], [fear_trick.say]."'],
        ["{Bravely|Soon afterward|Without a fuss|Once back there|A little later|That same day|In the end}, [hero] "
         "[fear.go], [fear_trick.doing] as [friend] had {said|advised}, and [fear.find]."],
    ],
    [
        ["{That {night|evening}|Later on|At bedtime|Before supper|Under the covers}, [hero] told the [color] [toy] "
         "what [friend] had {taught|shown} [hero.him]: {courage|being brave} {means|is} {trembling|shivering|shaking} "
         "{a little|a bit} and {trying|carrying on} {anyway|all the same}.",
         "{After this|Since then|Ever since|For years}, whenever [hero.he] {thought of|dreamed of|heard about} "
         "[fear], [hero] {reached for|smiled at|turned to} the [color] [toy] and {never forgot|made sure|remembered} "
         "to [fear_trick.after].",
         "And if {a flutter|a tremble} still came {now and then|once in a while|on some days}, [hero] "
         "{touched|tapped} the [color] [toy], thought {of|about} [friend] and {felt|grew} {calmer|stronger} {at "
         "once|straight away|again}."],
    ],
]
