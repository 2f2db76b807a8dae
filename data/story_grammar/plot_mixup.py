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
                why="We {grabbed|lifted|took} the wrong ones when the bus {stopped|braked|arrived}",
                cure="{painted|stitched|pasted} a {star|moon|heart} on the [mixup_bag]",
            ),
            Entry(
                "bump",
                how="{bumped|crashed|bounced} into {a stranger|somebody|a traveler} {at a corner|on the "
                "stairs|in a doorway}",
                why="We {swapped|switched} them when we {collided|bumped|crashed}",
                cure="always {walked slowly|looked both ways|watched out} at {corners|crossings} with the "
                "[mixup_bag]",
            ),
            Entry(
                "bakery",
                how="{left|parked|set} it {on the floor|by the wall} of a bakery",
                why="We {mixed up|muddled|confused} our bags while {buying|choosing} {rolls|buns|bread}",
                cure="kept {an eye|a tight grip} on the [mixup_bag] in {shops|stores|crowds}",
            ),
            Entry(
                "porter",
                how="gave it to a porter {with|pushing} a {heaped|rattling|squeaky} cart",
                why="{The|That|The poor} porter {read|copied} the {labels|numbers} {upside down|wrongly}",
                cure="{wrote|printed|chalked} {a name|an address} on the [mixup_bag]",
            ),
            Entry(
                "ferry",
                how="{stacked|piled|heaped} it with {twenty|forty|fifty} others on a ferry",
                why="{A wave|A storm} {rolled|tossed|shuffled} {everything|all the luggage} about on deck",
                cure="{tied|knotted|hung} a {tassel|bow|button} on the [mixup_bag]",
            ),
            Entry(
                "museum",
                how="left it in a museum cloakroom {among|between} {raincoats|coats|overcoats}",
                why="{Our|The} {ticket|cloakroom} numbers were {upside down|switched|smudged}",
                cure="always {checked|read} {the number|the ticket} before taking the [mixup_bag]",
            ),
        ]
    ),
    # What the other bag holds decides what its owner was going to do.
    "mixup_item": Table(
        [
            Entry(
                "trumpet",
                what="a {dented|gleaming|brass} trumpet {wrapped|rolled up} in {velvet|newspaper}",
                use="play the trumpet in the {parade|concert|band}",
            ),
            Entry(
                "paints",
                what="{nine|twelve|fifteen} tubes of paint and a {sticky|stained|smeared} apron",
                use="paint {a mural|a portrait|the sunset} with those tubes",
            ),
            Entry(
                "yarn",
                what="{eight|six|ten} {fluffy|tangled|woolly} skeins of yarn {and long needles|and half a "
                "mitten}",
                use="knit {a sweater|mittens|socks} from that yarn",
            ),
            Entry(
                "skates",
                what="{scuffed|polished|battered} skates {and thick socks|and knee pads}",
                use="{twirl|glide|race} on those skates",
            ),
            Entry(
                "telescope",
                what="a {folding|dusty|copper} telescope and {a star chart|moon maps|a tripod}",
                use="{study|watch|count} {the stars|the planets|comets} through that telescope",
            ),
            Entry(
                "wand",
                what="a {crooked|sparkly|slender} wand and {nine|a pack of|forty} {magic|playing} cards",
                use="perform {tricks|magic} with that wand",
            ),
            Entry(
                "cookbook",
                what="a {greasy|tattered|floury} cookbook and {a whisk|a sieve|a ladle|an oven mitt}",
                use="{bake|try out|cook} {waffles|dumplings|a pudding|crackers} from that cookbook",
            ),
            Entry(
                "goggles",
                what="{damp|rubber|foggy} goggles and {a towel|flippers|a snorkel|a swimsuit}",
                use="{dive|swim|paddle|float} with those goggles",
            ),
            Entry(
                "hammer",
                what="a {hefty|rusty|stubby} hammer and {a bag|a box|a tin} of {nails|screws|hinges}",
                use="{build|finish|fix} a {birdhouse|treehouse|doghouse} with that hammer",
            ),
            Entry(
                "costume",
                what="a {pirate|clown|mermaid|wizard} costume {with a mask|with a wig|with shiny boots}",
                use="wear that costume in the {play|theater|pageant|parade}",
            ),
        ]
    ),
    # A hint to where the owner is. It goes after "found" and a comma.
    "mixup_clue": Table(
        [
            Entry("ticket", found="a {crumpled|torn|bent} ticket"),
            Entry("map", found="a {folded|penciled|crinkled} map"),
            Entry("postcard", found="a {faded|half-written|glossy} postcard"),
            Entry("photo", found="a {blurry|framed|creased} photo"),
            Entry("diary", found="a {tiny|padlocked|leather} diary"),
            Entry("timetable", found="a {stamped|scribbled|greasy} timetable"),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<one_day> [hero.he] {packed|tucked|stowed|bundled} [hero.his] [color] [toy] into a {big|roomy|"
         "plain|patched|stout|worn|sturdy} [mixup_bag], and on the {way|journey|trip} [hero.he] "
         "[mixup_cause.how]."],
    ],
    [
        ["{Later|Afterward|That evening|After a snack}, [hero] {undid|unfastened|unpacked|unlocked|opened} "
         "the [mixup_bag] and {gasped|blinked|froze|stared|gulped|shrieked|squeaked|winced}, for it {now|"
         "suddenly|somehow} {held|contained|revealed} only [mixup_item.what]."],
        ['"{Somebody|Someone|A stranger} {has|took} my [color] [toy]," {moaned|mumbled|groaned|sighed|'
         "muttered|exclaimed|declared} [hero] [feeling.ly], but {underneath|inside|luckily|happily|just "
         "then|beside it|below} [mixup_clue.found] {led|brought|sent|directed} [hero.him] [place.to]."],
    ],
    [
        ["{There|Sure enough|True enough|Right there}, [spot], {sat|stood|waited|rested|lingered|crouched} "
         "[a friend_trait] [friend_kind] {named|called} [friend], {guarding|hugging|clutching|frowning at|"
         "inspecting|circling|shaking} {a second|a matching|an identical|a twin|another} [mixup_bag]."],
        ['"[mixup_cause.why], and I {hoped|planned|promised|need|intend|still have|wanted} to '
         '[mixup_item.use]," {squealed|rejoiced|explained|cheered|announced|bubbled|remarked} [friend].'],
    ],
    [
        ["{Giggling|Chuckling|Smiling|Bowing|Relieved|Winking|Whooping}, they {traded|swapped|changed|"
         "switched} back, and [hero], {no longer|not a bit} [feeling], let [friend] {hold|try|admire|"
         "borrow|inspect|test|touch} the [color] [toy]."],
        ["After that, [hero] [mixup_cause.cure], yet {was glad of|never minded|blessed|treasured|often "
         "laughed about|never regretted} the {mistake|muddle|mix-up|confusion|accident} that {brought|won|"
         "gave|earned} [hero.him] {a pal|a friend|a playmate|a companion} like [friend]."],
    ],
]
