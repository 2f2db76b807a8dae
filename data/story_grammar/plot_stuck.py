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
                where="{knee-deep|waist-deep} in {thick|sticky|gooey|squelchy|oozing} mud",
                worse="{sank|slid|slipped} {a little deeper|even deeper|three inches deeper|in a bit "
                      "further}",
                tools=[
                    _tool("plank", "{laid|stretched} it over the mud like a {bridge|path}",
                          "{crawled|crept|tiptoed|shuffled} across"),
                    _tool("ladder", "{placed|laid} it {flat|gently} upon the mud",
                          "{crawled|wriggled|crept|clambered} along the rungs"),
                    _tool("rope", "{tossed|flung|threw} one end over the mud",
                          "{slid|slithered|was dragged|glided} out"),
                    _tool("wheelbarrow", "{tipped|rolled|pushed} it into the mud",
                          "{scrambled|flopped|clambered|tumbled} aboard"),
                ],
            ),
            Entry(
                "hole",
                where="{at the bottom of|down} a {deep|dark|narrow|dusty|gloomy} {hole|pit}",
                worse="{slid|tumbled|rolled|slithered} {back down|straight to the bottom|down in a cloud of "
                      "dust}",
                tools=[
                    _tool("ladder", "{lowered|let} it down {into the dark|slowly|with a rattle}",
                          "climbed {out|up} {rung by rung|like a sailor|very slowly}"),
                    _tool("rope", "tied {nine|ten|eleven|a dozen} knots in it",
                          "climbed {out|up} {knot by knot|like a monkey|very slowly}"),
                    _tool("bucket", "lowered it {down|gently} on a {cord|chain}",
                          "{rode|came} {out|up} like {a champion|an acrobat|royalty}"),
                    _tool("stool", "lowered it {to the bottom|down gently|on a string}",
                          "{hopped|stepped|leaped|sprang} out"),
                ],
            ),
            Entry(
                "brambles",
                where="in a {prickly|thorny|wild|scratchy|spiky} {bramble patch|blackberry hedge}",
                worse="{got|became} {more|twice as|ten times more} {tangled|scratched}",
                tools=[
                    _tool("pair of scissors", "{snipped|clipped|cut} the {thorns|prickles} {away|off}",
                          "{stepped|wriggled|hopped|danced} {free|out}"),
                    _tool("rake", "{dragged|combed|raked} the {thorns|prickles} {apart|away}",
                          "{crept|squeezed|crawled|wriggled} {free|out}"),
                    _tool("pair of gloves", "{parted|bent|held} the {thorns|prickles} {aside|apart}",
                          "{stepped|squeezed|ducked|walked} {free|out}"),
                    _tool("carpet", "{spread|unrolled|threw} it over the {thorns|prickles}",
                          "{rolled|crawled|slid|bounced} {off|away}"),
                ],
            ),
            Entry(
                "fence",
                where="between two {boards|slats|posts|rails} of a {tall|white|wobbly|wooden|creaky} fence",
                worse="{squeaked|yelped|squealed|groaned} {louder than before|like a rusty hinge|and stuck "
                      "tighter}",
                tools=[
                    _tool("bar of soap", "{rubbed|smeared|wiped} it along the wood",
                          "{slipped|slid|glided|shot} {through|out}"),
                    _tool("jar of butter", "{rubbed|spread|smeared} some along the wood",
                          "{popped|slid|slipped|sailed} {through|out}"),
                    _tool("saw", "{cut|sawed|trimmed} the wood {away|apart}",
                          "{stepped|strolled|skipped|hopped} {through|out}"),
                    _tool("hammer", "{knocked|tapped|pounded} the nails loose",
                          "{stepped|tumbled|toppled|crawled} {through|out}"),
                ],
            ),
            Entry(
                "barrel",
                where="{upside down|headfirst} in {an empty|a wooden|a leaky|a round} {pickle|cider|rain} "
                      "barrel",
                worse="{spun|rolled|rocked|whirled} {round and round|in a circle|back and forth}",
                tools=[
                    _tool("bottle of oil", "{poured|dripped|trickled} some around the rim",
                          "{popped|slid|plopped|shot} {out|free}"),
                    _tool("saw", "{cut|sawed|sliced} the bottom off",
                          "{crawled|stepped|crept|marched} {out|free}"),
                    _tool("peacock feather", "tickled two {kicking|wiggling|waving} feet",
                          "{giggled|laughed|chuckled|snorted} and {popped|burst} {out|free}"),
                    _tool("hammer", "{knocked|tapped|pounded} the hoops loose",
                          "{rolled|tumbled|toppled} {out|free}"),
                ],
            ),
            Entry(
                "boulders",
                where="between two {huge|heavy|gray|lumpy|rugged} boulders",
                worse="{wobbled|squirmed|trembled|grunted} and {stayed put|stayed right there|did not move}",
                tools=[
                    _tool("shovel", "dug {a tunnel|a trench|the earth away} {underneath|below}",
                          "{crawled|squeezed|scuttled|crept} {out|free}"),
                    _tool("crowbar", "{rolled|nudged|pried} one stone aside",
                          "{hopped|stepped|skipped|strutted} {out|free}"),
                    _tool("jar of butter", "{smeared|spread|rubbed} some over the stones",
                          "{slipped|popped|slid|squeezed} {out|free}"),
                    _tool("rope", "{looped|wound|tied} it around one stone and {pulled|heaved}",
                          "{hopped|wriggled|leaped|sprang} {out|free}"),
                ],
            ),
        ]
    ),
    "stuck_tool": Table("tools", of="stuck_trap"),
    # What the friend was doing; it goes after "I was" and after "I am".
    "stuck_cause": Table(
        [
            "chasing a cricket", "picking wild strawberries", "practicing somersaults", "taking a shortcut",
            "hunting for acorns", "running backward", "counting clouds", "following a trail of ants",
            "looking for lucky clovers", "skipping over thistles", "marching like a soldier",
            "pretending to be a pirate", "hopping on one leg", "singing at the top of my voice",
            "walking with my eyes shut", "racing a grasshopper", "twirling in circles", "copying a cuckoo",
        ]
    ),
    "stuck_mood": Table(
        [
            "miserable", "frightened", "embarrassed", "hopeless", "forlorn", "tearful", "alarmed",
            "ashamed", "helpless", "flustered", "grumpy",
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>",
         "{Nothing|No treasure|No present} {pleased|delighted|cheered} [hero.him] {more than|like} "
         "[hero.his] {new|trusty|own|old|darling} [color] [toy]."],
    ],
    [
        ["<one_day> [hero] {found|discovered|met|noticed|came upon} [a friend_kind] {named|called} [friend] "
         "{near|close to|not far from|on the road to} the [place], {stuck|trapped|wedged|caught} "
         "[stuck_trap.where]."],
        ['"I was {only |just |happily |}[stuck_cause], and now I {cannot {budge|move|get loose|wriggle free}|'
         'am {caught|trapped|jammed}}," {moaned|groaned|whimpered|sniffed|wailed|sobbed} the [stuck_mood] '
         '[friend_kind].'],
    ],
    [
        ["[hero] {tugged|pulled|heaved|yanked|strained} {until {both|[hero.his]} {ears|cheeks} {tingled|"
         "turned pink|burned}|with all [hero.his] strength|as hard as {an ox|a tractor|a giant}|and {puffed|"
         "panted} and {pushed|shoved}}, but [friend] {only|just} [stuck_trap.worse]."],
        ["Leaving the [toy] {to {comfort|cheer up|amuse|calm}|as company for|{close to|beside}} [friend], "
         "[hero] {dashed|sped|galloped|rushed|bolted|raced} {off to borrow|away to borrow|off and borrowed|"
         "away to ask for} [a stuck_tool] from [helper]."],
        ["{Calmly|Nimbly|Carefully|Swiftly|Cleverly|Bravely} [hero.he] [stuck_tool.use], and {inch by inch|"
         "bit by bit|at last|little by little|with a {plop|pop|thump|grunt|cheer|sigh}|soon} [friend] "
         "[stuck_tool.out]."],
    ],
    [
        ["{Dizzy|Dusty|Crumpled|Tired|Wobbly|Breathless} but {not [stuck_mood] {anymore|now}|no longer "
         "[stuck_mood]}, [friend] {gave back|returned|brought back} the [color] [toy] and {{hugged|squeezed|"
         "embraced} [hero] {twice|tightly|with delight|until both giggled}|thanked [hero] {politely|warmly|"
         "over and over|with a {bow|grin}}}."],
        ['"Next time I am [stuck_cause], I will {watch my step|look ahead|look around first|take you along|'
         'bring my own [stuck_tool]|stay on the road}," {promised|laughed|vowed|chuckled|declared} [friend].',
         "{Now|Then|That day} [hero] {understood|learned|saw|knew} that even [a trait] [kind] {must|has to|"
         "should} {fetch|ask for|look for} {help|advice|a [stuck_tool]} {now and then|when pulling fails|"
         "sometimes}.",
         "{Since then|Ever since}, [hero] {has kept|has stored|has hung} [a stuck_tool] {in the {hallway|"
         "cellar|attic}|by the door}, {just in case|ready for {trouble|the next rescue}|in honor of "
         "[friend]}.",
         "<ending>"],
    ],
]
