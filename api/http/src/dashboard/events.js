// What happens, line by line as it happens, the newest first.

import { fill, h } from "./dom.js";
import { date, dateTime, whole } from "./format.js";
import { emptiness, renew } from "./ui.js";
import { customerLink } from "./links.js";

const EVENTS_SHOWN = 15;
/** How far back it is looked for what happened before the screen was opened, in positions. */
export const POSITIONS_BACK = 2_000;
const PAGE_LIMIT = 200;
/** However much comes, it is drawn a few times a second. */
const DRAW_MS = 200;

/**
 * The newest events of these topics as they come; with `past`, also those of the last positions. `said(event)` gives a line's text or nodes,
 * `fits(event)` tells whether it belongs here. For operators the customer is linked behind it.
 */
export function eventList(page, { topics, fits = () => true, said, empty, past = false }) {
  const node = h("div");
  let events = [];
  const lines = () => (events.length === 0
    ? emptiness(empty)
    : h("ol", { class: "events" }, events.map((event) => lineOf(page, event, said))));
  const take = (others) => {
    const known = new Set(events.map(({ id }) => id));
    return others.filter((event) => fits(event) && !known.has(event.id));
  };
  const drawSoon = page.soon(() => renew(node, lines()), { ms: DRAW_MS });
  page.on(topics, (event) => {
    events = [...take([event]), ...events].slice(0, EVENTS_SHOWN);
    drawSoon();
  });
  if (past) {
    page.load(node, () => recent(page, topics), (found) => {
      events = [...events, ...take(found).reverse()].slice(0, EVENTS_SHOWN);
      return lines();
    });
  } else {
    fill(node, lines());
  }
  return node;
}

/** Reads the events of the last positions, the oldest first. */
export async function recent(page, topics) {
  const found = [];
  const asked = { topics: topics.join(","), limit: PAGE_LIMIT };
  let from = { after: Math.max(0, (page.live.position ?? page.rules.as_of) - POSITIONS_BACK) };
  do {
    // Not by the page: up to where it was looked is no position that the screen is of.
    const { data, next_cursor: cursor } = await page.api.get("/v1/events", { ...asked, ...from }, page.signal);
    found.push(...data);
    from = cursor === null ? undefined : { cursor };
  } while (from !== undefined);
  return found;
}

function lineOf(page, event, said) {
  const who = page.session.isOperator && event.data.customer && customerLink(event.data.customer, "customer");
  return h("li", {},
    h("span", { class: "seq" }, whole(Number(event.sequence))),
    h("span", {}, said(event), who && [" · ", who]),
    h("time", { class: "quiet", datetime: event.time, title: dateTime(event.time) }, shortTime(event.time)));
}

/** The time of what is of today, the day of what is older. */
function shortTime(instant) {
  const [day, time] = dateTime(instant).split(", ");
  return day === date(Date.now()) ? time : day;
}
