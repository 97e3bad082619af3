// The parts that every screen is made of: panels, figures, tables, meters, forms, and how loading, nothing and errors look.

import { fill, h, newId } from "./dom.js";
import { NOTHING, percent, whole } from "./format.js";
import { Problem } from "./session.js";

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
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), body));
}

function rowOf(row, wanted, kind) {
  return h("tr", {}, wanted.map((column) => h("td", { class: kind(column), "data-title": column.title }, h("div", {}, column.value(row) ?? NOTHING))));
}

/**
 * A list of the API that comes page by page: `load(cursor)` gives `{ data, next_cursor }`. Shows a button for more.
 * Returns the node; `reload()` on it starts again.
 */
export function pagedTable({ load, ...how }) {
  const node = h("div");
  let rows = [];
  const show = async (cursor) => {
    const page = await load(cursor);
    rows = [...rows, ...page.data];
    const more = page.next_cursor && button("Show more", () => settle(node, () => show(page.next_cursor), { keep: true }));
    fill(node, table({ ...how, rows }), more && h("p", {}, more));
  };
  node.reload = () => {
    rows = [];
    return settle(node, () => show(undefined));
  };
  node.reload();
  return node;
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
    } finally {
      node.disabled = false;
      // What it opened could not give the focus back while it was disabled.
      if (document.activeElement === document.body) node.focus();
    }
  });
  return node;
}

/**
 * A field of a form: `{ name, label, hint, type, value, options, required, min, max }`. `type` is an input's, `select` (with `options`, texts
 * or `[value, text]`), or `textarea`. Returns the node with its control as `control`.
 */
export function field({ name, label, hint, type = "text", value, options, ...more }) {
  const id = newId(name);
  const attributes = { id, name, autocomplete: "off", ...more, "aria-describedby": hint && `${id}-hint` };
  let control;
  if (type === "select") {
    control = h("select", attributes, options.map((own) => {
      const [key, text] = Array.isArray(own) ? own : [own, own];
      return h("option", { value: key, selected: key === value }, text);
    }));
  } else if (type === "textarea") {
    control = h("textarea", attributes, value);
  } else {
    control = h("input", { ...attributes, type, value });
  }
  const node = h("div", { class: "field" }, h("label", { for: id }, label), control, hint && h("p", { class: "quiet", id: `${id}-hint` }, hint));
  node.control = control;
  return node;
}

/** The values of a form by the names of its fields; nothing for fields that are empty. */
export function valuesOf(form) {
  const values = {};
  for (const [name, value] of new FormData(form)) if (value !== "") values[name] = value;
  return values;
}

/** A form of one line: fields and a button. `onsubmit(values)` may throw what is then shown below. */
export function lineForm({ label, fields, submit, onsubmit }) {
  const said = h("div");
  const form = h("form", { class: "line", "aria-label": label, novalidate: true }, fields, h("button", { type: "submit", class: "main" }, submit), said);
  onSubmit(form, said, onsubmit);
  return form;
}

function onSubmit(form, said, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = form.querySelector("button[type=submit]");
    send.disabled = true;
    fill(said);
    try {
      await work(valuesOf(form));
    } catch (error) {
      fill(said, problemBox(error));
    } finally {
      send.disabled = false;
    }
  });
}

/**
 * A dialog in which a change is filled in, looked at, and made: `preview(values)` gives nodes that show what would happen, and nothing has
 * happened yet; `commit(values)` makes the change. Both may throw a `Problem`, which is shown in the dialog. Without `preview` it is made at
 * once. Resolves to what `commit` gave, or to undefined where somebody thought better of it.
 */
export function changeDialog({ title, intro, fields, preview, commit, submit = "Make the change", danger = false }) {
  const id = newId("dialog");
  const said = h("div", { class: "said" });
  const back = h("button", { type: "button" }, "Change it");
  const send = h("button", { type: "submit", class: preview ? "main" : danger ? "danger" : "main" }, preview ? "Preview" : submit);
  const cancel = h("button", { type: "button" }, "Cancel");
  const inputs = h("fieldset", { class: "plain" }, fields);
  const form = h("form", { novalidate: true }, inputs, said, h("div", { class: "actions" }, cancel, back, send));
  const dialog = h("dialog", { "aria-labelledby": id }, h("h2", { id }, title), intro && h("p", { class: "quiet" }, intro), form);
  const opener = document.activeElement;
  document.body.append(dialog);

  return new Promise((resolve) => {
    let [values, result] = [undefined, undefined];
    const edit = () => {
      values = undefined;
      inputs.disabled = false;
      back.hidden = true;
      send.textContent = preview ? "Preview" : submit;
      send.className = !preview && danger ? "danger" : "main";
    };
    edit();
    back.addEventListener("click", () => {
      edit();
      fill(said);
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      opener?.focus?.();
      resolve(result);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.disabled = true;
      try {
        if (preview && values === undefined) {
          const typed = valuesOf(form);
          fill(said, loading("Looking at what would happen…"));
          fill(said, h("div", { class: "preview", role: "status" }, h("h3", {}, "What will happen"), await preview(typed)));
          values = typed;
          inputs.disabled = true;
          back.hidden = fields === undefined;
          send.textContent = submit;
          send.className = danger ? "danger" : "main";
        } else {
          result = await commit(values ?? valuesOf(form));
          dialog.close();
        }
      } catch (error) {
        edit();
        fill(said, problemBox(error));
      } finally {
        send.disabled = false;
      }
    });
    dialog.showModal();
  });
}

/** Says shortly, at the edge of the page, what was done. */
export function toast(text) {
  const place = document.getElementById("toasts");
  const node = h("p", {}, text);
  place.append(node);
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
