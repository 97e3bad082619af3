// The parts that every screen is made of: panels, figures, tables, lists, meters, buttons, and how loading, nothing and errors look.

import { fill, h, newId } from "./dom.js";
import { NOTHING, percent, whole } from "./format.js";
import { Problem } from "./session.js";

/** Pages that a list reads in a row for what is wanted, before it asks whether to go on. */
const PAGES_MAX = 20;

/** A part of a screen under a heading; `actions` stand beside it. */
export function panel(title, { actions, note } = {}, ...children) {
  const id = newId("panel");
  return h("section", { class: "panel", "aria-labelledby": id },
    h("div", { class: "panel-head" }, h("h2", { id }, title), actions && h("div", { class: "actions" }, actions)),
    note && h("p", { class: "quiet" }, note),
    children);
}

/** Several panels beside each other where there is room. */
export function columns(...children) {
  return h("div", { class: "columns" }, children);
}

/** One number with its name. Returns the node; `set(text, note)` on it shows another. */
export function figure(label, text = NOTHING, note = "") {
  const value = h("dd", {}, text);
  const below = h("dd", { class: "note" }, note);
  const node = h("div", { class: "figure" }, h("dt", {}, label), value, below);
  node.set = (next, nextNote = "") => {
    if (value.textContent !== next) value.textContent = next;
    if (below.textContent !== nextNote) below.textContent = nextNote;
  };
  return node;
}

/** Figures side by side. */
export function figures(...children) {
  return h("dl", { class: "figures" }, children);
}

/** A word with a mark before it that tells its kind without colour: `good`, `bad`, `warn`, `plain`. */
export function badge(text, kind = "plain") {
  const mark = { good: "●", bad: "▲", warn: "◆", plain: "○" }[kind];
  return h("span", { class: `badge ${kind}` }, h("span", { "aria-hidden": "true" }, mark), text);
}

/**
 * A bar of what is used of something that is limited. Returns the node; `set({ used, reserved, total })` shows other numbers. The numbers
 * stand beside it as text.
 */
export function meter(label) {
  const used = h("span", { class: "used" });
  const reserved = h("span", { class: "reserved" });
  const text = h("span", { class: "meter-text" });
  const bar = h("div", { class: "meter", role: "meter", "aria-label": label, "aria-valuemin": "0" }, used, reserved);
  const node = h("div", { class: "metered" }, bar, text);
  node.set = ({ used: own, reserved: held = 0, total }) => {
    const share = (part) => (Number(total) === 0 ? 0 : Math.min(100, (100 * Number(part)) / Number(total)));
    used.style.width = `${share(own)}%`;
    reserved.style.width = `${share(held)}%`;
    bar.setAttribute("aria-valuemax", String(total));
    bar.setAttribute("aria-valuenow", String(own));
    text.textContent = `${whole(own)} of ${whole(total)} (${percent(own, total)})${Number(held) > 0 ? `, ${whole(held)} being decided` : ""}`;
  };
  return node;
}

/**
 * A table. `columns` are `{ title, value(row), numeric, tight }`: `value` gives text or nodes. `empty` is said where there are no rows.
 * On narrow screens each row is a card, and its cells bear their columns' titles.
 */
export function table({ caption, columns: wanted, rows, empty = "There is nothing yet." }) {
  if (rows.length === 0) return emptiness(empty);
  const kind = (column) => [column.numeric && "numeric", column.tight && "tight"].filter(Boolean).join(" ") || undefined;
  const head = h("tr", {}, wanted.map((column) => h("th", { scope: "col", class: kind(column) }, column.title)));
  const body = h("tbody", {}, rows.map((row) => rowOf(row, wanted, kind)));
  return h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": caption },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), body));
}

function rowOf(row, wanted, kind) {
  return h("tr", {}, wanted.map((column) => h("td", { class: kind(column), "data-title": column.title }, h("div", {}, column.value(row) ?? NOTHING))));
}

/**
 * A list that comes page by page: `load(cursor)` gives `{ data, next_cursor }`. Shows a button for more. A page may have nothing of what
 * is wanted and more behind it all the same: it is read on until there are `least` rows more, yet not for ever. Returns the node;
 * `reload()` on it starts again, `refresh()` reads as many rows again as are shown, which stay until then.
 */
