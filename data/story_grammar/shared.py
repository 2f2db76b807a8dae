"""Wordings that every plot may use: how a story opens, how its turn comes and how it can end.

A rule is a list of wordings, each equally likely. A rule may use the rules above it.
"""

RULES = {
    # Each of these binds the hero's gender, name, kind and trait, and the place.
    "meet_hero": [
        "{Once upon a time|Once|Long ago|Many years ago}, there was [a trait] {little|young} [kind] {named|called} "
        "[hero] who {lived|had a {cozy|tiny|sunny|crooked} home} {near|not far from|close to|next to} the [place].",
        "[hero] was [a trait] {little|young} [kind] {who {lived|spent every day|had a home}|from a house} "
        "{near|close to|beside|right by} the [place].",
        "{In a|In a certain|Once, in a} {cozy|tiny|sunny|tall|round|yellow|white|crooked} {house|cottage|cabin} "
        "{near|beside|not far from} the [place] lived [a trait] {little|young} [kind] {named|called} [hero].",
        "There once was [a trait] [kind] {named|called} [hero], and {everyone|all the neighbors|all the children} "
        "{near|around|close to} the [place] {liked|knew|loved|smiled at} [hero.him].",
        "This is the story of [hero], [a trait] {little|young} [kind] who {played {near|around}|walked "
        "{near|past}|wandered {around|past}} the [place] {every day|in all weather|nearly every morning|whenever "
        "[hero.he] could}.",
    ],
    # The loved thing, for the first time, with its color.
    "meet_toy": [
        "[hero] {adored|prized|treasured} [hero.his] [color] [toy] {above all else|more than anything|above "
        "everything}, and [hero.he] {loved|liked|was happy} to [toy.play] {every day|again and again|all the time|"
        "whenever [hero.he] could}.",
        "[hero]'s {favorite|dearest|most precious} thing was [a color] [toy] {from|that came from|once owned by} "
        "[hero.his] [family.kin], and the [toy] {went everywhere|came along everywhere|was always} "
        "with [hero.him].",
        "For {[hero.his] birthday|Christmas|helping at home} [hero] got [a color] [toy] from [hero.his] "
        "[family.kin], and now [hero.he] {loved|liked|was happy} to [toy.play] {every day|all the time|whenever "
        "[hero.he] could}.",
        "[hero] had [a color] [toy], {a present|a gift} from [hero.his] [family.kin], and {took|carried|brought} the "
        "[toy] {everywhere|along on every walk|along every day|on every outing}.",
        "[hero] {owned|had} [a color] [toy] and {loved|liked|never tired of} [toy.playing], for there was no other "
        "[toy] like it{| in the world| anywhere}.",
    ],
    "one_day": [
        "One {[weather] |{quiet|fine|busy|ordinary} |}{morning|afternoon|day},",
        "On [weather.day],",
        "One {morning|afternoon|day}{,|} when [weather.sky],",
        "One {Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday}{| morning| afternoon},",
    ],
    "ending": [
        "From that day on, [hero] and [friend] {were {the best of friends|the closest friends}|met {every day|after "
        "breakfast|after school} [place.at]}.",
        "That {night|evening}, [hero] {fell asleep|went to bed|lay down} with {a smile|a happy heart|the [color] "
        "[toy] close by}, {dreaming of|thinking about} [friend] and the [place].",
        "And {whenever|each time|every time} [hero] {saw|looked at|held} the [color] [toy], [hero.he] "
        "{smiled|remembered that day|thought of [friend]|felt warm inside}.",
    ],
}
