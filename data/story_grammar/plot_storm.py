"""A storm takes a loved thing and breaks something at home; after it, all is put right."""

from data.story_grammar.engine import Entry, Table

NAME = "a storm"

VARIABLES = {
    # The kind of storm decides how the toy is lost, what is broken, and how both are mended.
    "storm": Table(
        [
            Entry(
                "thunderstorm",
                season="{hot|hazy|sticky|steamy|drowsy} {June|July|August|summer}",
                sign="thunder {growled|rumbled|boomed|crashed|grumbled} and {pouring|pelting|heavy|icy|warm} "
                     "rain {splashed|drummed|spilled|hammered} {down their necks|onto the road|from every "
                     "gutter|on the treetops|around them}",
                lost="{slid|tumbled|rolled|plopped} into a {deep|brown|wide|swirling} {puddle|ditch|stream}",
                broke="{water|rain} was {dripping|trickling|leaking|gurgling} through the [storm_harm]",
                harms=["roof", "ceiling", "attic", "skylight", "porch"],
                repair="{patched|covered|sealed} the [storm_harm] with {tar|"
                       "tiles|boards|canvas|straw}",
                fix="{{wiped|dabbed|rubbed} it with {sponges|an old towel|a rag|a soft cloth}|dried it {by "
                "the stove|on the windowsill|in front of the fireplace}}",
            ),
            Entry(
                "blizzard",
                season="{frosty|icy|freezing|bitter|dim} {January|February|December|winter}",
                sign="{thick|blinding|stinging|feathery|dizzy} snow {whirled|swirled|spun|tumbled|raced} "
                     "{around their ears|from the white sky} and {hid|buried|swallowed} {the road|every "
                     "footprint|the signposts}",
                lost="{sank|dropped|disappeared|slid} into a {deep|tall|soft|fluffy} {snowdrift|snowbank|"
                     "hollow}",
                broke="a {wall|heap|mountain|mound} of {snow|ice|slush} was {blocking|burying|covering} the "
                      "[storm_harm]",
                harms=["front door", "woodshed", "mailbox", "chicken coop", "garage"],
                repair="{dug|scooped|shoveled|pushed} and cleared the [storm_harm] with {spades|a plow|"
                       "dustpans|brooms|a sled}",
                fix="{shook|brushed|dusted|tapped} off the {frost|snow|icicles|flakes}{| and warmed it "
                "{indoors|by candlelight}}",
            ),
            Entry(
                "flood",
                season="{wet|drizzly|soggy|gray|murky} {April|November|spring}",
                sign="{brown|muddy|foaming|chilly|bubbling} water {gushed|rushed|poured|tumbled} {over the "
                     "wall|out of the drains|down the slope|across the bridge} and made the {lane|street|"
                     "footpath|ditch} a {river|stream|waterfall}",
                lost="was {swept|washed|carried|swirled} {around the bend|under a hedge|between two fences|"
                     "past the lampposts|down a gutter}",
                broke="{slimy|sticky|smelly|thick|oozing} mud {lay in|covered|filled|had ruined} the "
                      "[storm_harm]",
                harms=["cellar", "pantry", "hallway", "stable", "laundry room"],
                repair="{mopped|swept|wiped|scrubbed|scooped|rinsed} the [storm_harm] with {mops and {soap|"
                       "suds|hot water}|sponges|buckets|brushes}",
                fix="{rinsed|scrubbed|washed|picked} off the {mud|slime|weeds|sand}{| {over a bathtub|under "
                    "the faucet|beside the water barrel|with a toothbrush}}",
            ),
            Entry(
                "windstorm",
                season="{blustery|cool|restless|gusty|brisk} {March|October|autumn}",
                sign="a {howling|roaring|shrieking|whistling|mighty} wind {tore|stripped|whipped|shook} "
                     "{leaves|twigs|acorns|branches} from the {oaks|elms|hedges|birches|garden walls}",
                lost="was {blown|tossed|flung|whisked} {over a wall|into a thorn bush|across a field|onto a "
                     "haycart}",
                broke="{half|part|one side|the top} of the [storm_harm] was lying {in the road|on the lawn|"
                      "upside down|among the turnips}",
                harms=["fence", "henhouse", "chimney", "gate", "toolshed", "greenhouse"],
                repair="{rebuilt|mended|propped up|repaired} the [storm_harm] with {a hammer|planks|wire|"
                "bricks|rope|shiny nails}",
                fix="{combed|blew|picked|wiped} off the {dust|thorns|cobwebs|straw}{| and polished it {with "
                    "a drop of oil|with a handkerchief|until it gleamed}}",
            ),
            Entry(
                "hailstorm",
                season="{cool|changeable|showery|dull|pale} {May|June|September}",
                sign="hailstones {as big as|the size of|as hard as} {peas|cherries|hazelnuts|buttons|grapes} "
                     "{bounced|clattered|pinged|rattled|danced} {off the rooftops|down the steps|along the "
                     "road|onto the tulips}",
                lost="{vanished|got lost|was left behind} under a {pile|heap|layer|blanket} of {ice|hail|"
                     "torn leaves}",
                broke="{three|four|five|six} {cracks|holes|dents} {had appeared|were showing|could be seen} "
                      "in the [storm_harm]",
                harms=["birdhouse", "garden table", "awning", "beehive", "watering can"],
                repair="{mended|patched|fixed} the [storm_harm] with {glue|tape|"
                       "tin|putty|fresh paint}",
                fix="{melted|knocked|scraped|rubbed} off the {ice|slush|hail|leaves}{| with {a warm towel|a "
                    "wooden spoon|a dry mitten}}",
            ),
        ]
    ),
    "storm_harm": Table("harms", of="storm"),
    # What is said during the storm; the hero remembers it at the end.
    "storm_wisdom": Table(
        [
            "even the longest storm runs out of breath",
            "behind the darkest cloud the sun is waiting",
            "what bad weather breaks, friends can mend",
            "many helpers make a heavy job light",
            "a good friend is better than a strong roof",
            "after wild weather, everyone needs a broom",
            "the sky cannot shout forever",
            "no rainbow ever came without a cloud",
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        [
            "One [storm.season] {morning|afternoon|evening|weekend}, [hero] {packed|took along|picked up|"
            "grabbed} [a color] [toy] from [hero.his] [family.kin] and {strolled|marched|trotted|wandered|"
            "skipped|set off} [place.to] with [friend], [a friend_trait] [friend_kind].",
        ],
    ],
    [
        ["{Halfway there|Around a corner|Suddenly|On the way|Before long|Minutes later}, [storm.sign]."],
        [
            '"{Run|Hurry|Quick|Follow me|Take cover|Home}!" {gasped|squealed|yelled|shrieked|called} '
            '[friend], but '
            "{in the {rush|muddle|gloom|panic}|on a bend|near a crossroads} the [color] [toy] [storm.lost].",
        ],
    ],
    [
        [
            "They {reached|burst into|hid in|crept into|huddled in|found} [family]'s {snug|smoky|bright|"
            "tidy|candlelit} {kitchen|workshop|parlor|cottage|den} for "
            "{some|warmth and|shelter and} [treat], but [hero] {felt|looked|was|stayed} "
            "[feeling]{| and quiet| and {shivery|tired|pale}}.",
        ],
        [
            '"{Listen|Remember|Cheer up|Never mind|Believe me|Hush|Sit down}{|, children|, dears}," {said|'
            'murmured|answered|chuckled|hummed} [family], "[storm_wisdom]."',
        ],
        [
            "{At last|Later|By {supper|teatime|sunset|bedtime}|After {a while|many songs}} the [storm] {was "
            "over|passed|faded|moved on}, but [storm.broke], so {all of them|the three|everyone} "
            "[storm.repair].",
        ],
    ],
    [
        [
            "{Then|Afterward|Outside|Last of all|By pure luck|To their surprise|With a {shout|cheer|giggle}|"
            "Between two {rocks|stumps}}, [friend] {found|discovered|spied|dug out|rescued} the [color] "
            "[toy], and they [storm.fix].",
        ],
        [
            "No longer [feeling], [hero] {told|whispered to|reminded} {everyone|[friend]|the moon|"
            "the stars|the puppy next door|[hero.his] pillow}{ at bedtime| that night|}: "
            '"{[family] was right|I know now|Do not worry|You see|It is true}, [storm_wisdom]."',
            "No longer [feeling], [hero] {painted|drew|made} a {picture|card|poster|model} of the "
            "[storm_harm] {for [friend]|for [family]|with a rainbow over it|the next day|before long}.",
        ],
    ],
]
