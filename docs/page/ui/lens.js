// The logit lens: the last norm and the head, applied to the stream after each layer.

import { largest, make, percent, spoken, visible } from "./dom.js";
import { said } from "./teller.js";

const SHOWN = 3;

/** A table of the likeliest tokens after each layer; lens: [layer] -> logits; chosen: the token there, or null. */
export function showLens(place, lens, piece, chosen) {
  const bodies = [...lens].map((logits, layer) => {
    const probabilities = said(logits);
    const ids = largest(probabilities, SHOWN);
    if (chosen !== null && !ids.includes(chosen)) ids.push(chosen);
    const name = layer === lens.length - 1 ? `${layer}, the last` : String(layer);
    return make("tbody", {}, ...ids.map((id, i) => {
      const bar = make("span", { class: "bar lens" });
      bar.style.width = `${100 * probabilities[id]}%`;
      return make("tr", { class: id === chosen ? "here" : null },
        i ? null : make("th", { scope: "rowgroup", rowspan: ids.length }, name),
        make("td", { class: "word" }, make("span", { class: "piece", "aria-hidden": "true" }, visible(piece(id))),
          make("span", { class: "unseen" }, spoken(piece(id)) + (id === chosen ? ", stands here" : ""))),
        make("td", { class: "wide", "aria-hidden": "true" }, bar), make("td", { class: "number" }, percent(probabilities[id])));
    }));
  });
  const head = (name, kind = null) => make("th", { scope: "col", class: kind }, name);
  place.replaceChildren(make("table", { class: "lens" },
    make("caption", { class: "unseen" }, "The likeliest tokens after each layer"),
    make("thead", {}, make("tr", {}, head("after layer"), head("likeliest"),
      make("th", { scope: "col", class: "wide" }, make("span", { class: "unseen" }, "drawn as bars")), head("probability", "number"))),
    ...bodies));
}
