// Promos: how much of each quota is used, when it will be used up, what was declined, and changes of a promo that are looked at first.

import { fill, h } from "./dom.js";
import { dateTime, decimal, duration, whole } from "./format.js";
import { addressOf, link } from "./page.js";
import { badge, button, figure, figures, meter, panel, renew, table, toast } from "./ui.js";
import { reasonText } from "./effects.js";
import { POSITIONS_BACK, recent } from "./events.js";
import { changeDialog, field, typedCount } from "./forms.js";
import { changeView, runsView } from "./rules.js";

/** What tells that a promo paid nothing. */
const DECLINES = ["promo.declined", "promo.exhausted"];
/** How long the use of a quota is looked at to tell when it is used up. */
const RATE_SECONDS = 120;

export const promos = { name: "promos", title: "Promos", open };

async function open(page) {
  if (page.path === "") await showAll(page);
  else await showOne(page, page.path);
}

async function showAll(page) {
  const list = h("div");
  page.show({ intro: "What each promo may still pay for." }, panel("Quotas", {}, list));
  await page.load(list, () => page.get("/v1/promos"), ({ data }) => {
    const meters = new Map(data.map((promo) => [promo.code, meter(`Quota of ${promo.code}`)]));
    const ends = new Map(data.map((promo) => [promo.code, h("span")]));
    const rates = new Rates();
    page.onGauge((gauge) => {
      for (const promo of gauge.promos) {
        meters.get(promo.code)?.set({ ...promo, total: promo.quota });
        const end = ends.get(promo.code);
        if (end !== undefined) fill(end, exhaustion(promo, rates));
      }
    });
    return table({
      caption: "Promos",
      columns: [
        { title: "Promo", tight: true, value: (promo) => link("promos", promo.code, promo.code) },
        { title: "Quota used", value: (promo) => meters.get(promo.code) },
        { title: "Used up", value: (promo) => ends.get(promo.code) },
        { title: "Runs", value: (promo) => runsView(page, promo, dateTime) },
        { title: "Paid by", value: (promo) => promo.funded_by ?? "each partner" },
      ],
      rows: data,
      empty: "No promo yet. The rules name them: kembali apply rules.toml.",
    });
  });
}

async function showOne(page, code) {
  const body = h("div");
  const edit = button("Change the quota", () => changeQuota(page, code, show), { kind: "main" });
  page.show({ title: `Promo ${code}`, intro: h("a", { href: addressOf("promos") }, "All promos"), actions: page.session.isAdmin && edit },
    body, declinesPanel(page, code));
  const rates = new Rates();
  let shown;
  const show = () => page.load(body, () => page.get(`/v1/promos/${encodeURIComponent(code)}`), (promo) => {
    shown = promoView(page, promo, rates);
    return shown.nodes;
  });
  page.onGauge((gauge) => shown?.set(gauge));
  page.on(["catalogue.applied"], show);
  await show();
}

/** What is shown of a promo: its `nodes`, and `set(gauge)` for what changes. */
function promoView(page, promo, rates) {
  const bar = meter(`Quota of ${promo.code}`);
  const remaining = figure("Remaining");
  const late = figure("Came too late");
  const end = h("span");
  const set = (gauge) => {
    const own = gauge.promos.find(({ code }) => code === promo.code);
    if (own === undefined) return;
    bar.set({ ...own, total: own.quota });
    remaining.set(whole(own.remaining), `of ${whole(own.quota)}`);
    late.set(whole(own.declined_exhausted), "purchases that met a band when nothing was left");
    fill(end, exhaustion(own, rates));
  };
  if (page.live.gauge !== undefined) set(page.live.gauge);
  const nodes = [
    figures(remaining, late),
    panel("Quota", {}, bar, h("p", {}, "Used up: ", end)),
    panel("Runs", {}, h("p", {}, runsView(page, promo, dateTime), `. Paid by ${promo.funded_by ?? "each partner, for its own purchases"}.`)),
    panel("Bands", { note: "The first band that a purchase meets pays its percentage of the amount." }, table({
      caption: "Bands",
      columns: [
        { title: "Quantity", numeric: true, value: (band) => `${whole(band.quantity)}${band.or_more ? " or more" : ""}` },
        { title: "Amount from", numeric: true, value: (band) => page.money(band.amount_min) },
        { title: "below", numeric: true, value: (band) => (band.amount_end === undefined ? "no end" : page.money(band.amount_end)) },
        { title: "Cashback", numeric: true, value: (band) => `${band.percent}%` },
      ],
      rows: promo.bands,
    })),
  ];
  return { nodes, set };
}

