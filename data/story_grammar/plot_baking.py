"""The hero bakes for a friend with someone of the family; an ingredient goes wrong, another takes its place."""

from data.story_grammar.engine import Entry, Table

NAME = "baking"


def _bake(text: str, it: str, was: str, *toppings: str) -> Entry:
    return Entry(text, it=it, was=was, toppings=list(toppings))


VARIABLES = {
    # What is baked, with the pronoun and the verb that go with it, and what can go on top.
    "bake": Table(
        [
            _bake("banana bread", "it", "was", "melted chocolate", "cinnamon", "sliced bananas"),
            _bake("blueberry muffins", "them", "were", "crumbly oats", "lemon icing", "extra blueberries"),
            _bake("oatmeal cookies", "them", "were", "plump raisins", "chocolate chips", "sunflower seeds"),
            _bake("raspberry cupcakes", "them", "were", "pink frosting", "candy stars", "candy hearts"),
            _bake("buttermilk biscuits", "them", "were", "strawberry jam", "poppy seeds", "apricot jam"),
        ]
    ),
    "bake_top": Table("toppings", of="bake"),
    # Why the friend is to have something good, and how it helps.
    "bake_why": Table(
        [
            Entry(
                "ill",
                news="{was in bed|was stuck indoors} with {a cold|a cough}",
                glad="{sneezed|coughed} only {once|twice} and {sat up|smiled} at the first bite",
            ),
            Entry(
                "birthday",
                news="{was turning|would soon be} {four|five|six} and had {no cake yet|nobody to celebrate with}",
                glad="{blew out|counted} a {row|ring} of {tall|tiny|crooked} candles and {clapped|danced a jig}",
            ),
            Entry(
                "hurt",
                news="had {twisted|bumped} an {ankle|elbow} {on the stairs|on a bicycle}",
                glad="{forgot|stopped minding} the {bandage|bruise} and {grinned|beamed|smiled} from ear to ear",
            ),
            Entry(
                "homesick",
                news="{was missing|missed} a {little brother|cousin} who had {moved|gone} {across the sea|far "
                     "away}",
                glad="{laughed|grinned|beamed} for the first time {in days|that week|since Monday} and {felt less "
                     "alone|hugged the plate}",
            ),
            Entry(
                "tooth",
                news="had {lost|swallowed} a {wobbly|loose} tooth and {would not smile|hid every smile}",
                glad="{chewed|nibbled} {slowly|happily|bravely} and {smiled|grinned} {at last|again}",
            ),
        ]
    ),
    # The ingredient that goes wrong decides what can take its place.
    "bake_slip": Table(
        [
            Entry(
                "eggs",
                how="{all the eggs|both eggs|five eggs} {rolled|slid} off the {chair|stool} and {cracked|smashed} "
                    "{all over the mat|on the floor}",
                fixes=["mashed pears", "applesauce", "ripe plums"],
                rule="{carry|hold} eggs {one by one|in a bowl}",
            ),
            Entry(
                "milk",
                how="the milk {smelled|turned out} {sour|old} and {made the cat sneeze|looked like cheese}",
                fixes=["yogurt", "orange juice", "coconut milk"],
                rule="sniff the milk {first|carefully}",
            ),
            Entry(
                "sugar",
                how="the sugar {jar|tin} {held|had} {nothing but|only} {crumbs|a spider}",
                fixes=["honey", "maple syrup", "chopped dates"],
                rule="{check|buy} the sugar {first|early}",
            ),
            Entry(
                "flour",
                how="the {sack|bag|paper bag} of flour {burst|split} and {a white cloud|a powdery puff} {filled the "
                    "room|settled on the lamp}",
                fixes=["ground oats", "cornmeal", "bread crumbs"],
                rule="open a flour bag {slowly|gently|over the bowl}",
            ),
            Entry(
                "butter",
                how="the butter {melted|had melted} {in the sun|beside the kettle} and {dripped|trickled} {behind the "
                    "cupboard|down the wall}",
                fixes=["sunflower oil", "cream cheese", "sour cream"],
                rule="keep butter {in the cold|on ice}",
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
        ["<one_day> [hero] {heard|learned|found out|was told} that [friend], [a friend_trait] [friend_kind], "
         "[bake_why.news]."],
        ['"{Let us|We could|We should|Come and help me} {bake|make} {some|fresh|our best} [bake] for [friend]," {said|'
         "suggested|offered|sang|decided} [family], {reaching for|taking down|dusting off} {the big bowl|the "
         "old cookbook|the scales}."],
    ],
    [
        ["{Humming|Whistling|Side by side}, [hero] and [family] {measured|stirred|kneaded} and {poured|scraped|mixed}, "
         "but [bake_slip.how]."],
        ["[hero] {felt|looked|was|grew} [feeling], but [family] {said|whispered|advised|answered|replied|suggested}"
         '{ softly|| with a {nod|grin|smile}}, "{{Good cooks|Clever cooks} {never give up|find a way}, so|Do not '
         'worry, just|Quick,} {try|fetch|add} [bake_fix]!"'],
    ],
    [
        ["{Soon|By {four|five|teatime}|Later}, [hero] {carried|brought|took} {warm|golden|perfect} [bake] with "
         "[bake_top] to [friend], who [bake_why.glad]."],
        [
            "{No longer|Not at all|Not one bit} [feeling], [hero] {{gladly|then|soon} |}{shared|enjoyed} the [color] "
            "[toy] with [friend]{| until {sundown|bedtime}| for an hour}.",
        ],
        ['"{The secret|The trick} was [bake_fix]," {whispered|said|explained|admitted} [hero], {winking|smiling} at '
         "{[family]|[friend]|the empty plate}.",
         '"{Next time|From now on}, I will [bake_slip.rule]," {promised|said|laughed} [hero], "{but|still,} [bake_fix] '
         'saved the [bake]!"',
         "<ending>"],
    ],
]
