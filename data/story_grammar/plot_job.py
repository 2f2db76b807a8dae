"""A job is done for a grown-up in a hurry, goes wrong, is done again with care, and is rewarded."""

from data.story_grammar.engine import Entry, Table

NAME = "a job"

VARIABLES = {
    # The job decides what can go wrong with it; what goes wrong decides the advice and how it is mended.
    # `do` goes after "to"; `mishap` and `mended` are whole clauses; `advice` goes into a speech.
    "job": Table(
        [
            Entry(
                "fence",
                do="{paint|whitewash} the {fence|wooden gate|railings}",
                ways=[
                    Entry(
                        "drips",
                        mishap="{blobs|drips|splashes} of paint {ran|trickled|dribbled} {down the boards|"
                        "into the tulips|onto the lawn}",
                        advice="{dip|wet} only the tip of the brush",
                        mended="every {board|plank} was {smooth|even|glossy|flawless}",
                    ),
                    Entry(
                        "gaps",
                        mishap="{half|most} of the {boards|planks} {stayed|were left} {bare|patchy|streaky|"
                        "blotchy}",
                        advice="{finish|cover} each board before the next",
                        mended="{not a gap|no bare patch|not one streak} could be seen",
                    ),
                ],
            ),
            Entry(
                "windows",
                do="{wash|wipe|clean} the {kitchen|upstairs|dirty|attic} windows",
                ways=[
                    Entry(
                        "smears",
                        mishap="{soap|suds|foam|lather} {dried|was left} on the glass in {cloudy|ugly|thick|"
                        "gloopy} {streaks|swirls}",
                        advice="{rinse|rub} the glass with {clean water|newspaper|vinegar}",
                        mended="{the panes|every pane} {sparkled|gleamed|twinkled}",
                    ),
                    Entry(
                        "pail",
                        mishap="the {soapy|brimming|heavy} {pail|bucket} {toppled|tipped over} and {soaked|"
                        "flooded} the rug",
                        advice="{stand|set|keep} the pail {against the wall|out of the way}",
                        mended="{the rug|the floor} {stayed dry|was spotless}",
                    ),
                ],
            ),
            Entry(
                "laundry",
                do="{hang|peg} {up|out} the {laundry|sheets|washing}",
                ways=[
                    Entry(
                        "mud",
                        mishap="a {sheet|towel|nightgown|tablecloth} {slid|dropped|flopped} {into the mud|"
                        "into the flower bed}",
                        advice="{use|take} two pegs for {every sheet|each towel|each sock}",
                        mended="{the sheets|the towels} {flapped|billowed|hung} {safely|clean and white}",
                    ),
                    Entry(
                        "tangle",
                        mishap="{sleeves|stockings|aprons|pajamas} {twisted|tangled|knotted} into {a lump|a "
                        "damp heap}",
                        advice="{shake|smooth|flap} out {each shirt|every sleeve} first",
                        mended="{the shirts|the sleeves} {hung|dried} {neatly|in a row}",
                    ),
                ],
            ),
            Entry(
                "apples",
                do="{pick|gather} {apples|plums|cherries|apricots} for {the cellar|jam|cider|the fair}",
                ways=[
                    Entry(
                        "bruises",
                        mishap="the {fruit|best fruit} {thumped|tumbled|landed} {on the ground|on the "
                        "stones} and {bruised|split}",
                        advice="{twist|turn} each stem and {lay|place} the fruit on {straw|cloth}",
                        mended="{no fruit|not one fruit} {was bruised|had a mark}",
                    ),
                    Entry(
                        "unripe",
                        mishap="the crates {filled|were heaped} with {sour|hard|wormy|rotten} fruit {and "
                        "leaves|and twigs}",
                        advice="{squeeze|sniff} each fruit and {choose|pluck} the {sweet|ripe} ones",
                        mended="{only|nothing but} {ripe|juicy|fragrant} fruit {was left|filled the crates}",
                    ),
                ],
            ),
            Entry(
                "wood",
                do="stack {logs|firewood} {in the shed|by the wall|under the porch}",
                ways=[
                    Entry(
                        "fell",
                        mishap="the {whole|wobbly|crooked} {pile|stack} {rumbled|crashed|toppled} {down|to "
                        "the ground}",
                        advice="{put|start with} the {thick|heaviest|widest} logs {at the bottom|below}",
                        mended="the {pile|stack} stood {firm|straight|as solid as a wall}",
                    ),
                    Entry(
                        "door",
                        mishap="the {last|longest|heaviest|roundest} logs {blocked|jammed|barred} the {door|"
                        "path}",
                        advice="{measure|plan} the {space|gap} before {stacking|lifting}",
                        mended="the way was {clear|free} and the {stack|pile} {neat|level}",
                    ),
                ],
            ),
            Entry(
                "brass",
                do="polish the {brass|copper} {forks|spoons|teapots|candlesticks|doorknobs}",
                ways=[
                    Entry(
                        "dull",
                        mishap="{gray|greasy|gritty} polish {stuck|clung} {in every groove|to the handles}",
                        advice="{rub|buff} in {small|slow|tiny} circles with a {soft|woolen} cloth",
                        mended="{each piece|all of it} {shone|glittered|flashed} like {a mirror|moonlight}",
                    ),
                    Entry(
                        "muddle",
                        mishap="{everything|the whole lot} {slid|clattered|rattled} {off the tray|under the "
                        "stove}",
                        advice="{carry|move} {one piece|two pieces} at a time",
                        mended="{everything|the whole lot} lay {shining|in order} {in the drawer|on the "
                        "shelf}",
                    ),
                ],
            ),
            Entry(
                "bread",
                do="{knead|make} {dough|the dough} for {rolls|buns|pretzels|bagels}",
                ways=[
                    Entry(
                        "flour",
                        mishap="{flour|a cloud of flour} {puffed|flew|burst} {over the floor|up to the "
                        "ceiling}",
                        advice="{pour|sift|sprinkle} the flour {gently|a spoonful at a time}",
                        mended="the {table|kitchen} {stayed clean|was tidy} and the dough {rose|swelled}",
                    ),
                    Entry(
                        "burnt",
                        mishap="the first {tray|batch} {burned|scorched|turned black} in the oven",
                        advice="{listen|watch|wait} for the {timer|kitchen clock} {to ring|to buzz}",
                        mended="the {crusts|tops} {were|came out} {crisp|light and crunchy|just right}",
                    ),
                ],
            ),
            Entry(
                "hens",
                do="{collect|fetch} {eggs|the eggs} from the {hens|henhouse|coop}",
                ways=[
                    Entry(
                        "cracked",
                        mishap="{four|six|seven} eggs {cracked|broke|smashed} {on the way|on the doorstep}",
                        advice="{line|pad} the bowl with {hay|wool|moss|leaves}",
                        mended="{the eggs|all the eggs} {arrived|lay} {whole|without a crack}",
                    ),
                    Entry(
                        "escape",
                        mishap="the {speckled|plump|frightened|flustered} hens {squawked|scattered|escaped} "
                        "{into the lane|across the yard}",
                        advice="{latch|bolt|close} the door and {tiptoe|whisper}",
                        mended="the hens {stayed calm|kept quiet|dozed on}",
                    ),
                ],
            ),
        ]
    ),
    "job_way": Table("ways", of="job"),
    "job_mood": Table(
        [
            "ashamed", "sorry", "embarrassed", "guilty",
            "miserable", "foolish", "disappointed", "crestfallen", "sheepish",
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<one_day> [helper.who] {asked|begged|hired|invited|wanted|needed} [hero] to [job.do], but "
         "[hero.he] was {itching|longing|impatient|aching|eager|burning|in a hurry} to take [hero.his] "
         "[color] [toy] [place.to]."],
    ],
    [
        ["So [hero.he] {rushed|hurried|raced|dashed|galloped|bustled} {along|ahead|about} {without a "
         "thought|without {stopping|looking|listening}|as fast as lightning|like a whirlwind|at top speed|"
         "carelessly}, and {before long|in no time|moments later|alas,|all at once|of course} "
         "[job_way.mishap]."],
        ['"{Patience|Steady now|No harm done|Easy does it|Never fear|Gently|Slow down|Cheer up}, [hero], '
         '{just|simply|you must|remember to|try to|now|always} [job_way.advice]," {advised|urged|murmured|'
         "replied|suggested|explained} [helper], who {saw|noticed|could tell|sensed|understood} how "
         "[job_mood] [hero.he] {looked|felt|was}."],
    ],
    [
        ["[hero] {nodded|blushed|took a deep breath|counted to ten|swallowed hard|listened|calmed down}, "
         "{began|started} {again|afresh|over} and {worked|went on} {slowly|calmly|with care|step by step|"
         "bit by bit|without haste}, {until|and by {noon|three o'clock|teatime|sundown}} [job_way.mended]."],
        ['"{Splendid|Marvelous|Excellent|Superb|Fine|Magnificent|First-rate} {work|effort|job}, {partner|'
         'my helper|my dear|young one|champion}," {beamed|cheered|sang|chuckled|boomed} [helper], {paying|'
         "handing|giving|granting} [hero.him] {two|three|five|six|ten} {coins|tokens|pennies|stickers|"
         "stamps} and [treat.some]."],
    ],
    [
        ["No longer [job_mood], [hero] {skipped|marched|strolled|trotted|sauntered|ambled} [place.to] {at "
         "last|after all|that evening|before supper} with the [color] [toy], {tasting|enjoying|sharing|"
         "praising} the [treat] and {certain|convinced|aware|sure} that {slow|steady|careful|gentle|"
         "patient|unhurried} work {saves time|needs no repeating|is the fastest|wins in the end|makes "
         "everybody proud|pays twice}."],
    ],
]