export function pagedTable({ load, empty, least = 1, ...how }) {
  const node = h("div");
  const none = { rows: [], cursor: undefined, pages: 0 };
  let seen = none;
  let last = Promise.resolve();

  const read = async ({ rows, cursor, pages }, wanted, pagesMax) => {
    do {
      const page = await load(cursor);
      rows = [...rows, ...page.data];
      cursor = page.next_cursor ?? undefined;
      pages += 1;
    } while (cursor !== undefined && rows.length < wanted && pages < pagesMax);
    seen = { rows, cursor, pages };
    renew(node, shown(seen));
  };
  const shown = ({ rows, cursor }) => {
    const more = cursor !== undefined && button(rows.length === 0 ? "Look further back" : "Show more", readMore);
    return [
      more && rows.length === 0 ? emptiness("None in the newest part of the ledger.") : table({ ...how, rows, empty }),
      more && h("p", {}, more),
    ];
  };
  // One after the other, so that what was asked for last is shown last.
  const inTurn = (work, how) => settle(node, () => {
    last = last.then(work, work);
    return last;
  }, how);
  const readMore = async () => {
    await inTurn(() => read(seen, seen.rows.length + least, seen.pages + PAGES_MAX), { keep: true });
    // The button that was pressed is gone, and the focus with it: there is another.
    if (document.activeElement === document.body) node.querySelector(":scope > p > button")?.focus({ preventScroll: true });
  };
  node.refresh = () => inTurn(() => read(none, Math.max(least, seen.rows.length), seen.pages + PAGES_MAX), { keep: true });
  node.reload = () => inTurn(() => read(none, least, PAGES_MAX));
  node.reload();
  return node;
}

/** Shows newer children. Whoever stood on a control stands on the same one afterwards; wide tables stay where they were scrolled to. */
export function renew(node, ...children) {
  const identity = (control) => control.getAttribute("aria-label") ?? control.getAttribute("href") ?? control.textContent;
  const active = node.contains(document.activeElement) ? identity(document.activeElement) : undefined;
  const scrolled = [...node.querySelectorAll(".wide")].map(({ scrollLeft }) => scrollLeft);
  fill(node, ...children);
  node.querySelectorAll(".wide").forEach((wide, index) => {
    wide.scrollLeft = scrolled[index] ?? 0;
  });
  if (active === undefined) return;
  [...node.querySelectorAll("a, button, [tabindex]")].find((own) => identity(own) === active)?.focus({ preventScroll: true });
}

/** A list of texts and nodes without marks. */
export function plainList(items) {
  return h("ul", { class: "plain-list" }, items.filter(Boolean).map((item) => h("li", {}, item)));
}

/** Nothing is there: says so, and what to do about it. */
export function emptiness(text) {
  return h("p", { class: "empty" }, text);
}

/** Something is on its way. */
export function loading(text = "Loading…") {
  return h("p", { class: "loading", role: "status" }, text);
}

/** What went wrong, in the server's own words, and a way to try again. */
export function problemBox(error, retry) {
  const isProblem = error instanceof Problem;
  if (!isProblem) console.error(error);
  const detail = isProblem ? error.detail : "This page made a mistake. Loading it again may help.";
  return h("div", { class: "problem", role: "alert" },
    h("p", {}, h("strong", {}, isProblem ? error.title : "Something went wrong here.")),
    detail && h("p", {}, detail),
    isProblem && Object.entries(error.members).map(([name, value]) => h("p", {}, h("code", {}, name), `: ${textOf(value)}`)),
    isProblem && error.retryAfter && h("p", {}, `Try again in ${error.retryAfter} s.`),
    // What this page found itself has no request, and no page of the server's.
    isProblem && error.requestId && h("p", { class: "quiet" },
      h("a", { href: `/problems/${error.code}`, target: "_blank", rel: "noopener" }, h("code", {}, error.code)),
      " in request ", h("code", {}, error.requestId)),
    retry && h("p", {}, button("Try again", retry)));
}

function textOf(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Does something that fills `node`: shows that it is under way, and a problem with a way to try again. */
export async function settle(node, work, { keep = false } = {}) {
  node.setAttribute("aria-busy", "true");
  if (!keep) fill(node, loading());
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") fill(node, problemBox(error, () => settle(node, work)));
  } finally {
    node.removeAttribute("aria-busy");
  }
}

/** A button that does one thing at a time. */
export function button(text, onclick, { kind } = {}) {
  const node = h("button", { type: "button", class: kind }, text);
  node.addEventListener("click", async () => {
    node.disabled = true;
    try {
      await onclick();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Problem)) console.error(error);
      toast(error instanceof Problem ? `${error.title} (${error.code})` : "Something went wrong here.");
    } finally {
      node.disabled = false;
      // What it opened could not give the focus back while it was disabled.
      if (document.activeElement === document.body) node.focus();
    }
  });
  return node;
}

/** A button of a row: `name` says which row it is of to whoever does not see it. */
export function rowButton(text, name, onclick, how) {
  const node = button(text, onclick, how);
  node.setAttribute("aria-label", name);
  return node;
}

/** The buttons of a row. */
export function rowActions(...buttons) {
  return h("div", { class: "actions" }, buttons);
}

/** Says shortly, at the edge of the page, what was done. */
export function toast(text) {
  const place = document.getElementById("toasts");
  const node = h("p", {}, text);
  // Gone once nobody is logged in any more.
  place?.append(node);
  setTimeout(() => node.remove(), 6_000);
}

/** The position that a screen's numbers are of. Returns the node; `set(seq)` on it shows another. */
export function asOf() {
  const node = h("p", { class: "as-of", role: "note" });
  node.set = (seq) => {
    node.textContent = `as of seq ${whole(seq)}`;
  };
  return node;
}

/** Saves a text as a file. */
export function save(name, text, type) {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}
