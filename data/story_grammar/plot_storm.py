"""A storm takes a loved thing and breaks something at home; after it, all is put right."""

from data.story_grammar.engine import Entry, Table

NAME = "a storm"

VARIABLES = {
    # The kind of storm decides how the toy is lost, what is broken, and how both are mended.
    "storm": Table(
        [
            Entry(
                "thunderstorm",
                season="{hot|sticky} {June|summer}",
                sign="thunder {growled|crashed} and {heavy|warm} rain {poured|hammered} {onto the road|around them}",
                lost="{slid|tumbled|rolled} into a {deep|brown|wide} {puddle|ditch}",
                broke="{water|rain} was {leaking|running} through the [storm_harm]",
                harms=["roof", "ceiling", "attic", "porch"],
                repair="{covered|patched} the [storm_harm] with {boards|new planks}",
                fix="{{wiped|rubbed} it with {an old towel|a soft cloth}|dried it by the stove}",
            ),
            Entry(
                "blizzard",
                season="{icy|bitter} {February|winter}",
                sign="{thick|wild} snow {tumbled|raced} {around their ears|from the white sky} and {hid|buried} {the "
                     "road|the signposts}",
                lost="{dropped|slid} into a {deep|tall|soft} {snowbank|hollow}",
                broke="a {wall|heap} of {snow|ice} was {blocking|covering} the [storm_harm]",
                harms=["front door", "mailbox", "chicken coop", "garage"],
                repair="{dug out|cleared} the [storm_harm] with {spades|shovels}",
                fix="{shook|tapped} off the {frost|snow}{| and warmed it {indoors|by candlelight}}",
            ),
            Entry(
                "flood",
                season="{drizzly|gray} {April|spring}",
                sign="{brown|muddy|chilly} water {rushed|poured|tumbled} {over the wall|across the bridge} and turned "
                     "the {lane|street} into a {river|stream}",
                lost="was {washed|carried} {out of sight|under a hedge}",
                broke="{sticky|thick} mud {lay in|filled} the [storm_harm]",
                harms=["cellar", "pantry", "hallway", "laundry room"],
                repair="{scrubbed|cleaned} the [storm_harm] with {wet rags|brushes}",
                fix="{washed|picked} off the {mud|weeds}{| beside the water barrel}",
            ),
            Entry(
                "windstorm",
                season="{cool|restless} {March|autumn}",
                sign="a {roaring|whistling} wind {tore|shook} {leaves|branches} from the {birches|bushes}",
                lost="was {tossed|flung} {over a wall|across a field}",
                broke="{half|one side|a piece} of the [storm_harm] was lying {in the road|on the grass}",
                harms=["fence", "henhouse", "garden shed", "gate"],
                repair="{mended|patched} the [storm_harm] with {boards and nails|strong rope}",
                fix="{picked|wiped} off the {dust|straw}{| and rubbed it with {a soft cloth|a towel}}",
            ),
            Entry(
                "hailstorm",
                season="{dull|pale} {May|June}",
                sign="hailstones {as big as|as hard as} {peas|buttons} {bounced|danced} {on the rooftops|along the "
                     "road}",
                lost="{vanished|got lost|was left behind} under a {heap|blanket} of {ice|torn leaves}",
                broke="{three|five|six} {cracks|holes} {had appeared|could be seen} in the [storm_harm]",
                harms=["birdhouse", "garden table", "beehive", "watering can"],
                repair="{mended|patched} the [storm_harm] with {tin|strong glue}",
                fix="{wiped|brushed} off the {ice|leaves}{| with {a warm towel|a dry mitten}}",
            ),
        ]
    ),
    "storm_harm": Table("harms", of="storm"),
    # What is said during the storm; the hero remembers it at the end.
    "storm_wisdom": Table(
        ["a good friend is better than a strong roof",
         "after wild weather, everyone needs a broom",
         "the sky cannot shout forever",
         "no rainbow ever came without a cloud"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        [
            "One [storm.season] {morning|afternoon|day|weekend}, [hero] {took along|brought along|carried|picked "
            "up} [a color] [toy], a {gift|present} from [hero.his] [family.kin], and "
            "{strolled|marched|trotted|wandered|skipped|set off} [place.to] with [friend], [a friend_trait] "
            "[friend_kind].",
        ],
    ],
    [
        ["{Halfway there|Around a corner|Suddenly|On the way|Before long|Minutes later}, [storm.sign]."],
        ['"{Hurry|Quick|Home}!" {gasped|squealed|yelled|shrieked|called} [friend], but {on a bend|near a '
         "crossroads} the [color] [toy] [storm.lost]."],
    ],
    [
        ["{Soon|Out of breath|Moments later|Side by side}, [hero] and [friend] {reached|burst into|hid in|crept "
         "into|found} [family]'s {bright|tidy|cozy} {kitchen|house|cottage} and {had|were given} [treat.some], but "
         "[hero] {felt|looked|was|stayed} [feeling]{| and quiet| and {tired|silent}}."],
        ['"{Listen|Remember|Cheer up|Believe me}{|, children|, dears}," {said|murmured|began|chuckled|whispered} '
         '[family], "[storm_wisdom]."'],
        ["{At last|Later|By {supper|teatime|sunset|evening}} the [storm] {was over|had passed|had moved on}, but "
         "[storm.broke], so {all of them|all three|everyone} [storm.repair]."],
    ],
    [
        ["{Then|Afterward|Outside|Last of all}, [friend] {found|discovered|spied|dug out} the [color] [toy], and "
         "[hero] [storm.fix]."],
        ["No longer [feeling], [hero] {told {everyone|[friend]|the puppy next door}|whispered to {[friend]|the moon|"
         '[hero.his] pillow}}{ at bedtime| that night|}: "{[family] was right|I know now|You see|It is true}, '
         '[storm_wisdom]."',
         "No longer [feeling], [hero] {drew|painted} a {picture|funny picture} of the [storm_harm] {for [friend]|for "
         "[family]|the next day|that evening}."],
    ],
]
