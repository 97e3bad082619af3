// Deliveries, of a webhook or of mail: how far they are, what became of each, and having them made again.

import { fill, h, setText } from "./dom.js";
import { NOTHING, dateTime, whole } from "./format.js";
import { badge, button, figure, figures, pagedTable, panel, rowButton, settle, toast } from "./ui.js";
import { changeDialog, field } from "./forms.js";

/** Deliveries that are shown at first, and that one request gives at most. */
const DELIVERIES_SHOWN = 25;
const DELIVERIES_MAX = 200;

/** How far something is that follows the ledger. Returns the node; `set(progress)` on it shows another. */
export function progressFigures() {
  const behind = figure("Records behind");
  const due = figure("Due");
  const lost = figure("Given up");
  const node = figures(behind, due, lost);
  node.set = ({ position, head, due: open, given_up: givenUp }) => {
    behind.set(whole(head - position), `at seq ${whole(position)} of ${whole(head)}, up to half a minute ago`);
    due.set(whole(open), open === 0 ? "nothing waits" : "tried, or waiting to be tried again, or for an earlier one of the same customer");
    lost.set(whole(givenUp), givenUp === 0 ? "nothing is lost" : "replay them once the receiver takes them");
  };
  return node;
}

const STATES = {
  due: ["due", "warn", "still to be made"],
  made: ["made", "good", "made"],
  given_up: ["given up", "bad", "given up again"],
  // It was made and is not among the last thousand, or nothing is to be sent of its record any more.
  unlisted: ["not listed any more", "plain", "not listed any more"],
};

/**
 * What became of deliveries, and having them made again. `set(progress)` shows how far they are; `follow()` reads again those that are
 * shown as due or were replayed, until they are made; the table stays as it is meanwhile.
 */
export function deliveriesOf(page, path, { note, empty }) {
  const progress = progressFigures();
  const rows = new Map();
  const replayed = new Map();
  const [said, trouble] = [h("p", { role: "status" }), h("div")];

  const follow = async () => {
    const isDue = (state) => state === "due";
    const shown = [...rows.values()].filter((row) => isDue(row.delivery.state)).map((row) => row.delivery.seq);
    const seqs = new Set([...shown, ...[...replayed].filter(([, state]) => isDue(state)).map(([seq]) => seq)]);
    const found = await becameOf(page, path, seqs);
    for (const seq of seqs) {
      const now = found.get(seq) ?? { state: "unlisted", next_at: null };
      rows.get(seq)?.set(now);
      if (replayed.has(seq)) replayed.set(seq, now.state);
    }
    setText(said, replayed.size === 0 ? "" : replaySaid([...replayed.values()]));
  };
  const replayOne = (seq) => settle(trouble, async () => {
    await page.api.send("POST", `${path}/deliveries/${seq}/replay`);
    fill(trouble);
    await replaying([seq]);
  }, { keep: true });
  const replaying = async (seqs) => {
    for (const seq of seqs) {
      replayed.set(seq, "due");
      rows.get(seq)?.set({ state: "due" });
    }
    await follow();
  };
  const replayAll = () => settle(trouble, async () => {
    const lost = await deliveriesDownTo(page, path, 0, "given_up");
    const done = await changeDialog({
      title: "Replay all that were given up",
      intro: `${whole(lost.length)} are made again at once, each under the id that it had, and tried for another day.`,
      submit: "Replay all",
      commit: () => page.api.send("POST", `${path}/replay`),
    });
    fill(trouble);
    if (done === undefined) return;
    toast(`${whole(done.replayed)} are made again.`);
    await replaying(lost.map(({ seq }) => seq));
  }, { keep: true });

  const filter = field({
    name: "state", label: "State", type: "select", value: page.query.get("state") ?? "", onchange: () => list.reload(),
    options: [["", "all"], ...["due", "given_up", "made"].map((state) => [state, STATES[state][0]])],
  });
  const rowOf = (delivery) => {
    if (!rows.has(delivery.seq)) rows.set(delivery.seq, deliveryRow(delivery, replayOne));
    return rows.get(delivery.seq);
  };
  const list = pagedTable({
    caption: "State of deliveries",
    load: (cursor) => {
      if (cursor === undefined) rows.clear();
      return page.get(`${path}/deliveries`, { state: filter.control.value, cursor, limit: DELIVERIES_SHOWN });
    },
    columns: [
      { title: "Seq", numeric: true, value: ({ seq }) => whole(seq) },
      { title: "State", tight: true, value: (delivery) => rowOf(delivery).state },
      { title: "Attempts", numeric: true, value: (delivery) => rowOf(delivery).attempts },
      { title: "Last attempt", value: (delivery) => rowOf(delivery).tried },
      { title: "What it got", value: (delivery) => rowOf(delivery).got },
      { title: "Next attempt", value: (delivery) => rowOf(delivery).next },
      { title: "Make again", tight: true, value: (delivery) => rowOf(delivery).replay },
    ],
    empty,
  });
  const all = button("Replay all given up", replayAll);
  let status;
  const set = (now) => {
    // What was refused while it was paused, is no longer once it sends.
    if (now.status !== status) fill(trouble);
    status = now.status;
    page.asOf.set(now.head);
    progress.set(now);
    all.hidden = now.given_up === 0;
  };
  const actions = [button("Read again", () => list.reload()), all];
  const shown = panel("Deliveries", { actions, note }, h("form", { class: "line" }, filter), trouble, said, list);
  return { nodes: [progress, shown], set, follow };
}

