// A story that grows: what was read, what the model said before each token, and where it looked.
//
// A story's ids do not hold the end token of the story before, which the model reads first. So what stands before
// token i are i + 1 tokens, [end, ids[0], ..., ids[i - 1]], and attention is over these: number 0 is the end token.

/** A new story: the model reads the end token and `ids`, of a text longer than the context the last ones. */
export async function begin(model, facts, ids) {
  const row = [facts.end, ...ids];
  const first = Math.max(0, row.length - facts.context);
  const read = await model.read(row.slice(first), model.nothing());
  const positions = new Array(first).fill(null).concat(split(model, read, row.length - first, 0, first));
  return state([...ids], positions, read.present);
}

/** The story with one token more. When the context is full it slides: the oldest token falls out, all is read again. */
export async function grow(model, facts, before, id) {
  const ids = [...before.ids, id];
  const first = Math.max(0, ids.length + 1 - facts.context);
  if (first > 0) {
    const window = await begin(model, facts, ids);
    return state(ids, [...before.positions, window.positions.at(-1)], window.past);
  }
  const read = await model.read([id], before.past);
  return state(ids, before.positions.concat(split(model, read, 1, ids.length, 0)), read.present);
}

/**
 * What the model said before token i of the story was chosen; i may be the story's length: what comes next.
 * @returns {logits, lens, attention, first}, or null where the token had left the context before it was looked at:
 *   lens[layer] are logits, the last layer's the model's own; attention[layer][head] is over the tokens before, from
 *   number `first` on (more than 0 only when the context slides)
 */
export function at(story, i) {
  if (!Number.isInteger(i) || i < 0 || i > story.ids.length) {
    throw new RangeError(`the story has tokens 0 to ${story.ids.length - 1}, and no token ${i}`);
  }
  return story.positions[i];
}

function state(ids, positions, past) {
  const { logits, lens } = positions.at(-1);
  return { ids, logits, lens, attention: positions.map((position) => position?.attention ?? null), positions, past };
}

/** What was said and looked at, at each of `count` new positions behind `past` earlier ones. */
function split(model, { attention, lens }, count, past, first) {
  const { layers, heads, vocabulary } = model;
  const all = past + count;
  return Array.from({ length: count }, (_, row) => {
    const said = Array.from({ length: layers }, (_, layer) => {
      const start = (layer * count + row) * vocabulary;
      return lens.slice(start, start + vocabulary);
    });
    const looked = Array.from({ length: layers }, (_, layer) =>
      Array.from({ length: heads }, (_, head) => {
        const start = ((layer * heads + head) * count + row) * all;
        return attention.slice(start, start + past + row + 1);
      }),
    );
    return { logits: said.at(-1), lens: said, attention: looked, first };
  });
}
