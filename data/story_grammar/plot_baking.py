"""The hero bakes for a friend with someone of the family; an ingredient goes wrong, another takes its "
"place."""

from data.story_grammar.engine import Entry, Table

NAME = "baking"


def _bake(text: str, it: str, was: str, *toppings: str) -> Entry:
    return Entry(text, it=it, was=was, toppings=list(toppings))


VARIABLES = {
    # What is baked, with the pronoun and the verb that go with it, and what can go on top.
    "bake": Table(
        [
            _bake("banana bread", "it", "was", "melted chocolate", "cinnamon", "sliced bananas"),
            _bake("cinnamon rolls", "them", "were", "sticky icing", "chopped pecans", "powdered sugar"),
            _bake("blueberry muffins", "them", "were", "crumbly oats", "lemon icing", "extra blueberries"),
            _bake("oatmeal cookies", "them", "were", "plump raisins", "chocolate chips", "sunflower seeds"),
            _bake("raspberry cupcakes", "them", "were", "pink frosting", "candy stars", "sugar hearts"),
            _bake("pumpkin pie", "it", "was", "whipped cream", "nutmeg", "pastry leaves"),
            _bake("gingerbread", "it", "was", "white icing", "gumdrops", "candied orange"),
            _bake("lemon tarts", "them", "were", "fluffy meringue", "lemon peel", "strawberries"),
            _bake("chocolate cake", "it", "was", "vanilla frosting", "rainbow sprinkles", "red cherries"),
            _bake("buttermilk biscuits", "them", "were", "melted butter", "poppy seeds", "apricot jam"),
            _bake("peach cobbler", "it", "was", "brown sugar", "toasted almonds", "thick custard"),
        ]
    ),
    "bake_top": Table("toppings", of="bake"),
    # Why the friend is to have something good, and how it helps.
    "bake_why": Table(
        [
            Entry(
                "ill",
                news="{was in bed|was stuck indoors|was curled up} with {a cold|a cough|a fever|the flu|"
                     "chicken pox}",
                glad="{sneezed|coughed} only {once|twice} and {sat up|smiled|felt stronger} at the first "
                     "bite",
            ),
            Entry(
                "birthday",
                news="{was turning|would soon be} {four|five|six|seven} and had {no cake yet|no party|nobody "
                     "to celebrate with}",
                glad="{blew out|counted} the {tall|tiny|crooked} candles and {made a wish|clapped|danced a "
                     "jig}",
            ),
            Entry(
                "hurt",
                news="had {sprained|twisted|bumped} an {ankle|elbow} {on the stairs|at soccer|on a bicycle}",
                glad="{forgot|stopped minding} the {bandage|bruise|sling} and {grinned|beamed|smiled} from "
                     "ear to ear",
            ),
            Entry(
                "homesick",
                news="{was missing|longed for} a {big sister|little brother|cousin|twin} who had {sailed|"
                     "moved|gone} {abroad|far away}",
                glad="{laughed|grinned|beamed} for the first time {in days|that week|since Monday} and {felt "
                     "less alone|asked for seconds|hugged the plate}",
            ),
            Entry(
                "tooth",
                news="had a {wobbly|loose|missing} tooth and could {chew|bite} {nothing hard|only soft "
                     "things|no crusts}",
                glad="{chewed|munched|nibbled} {slowly|happily|bravely} and {hummed|purred|sighed} with joy",
            ),
        ]
    ),
    # The ingredient that goes wrong decides what can take its place.
    "bake_slip": Table(
        [
            Entry(
                "eggs",
                how="{all the eggs|both eggs|five eggs} {rolled|slid|wobbled} off the {counter|chair|stool} "
                    "and {cracked|smashed|splattered} {on the tiles|all over the mat|under the stove}",
                fixes=["mashed pears", "applesauce", "ripe plums"],
                rule="{carry|hold} eggs {one by one|in a bowl|with care}",
            ),
            Entry(
                "milk",
                how="the milk {smelled|tasted|turned out} {sour|dreadful|old} and {came out in lumps|made "
                    "the cat sneeze|looked like cheese}",
                fixes=["yogurt", "orange juice", "coconut milk"],
                rule="{sniff|smell|taste} the milk {first|before pouring|every time}",
            ),
            Entry(
                "sugar",
                how="the sugar {jar|tin|pot} {held|had} {nothing but|only} {ants|crumbs|salt|dust|a beetle|a "
                    "spider}",
                fixes=["honey", "maple syrup", "chopped dates"],
                rule="{check|shake|fill} the sugar jar {first|beforehand|every week}",
            ),
            Entry(
                "flour",
                how="the {sack|bag|paper bag} of flour {burst|tore|split} and {a white cloud|a powdery puff} "
                    "{filled the room|settled on the lamp|covered their noses}",
                fixes=["ground oats", "cornmeal", "bread crumbs"],
                rule="{open|lift} a flour bag {slowly|gently|near the table}",
            ),
            Entry(
                "butter",
                how="the butter {melted|had melted|had turned runny} {on the radiator|in the sun|beside the "
                    "kettle} and {dripped|trickled} {behind the cupboard|into a slipper|down the wall}",
                fixes=["sunflower oil", "cream cheese", "sour cream"],
                rule="keep butter {in the cold|on ice|in the shade|in the refrigerator}",
            ),
        ]
    ),
    "bake_fix": Table("fixes", of="bake_slip"),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        [
            "<one_day> [hero] {heard|learned|found out|was told|read in a letter} that [friend], [a "
            "friend_trait] [friend_kind], [bake_why.news].",
        ],
        [
            '"{Let us|We could|We should|I say we|Come and help me} {bake|make} {some|fresh|our best|our '
            'famous} [bake]," '
            "{said|suggested|offered|sang|decided} [family], {reaching for|taking down|dusting off} {a "
            "rolling pin|the big bowl|two spoons|a cookbook|the scales}.",
        ],
    ],
    [
        [
            "{Humming|Whistling|Side by side|Chatting|In {striped|long} aprons}, they {sifted|measured|"
            "stirred|whisked|kneaded} and {weighed|poured|scraped|mixed}, but [bake_slip.how].",
        ],
        [
            "[hero] {felt|looked|was|grew} [feeling], but [family] {said|whispered|laughed|answered|replied|"
            "suggested|declared}{ softly|| with a {wink|nod|grin}}, "
            '"{{Bakers|Good cooks|Clever cooks} {never give up|find a way|have ideas}, so|Do not fret, just|'
            'Quick,} {try|stir in|pass me|fetch|add} [bake_fix]!"',
        ],
    ],
    [
        [
            "{Soon|By {noon|lunchtime|evening|four}|Later}, [hero] {carried|brought|delivered|took} {warm|"
            "golden|steaming|perfect} [bake] with [bake_top] to [friend], who [bake_why.glad].",
        ],
        [
            "{No longer|Not at all|Not one bit} [feeling], [hero] {{gladly|then|soon} |}{shared|enjoyed} "
            "the [color] [toy] {too|as well|with [friend]|until sundown}.",
        ],
        [
            '"{The secret|The trick|What made [bake.it] special|The magic} was [bake_fix]," {whispered|said|'
            'explained|'
            "admitted|boasted} [hero], {winking|smiling|pointing} at {[family]|[friend]|the crumbs|the empty "
            "plate}.",
            '"{Next time|From now on|Another day}, I will [bake_slip.rule]," {promised|vowed|said|laughed} '
            '[hero], {"but|"yet|"although} [bake_fix] {made|saved} the [bake]!"',
            "<ending>",
        ],
    ],
]
