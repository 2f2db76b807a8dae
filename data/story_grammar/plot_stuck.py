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
                    _tool("plank", "laid it over the mud like a {bridge|path}",
                          "{crawled|crept|tiptoed|shuffled} across"),
                    _tool("ladder", "{placed|laid} it {flat|straight} across the mud",
                          "{crawled|crept} along the rungs"),
                    _tool("rope", "{tossed|flung} one end over the mud",
                          "slid out"),
                    _tool("wheelbarrow", "{rolled|pushed} it into the mud",
                          "{tumbled|climbed|scrambled} aboard and rode out"),
                ],
            ),
            Entry(
                "hole",
                where="{at the bottom of|down} a {deep|dark|dusty|gloomy} {hole|pit}",
                worse="{slid|tumbled|rolled} {back down|straight back to the bottom}",
                tools=[
                    _tool("ladder", "{lowered|let} it down {into the dark|to the bottom}",
                          "climbed {out|up} {rung by rung|step by step}"),
                    _tool("rope", "tied {nine|ten} knots in it and let it down",
                          "climbed {out|up} {knot by knot|bit by bit}"),
                    _tool("bucket", "{lowered it|let it down} on a chain",
                          "came {out|up} like {a champion|a hero}"),
                    _tool("stool", "{lowered it|let it down} to the bottom",
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
                    _tool("saw", "{cut|trimmed} the wood away",
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
                    _tool("saw", "{cut|sliced} the barrel open",
                          "{crawled|stepped|crept|marched} {out|free}"),
                    _tool("peacock feather", "tickled two waving feet",
                          "{giggled|laughed|chuckled} and {popped|burst} {out|free}"),
                    _tool("hammer", "{knocked|tapped} the hoops loose",
                          "{rolled|tumbled} {out|free}"),
                ],
            ),
            Entry(
                "boulders",
                where="between two {heavy|gray|lumpy} boulders",
                worse="{wobbled|trembled} and {stayed put|stuck tighter}",
                tools=[
                    _tool("shovel", "dug the earth away {underneath|below}",
                          "{crawled|squeezed|crept} {out|free}"),
                    _tool("crowbar", "rolled one stone aside",
                          "{hopped|stepped|skipped} {out|free}"),
                    _tool("jar of butter", "{spread|rubbed} some over the stones",
                          "{slipped|slid|squeezed} {out|free}"),
                    _tool("rope", "tied it around one stone and {pulled|heaved}",
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
        ["miserable", "frightened", "embarrassed", "upset", "tearful", "worried", "gloomy", "grumpy"]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>",
         "{Nothing|No treasure|No present} {pleased|delighted|cheered} [hero] {more than|like} [hero.his] "
         "{new|own|old} [color] [toy]."],
    ],
    [
        ["<one_day> [hero] {found|discovered|met|noticed|came upon} [a friend_kind] {named|called} [friend] "
         "{near|close to|not far from|on the road to} the [place], {stuck|trapped|stuck fast} [stuck_trap.where]."],
        ['"I was {only |just |happily |}[stuck_cause], and now I {cannot {move|get loose}|am {stuck|trapped}}," '
         "{groaned|cried|called|sighed} the [stuck_mood] [friend_kind]."],
    ],
    [
        ["{At once|Right away|Without a word}, [hero] {tugged|pulled|heaved} {until {both|[hero.his]} {ears|cheeks} "
         "{turned pink|burned}|with all [hero.his] strength}, but [friend] {only|just} [stuck_trap.worse]."],
        ["Leaving the [toy] {to {comfort|cheer up}|as company for|{close to|beside}} [friend], [hero] "
         "{dashed|rushed|bolted|raced} {off|away} to {borrow [a stuck_tool] from [helper]|ask [helper] for "
         "[a stuck_tool]}."],
        ["{Calmly|Carefully|Cleverly|Quickly}, [hero] [stuck_tool.use], and {at last|soon|before long|finally|in "
         "the end} [friend] [stuck_tool.out]."],
    ],
    [
        ["{Dusty|Tired|Wobbly} but {not [stuck_mood] {anymore|now}|no longer [stuck_mood]}, [friend] {gave "
         "back|returned|brought back} the [color] [toy] and {{hugged|squeezed} [hero] {twice|tightly|until both "
         "giggled}|thanked [hero] {over and over|with a {bow|grin}}}."],
        ['"Next time I am [stuck_cause], I will {stay close to home|look around first|take you along|stay on the '
         'road}," {promised|laughed|chuckled|declared} [friend].',
         "{Now|Then|That day} [hero] {understood|learned|saw|knew} that even [a trait] [kind] {must|has to|may} "
         "{ask for help|ask for [a stuck_tool]|borrow [a stuck_tool]} {now and then|sometimes}.",
         "<ending>"],
    ],
]
