"""A contest, a rival, a mishap; the rival plays fair, and the prize goes where it should."""

from data.story_grammar.engine import Entry, Table

NAME = "a contest"

VARIABLES = {
    # The contest decides what is practiced, what goes wrong, and what the rival does about it.
    "contest": Table(
        [
            Entry(
                "sack race",
                practice="{hopped|bounced} {along the lane|over the lawn} in a {flour|potato} sack",
                mishap="the sack {split|burst} {from top to bottom|at one corner}",
                mend="helped [hero] {stitch|sew} {it|the hole} {shut|together|up} with {strong thread|black wool}",
            ),
            Entry(
                "pie contest",
                practice="{rolled|kneaded} {dough|pastry} {as thin as paper|in a cloud of flour}",
                mishap="the {filling|pie} {burned|turned black} {in the oven|on one side}",
                mend="{gave|brought} [hero] {a bowl|a tray|a heap} of {fresh|sweet} {dough|plums}",
            ),
            Entry(
                "pumpkin show",
                practice="{fed|measured} {a pumpkin|one huge pumpkin} {behind|beside} the shed",
                mishap="the pumpkin {rolled|tumbled|slid} {off the cart|down the steps|off the table} and "
                       "{cracked|split}",
                mend="helped [hero] {cut|shape} the {crack|hole} into a {grin|smile} {like a new moon|from ear to ear}",
            ),
            Entry(
                "egg race",
                practice="{carried|balanced} an egg on a spoon {up the stairs|through the kitchen|along a wall}",
                mishap="the spoon {bent|cracked} {in two|in the middle}",
                mend="{handed|offered|gave} [hero] {a|a fine} {wooden|soup|sturdy} {spoon|ladle}",
            ),
            Entry(
                "juggling show",
                practice="{tossed|threw} {three|four|five} beanbags {over and over|behind the house}",
                mishap="{the best|the last|one heavy} beanbag {burst|split|sprang open} and {beans|dried peas} "
                       "{flew|rolled} everywhere",
                mend="{handed|offered|gave} [hero] {an orange|a rolled-up sock|a ball of wool|a mitten} to "
                     "{toss|throw} instead",
            ),
        ]
    ),
    "contest_prize": Table("trophy medal rosette crown badge sash wreath shield statue star vase".split()),
    # How the mishap feels; it comes back when that is over.
    "contest_mood": Table("glum heartbroken miserable tearful grumpy worried gloomy sad upset".split()),
    # Who wins decides how the story ends.
    "contest_result": Table(
        [
            Entry(
                "tie",
                verdict="{declared|announced} {a tie|a draw}, and {[hero] and [friend]|everyone} "
                        "{bowed|hugged|danced|cheered}",
                after="{So|From then on|After that|For years}, [hero], {[contest_mood] no longer|no longer "
                      "[contest_mood]}, kept the [contest_prize] {beside|next to|near} the [color] [toy] {in "
                      "{spring|summer|winter|autumn}|on school days} and {passed it to|sent it over to|handed it to} "
                      "[friend] {at other times|the rest of the time}.",
            ),
            Entry(
                "hero",
                verdict="{gave|handed} [hero] the [contest_prize], {and|while} [friend] "
                        "{cheered|whooped|grinned|bowed}",
                after="{Later on|At home|Afterward|Before bed}, [hero], {[contest_mood] no longer|no longer "
                      "[contest_mood]}, {placed|set|put|laid} the [contest_prize] {beside|next to|close to} the "
                      "[color] [toy], {but|though} {every {Friday|Sunday|Christmas}|at Easter} [friend] "
                      "{borrowed it|had it to admire}.",
            ),
            Entry(
                "friend",
                verdict="{gave|handed} [friend] the [contest_prize], {and|while} [hero] "
                        "{cheered|whooped|grinned|bowed}",
                after="{That night|At bedtime|On the way home|Over supper}, [hero], {[contest_mood] no longer|no "
                      "longer [contest_mood]}, told the [color] [toy] that {second place|coming second} "
                      "{hurts|matters} {only a little|hardly at all} {when|if|because} a {winner|champion} like "
                      "[friend] {is fair|plays fair}.",
            ),
            Entry(
                "fair play",
                verdict="{gave|handed} [hero] the [contest_prize] and [friend] a jar of {jelly|honey} for "
                        "{kindness|playing fair}",
                after="{Even now|Nowadays|To this day}, the [contest_prize] {rests|sits} {beside|next to} the "
                      "[color] [toy], and [hero] {often|gladly|proudly} "
                      "{tells {visitors|cousins} about|reminds {visitors|cousins} of} [friend], the {finest|best} "
                      "rival {ever to help|who ever cheered up} [a contest_mood] [kind].",
            ),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        ["<one_day> a {poster|notice|billboard} [place.at] {announced|promised} [a contest] with [a contest_prize] "
         "{to win|as the prize}."],
        ["[hero] {entered|signed up|joined in} {at once|gladly|nervously|happily}, {and so did|alongside|just like} "
         "[friend], [a friend_trait] [friend_kind] who {wanted to win {badly|too}|dreamed of winning}."],
    ],
    [
        ["{All week|For {days|weeks}|Every {afternoon|evening|morning}}, [hero] [contest.practice], with the [toy] "
         "{nearby|close by|on the step|for {luck|company|courage}}."],
        ["{But|Then,|Sadly,|Oh dear,} {the day before|the night before|on the morning of|on the day of|just "
         "before} the [contest], [contest.mishap], leaving [hero] [contest_mood]."],
    ],
    [
        ['"{Winning|A prize|First place} is {no fun|worth nothing|dull} {like this|this way|if somebody has bad '
         'luck}," {said|declared|muttered|decided} [friend], {and|who} {gently|quickly|calmly|cleverly|gladly|'
         "kindly} [contest.mend]."],
        ["{In the end|At {noon|sundown}|Finally|By evening|After much thought|Soon after}, the {judge|mayor|judges} "
         "[contest_result.verdict]."],
    ],
    [
        ["[contest_result.after]"],
    ],
]
