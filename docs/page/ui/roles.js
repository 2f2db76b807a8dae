// Who and what a story is about, by the tables of its grammar: the hero is the first name, the friend the second;
// the toy and its color are the first pair of those that stand together, such as "blue whistle".

/** Where one of these words stands in a text, before `next`: the matches of a regular expression. */
function occurrences(text, words, next = "") {
  if (!words.length) return [];
  const either = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  return [...text.matchAll(new RegExp(`\\b(?:${either})\\b(?=${next})`, "g"))];
}

/**
 * The places of a text that a role fills: [{start, end, role}], in order.
 * `tables` are facts.roles: names, toys, colors, and places, such as the train station, in which no toy is meant.
 */
export function rolesIn(text, { names = [], toys = [], colors = [], places = [] }) {
  const taken = occurrences(text, places.filter((place) => place.includes(" ")));
  const found = [];
  const mark = (role, matches) => {
    for (const { index: start, 0: word } of matches) {
      const end = start + word.length;
      if (!taken.some((place) => place.index <= start && end <= place.index + place[0].length)) found.push({ start, end, role });
    }
  };
  const [hero, friend] = new Set(occurrences(text, names).map(([name]) => name));
  if (hero) mark("hero", occurrences(text, [hero]));
  if (friend) mark("friend", occurrences(text, [friend]));
  for (const { index, 0: color } of occurrences(text, colors)) {
    const toy = occurrences(text, toys).find((match) => match.index === index + color.length + 1)?.[0];
    if (!toy) continue;
    mark("toy", occurrences(text, [toy]));
    mark("color", occurrences(text, [color], ` ${toy}\\b`));
    break;
  }
  return found.sort((one, other) => one.start - other.start);
}

/** For each piece of a text, the role of the word that it is a part of, or null. */
export function rolesOfPieces(pieces, tables) {
  const spans = rolesIn(pieces.join(""), tables);
  let start = 0;
  return pieces.map((piece) => {
    const from = start + (piece.length - piece.trimStart().length);
    const to = (start += piece.length);
    const inside = (span) => span.start < to && from < span.end;
    return spans.find(inside)?.role ?? null;
  });
}
