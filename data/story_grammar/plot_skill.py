"""The hero wants to learn something hard, fails, gets advice, practices, and shows it in the end."""

from data.story_grammar.engine import Entry, Table

NAME = "learning a skill"

VARIABLES = {
    # What is to be learned: how it fails, what a teacher says, and how it looks when it works.
    "skill": Table(
        [
            Entry(
                "juggle",
                event="{talent show|carnival|circus night}",
                ing="juggling {three|four|five} [skill_thing]",
                things=["lemons", "beanbags", "turnips", "potatoes", "oranges"],
                fail="the [skill_thing] {rained down|bounced off the wall|thudded on the floor|rolled under "
                "the bed|landed in the "
                     "sink}",
                tips=["start with only one", "look up, never down", "throw low and slow"],
                show="{every|each} one of the [skill_thing] {flew|danced|circled} {in the air|like planets|"
                "in a loop}",
            ),
            Entry(
                "skate",
                event="{street parade|skating party|carnival}",
                ing="{gliding|skating|zooming} on [skill_thing]",
                things=["ice skates", "roller skates", "silver blades", "borrowed skates"],
                fail="both {feet|legs|shoes} {shot forward|went different ways|wobbled|crossed} with a "
                "{bump|thud|crash|shriek}",
                tips=["bend low and breathe", "push, then glide", "look where you want to go"],
                show="the [skill_thing] {hissed|whispered|sang|sped} {in a figure eight|past the crowd|"
                "without a "
                     "wobble}",
            ),
            Entry(
                "pedal",
                event="{bicycle race|street parade|spring rally}",
                ing="{riding|steering|pedaling} [a skill_thing]",
                things=["bicycle", "tricycle", "unicycle", "go-cart"],
                fail="the {wheel|chain|handlebar} {twisted|jammed|slipped} and {a hedge|a lamppost|the "
                     "mailbox|a haystack} {came too close|got in the way|was hit}",
                tips=["keep your eyes on the road", "never stop pedaling", "sit up straight"],
                show="the [skill_thing] {rolled|whizzed|raced} {around the bend|down the lane|over a bump} "
                     "{smoothly|without a stop}",
            ),
            Entry(
                "read",
                event="{story hour|school concert|poetry night}",
                ing="reading [a skill_thing]",
                things=["pirate story", "poem", "fairy tale", "comic book", "newspaper"],
                fail="the {letters|words|sentences} {jumped|swam|hopped} {about|around the page|like fleas} "
                     "and {made no sense|would not stay still}",
                tips=["sound out one letter at a time", "point at each word", "begin with the shortest words"]
                ,
                show="{every line|each page|the last word} of the [skill_thing] {rang out|sounded|came out} "
                     "{clear|loud|perfect}",
            ),
            Entry(
                "swim",
                event="{swimming contest|water festival|summer games}",
                ing="swimming {well|fast|lengths} without [skill_thing]",
                things=["goggles", "flippers", "armbands", "fear"],
                fail="{cold|salty|green} water {went up [hero.his] nose|splashed everywhere|tickled "
                     "[hero.his] throat} and {panic|coughing} {came|followed}",
                tips=["blow bubbles first", "lie as flat as a leaf", "kick with long legs"],
                show="{ten|twelve|fifteen} {strong|splashing|steady} kicks {carried|took|moved} [hero.him] "
                     "{to the rope|across the pool|to the far side}",
            ),
            Entry(
                "knit",
                event="{craft fair|harvest fair|flower show}",
                ing="knitting [a skill_thing]",
                things=["sock", "mitten", "tea cozy", "sweater"],
                fail="the {yarn|wool|thread} {knotted|tangled|unraveled} around {a table leg|[hero.his] ears|"
                     "the needles|a doorknob}",
                tips=["count every stitch", "hold the wool loosely", "make one row, then rest"],
                show="the [skill_thing] {hung|lay|sat} there {without a hole|neat and soft|finished to the "
                "last "
                     "stitch}",
            ),
            Entry(
                "jump",
                event="{sports day|summer games|school picnic}",
                ing="{skipping|jumping} with [a skill_thing]",
                things=["jump rope", "hoop", "long rope", "clothesline"],
                fail="{toes|ankles|knees} got {caught|trapped|tangled} {at once|after one hop|with a yelp}, "
                     "{again and again|over and over}",
                tips=["listen for the tap", "take small hops", "sing a counting rhyme"],
                show="{thirty|forty|fifty} {jumps|hops|skips} {in a row|without a rest} {made|left} {the "
                     "ground shake|everybody counting aloud}",
            ),
            Entry(
                "play music",
                event="{talent show|concert|spring ball}",
                ing="playing {a lullaby|a march|a waltz} on [a skill_thing]",
                things=["piano", "violin", "trumpet", "accordion", "banjo"],
                fail="{each|every} note {squeaked|screeched|groaned} like {a hinge|an angry cat|a rusty gate|"
                     "a lost sheep}",
                tips=["play it slowly first", "listen before you play", "tap the beat with one foot"],
                show="{sweet|clear|merry} {notes|chords|tunes} from the [skill_thing] {floated|drifted|rang} "
                     "{across the square|up to the balcony|over the rooftops}",
            ),
        ]
    ),
    "skill_thing": Table("things", of="skill"),
    "skill_tip": Table("tips", of="skill"),
    "skill_teacher": Table(
        [
            Entry("Amos", who="a retired sailor named Amos"),
            Entry("Celeste", who="a dancer named Celeste"),
            Entry("Rufus", who="a mailman named Rufus"),
            Entry("Ingrid", who="a circus star named Ingrid"),
            Entry("Professor Quill", who="an inventor called Professor Quill"),
            Entry("Nurse Violet", who="a nurse called Nurse Violet"),
            Entry("Coach Amber", who="a sports teacher called Coach Amber"),
            Entry("Barnaby", who="a bearded wizard named Barnaby"),
            Entry("Chief Blaze", who="a firefighter called Chief Blaze"),
            Entry("Miss Page", who="a librarian called Miss Page"),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        [
            "<one_day> [hero] {saw|met|watched|admired|cheered for} [friend], [a friend_trait] "
            "[friend_kind], "
            "[skill.ing], and {longed|decided|hoped|vowed|itched} to {learn it|try it|do it|manage it} {too|"
            "before {winter|Easter|summer}}.",
        ],
        [
            "{Unluckily|Alas|At first|On {Monday|Tuesday}|Straight away}, [skill.fail], {so|and} [hero] "
            "{felt|"
            "grew|became} "
            "[feeling]{| and {hid|sulked|sniffled|sighed|went home}}.",
        ],
    ],
    [
        [
            "{Luckily|Just then|By chance|Nearby}, [skill_teacher.who] {noticed|was listening|peered in|"
            "looked "
            "over} and {said|advised|chuckled|called}, "
            '"I {lost heart|failed|cried|gave up} {a hundred|fifty|forty|ninety} times{, too|}, but {my '
            'trick|my '
            'secret|the answer} is this: [skill_tip]."',
        ],
        [
            "{Before breakfast|After school|At dawn|Every evening|Between chores}, [hero] {practiced|tried|"
            "worked|"
            "trained} {hard|calmly|in secret|with a yawn|on and on} {while|as} {rain fell|the cat slept|"
            "[family] "
            "{clapped|counted|sewed}|the kettle sang|crickets chirped}.",
        ],
    ],
    [
        [
            "{At|During|Later, at} the [skill.event] {near|beside|close to} the [place], "
            "[skill.show], {and|while} {[friend]|[skill_teacher]} {whooped|applauded|threw flowers|wept with "
            "joy|"
            "whistled}.",
        ],
        [
            "{No longer|Not one bit|Not at all} [feeling], [hero] {bowed|waved|curtsied|beamed|blushed} and "
            "{hugged|kissed|held up|patted|thanked} the [color] [toy], [hero.his] {lucky charm|best "
            "audience|faithful companion|secret comfort}.",
        ],
        [
            "{Later|Nowadays|After that}, [hero] {told|taught|reminded|advised} {every beginner|the little "
            "ones|a baby "
            "cousin|the whole class}: "
            '"{Do not give up|Keep trying|Be patient|Fall, laugh, rise}, and [skill_tip]!"',
            "{Later|Nowadays|After that}, [hero] {knew|saw|was sure} that {a mistake is only a step|nobody "
            "starts as a "
            "master|small steps climb tall mountains|patience is a kind of magic|trying again is half of "
            "winning}.",
        ],
    ],
]
