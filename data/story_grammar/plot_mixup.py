"""Two bags are taken for one another, a clue leads to the other owner, and a friendship begins."""

from data.story_grammar.engine import Entry, Table

NAME = "a mix-up"

VARIABLES = {
    "mixup_bag": Table(
        [
            "suitcase", "sack", "duffel", "carton",
            "parcel", "hamper", "trunk", "satchel", "crate",
        ]
    ),
    # How the bags were exchanged decides how it is explained, and what is done to prevent it.
    "mixup_cause": Table(
        [
            Entry(
                "bus",
                how="{squeezed|slid|pushed} it {under a seat|onto the rack} of a bus",
                why="We {grabbed|took} the wrong ones when the bus {stopped|arrived}",
                cure="{painted|stitched} a {star|moon|heart} on the [mixup_bag]",
            ),
            Entry(
                "bump",
                how="{bumped|crashed} into {a stranger|somebody} {at a corner|on the stairs}",
                why="We {swapped|switched} them when we {bumped|crashed}",
                cure="always {walked slowly|watched out} at {corners|crossings} with the [mixup_bag]",
            ),
            Entry(
                "bakery",
                how="{left|parked|set} it {on the floor|by the wall} of a bakery",
                why="We {mixed up|confused} our bags while {buying|choosing} {buns|bread}",
                cure="kept {an eye|a tight grip} on the [mixup_bag] in {stores|crowds}",
            ),
            Entry(
                "ferry",
                how="{piled|heaped} it with {twenty|forty|fifty} others on a ferry",
                why="{A wave|A storm} {rolled|tossed|shuffled} {everything|all the luggage} about on deck",
                cure="{tied|hung} a {bow|button} on the [mixup_bag]",
            ),
            Entry(
                "museum",
                how="left it in a museum cloakroom {among|between} {raincoats|coats}",
                why="{Our|The} {ticket|cloakroom} numbers were {upside down|switched}",
                cure="always {checked|read} {the number|the ticket} before taking the [mixup_bag]",
            ),
        ]
    ),
    # What the other bag holds decides what its owner was going to do.
    "mixup_item": Table(
        [
            Entry(
                "trumpet",
                what="a {dented|brass} trumpet {wrapped|rolled up} in {velvet|newspaper}",
                use="play the trumpet in the {parade|concert}",
            ),
            Entry(
                "paints",
                what="{nine|twelve} tubes of paint and a {sticky|smeared} apron",
                use="paint {a mural|the sunset} with those tubes",
            ),
            Entry(
                "yarn",
                what="{six|ten} {fluffy|tangled} skeins of yarn {and long needles|and half a mitten}",
                use="knit {a sweater|socks} from that yarn",
            ),
            Entry(
                "telescope",
                what="a {folding|dusty} telescope and {a star chart|a tripod}",
                use="{watch|count} {the stars|the planets} through that telescope",
            ),
            Entry(
                "wand",
                what="a {crooked|sparkly} wand and {nine|forty} {magic|playing} cards",
                use="perform {tricks|magic} with that wand",
            ),
        ]
    ),
    # A hint to where the owner is. It goes after "found" and a comma.
    "mixup_clue": Table(
        [
            Entry("ticket", found="a {torn|bent} ticket"),
            Entry("map", found="a {folded|crinkled} map"),
            Entry("postcard", found="a {faded|half-written} postcard"),
            Entry("diary", found="a {tiny|leather} diary"),
            Entry("timetable", found="a {scribbled|greasy} timetable"),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<one_day> [hero.he] {packed|tucked|bundled} [hero.his] [color] [toy] into a {big|plain|sturdy} "
         "[mixup_bag], and on the {way|trip} [hero.he] [mixup_cause.how]."],
    ],
    [
        ["{Later|Afterward|That evening}, [hero] {unlocked|opened} the [mixup_bag] and {gasped|shrieked|squeaked}, "
         "for it {now|suddenly|somehow} {held|contained|revealed} only [mixup_item.what]."],
        ['"{Somebody|Someone|A stranger} {has|took} my [color] [toy]," {groaned|sighed|muttered|declared} [hero] '
         "[feeling.ly], but {inside|luckily|happily|just then|beside it|below} [mixup_clue.found] {led|brought|"
         "sent} [hero.him] [place.to]."],
    ],
    [
        ["{There|Sure enough|True enough|Right there}, [spot], {sat|waited|rested|crouched} [a friend_trait] "
         "[friend_kind] {named|called} [friend], {hugging|inspecting|shaking} {a second|a matching|another} "
         "[mixup_bag]."],
        ['"[mixup_cause.why], and I {hoped|promised|need|still have|wanted} to [mixup_item.use]," {squealed|'
         "explained|cheered|announced|bubbled|remarked} [friend]."],
    ],
    [
        ["{Giggling|Chuckling|Smiling|Winking}, they {swapped|changed|switched} back, and [hero], {no longer|not a "
         "bit} [feeling], let [friend] {hold|try|admire|borrow} the [color] [toy]."],
        ["After that, [hero] [mixup_cause.cure], yet {was glad of|treasured} the {mistake|mix-up} that {brought|won|"
         "gave} [hero.him] {a friend|a companion} like [friend]."],
    ],
]
