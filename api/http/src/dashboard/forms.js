// Forms: fields, what was typed into them, forms of one line, and dialogs in which a change is filled in, looked at and made.

import { fill, h, newId } from "./dom.js";
import { wholeTyped } from "./format.js";
import { Problem } from "./session.js";
import { loading, problemBox } from "./ui.js";

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
    // What is being made is waited for: a dialog that is gone would say that nothing was.
    dialog.addEventListener("cancel", (event) => {
      if (cancel.disabled) event.preventDefault();
    });
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
          cancel.disabled = true;
          result = await commit(values ?? valuesOf(form));
          dialog.close();
        }
      } catch (error) {
        edit();
        fill(said, problemBox(error));
      } finally {
        cancel.disabled = false;
        send.disabled = false;
        // It could not keep the focus while it was disabled.
        if (dialog.open) send.focus();
      }
    });
    dialog.showModal();
  });
}

/** A field for an amount of the tenant's money. */
export function amountField(page, { label = "Amount in", ...how } = {}) {
  return field({ name: "amount", label: `${label} ${page.typedUnit}`, inputmode: "numeric", required: true, ...how });
}

/** A field for why something is done. */
export function reasonField(how) {
  return field({ name: "reason", label: "Reason", hint: "No personal data: it is kept for ever.", maxlength: "128", ...how });
}

/** What is wrong with what was typed, before the server is asked. */
export function mistyped(title, detail) {
  return new Problem(400, { code: "field_invalid", title, detail });
}

/** The digits that were typed. */
export function typedWhole(text, what, example = "50000") {
  const typed = wholeTyped(text ?? "");
  if (typed === undefined) throw mistyped(`${what} is a whole number.`, `Type digits, as ${example}.`);
  return typed;
}

/** As `typedWhole`, of what the API takes as a number. */
export function typedCount(text, what, example) {
  const count = Number(typedWhole(text, what, example));
  if (!Number.isSafeInteger(count)) throw mistyped(`${what} is too large.`, "Type at most 9007199254740991.");
  return count;
}

/** A number that may be left out; whether it is one that fits, the server says. */
export function typedNumber(text, what) {
  return text === undefined ? undefined : Number(typedWhole(text, what, "50, or nothing"));
}

/** Why something is done, which has to be said. */
export function typedReason({ reason }) {
  if (reason === undefined) throw mistyped("The reason is missing.", "Say why: whoever reads the log wants to know.");
  return reason;
}