/** The cells of a delivery, which stay while it goes on, and `set(now)`, which shows what is new of it. */
function deliveryRow(delivery, replayOne) {
  const [state, attempts, tried, got, next] = Array.from({ length: 5 }, () => h("span"));
  const replay = rowButton("Replay", `Replay seq ${delivery.seq}`, () => replayOne(delivery.seq));
  const set = (now) => {
    Object.assign(delivery, now);
    const [text, kind] = STATES[delivery.state];
    if (state.dataset.state !== delivery.state) fill(state, badge(text, kind));
    state.dataset.state = delivery.state;
    setText(attempts, whole(delivery.attempts));
    setText(tried, dateTime(delivery.tried_at));
    setText(got, gotOf(delivery));
    setText(next, delivery.state === "due" ? dateTime(delivery.next_at) : NOTHING);
  };
  set(delivery);
  return { delivery, state, attempts, tried, got, next, replay, set };
}

/** What the last attempt got. */
function gotOf({ state, reason, attempts }) {
  if (reason !== null) return reason;
  if (state === "made") return "taken";
  return attempts === 0 ? "not tried yet" : "under way";
}

function replaySaid(states) {
  const counted = Object.entries(STATES).map(([state, [, , text]]) => [states.filter((own) => own === state).length, text]);
  const parts = counted.filter(([count]) => count > 0).map(([count, text]) => `${whole(count)} ${text}`);
  return `Replayed ${whole(states.length)}: ${parts.join(", ")}.`;
}

/** Finds what became of deliveries, by their positions. A delivery goes from `due` to one of the others, so it is not missed in between. */
async function becameOf(page, path, seqs) {
  const found = new Map();
  for (const state of ["due", "made", "given_up"]) {
    const missing = [...seqs].filter((seq) => !found.has(seq));
    if (missing.length === 0) break;
    for (const own of await deliveriesDownTo(page, path, Math.min(...missing), state)) found.set(own.seq, own);
  }
  return found;
}

/** Reads deliveries in a state, the newest records first, down to a position. */
async function deliveriesDownTo(page, path, oldest, state) {
  const all = [];
  let cursor;
  do {
    const { data, next_cursor: next } = await page.get(`${path}/deliveries`, { state, cursor, limit: DELIVERIES_MAX });
    all.push(...data);
    cursor = oldest < data.at(-1)?.seq ? next : null;
  } while (cursor !== null);
  return all;
}
