// Elements. Text is only ever set as text, so nothing that a customer or a partner wrote can run.

/**
 * Makes an element. Attributes first: `class`, `value`, a handler as `onclick`, a flag as true; then children, which are nodes, text,
 * lists of them, or nothing.
 */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...shown(children));
  return element;
}

/** Puts these children where others were. */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children));
  return element;
}

function shown(children) {
  return children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false && child !== "");
}

/** Sets the text of a node that stays, and leaves it alone where nothing changed. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

let ids = 0;

/** An id that no other element has. */
export function newId(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}

/** A text that nobody else has: for keys of requests. `crypto.randomUUID` is not there on plain HTTP. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
