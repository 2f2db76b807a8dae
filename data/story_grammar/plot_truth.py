"""Something of a neighbor's is broken; hiding it is tempting; the truth is told and the thing is mended."""

from data.story_grammar.engine import Entry, Table

NAME = "truth"


def _thing(text: str, broke: str, mend: str, hit: str = "{knocked down|dropped|bumped against}") -> Entry:
    return Entry(text, broke=broke, mend=mend, hit=hit)


VARIABLES = {
    # What breaks decides how it is mended. `broke` goes after "which", `mend` after "they", and
    # `hit` before "a".
    "truth_thing": Table(
        [
            _thing("vase", "cracked {in three places|down the middle}",
                   "{filled|sealed} the crack with {clay|plaster}"),
            _thing("picture frame", "{split|snapped} at {one|a} corner",
                   "{nailed|screwed} the corner together"),
            _thing("birdhouse", "lost its {roof|chimney}",
                   "{nailed|hammered} the pieces {back|tightly} together"),
            _thing("wooden box", "lost its {hinge|lid}",
                   "{nailed|screwed} the box {back|tightly} together"),
            _thing("cushion", "{burst|split} in a puff of down",
                   "{stitched|sewed} up the tear with {needle and thread|wool}", hit="{sat down hard on|fell onto}"),
        ]
    ),
    # Where the broken thing is hidden; it is said again when the truth is told.
    "truth_hide": Table(
        ["behind the sofa", "behind the curtains", "under the stairs", "under the bed"]
    ),
    # Whom the hero thinks of blaming.
    "truth_blame": Table(
        ["the cat", "the wind", "the parrot", "the mailman", "a ghost", "thunder", "the baby"]
    ),
    "truth_mood": Table(
        ["guilty", "ashamed", "sorry", "worried", "shaky", "uneasy", "nervous"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["{Last week|Not long ago|Last winter} [hero.his] [family.kin] had {found|sent|brought} [hero.him] [a color] "
         "[toy], which {came along everywhere|was always close by|never left [hero.his] side}."],
    ],
    [
        ["<one_day> [hero] {{tripped|stumbled} over {a broom|a pail}|{skidded|slipped} on {spilled oil|some jelly}} "
         "{at the {house|home} of|while helping} [helper] and [truth_thing.hit] a {precious |fine "
         "|}[truth_thing], which [truth_thing.broke]."],
        ["Feeling [truth_mood], [hero] {hid|pushed|tucked|slid} it [truth_hide] and {thought|hoped|was sure} that "
         "{everyone|everybody|[helper]} would {blame|suspect} [truth_blame]."],
    ],
    [
        ["But [hero.his] {heart|tummy} {fluttered|felt heavy} {all through|during|before|after} {lunch|story time|"
         "tea}, so [hero] {tiptoed|crept|shuffled|marched} {back|inside|to the door} {bravely|at last|in the end}."],
        ['"It was {not|not really} [truth_blame], {it was me|I did it|I am to blame}, and the {poor |broken |'
         '}[truth_thing] is {still |lying |}[truth_hide]," {confessed|admitted|explained|sobbed} [hero].'],
        ['"{Accidents happen|Mistakes happen}, {but|yet} {honesty|trust|courage} is what {matters|counts}," {replied|'
         "answered|said} [helper], and {side by side|patiently|carefully} they [truth_thing.mend]."],
    ],
    [
        ["{When|As} {the moon rose|the first star appeared|the lamps were lit}, [hero] {took|brought|carried} the "
         "[color] [toy] home, {{happy|proud} and no longer [truth_mood]|no longer [truth_mood]{| at all}}."],
        ['"{Next time|From now on}, I will {tell the truth|own up} {right away|at once}," [hero] {promised|told} '
         '[hero.his] '
         "[family.kin] {over|before|at} {supper|breakfast|dinner}.",
         "{That is how|And that is how|So that is how} [helper] {learned|knew|saw} that [a trait] [kind] {like "
         "[hero]|who {owns up|tells the truth}} {can be trusted {with {anything|every {key|treasure}}|with a "
         "secret}|makes {a fine|the best|a splendid} {neighbor|visitor}}.",
         "{That|The same} {night|evening}, [hero] {placed|set|left} the [toy] by the {window|pillow}, "
         "{finished|enjoyed} [treat.some] and {slept|dozed} {peacefully|without a single bad dream}."],
    ],
]
