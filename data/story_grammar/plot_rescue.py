"""A small creature is in trouble; one keeps it company while the other fetches what will help."""

from data.story_grammar.engine import Entry, Table

NAME = "a rescue"

VARIABLES = {
    "rescue_victim": Table(
        "fledgling owlet chick gosling snail lizard newt cricket dormouse ladybug chipmunk vole gecko hamster crab "
        "duckling".split()
    ),
    # The trouble decides which tool is fetched, how it is used, and what is remembered of it.
    "rescue_trouble": Table(
        [
            Entry(
                "mud",
                state="stuck fast in {thick|cold} {brown |}mud",
                short="plank",
                tool="{long|sturdy} plank",
                use="{laid|slid|pushed} the plank {across|over} the mud and {lifted|pulled} the [rescue_victim] {to "
                    "dry ground|out with a plop}",
                memory="muddy {day|adventure|rescue}",
            ),
            Entry(
                "barrel",
                state="at the bottom of {a deep|an empty} {barrel|tub}",
                short="pail and rope",
                tool="{tin|small} pail {on|with} a rope",
                use="{lowered|let down} the pail {bit by bit|to the bottom} and {pulled|lifted} the [rescue_victim] "
                    "{out|up}",
                memory="{dizzy|swinging} {ride|adventure}",
            ),
            Entry(
                "crate",
                state="shut inside {a wooden|an old} {crate|trunk}",
                short="screwdriver",
                tool="{big|stubby} screwdriver",
                use="{loosened|turned} {three|four|six} {rusty|stiff} screws, {lifted|opened} the lid and {helped the "
                    "[rescue_victim] out|let the [rescue_victim] climb out}",
                memory="{dark|gloomy} {hour|adventure}",
            ),
            Entry(
                "branch",
                state="trapped {under|behind} a {fallen|heavy} {branch|log}",
                short="pole",
                tool="{strong|iron} pole",
                use="{poked|slipped} the pole {underneath|below}, {heaved|leaned|pushed} hard and {rolled|lifted} the "
                    "wood {aside|away}",
                memory="{great|mighty} {heave|adventure}",
            ),
            Entry(
                "puddle",
                state="soaked {to the skin|from top to toe} {beside|in} a {muddy|wide|chilly} puddle",
                short="towel",
                tool="{thick|warm} towel",
                use="{bundled|tucked} the [rescue_victim] up {snugly|like a parcel} and {rubbed|patted} until "
                    "{every|the last} {drop|drip} was gone",
                memory="{drippy|damp} {day|adventure|rescue}",
            ),
        ]
    ),
    "rescue_lender": Table(
        "miller blacksmith mailman carpenter shepherd cobbler beekeeper florist plumber butcher dairymaid barber "
        "weaver".split()
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        ["<one_day> [hero] {walked|strolled|wandered|trotted|marched} [place.to] with [friend], [a friend_trait] "
         "[friend_kind], when a {thin|tiny|frightened} {cry|peep} {made them {turn|listen}|rang out|came from "
         "{nearby|somewhere near}}."],
        ["{There|Close by|Just ahead|Right there|Not far off}, {shaking|trembling|shivering}, was {a little|a poor|a "
         "lost|a young|a pale} [rescue_victim], [rescue_trouble.state]."],
    ],
    [
        ['"{We need|We must get|We must find} [a rescue_trouble.tool], and the [rescue_lender] {owns|keeps|has} '
         'one," {cried|declared|announced|decided} [friend], {racing|galloping|rushing|hurrying} {off|away}.'],
        ["{While [friend] was {gone|away}|With [friend] {gone|away}|All the while}, [hero] "
         "{stayed|waited|knelt|crouched|settled} {near|beside|close to} the [rescue_victim], {told it about|let it "
         "admire} the [color] [toy] and {hummed a {lullaby|tune}|whispered {riddles|jokes|kind words}}."],
    ],
    [
        ["{Soon|Presently|Minutes later|Before long}, [friend] {returned|came back|hurried back} to [hero] with the "
         "[rescue_trouble.short], and {together|gently|carefully} they [rescue_trouble.use]."],
    ],
    [
        ["{Afterward|Later}, the [rescue_victim] {dropped in on|called on|came to see} [hero] and [friend] {every "
         "{Sunday|Friday|spring}|on {rainy|dull} days|at teatime} to {nap|rest} beside the [color] [toy] and "
         "{remember|laugh about} the [rescue_trouble.memory].",
         "{The next {evening|day|morning}|At bedtime|After supper}, [hero] {placed|left|set|put} the [color] [toy] {by "
         "the {window|gate}|on the porch} {for|to please} the [rescue_victim], {still|quietly} "
         "{smiling|chuckling|thinking} about the [rescue_trouble.memory].",
         "{In return|The next day}, the [rescue_victim] brought [hero] {a pebble|a button}, which {from then on|ever "
         "after} {stayed|rested} {next to|close to} the [color] [toy], as a {keepsake|souvenir} of the "
         "[rescue_trouble.memory]."],
    ],
]
