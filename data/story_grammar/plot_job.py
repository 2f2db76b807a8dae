"""A job is done for a grown-up in a hurry, goes wrong, is done again with care, and is rewarded."""

from data.story_grammar.engine import Entry, Table

NAME = "a job"

VARIABLES = {
    # The job decides what can go wrong with it; what goes wrong decides the advice and how it is mended.
    # `do` goes after "to"; `mishap` and `mended` are whole clauses; `advice` goes into a speech.
    "job": Table(
        [
            Entry(
                "apples",
                do="{pick|gather} {apples|plums} for {jam|the fair}",
                ways=[
                    Entry(
                        "bruises",
                        mishap="the {fruit|best fruit} {tumbled} {on the ground|on the stones} and {bruised|split}",
                        advice="{turn} each stem and {lay|place} the fruit on {straw|cloth}",
                        mended="{no fruit|not one fruit} {was bruised}",
                    ),
                    Entry(
                        "unripe",
                        mishap="the crates {filled|were heaped} with {sour|hard} fruit {and leaves}",
                        advice="{sniff} each fruit and {choose} the {sweet|ripe} ones",
                        mended="{only|nothing but} {ripe} fruit {was left|filled the crates}",
                    ),
                ],
            ),
            Entry(
                "wood",
                do="stack {logs|firewood} {by the wall|under the porch}",
                ways=[
                    Entry(
                        "fell",
                        mishap="the {whole|wobbly|crooked} {pile|stack} {crashed} {down|to the ground}",
                        advice="{put|start with} the {thick} logs {at the bottom|below}",
                        mended="the {pile|stack} stood {straight}",
                    ),
                    Entry(
                        "door",
                        mishap="the {last} logs {blocked} the {door|path}",
                        advice="{plan} the {space} before {lifting}",
                        mended="the way was {clear|free} and the {stack|pile} {neat}",
                    ),
                ],
            ),
            Entry(
                "brass",
                do="polish the {brass|copper} {forks|spoons}",
                ways=[
                    Entry(
                        "dull",
                        mishap="{gray|greasy} polish {stuck} {to the handles}",
                        advice="{rub} in {small|slow|tiny} circles with a {soft} cloth",
                        mended="{each piece|all of it} {shone} like {a mirror}",
                    ),
                    Entry(
                        "muddle",
                        mishap="{everything|the whole lot} {slid} {off the tray|under the stove}",
                        advice="{carry|move} {one piece|two pieces} at a time",
                        mended="{everything|the whole lot} lay {shining} {in the drawer|on the shelf}",
                    ),
                ],
            ),
            Entry(
                "bread",
                do="{knead|make} {dough|the dough} for {rolls|buns}",
                ways=[
                    Entry(
                        "flour",
                        mishap="{flour|a cloud of flour} {puffed|burst} {over the floor|up to the ceiling}",
                        advice="{pour} the flour {gently}",
                        mended="the {table|kitchen} {was tidy} and the dough {rose}",
                    ),
                    Entry(
                        "burnt",
                        mishap="the first {tray} {burned|turned black} in the oven",
                        advice="{listen|watch} for the {timer|kitchen clock} {to ring}",
                        mended="the {tops} {were|came out} {just right}",
                    ),
                ],
            ),
            Entry(
                "hens",
                do="{collect|fetch} {eggs|the eggs} from the {hens|coop}",
                ways=[
                    Entry(
                        "cracked",
                        mishap="{four|six} eggs {cracked} {on the way|on the doorstep}",
                        advice="{line} the bowl with {wool|moss|leaves}",
                        mended="{the eggs|all the eggs} {arrived|lay} {whole|without a crack}",
                    ),
                    Entry(
                        "escape",
                        mishap="the {plump|frightened} hens {escaped} {into the lane|across the yard}",
                        advice="{close} the door and {whisper}",
                        mended="the hens {kept quiet}",
                    ),
                ],
            ),
        ]
    ),
    "job_way": Table("ways", of="job"),
    "job_mood": Table(
        ["ashamed", "sorry", "embarrassed", "guilty", "miserable", "foolish"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<one_day> [helper.who] {asked|invited|wanted} [hero] to [job.do], but [hero.he] was {longing|eager|in a "
         "hurry} to take [hero.his] [color] [toy] [place.to]."],
    ],
    [
        ["So [hero.he] {rushed|raced|dashed} {along|ahead|about} {without a thought|as fast as lightning|at top "
         "speed}, and {before long|in no time|alas,|all at once} [job_way.mishap]."],
        ['"{Never fear|Gently|Slow down|Cheer up}, [hero], {just|you must|remember to|try to|now|always} '
         '[job_way.advice]," {advised|murmured|replied|suggested|explained} [helper], who {saw|noticed|could tell|'
         "understood} how [job_mood] [hero.he] {looked|felt|was}."],
    ],
    [
        ["[hero] {nodded|blushed|counted to ten|listened}, {began|started} {again|afresh|over} and {worked|went on} "
         "{slowly|calmly|step by step|bit by bit}, {until|and by {noon|teatime|sundown}} [job_way.mended]."],
        ['"{Splendid|Fine|First-rate} {work|effort|job}, {my dear|young one|champion}," {beamed|cheered|sang|'
         "chuckled} [helper], {handing|giving|granting} [hero.him] {two|three|five|six|ten} {coins|stickers|stamps} "
         "and [treat.some]."],
    ],
    [
        ["No longer [job_mood], [hero] {skipped|marched|strolled|trotted|ambled} [place.to] {at last|after all|that "
         "evening|before supper} with the [color] [toy], {tasting|enjoying|sharing} the [treat] and {certain|aware|"
         "sure} that {slow|careful|gentle|patient} work {needs no repeating|is the fastest|makes everybody proud}."],
    ],
]
