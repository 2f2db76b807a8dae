"""Someone new moves in and seems unfriendly; a loved toy shows that it was a misunderstanding."""

from data.story_grammar.engine import Entry, Table

NAME = "a newcomer"

VARIABLES = {
    # How the newcomer stands out, so that the hero knows them again.
    "newcomer_look": Table(
        [
            Entry("boots", full="in muddy boots"),
            Entry("bangs", full="with curly bangs"),
            Entry("bandage", full="with a bandage on one knee"),
            Entry("cap", full="in a plaid cap"),
            Entry("raincoat", full="in a long raincoat"),
            Entry("vest", full="in a knitted vest"),
            Entry("socks", full="in odd socks"),
            Entry("hood", full="in a woolly hood"),
            Entry("bow tie", full="with a neat bow tie"),
            Entry("overalls", full="in patched overalls"),
            Entry("necklace", full="with a bead necklace"),
            Entry("jacket", full="in a denim jacket"),
            Entry("suspenders", full="with wide suspenders"),
        ]
    ),
    # What looks unkind at first, and the reason for it.
    "newcomer_why": Table(
        [
            Entry(
                "shy",
                act="{hid|ducked|crouched} behind a {curtain|mattress|wardrobe|sofa|suitcase} {without a "
                    "word|at once|and peeped out}",
                truth="I {blush|freeze|get nervous} when {strangers|big crowds|new faces} {stare|look} at me",
                lesson="being shy is not being rude",
            ),
            Entry(
                "blurry",
                act="{walked|marched|stared} straight past {the gate|the mailbox|the hedge} {with a frown|"
                    "and frowned|without a nod}",
                truth="my glasses were {packed|hidden|lost} in a {crate|trunk|drawer} and {everything|the "
                      "whole street} was {blurry|foggy}",
                lesson="a frown may have a good reason",
            ),
            Entry(
                "deaf",
                act="{did not answer|never looked up|kept unpacking|turned away|went on sweeping}{| and "
                    "{shut the door|went inside|dragged a carpet in}}",
                truth="my {left|right} ear {hardly works|hears almost nothing}, so {wave|tap my shoulder|"
                      "stand where I can see you}",
                lesson="silence does not mean somebody is cross",
            ),
            Entry(
                "homesick",
                act="{slammed|banged|closed} the {shutters|front door|window} and {sobbed|grumbled|would not "
                    "come out}",
                truth="I {missed|was crying about|could only think of} my old {school|street|bedroom|cousins|"
                      "swing}",
                lesson="tears can sound like anger",
            ),
            Entry(
                "busy",
                act="{hammered|thumped|sawed|drilled} {until dusk|all weekend|indoors} and {let nobody in|"
                    "kept the door locked|did not greet a soul}",
                truth="I was building {a {bunk bed|puppet stage|rocking chair|birdhouse}} for {my sister|my "
                "brother|the baby|all of you}",
                lesson="noise can hide a lovely surprise",
            ),
            Entry(
                "language",
                act="{muttered|mumbled|called|shouted} {something|three words|a few words} that {sounded|"
                "seemed} {rude|harsh|unfriendly|cold}",
                truth="{at home|in my language|across the sea} {those words mean|it means} {welcome|good "
                "morning|"
                "come and play|nice to meet you|peace}",
                lesson="strange words can be warm words",
            ),
        ]
    ),
    # What somebody of the family says that the hero might do.
    "newcomer_hint": Table(
        [
            "kindness can open a locked door",
            "every friend was once a stranger",
            "somebody has to smile first",
            "moving is hard for anyone",
            "you cannot judge a pie by its crust",
            "a hello costs nothing",
            "we fear what we do not know",
        ]
    ),
    # How the toy brings them together.
    "newcomer_bridge": Table(
        [
            Entry(
                "note",
                how="left the [color] [toy] on the {steps|doormat|windowsill} with {a card|a note|a letter} "
                    "in {crayon|purple ink|chalk|big letters}, and {soon|that afternoon|within an hour} "
                    "[friend] {rang|knocked|tapped} {softly|twice|at the door}",
            ),
            Entry(
                "dropped",
                how="dropped the [color] [toy] {in a ditch|"
                    "under a van|behind a bin|near the hedge}, but [friend] {picked it up|found it|brought "
                    "it back} {with a shy nod|in one piece}",
            ),
            Entry(
                "mended",
                how="{carried|took} the [color] [toy] outside, where {a bit|a tiny piece|a corner} {came "
                "off|broke off|worked loose}, and [friend] {brought|found|fetched} {glue|a toolbox|sticky "
                "tape|tweezers} to {mend|fix} it",
            ),
            Entry(
                "twin",
                how="{sat down|settled|waited} on the {curb|doorstep|garden wall|tree stump} with the "
                "[color] [toy], and "
                "[friend] {ran|crept|hopped|came} over to {show|bring} {one|another} {just|exactly} like it",
            ),
            Entry(
                "shared",
                how="{held out|offered|pushed} the [color] [toy] {through the fence|over the hedge|across "
                    "the path} and {asked|wondered} if [friend] {wanted|would like} a turn, and [friend.he] "
                    "{grinned|crept closer|nodded|came out}",
            ),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        [
            "One {spring|summer|autumn|Thursday|Friday|Saturday} {morning|evening}, a {truck|van|cart|"
            "trailer} {full of|stuffed with|carrying} {chairs|boxes|rugs|mirrors|pots|bookshelves|lamps} "
            "{stopped|parked|pulled up} {nearby|opposite|next door|under a streetlight}, and out {hopped|"
            "climbed|jumped|stepped} [friend], [a friend_kind] [newcomer_look.full].",
        ],
        [
            "[hero] {waved|called hello|offered a plum|bowed|brought a tulip|came closer}, but [friend] "
            "[newcomer_why.act].",
        ],
    ],
    [
        [
            "[hero] {felt|looked|grew|was} [feeling], but [family] {{stirred the soup|folded a napkin|"
            "poured tea|nodded|"
            "stopped knitting} and {said|replied|answered}|said|replied|murmured|advised}, "
            '"{Remember, |Maybe |Listen, |Oh, |Well, |You know, }[newcomer_hint]."',
        ],
        ["So {after lunch|at ten|the next day|later|on Sunday|before school} [hero] [newcomer_bridge.how]."],
    ],
    [
        [
            '"{Sorry, but|You see,|Forgive me,|Believe me,|Truly,} [newcomer_why.truth]," {said|explained|'
            'confessed|'
            "whispered|sighed} [friend], {tugging at|fiddling with|straightening|touching} the "
            "[newcomer_look].",
        ],
        [
            "[hero] {laughed|blushed|nodded|understood|beamed} and {offered|shared|fetched|served|brought "
            "out} "
            "{some|plenty of} [treat], {no longer|not at all|not a bit} [feeling].",
        ],
    ],
    [
        [
            "{Now|These days|Nowadays|Today}, when {new neighbors|strangers|newcomers|visitors} {come|"
            "arrive} near the "
            "[place], [hero] {brings|carries over|shows them|takes along} the [color] [toy], {certain|"
            "believing|sure} that {[newcomer_hint]|[newcomer_why.lesson]}.",
            "{Soon|Before long|By winter}, [hero] and [friend] {shared|passed around|took turns with} the "
            "[color] [toy] "
            "[place.at], and {both|they} {understood|knew|agreed} that {[newcomer_hint]|"
            "[newcomer_why.lesson]}.",
        ],
    ],
]