/** Why purchases that could have met the promo were paid nothing by it: of the last positions, and as it happens. */
function declinesPanel(page, code) {
  const node = h("div");
  const counts = new Map();
  // What happens while the past is read comes behind it.
  let [last, waiting] = [undefined, []];
  const count = (event) => {
    if (event.data.promo === code) counts.set(event.data.reason, (counts.get(event.data.reason) ?? 0) + 1);
  };
  const rows = () => [...counts].sort(([, one], [, other]) => other - one);
  const view = () => table({
    caption: "Declines by reason",
    columns: [
      { title: "Reason", value: ([reason]) => reasonText(reason) },
      { title: "Purchases", numeric: true, value: ([, number]) => whole(number) },
    ],
    rows: rows(),
    empty: "Nothing was declined lately.",
  });
  const drawSoon = page.soon(() => renew(node, view()));
  page.on(DECLINES, (event) => {
    if (last === undefined) waiting.push(event);
    else if (last < Number(event.sequence)) count(event);
    drawSoon();
  });
  page.load(node, () => recent(page, DECLINES), (found) => {
    last = Number(found.at(-1)?.sequence ?? 0);
    found.forEach(count);
    waiting.filter(({ sequence }) => last < Number(sequence)).forEach(count);
    waiting = [];
    return view();
  });
  return panel("Declined lately", { note: `Of the last ${whole(POSITIONS_BACK)} positions, and as it happens.` }, node);
}

async function changeQuota(page, code, show) {
  const path = `/v1/promos/${encodeURIComponent(code)}`;
  const now = await page.get(path);
  const wanted = ({ quota }) => ({ quota: typedCount(quota, "The quota", "12000") });
  const done = await changeDialog({
    title: `Quota of ${code}`,
    intro: `${whole(now.used)} of ${whole(now.quota)} are used. What is used stays used.`,
    fields: field({ name: "quota", label: "Purchases that the promo may pay for", value: String(now.quota), inputmode: "numeric" }),
    preview: async (values) => {
      const dry = await page.api.send("PATCH", path, wanted(values), { query: { dry_run: "true" } });
      // What the rules are warned of is looked at on the screen What-if.
      return changeView(page, { ...dry, warnings: [] }, []);
    },
    commit: (values) => page.api.send("PATCH", path, wanted(values)),
    submit: "Change the quota",
  });
  if (done === undefined) return;
  toast(done.changed ? `Quota changed; rules version ${done.version}, seq ${whole(done.seq)}.` : "Nothing to change.");
  await show();
}

/** How fast each promo's quota is used: what was used lately, by the sums that came. */
class Rates {
  #seen = new Map();

  /** Units a second over the last two minutes; 0 where nothing is known yet. */
  of({ code, used }) {
    const now = Date.now() / 1_000;
    const seen = (this.#seen.get(code) ?? []).filter(({ at }) => now - RATE_SECONDS <= at);
    seen.push({ at: now, used: Number(used) });
    this.#seen.set(code, seen);
    const [first, last] = [seen[0], seen.at(-1)];
    return first.at === last.at ? 0 : (last.used - first.used) / (last.at - first.at);
  }
}

/** When a quota will be used up, should it go on as in the last minutes. */
function exhaustion(promo, rates) {
  const rate = rates.of(promo);
  if (Number(promo.remaining) === 0) return badge("now", "warn");
  if (rate <= 0) return badge("not at this rate: nothing is used now");
  return `in ${duration(Number(promo.remaining) / rate)}, at ${decimal(rate)} a second`;
}
