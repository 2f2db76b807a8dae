"""A loved thing is lost, looked for with a friend, and found again."""

from data.story_grammar.engine import Entry, Table

NAME = "lost and found"

VARIABLES = {
    # How it was lost decides what is said about it and what is learned. `why` is told to the friend.
    "loss": Table(
        [
            Entry(
                "forgotten",
                how="[hero.he] {put|set|laid} it down to {watch|admire} a {snail|ladybug} and {forgot it|lost track "
                    "of it}",
                why="[hero.he] had {put|set|laid} it down {somewhere|in the wrong place}",
                lesson="look {behind|back|around} before walking {on|off|away}",
            ),
            Entry(
                "taken",
                how="a {greedy|naughty} [lost_thief] {ran|made} off with it",
                why="a [lost_thief] had {run away with|grabbed} it",
                lesson="{watch out for|keep an eye on} {any|every} [lost_thief]",
            ),
            Entry(
                "crowd",
                how="a {brass band|noisy parade} {pushed|squeezed|marched} past and it vanished",
                why="it had {vanished|been lost} among {all the|so many} {feet|elbows}",
                lesson="keep {treasures|things} {close|near} in {crowds|a crowd}",
            ),
            Entry(
                "hurry",
                how="{the {noon|lunch|school} bell rang|[family] called} and in the {hurry|rush} it {was left|stayed} "
                    "behind",
                why="[hero.he] had {left it behind|lost it} in {the rush|a hurry}",
                lesson="{look twice|count everything} before rushing {off|home}",
            ),
            Entry(
                "hidden",
                how="[hero.he] hid it {for fun|in a clever place} and {forgot where|could not remember the spot}",
                why="[hero.he] had {hidden|buried} it {too well|far too cleverly}",
                lesson="draw a map of {every|each} hiding {place|spot}",
            ),
        ]
    ),
    "lost_thief": Table(["goose", "billy goat", "crow", "turkey"]),
    "searcher": Table(
        ["a toad", "a sparrow", "a lizard", "a spider", "a cricket"]
    ),
    # What turns up instead, and is kept.
    "lost_junk": Table(
        ["wool sock", "cracked plate", "brass button", "gray mitten", "wooden spoon", "torn map"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>",
         "{Everyone|Everybody} {knew|noticed|could see} how {fond|proud} [hero] was of the [color] [toy] "
         "{from|sent by} [hero.his] [family.kin].",
         "[hero]'s {best|dearest|finest} treasure was [a color] [toy]."],
    ],
    [
        ["<one_day> [hero] {took|brought|was taking} the [toy] [place.to], but {before long|on the way|by the "
         "gate|after a while|halfway there|then|soon} [loss.how]."],
        ['"{Help|Oh no|Oh dear}, {it is gone|I have lost it|I cannot find it}!" {cried|called|said|groaned} [hero] '
         "[feeling.ly], but [searcher] {nearby|passing by} had {seen|noticed|spotted} {nothing|very little}."],
    ],
    [
        ["{Just then|Luckily|Soon afterward|Before long|A little later|Then} [a friend_kind] {named|called} [friend] "
         "{came {by|along|over}|{skipped|trotted|strolled} up} and {listened|nodded|waited|sat down} while [hero] "
         "{explained|admitted|sniffed|whispered} that [loss.why]."],
        ["{Together|Side by side|Hour after hour}, [hero] and [friend] {looked|searched} {everywhere|high and low|here "
         "and there} [place.at] but {found|discovered|came upon} {only|nothing except|nothing but} a [lost_junk]."],
        ["{At last|Finally|In the end|Then} [friend] {looked|peered|searched} [spot] and {shouted|called|"
         'yelled|squealed}, "{I see it|Come quick|Look at this|Found it}, [hero]!"'],
    ],
    [
        ["There {was|lay|waited} the [color] [toy], {safe and sound|as good as new|without a scratch}, and [hero], "
         "{not [feeling] {at all|anymore|now}|no longer [feeling]}, {thanked|hugged|squeezed|praised} [friend]."],
        ["{After that|From then on|Ever after}, [hero] {never forgot|made sure} to [loss.lesson].",
         "{Soon|That same afternoon}, [hero] {asked|invited} [friend] to [toy.play] {first|next|too|as well}.",
         "<ending>"],
    ],
]
