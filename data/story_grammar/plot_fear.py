"""Something frightens the hero, a friend explains it, and courage comes."""

from data.story_grammar.engine import Entry, Table

NAME = "fear overcome"

VARIABLES = {
    # What frightens the hero decides what happens, what the friend says of it, and how it turns out.
    "fear": Table(
        [
            Entry(
                "the dark",
                when="<one_day>",
                event="[hero.his] [family.kin] sent [hero.him] {down|off|alone} to the "
                "{cellar|basement|storeroom|pantry|larder} for "
                "{onions|potatoes|walnuts|turnips|candles|some pickles|a broom}, {and|but} the {lamp|bulb} "
                "{blew|flickered|sputtered|went} out",
                truth="{Darkness|The dark|A dark room} is {only|just|nothing but|simply} {daytime|noon|a "
                "sunny room|the day} with {the curtains drawn|the shutters closed|a blindfold on|its eyes "
                "shut}",
                go="{crept|tiptoed|marched|shuffled|stalked} back into the {blackness|gloom|shadows}",
                find="{found|met|bumped into} nothing {worse|scarier|wilder} than {a mop|cobwebs|a dusty "
                "barrel|a row of jars|an old washtub|a sack of flour|a rocking chair}",
            ),
            Entry(
                "thunder",
                when="{Late one|One} {sticky|stormy|sultry|gray} {afternoon|evening},",
                event="{black|purple|inky|towering} clouds {gathered|piled up|rolled in} {over|above} the "
                "{rooftops|chimneys|steeple}, and {a clap|a roll|a crash|a boom} of thunder "
                "{rattled|shook|jolted} the {windows|teacups|shutters|floorboards}",
                truth="{Thunder|That rumbling|All that noise|A storm} is {only|just|nothing but|simply} the "
                "sky {clearing its throat|moving its furniture|snoring|rolling barrels|shuffling its "
                "boots|applauding}",
                go="{stood|waited|knelt|sat} by the {window|doorway|back door} {for|until} the next "
                "{rumble|crash|boom}",
                find="{thought|decided|noticed} it sounded {no worse than|just like|rather like} {a "
                "marching band|a runaway cart|pans tumbling off a shelf|a giant's hiccup|skittles falling}",
            ),
            Entry(
                "big dogs",
                when="<one_day>",
                event="{an enormous|a huge|a shaggy|a gigantic} {hound|sheepdog|mastiff} "
                "{leaped|jumped|sprang} {onto|up at} {the|a neighbor's|the baker's} {fence|gate} and barked "
                "{louder than|like} a {trumpet|cannon|foghorn|thunderclap}",
                truth="{A dog|That hound|A fellow like him} {mostly|usually|often|only} barks because he "
                "{is {bored|lonely|puzzled}|wants {company|a playmate|a biscuit|a scratch}}",
                go="{crept|tiptoed|walked|strolled} {back|right up} {with|and held out} a "
                "{biscuit|crust|bone|sausage}",
                find="{saw|watched} the {big|great} dog {wag his tail|roll over|sneeze|offer a paw|beg for "
                "more|lie down like a lamb}",
            ),
            Entry(
                "high places",
                when="<one_day>",
                event="{everyone|the whole class|a crowd of cousins} {scampered|climbed|clambered|raced} up "
                "{the|a} ladder to the {tree house|lookout|hayloft|balcony|tower}, but {on|at} the "
                "{second|third|fourth|fifth} rung [hero.his] legs {turned to jelly|froze|would not "
                "budge|quivered}",
                truth="{High up|On a ladder|Above the ground|Up there}, {it is best to look|you should "
                "look|it helps to look|keep looking} at {the clouds|the treetops|the swallows|your own "
                "nose|the weathercock}, never {down|below}",
                go="climbed {rung by rung|inch by inch|bit by bit|upward} to the {very|tip} top",
                find="{saw|admired|counted} {fields|carts|houses|sheep|haycocks} {below|down there} as "
                "{tiny|neat|round} as {crumbs|beads|peas|acorns|buttons}",
            ),
            Entry(
                "wobbly bridges",
                when="<one_day>",
                event="[hero] had to {carry|bring|deliver} {a letter|a pie|some eggs|a parcel|fresh milk|a "
                "newspaper} {over|across} the {rope|plank|log} bridge, but {its|all the} "
                "{boards|ropes|railings} {swayed|creaked|groaned|shivered} at {the {first|lightest} "
                "{step|breeze}|every step}",
                truth="{Bridges|Good bridges|All long bridges} {sway|wobble|creak} {because|so that|when} "
                "{they are waving to the water|the wind can slip through|they want to dance|they feel "
                "cheerful}",
                go="{stepped|shuffled|walked|skipped} {from plank to plank|along the middle} without "
                "{looking down|stopping once|a single squeal}",
                find="{reached|touched} the {far|other|opposite} {side|bank|end} {faster than a "
                "sneeze|before the {milk|porridge} could cool|in {twenty|thirty|forty} steps|without a "
                "{slip|bruise}}",
            ),
            Entry(
                "deep water",
                when="{One|Early one|Late one} summer {morning|afternoon|evening},",
                event="a {swimming teacher|lifeguard|coach} {told|invited|called} the {little|young|small} "
                "ones to {jump|hop|slide|wade} into the pool, but to [hero] {it|the blue} looked "
                "{bottomless|a mile deep|as deep as the ocean|full of sharks}",
                truth="{Water|Even deep water|A calm pool} {carries|holds up|rocks|loves} "
                "{anyone|everybody} who {lies|keeps} {still|flat} like {a leaf|a cork|a raft|a lily|a "
                "plank|driftwood}",
                go="{slid|slipped|waded} {in|back in} and {stretched out|lay back|floated} like {a "
                "starfish|a mermaid|a log|seaweed}",
                find="{felt|let} the {ripples|gentle waves|bubbles} {tickle|rock|cradle} [hero.him] "
                "{like|as softly as} {a hammock|a pillow|silk}",
            ),
            Entry(
                "big crowds",
                when="<one_day>",
                event="[hero] was {picked|chosen|asked} to dance {a polka|a jig|a waltz|the first reel} {in "
                "front of|for} the {whole|entire} {town|school}, {and|but} {a hundred|a thousand|rows "
                "of|fifty} faces {stared|gazed|peered} back",
                truth="{A crowd|An audience|A full hall} is {only|just|nothing but|simply} {a heap|a "
                "bunch|a lot|a jumble} of {cousins|neighbors|nice people} {hoping for fun|wishing you "
                "luck|glad to be sitting down|like us}",
                go="{stepped|marched|hopped|climbed} {back|right} onto the {stage|platform} and danced "
                "{every step|with pointed toes|in neat circles}",
                find="{heard|made|let} the {audience|crowd|mayor} {clap|cheer|stamp|shout for more} until "
                "the {rafters|benches|curtains} {shook|trembled}",
            ),
            Entry(
                "bees",
                when="{One|Early one|Late one} {spring|summer} {morning|afternoon},",
                event="{a cloud|a crowd|dozens|hundreds} of bees {buzzed|hummed|whirred|danced} around "
                "{the|some} {clover|lavender|honeysuckle|blossoms|foxgloves} {beside|along|close to} "
                "[hero.his] {path|lane|doorstep|gate|windowsill}",
                truth="{A bee|Every bee|Any honeybee} is {far|much} too busy "
                "{gathering|collecting|sipping|hunting} nectar to {notice|bother|chase} {anybody|a quiet "
                "visitor|someone polite}",
                go="{sat|stood|knelt|lay} {quite|perfectly|very} still {among|beside} the {flowers|petals}",
                find="{watched|let|heard} a {plump|fuzzy|velvety|dusty} bumblebee {zoom|drift|bumble} by "
                "{without a glance|on its errands|with a lazy hum|on its way home}",
            ),
            Entry(
                "strange noises",
                when="<one_day>",
                event="something {up in|inside} the attic "
                "{creaked|groaned|rattled|thumped|scratched|moaned} {three times|again and again|on and "
                "on|twice}, {just|exactly|very much} like a {ghost|goblin|giant|troll|dragon}",
                truth="{Old houses|Empty attics|All wooden beams|Most roofs} {creak|grumble|mutter|sigh} "
                "{whenever|because|if} {the wind leans on them|they feel cold|mice come visiting|nobody "
                "talks to them}",
                go="{climbed|trudged|marched|crawled} back up and {nudged|pushed|flung} open the "
                "{creaky|squeaky|attic} door",
                find="{startled|woke|discovered} {a cricket|an old tomcat|a dusty pigeon|a sleepy moth|a "
                "grumpy owl|two dormice}",
            ),
        ]
    ),
    # What the friend teaches, and the hero does.
    "fear_trick": Table(
        [
            Entry("hum", say="hum a {merry|jolly|cheerful|lively} tune", doing="humming",
                  after="hum a {tune|song}"),
            Entry("count", say="count {slowly|calmly|gently} to {twenty|thirty}", doing="counting",
                  after="count {slowly|calmly}"),
            Entry("breathe", say="breathe {in and out like a {sleepy|lazy} cow|as slowly as a snail crawls}",
                  doing="breathing slowly", after="breathe {in and out|slowly}"),
            Entry("knight", say="{pretend|imagine} you are a {fearless|bold|noble} knight",
                  doing="acting like a knight", after="be a knight {again|for a while}"),
            Entry("lion", say="{pretend|imagine} you are a {mighty|roaring|proud} lion",
                  doing="acting like a lion", after="be a lion {again|for a while}"),
            Entry("joke", say="tell yourself {a joke|a riddle|something funny}", doing="giggling",
                  after="think of {jokes|riddles}"),
            Entry("smile", say="{smile|grin} as {widely|broadly} as a {pumpkin|crocodile|slice of melon}",
                  doing="smiling", after="smile {broadly|widely}"),
            Entry("rhyme", say="{mutter|recite|repeat} a {silly|nursery} rhyme", doing="reciting softly",
                  after="recite {a rhyme|verses}"),
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
        ["[hero], who {dreaded|feared|hated|could not bear|loathed} [fear], {grabbed|seized|took|caught "
         "hold of|reached for} the [toy] and {fled|bolted|dashed|rushed|scurried|hurtled} [place.to], where "
         "[friend], [a friend_trait] [friend_kind], was {sipping tea|nibbling a sandwich|untangling "
         "string|polishing spectacles|peeling an orange|sketching the view|knitting a sock|learning to "
         "juggle|eating cherries|reading a comic|threading beads|folding paper|sorting postcards|practicing "
         "handstands}."],
    ],
    [
        ['"[fear.truth]," {explained|murmured|chuckled|remarked|answered|replied} [friend], '
         '{nodding|winking|softly|kindly|wisely|half whispering|offering {a handkerchief|peppermints|a '
         'plum}|after a pause}, "{so|and} {next time|from now on|when it comes|if you tremble}, '
         '[fear_trick.say]."'],
        ["{Slowly|Carefully|Bravely|Timidly|Little by little|With a gulp|With knocking knees|Without a "
         "fuss|Once back there|A little later}, [hero] [fear.go], [fear_trick.doing], and [fear.find]."],
    ],
    [
        ["{That {night|evening}|Later on|At bedtime|Before supper|Under the covers}, [hero] told the "
         "[color] [toy] {all about it|the whole {adventure|tale}|every detail|what [friend] had taught}: "
         "{courage|bravery|being brave|boldness} {means|is} {trembling|shivering|shaking} {a little|a "
         "bit|somewhat} and {trying|carrying on|going ahead} {anyway|all the same|regardless}.",
         "{After this|Since then|Ever since|For years}, whenever [hero.he] {met|thought of|dreamed of|heard "
         "about} [fear], [hero] {reached for|winked at|smiled at|glanced at|turned to} the [color] [toy] "
         "and {remembered|never forgot|started|made sure|was quick} to [fear_trick.after].",
         '"{Next|Another} time I {will|shall} {scarcely|hardly|barely} {blink|shiver|flinch|sniffle}," '
         '[hero] {promised|told|assured|informed} the [color] [toy] {at {sunset|dusk|twilight}|under the '
         '{moon|stars|quilt}|over {supper|pudding}}, and [fear] {never again|never quite|seldom} '
         '{spoiled|ruined|troubled} {a day|any plans|an outing|a nap}.',
         "And if {a shiver|a flutter|a shudder|a tremble} still came {now and then|once in a while|on some "
         "days|without warning}, [hero] {patted|touched|stroked|tapped} the [color] [toy], thought "
         "{of|about} [friend] and {felt|grew} {braver|bolder|calmer|stronger} {at once|straight "
         "away|again|by the minute}."],
    ],
]
