"""A surprise for a friend is made in secret, nearly given away, and a joy in the end."""

from data.story_grammar.engine import Entry, Table

NAME = "a secret"

VARIABLES = {
    # What the surprise is for decides what is shouted when it comes out.
    "secret_occasion": Table(
        [
            Entry("birthday", why="would turn {five|six|nine} {on {Saturday|Sunday}|soon|that week}",
                  shout="{Happy|A happy|A very happy} birthday"),
            Entry("school",
                  why="{was about to start|would soon begin} {school|a new school} and felt {nervous|shaky|uneasy}",
                  shout="{Good luck|We believe in you}"),
            Entry("moving", why="was moving {away|far away} {in the fall|that winter}",
                  shout="{We will miss you|Remember us}"),
            Entry("newcomer", why="had {just|newly} {arrived|moved in} and knew {nobody|no one yet}",
                  shout="Welcome to our {street|village}"),
            Entry("thanks", why="had {kindly {cleared|swept} their path|bravely {saved|rescued} their cat|patiently "
                      "looked for their cat}",
                  shout="{Thank you for everything|This is to thank you}"),
        ]
    ),
    # What is made decides the trace it leaves on its maker.
    "secret_gift": Table(
        [
            Entry("cake", make="{bake|ice} a {chocolate|huge} cake",
                  trace="{flour|butter} {on|all over} [hero]'s {nose|elbow}"),
            Entry("birdhouse", make="{build|hammer together} a {tiny|pointed|wooden} birdhouse",
                  trace="{wood shavings|splinters} {in|on} [hero]'s {collar|apron}"),
            Entry("poster", make="{paint|draw} a {bright|cheerful} poster",
                  trace="{wet paint|a smear of paint} on [hero]'s {ear|elbow}"),
            Entry("scrapbook", make="{fill|put together} a {thick|funny} scrapbook",
                  trace="{glue|paste} {on|stuck to} [hero]'s {elbow|knee}"),
            Entry("flower bed", make="{dig|plant} a {round|heart-shaped} flower bed",
                  trace="{soil|a petal} {on|stuck to} [hero]'s {knee|nose}"),
        ]
    ),
}

ACTS = [
    [
        ["<meet_hero>"],
        ["<meet_toy>"],
    ],
    [
        ["<one_day> [hero]'s [family.kin] {shared|whispered|had} {a secret|a secret plan}: [friend], [a "
         "friend_trait] [friend_kind] from {next door|across the lane|down the street|the corner house}, "
         "[secret_occasion.why], {so|and} they would [secret_gift.make]{| at home| after dark}."],
    ],
    [
        ["But {on {Monday|Tuesday|Wednesday|Thursday}|the {next|very next} {morning|day}|before long|a little too "
         "soon}, [friend] {noticed|spotted|pointed at|discovered} [secret_gift.trace] and {asked|wondered aloud|"
         'cried}, "{{What|Now what|So what} is {all this|that}|Have you been {busy|making something}|Where did '
         '{that|this} come from}?"'],
        ["{Gulping|Turning pink|Thinking fast}, [hero] {babbled|talked} to [friend] {only|on and on} about the [toy] "
         "{until {supper|teatime|sunset}|for {an hour|ages}}, {while|though} the secret {tickled|itched} {inside|all "
         "the while} like {a sneeze|a feather}."],
    ],
    [
        ['"[secret_occasion.shout], [friend]!" {sang|cried|shouted|cheered|called} [hero] {at last|soon afterward|'
         "when the day came|days later|that weekend}, and {there|right there|close by|in a patch of light} was the "
         "[secret_gift], {{trimmed|covered} with {flowers|ribbons}|surrounded by {cousins|balloons|neighbors}}."],
        ['"{So that is|Now I see|Now I know} why {I heard|you told me|you went on} so much about {that|your} '
         '[color] [toy]," {laughed|gasped|giggled|chuckled} [friend], {hugging|squeezing} [hero] {tightly|again and '
         "again|very hard}.",
         "{That {night|evening}|At bedtime}, [hero] {whispered to|explained to|told} the [color] [toy] that "
         "{good|happy} secrets {never|do not} stay {hidden|quiet} {forever|for long}, only until {everyone|somebody "
         "dear|a friend} can {laugh|smile}.",
         "{Even now|To this day|These days}, {the sight of|one look at} the [color] [toy] sets [hero] and [friend] "
         "{giggling|chuckling} {about|over} the [secret_gift] and {how {hard|tricky} it was for [hero] to keep "
         "quiet|the secret that {almost|nearly} {slipped out|escaped}}."],
    ],
]
