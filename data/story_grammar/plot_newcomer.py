"""Someone new moves in and seems unfriendly; a loved toy shows that it was a misunderstanding."""

from data.story_grammar.engine import Entry, Table

NAME = "a newcomer"

VARIABLES = {
    # How the newcomer stands out, so that the hero knows them again.
    "newcomer_look": Table(
        [
            Entry("boots", full="in muddy boots"),
            Entry("bandage", full="with a bandage on one knee"),
            Entry("raincoat", full="in a long raincoat"),
            Entry("bow tie", full="with a neat bow tie"),
            Entry("mittens", full="in wool mittens"),
        ]
    ),
    # What looks unkind at first, and the reason for it.
    "newcomer_why": Table(
        [
            Entry(
                "shy",
                act="{hid|crouched} behind a {mattress|suitcase} {without a word|at once}",
                truth="I {freeze|get nervous} when {strangers|new faces} {stare|look} at me",
                lesson="being shy is not being rude",
            ),
            Entry(
                "blurry",
                act="{walked|marched} straight past {the gate|the hedge} {with a frown|without a nod}",
                truth="my glasses were {packed|hidden|lost} in a {crate|trunk|drawer} and {everything|the whole "
                      "street} was {blurry|foggy}",
                lesson="a frown may have a good reason",
            ),
            Entry(
                "deaf",
                act="{did not answer|never looked up|turned away}{| and {shut the door|went inside}}",
                truth="my {left|right} ear {hardly works|hears almost nothing}, so {please wave|stand where I can see "
                      "you}",
                lesson="silence does not mean somebody is cross",
            ),
            Entry(
                "homesick",
                act="{banged|closed} the {front door|window} and {sobbed|would not come out}",
                truth="I {was crying about|could only think of} my {old school|old street|cousins}",
                lesson="tears can sound like anger",
            ),
            Entry(
                "language",
                act="{muttered|called|shouted} {something|three words} that {sounded|seemed} {rude|cold}",
                truth="{at home|across the sea} {those words mean|it means} {welcome|good morning|come and play}",
                lesson="strange words can be warm words",
            ),
        ]
    ),
    # What somebody of the family says that the hero might do.
    "newcomer_hint": Table(
        [
            "every friend was once a stranger", "somebody has to smile first", "moving is hard for anyone",
            "we fear what we do not know",
        ]
    ),
    # How the toy brings them together.
    "newcomer_bridge": Table(
        [
            Entry(
                "note",
                how="left the [color] [toy] on the {steps|doormat} with {a card|a note} in {crayon|big letters}, and "
                    "{soon|that afternoon|within an hour} [friend] {knocked|tapped} {softly|twice|at the door}",
            ),
            Entry(
                "dropped",
                how="{set out|went over} to say hello, but dropped the [color] [toy] {under a bush|near the hedge}, "
                    "and [friend] {returned it|brought it over|brought it back} {with a shy nod|in one piece}",
            ),
            Entry(
                "dirty",
                how="{carried|took} the [color] [toy] outside, where it {fell|slipped} into {a puddle|some mud}, and "
                    "[friend] {brought|found} {a towel|a soft cloth} to {dry|wipe} it",
            ),
            Entry(
                "twin",
                how="{sat down|settled|waited} on the {doorstep|garden wall} with the [color] [toy], and [friend] "
                    "{crept|hopped|came} over to {show|bring} {one|another} {just|exactly} like it",
            ),
            Entry(
                "shared",
                how="{held out|offered|pushed} the [color] [toy] {through the fence|over the hedge|across the path} "
                    "and {asked|wondered} if [friend] {wanted|would like} a turn, and [friend.he] "
                    "{grinned|nodded|came out}",
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
        ["One {spring|summer|autumn|Thursday|Friday|Saturday} {morning|evening}, a {van|cart} {full of|stuffed "
         "with|carrying} {boxes|pots|lamps} {stopped|parked|pulled up} {nearby|across the street|next door}, and out "
         "{hopped|climbed|stepped} [friend], [a friend_kind] [newcomer_look.full]."],
        ["[hero] {said hello|offered a plum|called out}, but [friend] [newcomer_why.act]."],
    ],
    [
        ["[hero] {felt|looked|grew|was} [feeling], but [family] {{poured tea|nodded|stopped knitting} and {said|"
         'replied|answered}|said|replied|murmured|advised}, "{5*{Remember|Listen|Oh|Well|You know}, '
         '[hero], [newcomer_hint]|[^newcomer_hint]}."'],
        ["So {after lunch|at noon|the next day|later|on Sunday|before school} [hero] [newcomer_bridge.how]."],
    ],
    [
        ['"{Sorry, but|You see,|Believe me,} [newcomer_why.truth]," {said|explained|confessed|whispered|sighed} '
         "[friend], {looking down at|touching} the [newcomer_look]."],
        ["[hero] {smiled|blushed|nodded|understood|beamed} and {offered|handed|brought} [friend] {some|plenty "
         "of} [treat], {no longer|not at all|not a bit} [feeling]."],
    ],
    [
        ["{Now|Nowadays}, when {new neighbors|newcomers} {move in|settle} near the [place], [hero] {brings|carries "
         "over} the [color] [toy], {certain|sure} that {[newcomer_hint]|[newcomer_why.lesson]}.",
         "{Soon|Before long|By winter}, [hero] and [friend] {shared|passed around} the [color] [toy] [place.at], and "
         "{both|they} {understood|knew} that {[newcomer_hint]|[newcomer_why.lesson]}."],
    ],
]
