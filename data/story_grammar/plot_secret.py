"""A surprise for a friend is made in secret, nearly given away, and a joy in the end."""

from data.story_grammar.engine import Entry, Table

NAME = "a secret"

VARIABLES = {
    # What the surprise is for decides what is shouted when it comes out.
    "secret_occasion": Table(
        [
            Entry("birthday", why="would turn {five|six|seven|eight|nine} {on {Saturday|Sunday}|soon|that "
                  "week}", shout="{Happy|A happy|A very happy} birthday"),
            Entry("school", why="{was about to start|was nearly ready for|would soon begin} "
                  "{school|kindergarten|a new school} and felt {nervous|shaky|uneasy|jumpy}",
                  shout="{Good luck|Enjoy every lesson|We believe in you}"),
            Entry("illness", why="had been {in bed|stuck indoors} with {measles|mumps|a fever|a cough|a "
                  "sprained ankle}", shout="{Get well soon|We are glad you are well|Be merry again}"),
            Entry("moving", why="was moving {away|across the sea|to the city|far away} {in the fall|next "
                  "month|that winter}", shout="{We will miss you|Do not forget us|Safe travels|Remember us}"),
            Entry("newcomer", why="had {just|newly} {arrived|moved in} and knew {nobody|hardly anyone|no "
                  "one yet}", shout="Welcome {to our street|among us|to our village}"),
            Entry("learned", why="had {finally|at last} learned to {swim|read|skate|ride a bicycle|tie "
                  "laces|swim underwater}",
                  shout="{Well done|Congratulations|We are proud of you|Three cheers}"),
            Entry("thanks", why="had {kindly|cheerfully|bravely|patiently} {watered their lettuces|minded "
                  "the baby|cleared their path|mended their roof|found their cat}",
                  shout="{Thank you for everything|A thousand thanks|This is to thank you}"),
        ]
    ),
    # What is made decides the trace it leaves on its maker.
    "secret_gift": Table(
        [
            Entry("quilt", make="{sew|stitch} a {patchwork|cozy|velvet|checkered} quilt",
                  trace="{a loose thread|bits of cloth|a stray pin|a thimble} {stuck to|hanging from} "
                  "[hero]'s {sleeve|pocket|collar|belt}"),
            Entry("cake", make="{bake|ice} a {chocolate|coconut|lemon|huge} cake",
                  trace="{flour|icing|butter|syrup} {on|all over} [hero]'s {nose|chin|forehead|elbow}"),
            Entry("birdhouse", make="{build|hammer together} a {pine|tiny|pointed|wooden} birdhouse",
                  trace="{sawdust|wood shavings|splinters} {in|on} [hero]'s {pocket|collar|apron|sleeve}"),
            Entry("mural", make="{paint|plan} a {bright|jungle|giant|cheerful} mural",
                  trace="{wet paint|a smear of paint|a painty smudge} {on|across} [hero]'s "
                  "{cheek|ear|elbow|forehead}"),
            Entry("garland", make="{fold|cut out} a {paper|starry|shiny|leafy} garland",
                  trace="{glitter|paper scraps|shiny tinsel} {on|stuck to} [hero]'s {chin|ear|elbow|collar}"),
            Entry("scrapbook", make="{fill|put together} a {thick|funny|handsome} scrapbook",
                  trace="{glue|paste|a torn photograph} {on|stuck to} [hero]'s {elbow|knee|sleeve|chin}"),
            Entry("hammock", make="{knot|weave} a {wide|strong|swaying} hammock",
                  trace="{a rope end|a bit of twine|a long cord} {trailing from|poking out of} [hero]'s "
                  "{pocket|sleeve|belt}"),
            Entry("teapot", make="{shape|mold} a {round|clay|speckled|fancy} teapot",
                  trace="{clay|a lump of clay|gray clay} {on|drying on} [hero]'s {chin|forehead|knee|cheek}"),
            Entry("flower bed", make="{dig|plant} a {round|fragrant|heart-shaped} flower bed",
                  trace="{soil|a petal|tulip seeds} {on|stuck to} [hero]'s {knee|nose|cheek|sleeve}"),
            Entry("sweater", make="{knit|crochet} a {thick|fuzzy|checkered|woolen} sweater",
                  trace="{a tail of yarn|a knitting needle|fluff} {poking out of|trailing from} [hero]'s "
                  "{pocket|sleeve|collar}"),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        ["<one_day> [hero.his] [family.kin] {shared|whispered|revealed|let out} {a secret|a secret "
         "plan|secret news}: [friend], [a friend_trait] [friend_kind] from {next door|upstairs|across the "
         "lane|down the street|the corner house}, [secret_occasion.why], {so|and} they would "
         "[secret_gift.make]{| on the quiet| by candlelight}."],
    ],
    [
        ['But {on {Monday|Tuesday|Wednesday|Thursday}|the next {morning|noon|evening}|after a few '
         'days|before long|a little too soon}, [friend] {noticed|spotted|pointed at|discovered} '
         '[secret_gift.trace] and {asked|wondered aloud|cried}, "{{What|Now what|So what} is {going on|all '
         'this|that}|Is {this|that} a clue|What {are you|is somebody} {making|hiding|up to}|Where did '
         '{that|this} come from}?"'],
        ["{Blushing|Gulping|Spluttering|Turning pink|Thinking fast|Biting back a smile}, [hero] "
         "{chattered|babbled|talked|rambled} {only|merely|nonstop|on and on} about the [toy] {until "
         "{lunch|teatime|noon}|for {an hour|ages}}, {while|though} the secret "
         "{tickled|fizzed|bubbled|hopped|itched} {inside|within|on [hero.his] tongue} like {soda|a "
         "grasshopper|a hiccup|popping corn|a sneeze|spilled beans|warm cider}."],
    ],
    [
        ['"[secret_occasion.shout], [friend]!" {sang|cried|shouted|cheered|called} [hero] {at last|soon '
         'afterward|when the day came|on the great day|days later|that weekend}, and {there|under a '
         'sheet|behind the door|in a patch of light|behind a screen} was the [secret_gift], '
         '{{decked|trimmed} with {daisies|bows|ferns|paper stars}|surrounded by '
         '{cousins|candles|neighbors|well-wishers}|done to the last {detail|touch}}.'],
        ['"{So that is|Now I see|At last I understand|Now I know} why {I heard|you told me|you went on} so '
         'much about {that|your} [color] [toy]," {laughed|gasped|giggled|chuckled|exclaimed} [friend], '
         '{hugging|squeezing} [hero] {until both {fell over|were dizzy|squeaked}|tightly|with wet '
         'eyes|again and again|very hard}.',
         "{That {night|evening}|At bedtime|Under the blankets|By starlight}, [hero] {whispered to|explained "
         "to|told|confided to} the [color] [toy] that {good|happy|nice} secrets {never|do not} stay "
         "{hidden|locked up|quiet} {forever|for long}, only until {everyone|somebody dear|a friend} can "
         "{laugh|smile|celebrate}.",
         "{Overjoyed|Speechless|Delighted|Touched|Dazzled}, [friend] {invited|begged|asked} [hero] "
         "{and|along with} the [color] [toy] to {stay for {supper|dumplings|noodles|waffles|a picnic}|come "
         "back {tomorrow|every day|at breakfast}}, and {nobody {minded|mentioned}|everyone forgave} {all "
         "that whispering|the mystery|the long wait}.",
         "{Even now|To this day|Years later}, {a glance at|the sight of|one look at} the [color] [toy] sets "
         "[hero] and [friend] {laughing|giggling|grinning|chuckling} {about|over} the [secret_gift] and "
         "{how {hard|tricky} it was to keep quiet|the secret that {almost|nearly} {slipped out|escaped}}."],
    ],
]
