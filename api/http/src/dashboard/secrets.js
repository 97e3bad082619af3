// Secrets that are shown once, when they are made.

import { h, newId, setText } from "./dom.js";
import { words } from "./format.js";
import { button } from "./ui.js";
import { field } from "./forms.js";

/** Shows secrets that are never shown again, each `[name, value]`. Escape does not close it: a slip would cost the secret. */
export function showOnce(title, secrets) {
  const id = newId("dialog");
  const fields = secrets.map(([name, value]) => field({ name: "secret", label: words(name), value, readonly: true }));
  const copies = secrets.map(([name], index) => copyButton(name, fields[index].control));
  const done = button("Done", () => dialog.close(), { kind: "main" });
  const dialog = h("dialog", { "aria-labelledby": id },
    h("h2", { id }, title),
    h("p", { class: "quiet" }, "Shown this once and never again. Keep it where secrets are kept."),
    fields,
    h("div", { class: "actions" }, copies, done));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    dialog.showModal();
  });
}

function copyButton(name, control) {
  const node = button(`Copy the ${name}`, async () => {
    control.select();
    // Without encryption a browser gives no clipboard: then the text is selected at least.
    const isCopied = await navigator.clipboard?.writeText(control.value).then(() => true, () => false);
    setText(node, isCopied ? `${words(name)} copied` : `${words(name)} selected: copy it`);
  });
  return node;
}
