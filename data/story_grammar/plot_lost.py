"""A loved thing is lost, looked for with a friend, and found again."""

from data.story_grammar.engine import Entry, Table

NAME = "lost and found"

VARIABLES = {
    # How it was lost decides what is said about it and what is learned. `why` is told to the friend.
    "loss": Table(
        [
            Entry(
                "tumbled",
                how="it {tumbled|slid|bounced} {down|over} a {steep|slippery|grassy} {bank|slope|ridge}",
                why="it had {tumbled|slid|bounced} {downhill|out of sight}",
                lesson="hold on {tight|firmly} {near|beside} {a steep bank|slopes|the edge}",
            ),
            Entry(
                "forgotten",
                how="[hero.he] {put|set|laid} it down to {watch|chase|admire} a {butterfly|dragonfly|snail|"
                    "ladybug} and {forgot it|lost track of it}",
                why="[hero.he] had {put|set|laid} it down {carelessly|somewhere|in the wrong place}",
                lesson="look {behind|back|around} before {walking|wandering} {on|off|away}",
            ),
            Entry(
                "taken",
                how="a {cheeky|greedy|naughty} [lost_thief] {ran|made|scampered} off with it",
                why="a [lost_thief] had {run away with|stolen|grabbed} it",
                lesson="{watch out for|beware of|keep an eye on} {any|every} [lost_thief]",
            ),
            Entry(
                "crowd",
                how="a {brass band|noisy parade|crowd of {shoppers|dancers}} {pushed|squeezed|marched} past "
                    "and it vanished",
                why="it had {vanished|been lost|disappeared} among {all the|countless} {feet|elbows}",
                lesson="keep {treasures|things} {close|near} in {crowds|a crowd|busy streets}",
            ),
            Entry(
                "hurry",
                how="{the {noon|lunch|school} bell rang|[family] called} and in the {hurry|rush} it {was "
                    "left|stayed} behind",
                why="[hero.he] had {left|lost} it by {rushing|hurrying|running off}",
                lesson="{check|count} {twice|everything} before {rushing|hurrying|dashing} {off|home}",
            ),
            Entry(
                "hidden",
                how="[hero.he] hid it {for fun|too well|from thieves} and {forgot where|could not remember "
                    "the spot}",
                why="[hero.he] had {hidden|buried|stashed} it {too well|far too cleverly}",
                lesson="{draw a map|make a list} of {every|each} hiding {place|spot}",
            ),
        ]
    ),
    "lost_thief": Table(["goose", "magpie", "billy goat", "rooster", "donkey", "weasel",
    "jackdaw", "turkey"]),
    "searcher": Table(
        [
            "a jay", "a beetle", "an ant", "a toad", "a sparrow", "a bat", "a caterpillar", "a robin",
            "a bumblebee", "a lizard", "a pigeon", "a spider", "a worm", "a woodpecker",
        ]
    ),
    # What turns up instead, and is kept.
    "lost_junk": Table(
        [
            "rusty spoon", "bent nail", "copper coin", "rubber boot", "wool sock", "leather glove",
            "cracked plate", "tin bucket", "glass bottle", "pocket comb", "broken pipe", "horseshoe",
            "pine cone", "pretty pebble", "brass button", "bicycle wheel", "gray mitten", "fish bone",
            "torn postcard", "thimble",
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>",
         "{Everyone|Everybody|The whole town} {knew|noticed|could see} how {fond|proud} [hero.he] was of [a "
         "color] [toy] {from|sent by|chosen by} [hero.his] [family.kin].",
         "[^hero.his] {best|dearest|proudest} {possession|belonging} was [a color] [toy]."],
    ],
    [
        ["<one_day> [hero] {took|brought|was taking|was bringing} the [toy] [place.to], but {before long|on "
         "the way|along the path|by the gate|suddenly|halfway there|too soon|alas} [loss.how]."],
        ['"{Help|Oh no|Oh dear|Goodness}, {it is gone|I have lost it|it has disappeared|I cannot see it}!" '
         '{cried|sobbed|wailed|gasped} [hero] [feeling.ly], but [searcher] {nearby|passing by|close at hand|'
         'overhearing this} had {seen|noticed|heard} {nothing|very little}.'],
    ],
    [
        ["{Just then|Luckily|Soon afterward|Happily|Presently|Then} [a friend_kind] {named|called} [friend] "
         "{came {by|along|past}|{skipped|trotted|strolled} up} and {listened|nodded|waited|sat down} while "
         "[hero] {explained|admitted|sniffed|whispered} that [loss.why]."],
        ["{Together|Side by side|Hour after hour} they {looked|searched|hunted|rummaged|explored} {high and "
         "low|everywhere|in every corner|all over} [place.at] but {found|discovered|dug up} {only|nothing "
         "except|nothing but} a [lost_junk]."],
        ['{At last|Finally|In the end|An hour later} [friend] {looked|peeked|peered|crawled} [spot] and '
         '{shouted|called|yelled|squealed}, "{Here it is|I see it|Come quick|Look at this|Found it}, '
         '[hero]!"'],
    ],
    [
        ["There {was|lay|waited} the [color] [toy], {{dusty|muddy|damp|sandy} but {whole|unharmed|unbroken}|"
         "safe and sound|as good as new|without a scratch}, and [hero], {not [feeling] {any more|anymore|"
         "now}|no longer [feeling]}, {thanked|hugged|squeezed|embraced|cheered} [friend]."],
        ["{After that|From then on|Ever after}, [hero] {always remembered|never forgot|took care|made sure} "
         "to [loss.lesson].",
         "{For {luck|fun}|As a {prize|souvenir}} [friend] kept the [lost_junk] and {hung|put|placed} it "
         "{above|beside|near} the {bed|door|fireplace|bathtub}.",
         "{Soon|To say thanks|As a reward|That same afternoon}, [hero] {asked|invited|allowed|urged} "
         "[friend] to [toy.play] {first|next|too|until {dark|teatime}}.",
         "<ending>"],
    ],
]
