// Who and what a story is about, by the tables of its grammar: the hero is the first name, the friend the second;
// the toy and its color are the first pair of those that stand together, such as "blue whistle".

const escaped = (words) => words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");

/**
 * The places of a text that a role fills: [{start, end, role}], in order.
 * `tables` are facts.roles: names, toys, colors; places, if there are any, keep "train station" from being a toy.
 */
export function rolesIn(text, tables) {
  const { names = [], toys = [], colors = [], places = [] } = tables ?? {};
  const found = [];
  const mark = (word, role, before = "") => {
    for (const match of text.matchAll(new RegExp(`\\b(?:${escaped([word])})\\b(?=${before})`, "g"))) {
      const [start, end] = [match.index, match.index + word.length];
      if (!taken.some((one) => one.start <= start && end <= one.end)) found.push({ start, end, role });
    }
  };
  const taken = [];
  const longer = places.filter((place) => place.includes(" "));
  if (longer.length) {
    for (const match of text.matchAll(new RegExp(`\\b(?:${escaped(longer)})\\b`, "g"))) {
      taken.push({ start: match.index, end: match.index + match[0].length });
    }
  }
  if (names.length) {
    const said = text.matchAll(new RegExp(`\\b(?:${escaped(names)})\\b`, "g"));
    const [hero, friend] = new Set([...said].map((match) => match[0]));
    if (hero) mark(hero, "hero");
    if (friend) mark(friend, "friend");
  }
  if (toys.length && colors.length) {
    const pair = text.match(new RegExp(`\\b(${escaped(colors)}) (${escaped(toys)})\\b`));
    if (pair) {
      mark(pair[1], "color", ` ${pair[2]}`);
      mark(pair[2], "toy");
    }
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
