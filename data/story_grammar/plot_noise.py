"""A strange sound in the dark, a wild guess, courage, and a small and funny reason for it all."""

from data.story_grammar.engine import Entry, Table

NAME = "a noise at night"

VARIABLES = {
    # Who makes the noise decides how it sounds, why, and what is needed. `need` goes after "could".
    "noise_maker": Table(
        [
            Entry(
                "toad",
                sound="{damp|gulping} burping",
                doing="{squatting|croaking} {in a bucket|inside a boot}",
                why="{hiccuping|burping} because {of the damp|supper was rich}",
                need="{sip|drink} {cool water|peppermint tea} {slowly|in peace}",
            ),
            Entry(
                "hamster",
                sound="{rapid|squeaky} rattling",
                doing="{racing|galloping} {in a jam jar|around a cake tin}",
                why="{training|exercising} for {a race|the sports day}",
                need="{run|race} {after breakfast|in circles}",
            ),
            Entry(
                "moth",
                sound="{faint|fluttering} tapping",
                doing="{bumping|bouncing} against {a lamp|the mirror}",
                why="{looking for|chasing} {the moon|the light|a star}",
                need="{watch|wait} for {the evening star|twilight}",
            ),
            Entry(
                "snail",
                sound="{long|thin} squeaking",
                doing="{skidding|slithering} down {the window|a wet mirror}",
                why="{sliding|skiing} down here {for fun|to keep fit}",
                need="{slide|skid} {all morning|until lunch|at top speed}",
            ),
            Entry(
                "parrot",
                sound="{spooky|raspy} muttering",
                doing="{chatting|snoring} {in a drawer|on a coat hook}",
                why="{repeating|learning} {riddles|jokes} {in my sleep|for the circus}",
                need="{tell jokes|talk} {with visitors|at noon}",
            ),
        ]
    ),
    # What the hero takes it for; it comes back as a joke.
    "noise_guess": Table(
        [
            Entry("troll", like="with {hairy|muddy} ears"),
            Entry("pirate", like="with a {hook|wooden leg}"),
            Entry("goblin", like="with {crooked|pointed} teeth"),
            Entry("ghost", like="in a {ragged|pale} sheet"),
            Entry("bandit", like="in a {mask|hood}"),
        ]
    ),
    "noise_fear": Table(
        ["frightened", "uneasy", "shaky", "alarmed", "nervous", "panicky"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["[^hero.he] never {slept|went to bed|settled down|dreamed} without [hero.his] [color] [toy], {a gift|a "
         "present|a keepsake} from [hero.his] [family.kin], {nearby|close by|beside the bed}."],
    ],
    [
        ["One {foggy|drizzly|still} night [a friend_trait] [friend_kind] {named|called} [friend] {slept over|came "
         "to stay|stayed with [hero.him]}, and {long after supper|before dawn|past bedtime} [a noise_maker.sound] "
         "{woke|startled|disturbed} them{| both}."],
        ['"{That sounds like|It must be|I think it is} [a noise_guess] [noise_guess.like]," {gasped|squealed|'
         "hissed} [friend], {diving|wriggling|vanishing} under the {covers|bed|table|mattress}, and [hero] felt "
         "{rather|quite|terribly|a bit} [noise_fear]."],
    ],
    [
        ["{Still|Even so|All the same|Bravely}, [hero.he] {rose|sat up|counted to three}, {took|brought} the [toy] "
         "along for {courage|luck|company|comfort} and {crept|tiptoed|shuffled} {down the {stairs|ladder}|through "
         "the {gloom|parlor}}."],
        ['"I am no [noise_guess], I {am only|was just|was merely} [noise_maker.why]," {puffed|apologized|protested} '
         "a {tiny|startled|plain} [noise_maker], [noise_maker.doing]."],
    ],
    [
        ["{At dawn|Next morning|After breakfast|On Sunday|Later} {they|the friends} {led|invited|took|brought} the "
         "[noise_maker] [place.to], where it could [noise_maker.need]."],
        ["{Back in bed|The next night|That evening|When night fell}, no longer [noise_fear], [hero] {set|put|"
         'placed} the [color] [toy] {nearby|on its spot|alongside} and {chuckled|giggled|grinned|remarked}, "{In '
         "the dark|At night|Under the covers}, [friend], {every|any|a little|one small} [noise_maker] {sounds|"
         'seems} {bigger|grander|worse} than [a noise_guess]."'],
    ],
]
