"""The hero wants to learn something hard, fails, gets advice, practices, and shows it in the end."""

from data.story_grammar.engine import Entry, Table

NAME = "learning a skill"

VARIABLES = {
    # What is to be learned: how it fails, what a teacher says, and how it looks when it works.
    "skill": Table(
        [
            Entry(
                "juggle",
                event="{talent show|circus night}",
                ing="juggling {three|four|five} [skill_thing]",
                things=["lemons", "beanbags", "potatoes", "oranges"],
                fail="the [skill_thing] {bounced off the wall|rolled under the bed}",
                tips=["start with only one", "look up, never down", "throw low and slow"],
                show="{every|each} one of the [skill_thing] {flew|danced} {through the air|in a ring}",
            ),
            Entry(
                "read",
                event="{story hour|school concert}",
                ing="reading [a skill_thing]",
                things=["pirate story", "poem", "comic book", "newspaper"],
                fail="the {letters|words} {swam|hopped} {about|around the page} and {made no sense|would not stay "
                     "still}",
                tips=["sound out one letter at a time", "point at each word", "begin with the shortest words"],
                show="{each page|the last word} of the [skill_thing] {rang|came} out {clear|loud} and perfect",
            ),
            Entry(
                "knit",
                event="{harvest fair|flower show}",
                ing="knitting [a skill_thing]",
                things=["sock", "mitten", "bow tie", "sweater"],
                fail="the {yarn|wool} {knotted|tangled} around {a table leg|[hero.his] ears}",
                tips=["count every stitch", "hold the wool loosely", "make one row, then rest"],
                show="the [skill_thing] {hung|lay|sat} there {without a hole|neat and soft}",
            ),
            Entry(
                "jump",
                event="{sports day|school picnic}",
                ing="{skipping|jumping} with [a skill_thing]",
                things=["jump rope", "hoop", "long rope", "garden rope"],
                fail="[hero.his] {toes|knees} got {caught|stuck|tangled} {at once|after one hop}, {again and "
                     "again|over and over}",
                tips=["listen for the tap", "take small hops", "sing a counting rhyme"],
                show="{forty|fifty} {hops|skips} {in a row|without a rest} {made the {ground|benches} shake|left "
                     "everybody counting aloud}",
            ),
            Entry(
                "play music",
                event="{concert|spring ball}",
                ing="playing {a lullaby|a march} on [a skill_thing]",
                things=["piano", "violin", "trumpet", "accordion"],
                fail="{each|every} note {squeaked|groaned} like {a hinge|a rusty gate}",
                tips=["play it slowly first", "listen before you play", "tap the beat with one foot"],
                show="{sweet|clear|merry} {notes|tunes} from the [skill_thing] {floated|rang} {across the square|over "
                     "the rooftops}",
            ),
        ]
    ),
    "skill_thing": Table("things", of="skill"),
    "skill_tip": Table("tips", of="skill"),
    "skill_teacher": Table(
        [
            Entry("Rufus", who="a mailman named Rufus"),
            Entry("Ingrid", who="a circus star named Ingrid"),
            Entry("Nurse Violet", who="a nurse called Nurse Violet"),
            Entry("Coach Amber", who="a sports teacher called Coach Amber"),
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
        ["<one_day> [hero] {saw|met|noticed|admired} [friend], [a friend_trait] [friend_kind], [skill.ing], and "
         "{longed|decided|hoped|itched} to {learn that|try that|do the same} {too|before {the holidays|next year}}."],
        ["{At first|That evening|The next day|On the first try}, [skill.fail], {so|and} [hero] {felt|grew|became} "
         "[feeling]{| and {hid|sighed|sat down}}."],
    ],
    [
        ["{Luckily|Just then|Before long}, [skill_teacher.who] {noticed [hero]|peered in|looked over} and {said|"
         'advised|chuckled|called}, "I {felt silly|cried|gave up} {a hundred|fifty|forty} times{, too|}, but {my trick|'
         'my secret|the answer} is this: [skill_tip]."'],
        ["{Before breakfast|After school|Every morning|Every evening}, [hero] {practiced|worked} {hard|calmly|in "
         "secret|on and on} {while|as} {the clock ticked|the cat slept|the kettle sang}."],
    ],
    [
        ["{At|During|Later, at} the [skill.event] {near|beside|close to} the [place], [skill.show], {and|while} "
         "[friend]{| and [skill_teacher]} {whooped|cheered|whistled}."],
        ["{No longer|Not one bit|Not at all} [feeling], [hero] {bowed to|waved to|beamed at|winked at} [friend] and "
         "{hugged|held up|thanked} the [color] [toy], [hero.his] {best audience|faithful friend|secret comfort}."],
        ['{From then on|Soon|After that}, [hero] {told|advised} {the little ones|the whole class}: "{Do not give up|'
         'Keep trying|Be patient}, and [skill_tip]!"',
         "{From then on|Soon|After that}, [hero] {knew|saw|was sure} that {a mistake is only a step|trying again is "
         "half of winning}."],
    ],
]
