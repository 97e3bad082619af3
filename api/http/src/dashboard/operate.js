// An operation that is asked for in a dialog: looked at first, then done, and once however often it is sent.

import { newKey } from "./dom.js";
import { whole } from "./format.js";
import { toast } from "./ui.js";
import { changeDialog } from "./forms.js";
import { operationView } from "./effects.js";

/**
 * Asks for an operation in a dialog, shows what it would do, and does it: `body(values)` is what is sent, `said` is told once it is done.
 * Resolves to its result, or to undefined where somebody thought better of it.
 */
export async function operate(page, { path, method = "POST", body = () => undefined, said = "Done", ...how }) {
  const keyOf = keys();
  const send = (values, query) => {
    const sent = body(values);
    return page.api.send(method, path, sent, { query, key: keyOf(sent) });
  };
  const done = await changeDialog({
    ...how,
    preview: async (values) => operationView(await send(values, { dry_run: "true" }), page.money),
    commit: (values) => send(values),
  });
  if (done !== undefined) toast(doneText(done, said));
  return done;
}

function doneText({ changed, effects, seq }, said) {
  if (changed === false) return "Nothing to change.";
  if (effects.some(({ type }) => type === "review_opened")) return "Set aside: it waits in the risk queue.";
  return `${said}, seq ${whole(seq)}.`;
}

/** Returns what gives a key for a body: the same for as long as the body is, since a key stands for one content for ever. */
function keys() {
  let [meant, key] = [];
  return (body) => {
    const text = JSON.stringify(body) ?? "";
    if (text !== meant) [meant, key] = [text, newKey()];
    return key;
  };
}
