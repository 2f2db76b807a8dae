"""A strange sound in the dark, a wild guess, courage, and a small and funny reason for it all."""

from data.story_grammar.engine import Entry, Table

NAME = "a noise at night"

VARIABLES = {
    # Who makes the noise decides how it sounds, why, and what is needed. `need` goes after "could".
    "noise_maker": Table(
        [
            Entry(
                "cricket",
                sound="{shrill|scratchy|creaky} chirping",
                doing="{tuning|plucking|testing} {a fiddle|a tiny violin} {in a teapot|inside a jug|under a "
                "saucer}",
                why="{practicing|rehearsing} for {my concert|the harvest dance|a wedding}",
                need="{practice|fiddle|play} {at noon|all afternoon|without a worry}",
            ),
            Entry(
                "toad",
                sound="{hollow|damp|gulping} burping",
                doing="{squatting|bathing|croaking} {in a bucket|under a flowerpot|inside a boot}",
                why="{hiccuping|burping} because {I ate a gnat|I swallowed a fly|of the damp|supper was "
                "rich}",
                need="{sip|drink} {cool water|peppermint tea} {slowly|in peace}",
            ),
            Entry(
                "hamster",
                sound="{rapid|squeaky|whirring} rattling",
                doing="{racing|jogging|galloping} {in a jam jar|on a bicycle wheel|around a cake tin}",
                why="{training|exercising} for {a race|the sports day|a marathon}",
                need="{run|race|exercise} {in the daytime|after breakfast|in circles}",
            ),
            Entry(
                "moth",
                sound="{faint|papery|fluttering} tapping",
                doing="{bumping|bouncing|butting} against {a lamp|the mirror|the glass}",
                why="{looking for|trying to reach|chasing} {the moon|the light|a star}",
                need="{watch|wait} for {moonrise|the evening star|dusk|twilight}",
            ),
            Entry(
                "crab",
                sound="{sharp|steady|wooden} clicking",
                doing="{snapping|clacking|tapping} {two spoons|its claws|a pair of chopsticks} {on the "
                "tiles|on a pan lid}",
                why="{learning|practicing} {a tap dance|the tango|a waltz|castanets}",
                need="{dance|tap} {all day|in slippers|with a partner}",
            ),
            Entry(
                "hen",
                sound="{grumbling|muffled|restless} clucking",
                doing="{stuffing|arranging|fluffing} {pillows|straw|old socks} in {the closet|a drawer|the "
                "laundry bin}",
                why="{building|making} {a nest|a nursery} for {my egg|my first egg|five eggs}",
                need="{nest|settle|hatch chicks} {in peace|in a cozy crate|undisturbed}",
            ),
            Entry(
                "woodpecker",
                sound="{rapid|brisk|endless} knocking",
                doing="{hammering|pecking|drilling} {at the chimney|on the gutter|into a doorpost}",
                why="{carving|hammering} {a doorway|my name|a new home}",
                need="{carve|hammer|drill} {planks|old stumps} {in the daytime|until sunset}",
            ),
            Entry(
                "snail",
                sound="{long|thin|slippery} squeaking",
                doing="{gliding|skidding|slithering} down {the window|a wet mirror|the bathtub}",
                why="{sliding|skiing} down here {for fun|to keep fit|for the thrill|to see the view}",
                need="{slide|skid} {all morning|until lunch|at top speed}",
            ),
            Entry(
                "parrot",
                sound="{spooky|booming|raspy} muttering",
                doing="{gargling|chatting|snoring} {in a drawer|behind the curtain|on a coat hook}",
                why="{telling|repeating|learning} {riddles|jokes} {in my sleep|for the circus|to myself}",
                need="{chatter|tell jokes|talk} {with visitors|at noon|with new listeners}",
            ),
            Entry(
                "beetle",
                sound="{dull|bumpy|heavy} scraping",
                doing="{dragging|shoving|rolling} {a walnut|an acorn|a thimble|a cork} across the {attic|"
                "cellar|hallway}",
                why="{moving|hauling} {a table|my bathtub|furniture} to {my new house|my burrow}",
                need="{push|shove|drag} {furniture|such loads} {by daylight|with helpers}",
            ),
        ]
    ),
    # What the hero takes it for; it comes back as a joke.
    "noise_guess": Table(
        [
            Entry("dragon", like="with {smoky|fiery} breath"),
            Entry("giant", like="in {iron|enormous} boots"),
            Entry("troll", like="with {hairy|muddy} ears"),
            Entry("pirate", like="with a {hook|wooden leg}"),
            Entry("goblin", like="with {crooked|pointed} teeth"),
            Entry("dinosaur", like="with {spikes|scales}"),
            Entry("ghost", like="in a {ragged|pale} sheet"),
            Entry("swamp monster", like="covered in {slime|seaweed}"),
            Entry("bandit", like="in a {mask|hood}"),
            Entry("yeti", like="with {shaggy|bristly} fur"),
        ]
    ),
    "noise_fear": Table(
        ["frightened", "uneasy", "jumpy", "shaky", "alarmed", "nervous", "jittery", "fearful", "panicky"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["[^hero.he] never {slept|went to bed|dozed off|settled down|dreamed|snuggled up} without "
         "[hero.his] [color] [toy], {a gift|a present|a keepsake} from [hero.his] [family.kin], {nearby|"
         "close by|beside the bed|within sight|on guard}."],
    ],
    [
        ["One {stormy|moonless|foggy|frosty|starry|pitch-black|drizzly|still} night [a friend_trait] "
         "[friend_kind] {named|called} [friend] {slept over|came to stay|shared the room|stayed with "
         "[hero.him]|camped on the floor}, and {near midnight|at midnight|long after supper|before dawn|"
         "past bedtime|in the wee hours} [a noise_maker.sound] {woke|startled|roused|jolted|disturbed} "
         "them{| both}."],
        ['"{That sounds like|It must be|I think it is|It is surely|I bet that is|Maybe that is} [a '
         'noise_guess] [noise_guess.like]," {gasped|stammered|gulped|whimpered|squealed|hissed} [friend], '
         "{diving|crawling|wriggling|vanishing|ducking|curling up} under the {quilt|covers|bed|table|"
         "mattress}, and [hero] felt {rather|quite|terribly|pretty|a bit} [noise_fear]."],
    ],
    [
        ["{Still|Even so|Nevertheless|All the same|Bravely|Swallowing hard}, [hero.he] {lit a candle|found "
         "a flashlight|put on slippers|put on a robe|rose|sat up|counted to three|flung off the sheets}, "
         "{took|brought} the [toy] along for {courage|luck|company|comfort} and {crept|tiptoed|inched|"
         "stole|sneaked|shuffled} {down the {hall|stairs|ladder}|through the {gloom|shadows|parlor}}."],
        ['"I am no [noise_guess], I {am only|was just|was merely} [noise_maker.why]," {puffed|piped up|'
         "apologized|protested|insisted|stuttered} a {tiny|bashful|startled|chubby|muddled|wee|plain|"
         "dazed} [noise_maker], [noise_maker.doing]."],
    ],
    [
        ["{At dawn|At sunrise|Next morning|After breakfast|On Sunday|Later} {they|the friends} {led|"
         "escorted|guided|invited|took|brought} the [noise_maker] [place.to], where it could "
         "[noise_maker.need]."],
        ["{Back in bed|The next night|That evening|When night fell}, no longer [noise_fear], [hero] {set|"
         "put|placed} the [color] [toy] {in its usual place|nearby|within reach|on its spot|alongside} and "
         '{joked|chuckled|giggled|grinned|quipped|remarked}, "{In the dark|At night|Under the covers}, '
         "[friend], {every|any|a little|one small} [noise_maker] {sounds|seems} {bigger|fiercer|scarier|"
         'grander|worse} than [a noise_guess]."'],
    ],
]
