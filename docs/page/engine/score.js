// How good the model is on a text, as helpers/evaluation.py scores a story (notebook 03): [end] + story + [end], so that
// the first token is scored and the decision to stop. What is longer than the context is read in windows that overlap by
// half; each token is scored once, with at least half a context before it.

/** @returns {bitsPerByte, nats, bytes, tokens, perToken: [{id, piece, nats}]}, the end token last */
export async function score(model, facts, tokenizer, text) {
  const bytes = new TextEncoder().encode(text).length;
  if (!bytes) throw new RangeError("there is no text to score");
  const row = [facts.end, ...tokenizer.encode(text), facts.end];
  const perToken = [];
  for (const { first, start, end } of windows(row.length - 1, facts.context)) {
    const { lens } = await model.read(row.slice(start, end), model.nothing(), ["lens"]);
    const count = end - start;
    for (let at = first; at < end; at++) {
      const from = ((model.layers - 1) * count + at - start) * facts.vocabulary;
      const id = row[at + 1];
      perToken.push({ id, piece: tokenizer.piece(id), nats: nats(lens.subarray(from, from + facts.vocabulary), id) });
    }
  }
  const total = perToken.reduce((sum, token) => sum + token.nats, 0);
  return { bitsPerByte: total / Math.LN2 / bytes, nats: total, bytes, tokens: perToken.length, perToken };
}

/** Read from `start` to before `end`, and score what follows each from `first` on. */
function windows(size, context) {
  const found = [];
  for (let first = 0; first < size; ) {
    const end = Math.min(size, first === 0 ? context : first + context - Math.floor(context / 2));
    found.push({ first, start: Math.max(0, end - context), end });
    first = end;
  }
  return found;
}

/** -ln of the probability of a token. */
function nats(logits, id) {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.log(sum) + most - logits[id];
}
