"""A contest, a rival, a mishap; the rival plays fair, and the prize goes where it should."""

from data.story_grammar.engine import Entry, Table

NAME = "a contest"

VARIABLES = {
    # The contest decides what is practiced, what goes wrong, and what the rival does about it.
    "contest": Table(
        [
            Entry(
                "sack race",
                practice="{hopped|bounced|leaped} {along the lane|uphill|over the lawn|past the stables} in "
                "a {flour|potato|coal} sack",
                mishap="the sack {split|tore|ripped|burst} {from top to bottom|along the seam|with a loud "
                "rip|at one corner}",
                mend="{stitched|sewed|laced} {it|the hole|the gap} {shut|together|up} with {strong "
                "thread|fishing line|black wool|a bootlace}",
            ),
            Entry(
                "pie contest",
                practice="{rolled|kneaded|pounded} {dough|pastry} {until the rolling pin squeaked|as thin "
                "as paper|in a cloud of flour|until every cupboard was dusty}",
                mishap="the {crust|filling|pie} {burned|turned black|scorched} {in the oven|around the "
                "edges|underneath|on one side}",
                mend="{shared|lent|handed over} {a bowl|a tray|a heap} of {fresh|spare|sweet} "
                "{dough|pastry|plums|rhubarb}",
            ),
            Entry(
                "sandcastle contest",
                practice="{patted|shaped|molded} {towers|turrets|drawbridges|archways} {out of damp "
                "sand|with a tin spade|with wet fingertips|until sunset}",
                mishap="{the tallest|the proudest|the front|a fine} {tower|turret|wall} "
                "{crumbled|collapsed|slid} {sideways|into the moat|without warning|to bits}",
                mend="{packed|pressed|shoveled} {fresh|damp|firm} sand {around the base|into the gap|back "
                "on top|over the cracks}",
            ),
            Entry(
                "pumpkin show",
                practice="{watered|fed|measured|polished} {a pumpkin|one huge pumpkin|a wrinkly pumpkin} "
                "{by moonlight|morning and night|with great care|hour after hour}",
                mishap="the pumpkin {rolled|tumbled|bumped} {off the cart|down the steps|off the table|over "
                "a curb} and {cracked|split}",
                mend="{carved|cut|shaped} the {crack|hole|dent} into a {grin|smile|mouth} {full of "
                "teeth|like the moon|from ear to ear|with a little knife}",
            ),
            Entry(
                "raft race",
                practice="{paddled|steered|rowed} a raft {around the island|along the canal|between two "
                "buoys|up and down the stream}",
                mishap="the raft {sprang a leak|began to sink|took in water} {near the buoy|by the ferry|at "
                "the first bend|close to the finish}",
                mend="{plugged|stopped|stuffed} the {hole|leak|gap} with {moss|cork|candle wax|an old "
                "stocking|a rag}",
            ),
            Entry(
                "egg race",
                practice="{carried|balanced} an egg on a spoon {up the stairs|around the henhouse|over "
                "puddles|through the kitchen|along a wall}",
                mishap="the spoon {snapped|bent|broke|cracked} {in two|at the handle|in the middle|near the "
                "tip}",
                mend="{handed over|offered|lent|held out} {a|one} {wooden|soup|spare|sturdy} {spoon|ladle}",
            ),
            Entry(
                "scarecrow contest",
                practice="{stuffed|crammed|filled} {old coats|torn trousers|some gloves|a nightgown} with "
                "{straw|rags|dry moss}",
                mishap="{jackdaws|magpies|cheeky starlings} {carried off|stole|pulled out} {most of "
                "the|nearly all the} {straw|stuffing}",
                mend="{fetched|brought|dragged over} {an armful|a sackful|a barrowload} of {fresh straw|dry "
                "leaves|clean hay|wood shavings}",
            ),
            Entry(
                "juggling show",
                practice="{juggled|tossed|threw} {three|four|five} beanbags {over and over|in the "
                "hallway|by lamplight|behind the house|until they blurred}",
                mishap="{the best|the last|one heavy|a lucky} beanbag {burst|split|sprang open|broke} and "
                "{beans|dried peas} {flew|rolled|scattered} everywhere",
                mend="{handed over|offered|lent|held out} {an orange|a potato|a rolled-up sock|a lemon|a "
                "ball of wool|a mitten}",
            ),
            Entry(
                "cart race",
                practice="{steered|raced|drove} a {wooden|homemade|creaky} cart {around barrels|down the "
                "drive|between haystacks|along the ditch}",
                mishap="{a front|the left|the right|a back} wheel {wobbled off|came loose|fell off|rolled "
                "away}",
                mend="{screwed|hammered|bolted|fixed} it {back on|in place} with {a wrench|a spare "
                "nail|borrowed tools|a mallet}",
            ),
            Entry(
                "costume parade",
                practice="{sewed|pinned|glued} {sequins|scales|tassels|spangles} to a "
                "{dragon|peacock|pirate|jester} costume",
                mishap="{the collar|one sleeve|the hem|the cape} {came off|tore|got caught in a door|split}",
                mend="{fixed|fastened|joined} it {neatly|firmly|quickly} {back|together} with {safety "
                "pins|thick thread|six stitches|a brooch}",
            ),
        ]
    ),
    "contest_prize": Table("trophy medal rosette crown badge sash wreath goblet plaque shield certificate "
    "statue".split()),
    # How the mishap feels; it comes back when that is over.
    "contest_mood": Table("glum downcast heartbroken miserable tearful frantic grumpy speechless "
    "desperate".split()),
    # Who wins decides how the story ends.
    "contest_result": Table(
        [
            Entry(
                "tie",
                verdict="{called|declared|announced|shouted} {a tie|a draw|equal points}, and {both|the two "
                "rivals|everyone} {bowed|hugged|danced|shook with laughter|cheered|hooted}",
                after="{So|From then on|After that|For years}, [hero], {[contest_mood] no longer|no longer "
                "[contest_mood]}, kept the [contest_prize] {beside|next to|near} the [color] [toy] {in "
                "{spring|summer|winter|autumn}|every other {week|month}|on school days} and {passed it "
                "to|sent it over to|handed it to} [friend] {for the rest|in between|with a bow}.",
            ),
            Entry(
                "hero",
                verdict="{gave|awarded|handed} [hero] the [contest_prize], {and|while} [friend] "
                "{clapped|cheered|whooped|grinned|bowed}",
                after="{Later on|At home|Afterward|Before bed}, [hero], {[contest_mood] no longer|no longer "
                "[contest_mood]}, {placed|set|put|laid} the [contest_prize] {beside|next to|close to} the "
                "[color] [toy], {but|though} {every {Friday|Sunday|month|Christmas}|on holidays|at "
                "Easter|during storms} [friend] {borrowed it|got to {keep it|show it off|dust it}|took a "
                "turn|had it to admire}.",
            ),
            Entry(
                "friend",
                verdict="{gave|awarded|handed} [friend] the [contest_prize], {and|while} [hero] "
                "{clapped|cheered|whooped|grinned|bowed}",
                after="{That night|At bedtime|On the way home|Over supper|By lamplight}, [hero], "
                "{[contest_mood] no longer|no longer [contest_mood]}, told the [color] [toy] that "
                "{losing|second place|coming last} {stings|hurts|matters|aches} {less|only a little|hardly "
                "at all} {when|if|because} the {winner|champion} {is {fair|honest|generous}|plays fair}.",
            ),
            Entry(
                "fair play",
                verdict="{gave|awarded|handed} [hero] the [contest_prize] and [friend] {a box of fudge|a "
                "bouquet|a bag of toffee|a jar of jelly|free tickets|a hamper} for {kindness|fairness|good "
                "manners|honesty}",
                after="{Even now|Years later|To this day}, the [contest_prize] {stands|rests|lies} "
                "{beside|next to} the [color] [toy], {and|where} [hero] {tells|reminds} {visitors|anyone "
                "who asks|guests|cousins} {about|of} [friend], the {fairest|kindest|finest|noblest} "
                "{rival|player} {to cheer up someone|to help anybody|to rescue someone} [contest_mood].",
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
        ["<one_day> a {poster|notice|banner|sign|leaflet|billboard} [place.at] "
         "{announced|promised|advertised|proclaimed} [a contest] with [a contest_prize] {to win|at stake|as "
         "the prize|for the {winner|champion}}."],
        ["[hero] {entered|signed up|joined in} {at once|gladly|with a "
         "whoop|nervously|shyly|happily|eagerly}, {and so did|alongside|just like} [friend], [a "
         "friend_trait] [friend_kind] who {loved {winning|prizes|applause}|{seldom|rarely|never} "
         "lost|wanted it {badly|too}|dreamed of it}."],
    ],
    [
        ["{All week|For {days|weeks}|Every {afternoon|evening|dawn}|Rain or shine}, [hero] "
         "[contest.practice], with the [toy] {nearby|close by|in view|on a stool|on the step|looking on|for "
         "{luck|company|courage|cheer}}."],
        ["{But|Alas,|Then,|Sadly,} {on the {great|big} day|near the end|halfway through|right away|too "
         "soon|that Sunday}, [contest.mishap], leaving [hero] [contest_mood]."],
    ],
    [
        ['"{Winning|Victory|A prize|First place} is {no fun|worth nothing|dull|hollow} {like this|this '
         'way|without a fair {fight|chance}|if somebody has bad luck}," {said|declared|muttered|decided} '
         '[friend], {and|who} {gently|quickly|calmly|cleverly|gladly|kindly} [contest.mend].'],
        ["{In the end|At {noon|sundown}|Finally|By evening|After much thought|Soon after}, the "
         "{judge|mayor|referee|umpire|jury} [contest_result.verdict]."],
    ],
    [
        ["[contest_result.after]"],
    ],
]
