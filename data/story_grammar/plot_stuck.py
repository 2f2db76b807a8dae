"""A friend is stuck and pulling is no use; a borrowed tool is, and the loved thing is company meanwhile."""

from data.story_grammar.engine import Entry, Table

NAME = "stuck"


def _tool(text: str, use: str, out: str) -> Entry:
    return Entry(text, use=use, out=out)


VARIABLES = {
    # Where the friend is stuck decides what goes wrong when pulled, and which tools can help.
    "stuck_trap": Table(
        [
            Entry(
                "mud",
                where="{knee-deep|waist-deep} in {thick|sticky} mud",
                worse="{slid|slipped} {a little deeper|even deeper}",
                tools=[
                    _tool("plank", "{laid} it over the mud like a {bridge|path}",
                          "{crawled|crept|tiptoed|shuffled} across"),
                    _tool("ladder", "{placed|laid} it {flat|gently} upon the mud",
                          "{crawled|crept} along the rungs"),
                    _tool("rope", "{tossed|flung} one end over the mud",
                          "{slid} out"),
                    _tool("wheelbarrow", "{rolled|pushed} it into the mud",
                          "{tumbled} aboard"),
                ],
            ),
            Entry(
                "hole",
                where="{at the bottom of|down} a {deep|dark|dusty|gloomy} {hole|pit}",
                worse="{slid|tumbled|rolled} {back down|straight to the bottom}",
                tools=[
                    _tool("ladder", "{lowered|let} it down {into the dark|slowly}",
                          "climbed {out|up} {rung by rung|very slowly}"),
                    _tool("rope", "tied {nine|ten} knots in it",
                          "climbed {out|up} {like a monkey|very slowly}"),
                    _tool("bucket", "lowered it {down|gently} on a {chain}",
                          "{came} {out|up} like {a champion|royalty}"),
                    _tool("stool", "lowered it {to the bottom|down gently}",
                          "{hopped|stepped|sprang} out"),
                ],
            ),
            Entry(
                "fence",
                where="between two {boards|rails} of a {tall|white|wobbly|wooden} fence",
                worse="{squeaked|squealed|groaned} {louder than before|like a rusty hinge}",
                tools=[
                    _tool("bar of soap", "{rubbed|wiped} it along the wood",
                          "{slipped|slid} {through|out}"),
                    _tool("jar of butter", "{rubbed|spread} some along the wood",
                          "{slid|slipped} {through|out}"),
                    _tool("saw", "{cut|trimmed} the wood {away}",
                          "{stepped|strolled|skipped|hopped} {through|out}"),
                    _tool("hammer", "{knocked|tapped} the nails loose",
                          "{stepped|tumbled|crawled} {through|out}"),
                ],
            ),
            Entry(
                "barrel",
                where="{upside down|headfirst} in {an empty|a wooden|a round} {cider|rain} barrel",
                worse="{spun|rolled} {round and round|back and forth}",
                tools=[
                    _tool("bottle of oil", "{poured|trickled} some around the rim",
                          "{popped|slid} {out|free}"),
                    _tool("saw", "{cut|sliced} the bottom off",
                          "{crawled|stepped|crept|marched} {out|free}"),
                    _tool("peacock feather", "tickled two {waving} feet",
                          "{giggled|laughed|chuckled} and {popped|burst} {out|free}"),
                    _tool("hammer", "{knocked|tapped} the hoops loose",
                          "{rolled|tumbled} {out|free}"),
                ],
            ),
            Entry(
                "boulders",
                where="between two {heavy|gray|lumpy} boulders",
                worse="{wobbled|trembled} and {stayed put|stayed right there}",
                tools=[
                    _tool("shovel", "dug {the earth away} {underneath|below}",
                          "{crawled|squeezed|crept} {out|free}"),
                    _tool("crowbar", "{rolled} one stone aside",
                          "{hopped|stepped|skipped} {out|free}"),
                    _tool("jar of butter", "{spread|rubbed} some over the stones",
                          "{slipped|slid|squeezed} {out|free}"),
                    _tool("rope", "{tied} it around one stone and {pulled|heaved}",
                          "{hopped|sprang} {out|free}"),
                ],
            ),
        ]
    ),
    "stuck_tool": Table("tools", of="stuck_trap"),
    # What the friend was doing; it goes after "I was" and after "I am".
    "stuck_cause": Table(
        ["counting clouds", "singing at the top of my voice", "walking with my eyes shut", "racing a grasshopper"]
    ),
    "stuck_mood": Table(
        ["miserable", "frightened", "embarrassed", "hopeless", "tearful", "alarmed", "ashamed", "grumpy"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>",
         "{Nothing|No treasure|No present} {pleased|delighted|cheered} [hero.him] {more than|like} [hero.his] {new|"
         "own|old} [color] [toy]."],
    ],
    [
        ["<one_day> [hero] {found|discovered|met|noticed|came upon} [a friend_kind] {named|called} [friend] {near|"
         "close to|not far from|on the road to} the [place], {stuck|trapped|caught} [stuck_trap.where]."],
        ['"I was {only |just |happily |}[stuck_cause], and now I {cannot {move|get loose}|am {caught|trapped}}," '
         "{groaned|sniffed|wailed|sobbed} the [stuck_mood] [friend_kind]."],
    ],
    [
        ["[hero] {tugged|pulled|heaved} {until {both|[hero.his]} {ears|cheeks} {turned pink|burned}|with all "
         "[hero.his] strength}, but [friend] {only|just} [stuck_trap.worse]."],
        ["Leaving the [toy] {to {comfort|cheer up}|as company for|{close to|beside}} [friend], [hero] {dashed|"
         "rushed|bolted|raced} {off to borrow|away to borrow|away to ask for} [a stuck_tool] from [helper]."],
        ["{Calmly|Carefully|Cleverly|Bravely} [hero.he] [stuck_tool.use], and {inch by inch|bit by bit|at last|"
         "little by little|soon} [friend] [stuck_tool.out]."],
    ],
    [
        ["{Dusty|Tired|Wobbly} but {not [stuck_mood] {anymore|now}|no longer [stuck_mood]}, [friend] {gave back|"
         "returned|brought back} the [color] [toy] and {{hugged|squeezed} [hero] {twice|tightly|until both giggled}|"
         "thanked [hero] {over and over|with a {bow|grin}}}."],
        ['"Next time I am [stuck_cause], I will {look ahead|look around first|take you along|stay on the road}," '
         "{promised|laughed|chuckled|declared} [friend].",
         "{Now|Then|That day} [hero] {understood|learned|saw|knew} that even [a trait] [kind] {must|has to|should} "
         "{fetch|ask for|look for} {help|a [stuck_tool]} {now and then|sometimes}.",
         "<ending>"],
    ],
]
