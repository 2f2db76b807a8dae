// Opens the model and joins the parts of the page.

import { open } from "../engine/index.js";
import { Announcer } from "./announce.js";
import { Choices } from "./choices.js";
import { byId, make, number } from "./dom.js";
import { Looks } from "./looks.js";
import { Score } from "./score.js";
import { shaping } from "./shaping.js";
import { legend, Story } from "./story.js";
import { Teller } from "./teller.js";

// What is seen here, and the notebook in which it is built; the keys are those of facts.links.
const PARTS = {
  tokenizer: ["The tokens of which a story is made", "01, Tokenization"],
  scoreboard: ["Bits per byte, and the floor", "03, Baselines"],
  attention: ["Where it looked: attention and its heads", "05, Self-attention"],
  decoder: ["The model, a decoder as GPT-2's", "06, The decoder"],
  training: ["Its weights: how it was trained", "07, Training"],
  sampling: ["Temperature, top\u2011k and top\u2011p", "09, Sampling"],
  inside: ["What it would say after each layer: the logit lens", "11, Looking inside"],
};

function link(facts, part) {
  const [, title] = PARTS[part];
  const url = facts.links[part];
  return url ? make("a", { href: url }, title) : title;
}

/** What the page is, from what is known of its model. */
function introduce(facts) {
  const name = facts.name[0].toUpperCase() + facts.name.slice(1);
  const grammar = facts.floorBitsPerByte !== null;
  byId("about").textContent =
    `${name}, a GPT of ${number(facts.parameters)} parameters, tells a story in your browser, one token after another. ` +
    "Choose any token, and see how it was chosen.";
  byId("made").replaceChildren(
    `${name} has ${number(facts.parameters)} parameters: ${facts.layers} layers of ${facts.heads} heads, a vocabulary of ` +
    `${number(facts.vocabulary)} tokens, a context of ${number(facts.context)}. It is trained as in `, link(facts, "training"),
    facts.madeBy ? ` (${facts.madeBy}).` : ".",
    grammar ? " The stories that it learned from were drawn from a grammar: nobody wrote them, and they are no real children's " +
      "stories. It knows no other words and nothing of the world." : "");
  byId("built").replaceChildren(...Object.entries(PARTS).map(([part, [words]]) =>
    make("tr", {}, make("th", { scope: "row" }, words), make("td", {}, link(facts, part)))));
  for (const place of document.querySelectorAll("[data-built]")) {
    place.replaceChildren("Built in ", link(facts, place.dataset.built), ".");
  }
  // The front page of the book, or of the repository, that holds the notebooks.
  const course = facts.links.training?.replace(/\/blob\/.*|notebooks\/[^/]*\.html$/, (rest) => (rest.startsWith("/blob") ? "" : "index.html"));
  if (course) document.querySelector(".course a").href = course;
}

function start(engine) {
  const { facts } = engine;
  const prompt = byId("prompt");
  const announcer = new Announcer(byId("announcer"));
  let story = null;

  const teller = new Teller(engine, (kind) => {
    if (kind === "token") {
      story.grow();
      if (teller.running) announcer.grow(story.piece(teller.ids.at(-1)));
      else announcer.say(story.piece(teller.ids.at(-1)));
    } else if (kind === "story") {
      announcer.forget();
      story.write();
    } else if (kind === "cut") {
      story.write(teller.ids.length - 1);
    } else if (!teller.running) {
      story.refresh();
      announcer.finish(teller.over ? "The end." : teller.full ? "Stopped, it is long enough." : "Stopped.");
    }
    show();
  });

  const pick = async (id) => {
    const i = story.place;
    const byHand = i === teller.ids.length;
    await teller.replace(i, id);
    if (byHand) return announcer.say(story.piece(id));
    story.choose(i);
    await teller.run();
  };
  const choices = new Choices(byId("choices"), byId("choices-note"), (id) => story.piece(id), guarded(pick));
  const looks = new Looks(document.querySelector(".story-frame"), byId("looks"),
    { layer: byId("layer"), head: byId("head"), arcs: byId("arcs") }, facts);
  story = new Story(teller,
    { box: byId("story"), note: byId("story-note"), panels: document.querySelectorAll(".panel"), title: byId("chosen-title"), lens: byId("lens") },
    choices, looks);

  const show = () => {
    byId("start").textContent = teller.running ? "Stop" : "Start";
    byId("one").disabled = teller.running || teller.over || teller.full;
  };
  let begun = (prompt.value = facts.prompt);
  const begin = () => {
    if (!prompt.value.trim()) begun = prompt.value = facts.prompt;
    // A space at the end would keep the next token from bringing its own.
    return teller.begin(engine.encode(prompt.value.replace(/[ \t]+$/, "")));
  };
  const beginIfNew = async () => {
    if (prompt.value === begun) return false;
    begun = prompt.value;
    await begin();
    return true;
  };
  prompt.addEventListener("change", guarded(beginIfNew));
  byId("teller").addEventListener("submit", guarded(async (event) => {
    event.preventDefault();
    if (teller.running) return teller.halt();
    if (!(await beginIfNew()) && (teller.over || teller.full)) await begin();
    await teller.run();
  }));
  byId("one").addEventListener("click", guarded(async () => {
    await beginIfNew();
    story.picked = null;
    await teller.step();
  }));
  byId("again").addEventListener("click", guarded(async () => {
    begun = prompt.value;
    await begin();
    await teller.run();
  }));
  byId("pace").addEventListener("change", (event) => (teller.pause = Number(event.target.value)));
  teller.pause = Number(byId("pace").value);
  shaping((shape) => {
    teller.shape = shape;
    choices.reshape(shape);
  });
  legend(byId("legend"), facts.roles);
  new Score(engine);
  for (const one of document.querySelectorAll("main [disabled]")) one.disabled = false;
  show();
  return begin();
}

/** A handler whose failure is said on the page. */
function guarded(work) {
  return async (...given) => {
    try {
      return await work(...given);
    } catch (error) {
      console.error(error);
      window.trouble(`Something went wrong, and the story cannot go on: ${error.message}`);
    }
  };
}

async function load() {
  const status = byId("status");
  if (typeof WebAssembly !== "object") {
    return window.trouble("This browser cannot run WebAssembly, or it is switched off, so the model cannot run here.");
  }
  status.textContent = "The model is being loaded.";
  let engine;
  try {
    engine = await open("./model/");
  } catch (error) {
    console.error(error);
    return window.trouble(`The model could not be loaded: ${error.message}`);
  }
  introduce(engine.facts);
  await guarded(start)(engine);
  byId("main-content").removeAttribute("aria-busy");
  if (status.className !== "trouble") status.textContent = "Ready.";
}

load();
