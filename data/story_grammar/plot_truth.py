"""Something of a neighbor's is broken; hiding it is tempting; the truth is told and the thing is mended."""

from data.story_grammar.engine import Entry, Table

NAME = "truth"


def _thing(text: str, broke: str, mend: str) -> Entry:
    return Entry(text, broke=broke, mend=mend)


VARIABLES = {
    # What breaks decides how it is mended. `broke` goes after "it", `mend` after "they".
    "truth_thing": Table(
        [
            _thing("teapot", "lost its {spout|handle|lid|knob}",
                   "{glued|stuck} it with {thick|strong|sticky} paste"),
            _thing("vase", "cracked {in three places|down the middle}",
                   "{filled|sealed} the crack with {clay|plaster}"),
            _thing("clock", "stopped {ticking|chiming|striking}",
                   "{tightened|oiled} its {springs|gears|cogs}"),
            _thing("necklace", "scattered its {pearls|beads} everywhere",
                   "strung the {pearls|beads} on {silk|new thread}"),
            _thing("picture frame", "{split|snapped} at {one|a} corner",
                   "{nailed|pinned|screwed} the corner together"),
            _thing("birdhouse", "lost its {roof|perch|chimney}",
                   "{nailed|hammered} the pieces {back|tightly} together"),
            _thing("fiddle", "{snapped|broke} {two|three|its} strings",
                   "{stretched|tuned} {new|brand-new} strings"),
            _thing("spectacles case", "{popped|lost} its hinge",
                   "{bent|screwed} the hinge {straight|into place}"),
            _thing("weather vane", "{bent|twisted} like a pretzel",
                   "{hammered|beat} it {flat|straight} on an anvil"),
            _thing("model ship", "lost {its|one} {mast|sail|anchor|rudder}",
                   "{carved|whittled} {new|spare} parts from pine"),
            _thing("flowerpot", "broke into {five|six|seven} pieces",
                   "{fitted|cemented} the pieces {neatly|together}"),
            _thing("map", "{tore|ripped} {in half|from top to bottom}",
                   "{taped|pasted} the halves {neatly|together}"),
            _thing("lamp", "lost its {glass|shade|switch|stem}",
                   "{fixed|wired} {everything|it} with {copper|tiny} screws"),
            _thing("cushion", "{burst|split} in a puff of {down|fluff}",
                   "{stitched|sewed} it with {needle and thread|wool}"),
            _thing("jewelry box", "lost its {clasp|latch|lock|hinge}",
                   "{fastened|riveted} the lid with {brass|tiny} pins"),
            _thing("globe", "{rolled|fell} off its {stand|axle}", "{straightened|greased} the {axle|stand}"),
        ]
    ),
    # Where the broken thing is hidden; it is said again when the truth is told.
    "truth_hide": Table(
        [
            "under the rug", "behind the curtains", "in the laundry", "inside the oven", "beneath the sofa",
            "in the umbrella stand", "behind the piano", "under a pile of newspapers", "inside a boot",
            "in the pantry", "beneath the bathtub", "inside a drawer", "behind the firewood",
            "in the coal bucket", "under the mattress",
        ]
    ),
    # Whom the hero thinks of blaming.
    "truth_blame": Table(
        [
            "the cat", "the wind", "the parrot", "the dog", "an earthquake", "a burglar", "the mailman",
            "a ghost", "the chickens", "thunder", "a draft", "the baby", "some mice",
        ]
    ),
    "truth_mood": Table(
        [
            "guilty", "ashamed", "anxious", "horrified", "panicky", "wicked", "shaky", "uneasy", "dreadful",
            "nervous", "rotten",
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["{Last week|Recently|Not long ago|Last winter|Last month} [hero.his] [family.kin] had {given|bought|"
         "found|sent|brought} [hero.him] [a color] [toy]{, which {made [hero.him] {laugh|very glad|hum with "
         "joy}|went everywhere|was always close by|never left [hero.his] side}|}."],
    ],
    [
        ["<one_day> [hero] {{tripped|stumbled} over {a footstool|a mop|a doormat|a broom|a pail}|{skidded|"
         "slipped} on {a banana peel|a cherry pit|a wet tile|spilled oil|some jelly}} {at the {house|home} "
         "of|while visiting|while helping} [helper] and {knocked down|dropped|landed on|crashed into} a "
         "{precious |fancy |valuable |fine |}[truth_thing], which [truth_thing.broke]."],
        ["Feeling [truth_mood], [hero.he] {stuffed|pushed|shoved|tucked|slid} it [truth_hide] and {whispered|"
         "thought|muttered|mumbled|hoped} that {everyone|anybody|people|[helper]} {would|might|could} {blame|"
         "suspect|accuse} [truth_blame]."],
    ],
    [
        ["But [hero.his] {heart|stomach|conscience} {thumped|ached|fluttered|pounded|churned|itched} {all "
         "through|during|before|after} {lunch|supper|dinner|dessert|tea}, so [hero.he] {tiptoed|crept|"
         "trudged|shuffled|marched|hurried} {back|inside|to the door} {bravely|at last|quietly|with shaking "
         "knees|alone}."],
        ['"It was {not|never} [truth_blame], {it was me|I did it|I am to blame}, and the {poor |broken |'
         '}[truth_thing] is {still |lying |}[truth_hide]," {confessed|admitted|blurted out|explained|sobbed} '
         '[hero].'],
        ['"{Accidents happen|Things break|Everybody slips|Mistakes happen}, {but|yet} {honesty|trust|courage|'
         'the truth} is {priceless|rare|worth more than {gold|silver|diamonds}|what counts}," {replied|'
         'answered|said} [helper], and {together|patiently|carefully} they [truth_thing.mend].'],
    ],
    [
        ["{When|As} {the moon rose|the first star appeared|the lamps were lit|church bells rang|the crickets "
         "began to sing|shadows grew long}, [hero] {took|brought|carried} the [color] [toy] home, {feeling "
         "{light|free} as {a bubble|dandelion fluff|a swallow|a sunbeam}|{happy|relieved|proud|peaceful} "
         "instead of [truth_mood]|no longer [truth_mood] {at all|in the least}}."],
        ['"{Next time|From now on|Whatever happens}, I will {tell|own up|speak up} {right away|at once|'
         'before I hide anything|sooner}," [hero] {promised|told} [hero.his] [family.kin] {over|before|at} '
         '{supper|breakfast|bedtime}.',
         "{Now|These days|Even today}, whenever [hero] {passes|sees|dusts|admires} {that|the mended} "
         "[truth_thing], [hero.he] {remembers|recalls} that {secrets|lies|fibs} are {heavy|heavier than "
         "{stones|bricks|pumpkins}|hard to carry}.",
         "{That is how|And that is how|So that is how} [helper] {learned|knew|saw} that [a trait] [kind] "
         "{like [hero]|who {owns up|tells the truth}} {can be trusted {with {anything|every {key|treasure}}|"
         "completely|with a secret}|makes {a fine|the best|a splendid} {neighbor|visitor}}.",
         "{That|The same} {night|evening}, [hero] {placed|set|left} the [toy] by the {window|pillow|candle}, "
         "{ate|finished|enjoyed} [treat.some] and {slept|snored|dozed} {soundly|peacefully|without one bad "
         "dream}."],
    ],
]
