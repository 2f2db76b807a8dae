"""Something is planted, nearly comes to harm, grows up after long patience, and is shared."""

from data.story_grammar.engine import Entry, Table

NAME = "growing something"

VARIABLES = {
    # What is planted decides what ripens and what is made of it. `made` goes after the hero's name.
    "growing_plant": Table(
        [
            Entry(
                "pumpkin",
                seed="{flat|smooth|pale} pumpkin seed",
                ripe="{an enormous|a lumpy|a heavy} pumpkin {sat|rested|lay} {by the gate|across the path|"
                "on the straw}",
                made="{cooked|simmered|stirred} {a kettle|two pots|a cauldron} of pumpkin soup",
            ),
            Entry(
                "sunflower",
                seed="{pointed|plump|shiny} sunflower seed",
                ripe="{a giant|a glorious|a cheery} sunflower {towered|nodded|swayed} {over the wall|above "
                "the roof|taller than the door}",
                made="{roasted|salted|toasted} {a tray|two trays|a whole dish} of sunflower seeds",
            ),
            Entry(
                "tomato",
                seed="{tiny|fuzzy|crinkly} tomato seed",
                ripe="{seven|nine|eleven} {juicy|ripe|round} tomatoes {glowed|dangled|hung} {on the vine|in "
                "the sunshine}",
                made="{mixed|sliced|tossed} {a salad|two salads|a platter} of sweet tomatoes",
            ),
            Entry(
                "strawberry",
                seed="{tiny|freckled|dainty} strawberry seed",
                ripe="{dozens of|a hundred|plenty of} {sweet|dimpled|rosy} strawberries {shone|peeped} "
                "{among the leaves|above the soil|through the straw}",
                made="{boiled|bottled|spooned out} {six jars|a panful|eight pots} of strawberry jelly",
            ),
            Entry(
                "corn",
                seed="{dry|hard|single} kernel of corn",
                ripe="{four|five|six} {fat|bulging|crisp} ears of corn {rustled|ripened|waited} {on the "
                "stalk|in their husks}",
                made="{grilled|steamed|buttered} {a stack|a platter|a heap} of corn",
            ),
            Entry(
                "potato",
                seed="{knobby|sprouting|dusty} potato",
                ripe="{twenty|thirty|forty} {lumpy|pale|muddy} potatoes {tumbled|rolled|came} {out of the "
                "ground|off the shovel}",
                made="{mashed|fried|baked} {a mountain|a tray|a bowlful} of potatoes",
            ),
            Entry(
                "pea",
                seed="{wrinkled|round|shriveled} pea",
                ripe="{long|plump|crunchy} pea pods {hung|dangled|bobbed} {in rows|by the dozen|from every "
                "twig}",
                made="{shelled|steamed|dished out} {a mound|two bowls|a saucepan} of peas",
            ),
            Entry(
                "blueberry",
                seed="{tiny|speckled|light} blueberry seed",
                ripe="{a thousand|handfuls of|clusters of} {inky|tart|dusky} blueberries {covered|weighed "
                "down|filled} {the bush|every branch}",
                made="{baked|rolled out|crimped} {a tart|two tarts|a tray} of blueberries",
            ),
            Entry(
                "melon",
                seed="{oval|slippery|dark} melon seed",
                ripe="{three|two} {fragrant|mellow|smooth} melons {lay|rested|ripened} {on the vine|in the "
                "sunshine}",
                made="{carved|chopped|chilled} {a tray|a platter|a tubful} of melon",
            ),
            Entry(
                "turnip",
                seed="{round|dusty|hard} turnip seed",
                ripe="a {mighty|massive|gigantic} turnip {poked|pushed|heaved} {its shoulders up|out of the "
                "ground}",
                made="{grated|glazed|peeled} {a dish|a pan|a bowlful} of turnip",
            ),
        ]
    ),
    "growing_mood": Table(
        [
            "worried", "hopeless", "discouraged", "troubled",
            "tearful", "glum", "bothered", "dismayed", "anxious",
        ]
    ),
    # What goes wrong decides what the friend advises, and what the two of them do. `how` says it: the sprout.
    "growing_threat": Table(
        [
            Entry(
                "snails",
                how="{greedy|slimy|sneaky} snails {nibbled|chewed|munched} {its leaves|holes in it|at the "
                "stem}",
                advice="{broken|crushed|crumbled} eggshells {keep|drive|turn} snails away",
                work="{laid|sprinkled|spread} {sharp|scratchy|dry} eggshells around it",
            ),
            Entry(
                "drought",
                how="the {blazing|fierce|scorching} heat {baked|cracked|dried} the soil until it {wilted|"
                "drooped|sagged}",
                advice="{thirsty|parched} roots {need|want|long for} water at {dawn|sunrise|dusk}",
                work="{hauled|lugged|fetched} {dripping|sloshing|brimming} {pails|jugs|cans} of water",
            ),
            Entry(
                "frost",
                how="{an icy|a late|a bitter} frost {nipped|curled|whitened} {its tips|its leaves|its buds}",
                advice="straw {is as {snug|warm} as a coat|keeps {plants|roots} from freezing}",
                work="{heaped|packed|tucked} {clean|fluffy|dry} straw over it",
            ),
            Entry(
                "wind",
                how="a {howling|roaring|rough} gale {bent|pushed|knocked} it {sideways|to the ground|over}",
                advice="{weak|wobbly|young} stems {need|want} a {pole|stick|stake} to lean on",
                work="{tied|fastened|bound} it to a {bamboo|sturdy|straight} {pole|stick|stake}",
            ),
            Entry(
                "magpies",
                how="{cheeky|bold|noisy} magpies {pecked|tugged|jabbed} {at its roots|at its leaves|it half "
                "out}",
                advice="magpies {fear|avoid|never like|run from} a scarecrow",
                work="{built|dressed|stuffed} a {floppy|ragged|lopsided} scarecrow",
            ),
            Entry(
                "weeds",
                how="{prickly|tangled|nasty} {thistles|nettles|weeds} {crowded|choked|smothered} it "
                "{overnight|all around}",
                advice="weeds {steal|gobble|drink} {all the light|all the water|the best food}",
                work="{yanked|dug|pulled} up every {prickly|ugly|last} weed",
            ),
            Entry(
                "flood",
                how="{endless|heavy|pouring} rain {drowned|soaked|swamped} it until it {leaned|slumped|"
                "sank} in the mud",
                advice="a {ditch|drain|channel} will {carry|lead|take} the puddles away",
                work="{dug|scooped|shoveled} a {narrow|zigzag|deep} ditch",
            ),
            Entry(
                "aphids",
                how="{hundreds|crowds|swarms} of aphids {covered|sucked|coated} {its leaves|its buds|the "
                "stem}",
                advice="ladybugs {gobble|devour|crunch} {aphids|bugs} {for supper|all day}",
                work="{coaxed|carried|brought} {a dozen|nine|ten} {tiny|hungry|helpful} ladybugs to it",
            ),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["{Early in|Late in|One morning in|At the start of|Halfway through} {spring|March|April} [hero.he] "
         "{pushed|pressed|tucked|poked|dropped} [a growing_plant.seed] into {a {bare|shady|weedy|tidy} "
         "{patch|corner} of the yard|the {soft|crumbly|damp|rich} {soil|earth|dirt} {by the porch|beside "
         "the steps|under the window}}."],
    ],
    [
        ["{Every evening|Each noon|Day after day|Twice a day} [hero.he] {sat|crouched|waited|knelt} {there|"
         "beside it} with [hero.his] [color] [toy], {a gift|a present} from [hero.his] [family.kin], "
         "{singing|humming|whispering|reading} to the {empty|bare|silent|lumpy} ground."],
        ["{At last|Weeks later|Finally|In time} a {pale|thin|tender|timid} {sprout|shoot} {came up|"
         "appeared|sprang up}, but {then|soon|before long|one day} [growing_threat.how], and [hero] {felt|"
         "was} {very|quite|terribly} [growing_mood]."],
    ],
    [
        ["\"{Don't give up|Dry your eyes|Chin up|Have hope|Be patient}, [hero], for "
         '[growing_threat.advice]," {advised|suggested|explained|declared} [friend], [a friend_trait] '
         "[friend_kind] {from across the road|who knew about plants|leaning over the hedge|pushing a "
         "wheelbarrow}."],
        ["So the {pair|two|friends} [growing_threat.work], and {in August|by September|in late summer|at "
         "harvest time|before autumn} [growing_plant.ripe]."],
    ],
    [
        ["No longer [growing_mood], [hero] [growing_plant.made] {to share with|for|and invited} [friend] "
         "and {everyone|all the workers|the visitors|the children|seven families} [place.at]."],
        ["{That night|At bedtime|Before sleeping}, [hero] {set|put|laid} the [color] [toy] {by the window|"
         'near the pillow|beside the bed} and {whispered|murmured|yawned}, "{Waiting is hard, but it is '
         "worth it|Slow things can be the sweetest|A seed needs {love|time}, and so do {friends|I}|Next "
         '{spring|year} I will plant {another|two more|a whole row}|What we share tastes {better|best}}."'],
    ],
]
