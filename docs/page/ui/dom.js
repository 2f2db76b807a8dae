// Small helpers to make and fill elements.

/** An element: make("td", {class: "number"}, "3", other). Attributes that are null or false are left out. */
export function make(name, attributes = {}, ...children) {
  const one = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) one.addEventListener(key.slice(2), value);
    else one.setAttribute(key, value === true ? "" : value);
  }
  one.append(...children.filter((child) => child !== null && child !== undefined));
  return one;
}

export const byId = (id) => document.getElementById(id);

/** A probability as it is read: 31%, 4.2%, 0.03%; what is smaller still is said to be so. */
export function percent(p) {
  if (p === 0) return "0%";
  const value = 100 * p;
  if (value < 0.01) return "<0.01%";
  if (value < 1) return `${value.toFixed(2)}%`;
  if (value < 99.95) return `${value.toFixed(1)}%`;
  return p === 1 ? "100%" : ">99.9%";
}

export const number = (value) => value.toLocaleString("en-US");

/** A token as it can be read alone: its space and line ends are shown. */
export const visible = (piece) => piece.replace(/ /g, "␣").replace(/\r/g, "␍").replace(/\n/g, "¶");

/** A token as it is spoken: without quotation marks and with words for what cannot be heard. */
export function spoken(piece) {
  if (/^\s+$/.test(piece)) return piece.includes("\n") ? "new paragraph" : "space";
  return piece.trim() || "nothing";
}

/** The numbers of the `count` largest values, the largest first; of equals the first. */
export function largest(values, count) {
  const found = [];
  for (let i = 0; i < values.length; i++) {
    if (found.length === count && values[i] <= values[found[count - 1]]) continue;
    let at = found.length;
    while (at && values[found[at - 1]] < values[i]) at--;
    found.splice(at, 0, i);
    if (found.length > count) found.pop();
  }
  return found;
}
