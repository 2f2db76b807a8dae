"""A small creature is in trouble; one keeps it company while the other fetches what will help."""

from data.story_grammar.engine import Entry, Table

NAME = "a rescue"

VARIABLES = {
    "rescue_victim": Table(
        "wren owlet chick gosling snail lizard newt cricket dormouse ladybug chipmunk vole gecko hamster "
        "crab sparrow".split()
    ),
    # The trouble decides which tool is fetched, how it is used, and what is remembered of it.
    "rescue_trouble": Table(
        [
            Entry(
                "mud",
                state="stuck fast in {thick|gooey|cold|sloppy} {mud|clay}",
                short="plank",
                tool="{long|sturdy|broad} plank",
                use="{laid|slid|pushed} the plank {across|over} the {mire|muck} and {coaxed|lifted|drew} it "
                "{to dry ground|onto firm grass|out with a plop}",
                memory="muddy {morning|adventure|meeting}",
            ),
            Entry(
                "barrel",
                state="at the bottom of {a deep|an empty|a slippery} {barrel|tub|trough}",
                short="pail and rope",
                tool="{tin|small|dented} pail {and|with} a rope",
                use="{lowered|let down} the pail {bit by bit|by its handle|to the floor} and "
                "{hauled|pulled|drew} it up {inside|like a queen in a lift|to the rim}",
                memory="{bumpy|dizzy|swinging} {ride|adventure|meeting}",
            ),
            Entry(
                "thorns",
                state="tangled in {a bramble|a thorn|a holly|a gooseberry} bush",
                short="clippers",
                tool="{stout|sharp|good} pair of clippers",
                use="{snipped|clipped|trimmed} {the thorns|the twigs|each prickle} {away|off|in turn} until "
                "it {tumbled|wriggled|slid} {free|loose}",
                memory="{prickly|scratchy|thorny} {hour|adventure|meeting}",
            ),
            Entry(
                "stream",
                state="{drifting|floating|spinning} {down a ditch|along a gutter|down a brook} on {a "
                "leaf|some bark|a walnut shell}",
                short="rake",
                tool="{long|wooden|rusty} rake",
                use="{stretched|reached} out the rake and {drew|tugged|steered} it {ashore|to the bank|to "
                "safety} {inch by inch|just in time}",
                memory="{soggy|splashy|watery} {voyage|adventure|meeting}",
            ),
            Entry(
                "crate",
                state="shut inside {a wooden|a nailed|a battered} {crate|chest|trunk}",
                short="screwdriver",
                tool="{big|trusty|stubby} screwdriver",
                use="{undid|loosened|turned} {three|four|six|seven} {rusty|stiff} screws, "
                "{raised|lifted|opened} the lid and {let in the sunlight|helped it out|let it climb out}",
                memory="{dark|cramped|gloomy} {hour|adventure|meeting}",
            ),
            Entry(
                "pole",
                state="stranded {on top of|high up on} a {flagpole|chimney|signpost|lamppost|wall}",
                short="ladder",
                tool="{tall|folding|wobbly} ladder",
                use="{raised|propped up|steadied} the ladder, {climbed|crept} up {rung by rung|without a "
                "wobble} and {carried|brought|guided} it {back |}down",
                memory="{dizzy|lofty|high} {climb|adventure|meeting}",
            ),
            Entry(
                "branch",
                state="trapped {under|beneath|behind} a {fallen|rotten|heavy} {branch|bough|log}",
                short="pole",
                tool="{stout|strong|iron} pole",
                use="{wedged|poked|slipped} the pole {underneath|below}, {heaved|pressed|leaned} {hard|with "
                "a grunt|in time} and {rolled|levered} the wood {aside|away}",
                memory="{heavy|mighty} {heave|adventure|meeting}",
            ),
            Entry(
                "puddle",
                state="soaked {to the skin|from top to toe} {beside|in} a {muddy|wide|chilly} puddle",
                short="towel",
                tool="{fluffy|woolly|thick|warm} towel",
                use="{wrapped|bundled|tucked} it up {snugly|like a parcel} and {rubbed|dabbed|patted} until "
                "{every|the last} {drop|drip} was gone",
                memory="{soggy|drippy|damp} {morning|adventure|meeting}",
            ),
            Entry(
                "honey",
                state="glued to {a spilled|a leaky|a cracked} {pot|jar} of {honey|syrup|paint|jelly}",
                short="water",
                tool="{jug|kettle|bowl} of {soapy|warm} water",
                use="{poured|trickled|splashed|ladled} {a little|some|every drop} over the {sticky "
                "mess|goo} and {sponged|washed|wiped} it {clean|spotless}",
                memory="{sticky|gluey|gooey} {mess|adventure|meeting}",
            ),
            Entry(
                "heap",
                state="buried up to the chin in {a heap|a mound|a slide} of {sand|gravel|hay|sawdust}",
                short="spade",
                tool="{little|shiny|garden} spade",
                use="{dug|scooped|scraped} {away|on} {until|till} {the hole was wide enough|the heap was "
                "gone|it could wriggle out|it popped up like a cork}",
                memory="{dusty|gritty} {digging|adventure|meeting}",
            ),
        ]
    ),
    "rescue_lender": Table(
        "miller blacksmith postman carpenter shepherd cobbler beekeeper florist plumber butcher dairymaid "
        "barber weaver".split()
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        ["<one_day> [hero] {ambled|strolled|wandered|trotted|marched} [place.to] with [friend], [a "
         "friend_trait] [friend_kind], when a {faint|thin|tiny|weak|frightened} "
         "{squeak|cry|whimper|wail|peep|sob} {made them {stop|turn|listen}|rang out|{rose|came} from {a "
         "hedge|the roadside|nearby}}."],
        ["{There|Close by|Just ahead|Right there|Not far off}, "
         "{quivering|shaking|trembling|sobbing|sniffling|shivering|sighing}, was {a little|a poor|a lost|a "
         "young|a weary|a pale} [rescue_victim], [rescue_trouble.state]."],
    ],
    [
        ['"{We need|This calls for|We must get|Let us find} [a rescue_trouble.tool], and the '
         '[rescue_lender] {owns|keeps|has} one," {cried|declared|announced|decided|panted} [friend], '
         '{dashing|racing|sprinting|galloping|rushing} {off|away|homeward|downhill|uphill|ahead}.'],
        ["{Meanwhile|Kindly|Patiently|Faithfully|All the while}, [hero] "
         "{stayed|waited|knelt|crouched|settled} {near|beside|close to} the [rescue_victim], {told it "
         "about|showed it|let it admire|introduced it to|praised} the [color] [toy] and "
         "{hummed|whispered|recited|murmured} {a lullaby|nursery rhymes|riddles|soothing words|bits of "
         "poems}."],
    ],
    [
        ["{Soon|Presently|Minutes later|Before long|Shortly}, [friend] {returned|came back|reappeared|was "
         "back} with the [rescue_trouble.short], and {together|briskly|gently|eagerly|carefully} they "
         "[rescue_trouble.use]."],
    ],
    [
        ["{Afterward|Later}, the [rescue_victim] {often {visited|joined}|visited|dropped in on|called "
         "on|came to see} [hero] {every {Sunday|Friday|month|spring}|on {rainy|dull|free} days|at "
         "teatime|on holidays} to {sit|doze|nap|rest} beside the [color] [toy] and {talk "
         "over|remember|laugh about|retell} the [rescue_trouble.memory].",
         "{Next {evening|day|morning}|At bedtime|After supper}, [hero] {placed|left|set|put} the [color] "
         "[toy] {by the {window|doorstep|gate}|in the moonlight|in the porch} {for|to tempt|to please|in "
         "honor of} the [rescue_victim], {still|quietly} {smiling|chuckling|dreaming|thinking} about the "
         "[rescue_trouble.memory].",
         '"{Nobody|No one|No creature} is {ever |}too {small|tiny|little} to {matter|be missed|deserve '
         'help|have friends}," [hero] {told|explained to|remarked to} the [color] [toy] {afterward|later '
         'on|at sunset|over supper}, {proud of|remembering|recalling} the [rescue_victim] and the '
         '[rescue_trouble.memory].',
         "{As a reward|In return|Next day}, the [rescue_victim] brought [hero] {a pebble|an acorn|three "
         "berries|a clover leaf|a button|a buttercup}, which {forever|always|ever after} {remained|rested} "
         "{next to|close to} the [color] [toy], {in memory|a souvenir|a keepsake} of the "
         "[rescue_trouble.memory]."],
    ],
]
