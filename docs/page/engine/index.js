// The engine of the living page: a model of the course in the browser. Nothing is asked of another host.
//
//   const engine = await open();
//   let story = await engine.start(engine.encode("Once upon a time"));
//   story = await engine.next(story, draw(distribution(story.logits, { temperature: 0.8 })));

import { load, prepare } from "./model.js";
import { score } from "./score.js";
import { at, begin, grow } from "./story.js";
import { Tokenizer } from "./tokenizer.js";

export { distribution, draw, greedy, softmax } from "./sampling.js";

/**
 * Load a model, its tokenizer and the runtime; addresses are relative to the page.
 * @param base the folder with facts.json, tokenizer.json and model.onnx
 * @param runtime the folder of onnxruntime-web
 */
export async function open(base = "./model/", runtime = "./runtime/") {
  const address = (name) => new URL(name, new URL(base, document.baseURI)).href;
  const [facts, words, graph, ort] = await Promise.all([
    get(address("facts.json"), "json"),
    get(address("tokenizer.json"), "json"),
    get(address("model.onnx"), "arrayBuffer"),
    prepare(new URL(runtime, document.baseURI).href),
  ]);
  const model = await load(ort, new Uint8Array(graph), facts);
  const tokenizer = new Tokenizer(words);
  return {
    facts,
    encode: (text) => tokenizer.encode(text),
    decode: (ids) => tokenizer.decode(ids),
    piece: (id) => tokenizer.piece(id),
    start: (ids) => begin(model, facts, ids),
    next: (story, id) => grow(model, facts, story, id),
    at,
    score: (text) => score(model, facts, tokenizer, text),
  };
}

async function get(address, kind) {
  let answer;
  try {
    answer = await fetch(address);
  } catch {
    throw new Error(`${address} could not be read: is the page opened from a web server?`);
  }
  if (!answer.ok) throw new Error(`${address} could not be read (${answer.status})`);
  return answer[kind]();
}
