"""Something is planted, nearly comes to harm, grows up after long patience, and is shared."""

from data.story_grammar.engine import Entry, Table

NAME = "growing something"

VARIABLES = {
    # What is planted decides what ripens and what is made of it. `made` goes after the hero's name.
    "growing_plant": Table(
        [
            Entry(
                "pumpkin",
                seed="{flat|pale} pumpkin seed",
                ripe="{a lumpy|a heavy} pumpkin {sat|rested|lay} {by the gate|across the path|on the straw}",
                made="{cooked|stirred} {a kettle|two pots} of pumpkin soup",
            ),
            Entry(
                "sunflower",
                seed="{pointed|plump} sunflower seed",
                ripe="{a giant|a cheery} sunflower {nodded|swayed} {over the wall|above the roof}",
                made="{salted|toasted} {a tray|a whole dish} of sunflower seeds",
            ),
            Entry(
                "tomato",
                seed="{tiny|fuzzy} tomato seed",
                ripe="{seven|nine} {ripe|round} tomatoes {glowed|hung} {on the vine|in the sunshine}",
                made="{mixed|tossed} {a salad|two salads} of sweet tomatoes",
            ),
            Entry(
                "potato",
                seed="{sprouting|dusty} potato",
                ripe="{twenty|forty} {lumpy|pale|muddy} potatoes {tumbled|rolled|came} {out of the ground|off the "
                     "shovel}",
                made="{mashed|baked} {a mountain|a tray} of potatoes",
            ),
            Entry(
                "blueberry",
                seed="{tiny|light} blueberry seed",
                ripe="{a thousand|clusters of} {tart|dusky} blueberries {covered|filled} {the bush|every branch}",
                made="{baked|rolled out} {a tart|a tray} of blueberries",
            ),
        ]
    ),
    "growing_mood": Table(
        ["worried", "hopeless", "tearful", "glum", "anxious"]
    ),
    # What goes wrong decides what the friend advises, and what the two of them do. `how` says it: the sprout.
    "growing_threat": Table(
        [
            Entry(
                "snails",
                how="{greedy|sneaky} snails {nibbled|chewed} {its leaves|at the stem}",
                advice="{broken|crumbled} eggshells {keep|turn} snails away",
                work="{laid|spread} {sharp|dry} eggshells around it",
            ),
            Entry(
                "frost",
                how="{an icy|a late} frost {nipped|curled} {its tips|its leaves}",
                advice="straw {is as {warm} as a coat|keeps {plants} from freezing}",
                work="{packed|tucked} {fluffy|dry} straw over it",
            ),
            Entry(
                "wind",
                how="a {roaring|rough} gale {bent|pushed|knocked} it {to the ground|over}",
                advice="{wobbly|young} stems {need|want} a {pole|stake} to lean on",
                work="{tied|bound} it to a {sturdy|straight} {pole|stake}",
            ),
            Entry(
                "magpies",
                how="{bold|noisy} magpies {pecked|tugged} {at its leaves|it half out}",
                advice="magpies {fear|never like} a scarecrow",
                work="{built|stuffed} a {floppy|ragged} scarecrow",
            ),
            Entry(
                "weeds",
                how="{tangled|nasty} {nettles|weeds} {crowded|smothered} it {overnight|all around}",
                advice="weeds {steal|drink} {all the light|all the water}",
                work="{dug|pulled} up every {prickly|last} weed",
            ),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["{Late in|One morning in|At the start of|Halfway through} {spring|March|April} [hero.he] {pushed|tucked|"
         "dropped} [a growing_plant.seed] into {a {bare|tidy} {patch|corner} of the yard|the {soft|damp} {soil|"
         "earth} {by the porch|beside the steps|under the window}}."],
    ],
    [
        ["{Every evening|Each noon|Day after day|Twice a day} [hero.he] {sat|crouched|waited|knelt} {there|beside "
         "it} with [hero.his] [color] [toy], {a gift|a present} from [hero.his] [family.kin], {singing|humming|"
         "whispering|reading} to the {empty|bare|lumpy} ground."],
        ["{At last|Weeks later|Finally|In time} a {pale|thin|timid} {sprout|shoot} {came up|appeared|sprang up}, "
         "but {then|soon|before long|one day} [growing_threat.how], and [hero] {felt|was} {very|quite|terribly} "
         "[growing_mood]."],
    ],
    [
        ['"{Dry your eyes|Have hope|Be patient}, [hero], for [growing_threat.advice]," {advised|suggested|explained|'
         "declared} [friend], [a friend_trait] [friend_kind] {from across the road|who knew about plants}."],
        ["So the {pair|two|friends} [growing_threat.work], and {in late summer|at harvest time|before autumn} "
         "[growing_plant.ripe]."],
    ],
    [
        ["No longer [growing_mood], [hero] [growing_plant.made] {to share with|for|and invited} [friend] and "
         "{everyone|the visitors|the children} [place.at]."],
        ["{That night|At bedtime|Before sleeping}, [hero] {set|put|laid} the [color] [toy] {by the window|near the "
         'pillow|beside the bed} and {whispered|murmured|yawned}, "{Waiting is hard, but it is worth it|Slow things '
         'can be the sweetest|What we share tastes {better|best}}."'],
    ],
]
