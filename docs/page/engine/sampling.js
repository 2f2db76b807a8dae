// From logits to the next token, with the rules of helpers/sampling.py (notebook 09): temperature, then top-k, then
// top-p, each on what is left. Like there, numbers are rounded to 32 bits at each step.

const GREEDY_BELOW = 1e-5; // a temperature so near 0 is 0
const round = Math.fround;

/** The id of the largest logit, the first of equal ones. */
export function greedy(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** Probabilities of logits; those of -Infinity are 0. */
export function softmax(logits) {
  const most = logits[greedy(logits)];
  const found = Float32Array.from(logits, (logit) => Math.exp(round(logit - most)));
  let sum = 0;
  for (const value of found) sum += value;
  return found.map((value) => value / sum);
}

/**
 * The probabilities from which a token is drawn.
 * @param logits what the model said
 * @param options temperature (1 changes nothing, 0 is greedy), topK and topP (undefined or null: all tokens stay)
 */
export function distribution(logits, { temperature = 1, topK = null, topP = null } = {}) {
  check(temperature, topK, topP);
  if (temperature < GREEDY_BELOW) {
    const sure = new Float32Array(logits.length);
    sure[greedy(logits)] = 1;
    return sure;
  }
  const by = round(temperature);
  let left = Float32Array.from(logits, (logit) => logit / by);
  if (topK !== null && topK !== undefined) left = keepTopK(left, topK);
  if (topP !== null && topP !== undefined && topP < 1) left = keepTopP(left, topP);
  return softmax(left);
}

function check(temperature, topK, topP) {
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new RangeError(`temperature must be 0 (greedy) or more, got ${temperature}`);
  }
  if (topK !== null && topK !== undefined && !(topK >= 1)) {
    throw new RangeError(`top-k must keep at least 1 token, got ${topK}`);
  }
  if (topP !== null && topP !== undefined && !(topP > 0 && topP <= 1)) {
    throw new RangeError(`top-p is a probability above 0 and at most 1, got ${topP}`);
  }
}

/** What equals the k-th largest stays too. */
function keepTopK(logits, k) {
  const kth = logits.toSorted()[logits.length - Math.min(k, logits.length)];
  return logits.map((logit) => (logit < kth ? -Infinity : logit));
}

/** The token that crosses p stays, so at least one always does; of equal ones the smallest id comes first. */
function keepTopP(logits, p) {
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const probability = softmax(logits);
  const left = logits.slice();
  let sum = 0;
  order.forEach((id, rank) => {
    sum += probability[id];
    if (rank > 0 && round(round(sum) - probability[id]) >= round(p)) left[id] = -Infinity;
  });
  return left;
}

/**
 * One token: the first whose cumulative probability exceeds a uniform number, so never one of probability 0.
 * @param random the number, from 0 to below 1, or a function that gives one
 */
export function draw(probabilities, random = Math.random) {
  let total = 0;
  let last = -1;
  probabilities.forEach((probability, id) => {
    total += probability;
    if (probability > 0) last = id;
  });
  if (last < 0 || !Number.isFinite(total)) throw new RangeError("the model's logits are not numbers");
  const number = round((typeof random === "function" ? random() : random) * round(total));
  let sum = 0;
  for (let id = 0; id < last; id++) {
    sum += probabilities[id];
    if (round(sum) > number) return id;
  }
  return last;
}
