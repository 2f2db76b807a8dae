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

// The parts of the page, each with the key of its notebook in facts.links.
const PARTS = [
  ["tokenizer", "The tokens that the story is made of"],
  ["scoreboard", "Bits per byte, and the floor"],
  ["attention", "Where it looked: attention and its heads"],
  ["decoder", "The model itself"],
  ["training", "The weights: how it was trained"],
  ["sampling", "Temperature, top-k and top-p"],
  ["inside", "What it would say after each layer: the logit lens"],
];

function link(facts, part) {
  const { url, title } = facts.links?.[part] ?? {};
  return url ? make("a", { href: url }, title) : null;
}

/** What the page is, from what is known of its model. */
function introduce(facts) {
  byId("about").textContent =
    `${facts.name}, a GPT of ${number(facts.parameters)} parameters, tells stories here, one token after another, and shows ` +
    "how each was chosen. It runs in your browser.";
  byId("made").textContent =
    `${facts.name} has ${number(facts.parameters)} parameters in ${facts.layers} layers of ${facts.heads} heads, a vocabulary of ` +
    `${number(facts.vocabulary)} tokens and a context of ${number(facts.context)}. ${facts.madeBy}`;
  byId("built").replaceChildren(...PARTS.map(([part, name]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, link(facts, part) ?? ""))));
  for (const place of document.querySelectorAll("[data-built]")) {
    const to = link(facts, place.dataset.built);
    if (to) place.replaceChildren("Built in ", to, ".");
  }
  const book = facts.links?.book?.url;
  for (const place of document.querySelectorAll("[data-link=book]")) if (book) place.href = book;
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
      announcer.finish(teller.over ? "The end." : teller.full ? "The context is full." : "Stopped.");
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
  // A space at the end would keep the next token from bringing its own.
  const begin = () => teller.begin(engine.encode(prompt.value.replace(/[ \t]+$/, "") || facts.prompt));
  let begun = prompt.value = facts.prompt;
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
  legend(byId("legend"));
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
  if (status.className !== "trouble") status.textContent = "Ready.";
}

load();
