// Home: what happens right now. Figures come from the tenant's sums, which the stream sends; what happened, from its events.

import { lineChart } from "./chart.js";
import { h } from "./dom.js";
import { NOTHING, big, decimal, duration, isPoints, micros, percent, whole, words } from "./format.js";
import { addressOf, link } from "./page.js";
import { badge, columns, figure, figures, panel, renew, table } from "./ui.js";
import { eventList } from "./events.js";
import { mailOf } from "./mail.js";
import { dayIn, midnightOf } from "./zones.js";

/** How long rates are looked at. */
const WINDOW_SECONDS = 300;
/** What happened that is worth a line: what moves money or a standing, and what was refused. */
const TOPICS = ["purchase.*", "tier.changed", "milestone.reached", "reward.granted", "operation.*", "invoice.*", "review.*", "catalogue.applied"];

export const home = { name: "home", title: "Home", open };

async function open(page) {
  const rate = figure("Purchases a second");
  const seen = figure("Purchases since this page was opened", "0");
  const took = figure("Decision, p50 / p99");
  const today = figure("Cashback today");
  const points = figure("Points today");
  const cashback = figure("Cashback in all");
  const owed = figure("Owed to customers");
  const bought = figure("Purchases in all");
  const chart = lineChart({
    label: "Purchases a second over the last five minutes",
    series: [{ label: "purchases/s", format: (value) => decimal(value) }],
    signal: page.signal,
  });
  const alerts = h("div");
  const declined = h("div");
  const [trouble, otherTrouble] = [h("div"), h("div")];
  page.show({ intro: "What happens right now." },
    trouble, otherTrouble,
    figures(rate, took, today, points, owed),
    columns(panel("Purchases a second", {}, chart.node), panel("Alerts", {}, alerts)),
    figures(bought, cashback, seen),
    columns(panel("Declined, by reason", { note: "Purchases that got no cashback by a promo, and purchases that were refused." }, declined),
      panel("What happened", {}, eventList(page, {
        topics: TOPICS,
        said: (event) => saidOf(page, event),
        empty: "Nothing since this page was opened. Send a purchase and it appears here.",
      }))));

  watchRate(page, { rate, bought, cashback, declined, chart });
  countPurchases(page, seen);
  let waiting = { has_reviews: false, given_up: 0 };
  page.every(2, trouble, async () => {
    const system = await page.get("/v1/system");
    const { decisions } = system;
    const latency = decisions.count === 0 ? NOTHING : `${micros(decisions.p50_us)} / ${micros(decisions.p99_us)}`;
    took.set(latency, `${whole(decisions.count)} in the last ${duration(decisions.seconds)}`);
    renew(alerts, alertsOf(page, system, waiting));
  });
  page.every(15, otherTrouble, async () => {
    const zone = page.tenant.timezone;
    const liability = await page.get("/v1/reports/liability", { from: new Date(midnightOf(dayIn(zone), zone)).toISOString() });
    showLiability(page, liability, { today, points, owed });
    waiting = await whatWaits(page);
  });
}

/** The rate, from the sums: how much more is booked than a moment ago. */
function watchRate(page, { rate, bought, cashback, declined, chart }) {
  let samples = [];
  let sums;
  page.onGauge((gauge) => {
    sums = gauge;
    bought.set(whole(gauge.accepted), page.money(gauge.amount));
    cashback.set(page.money(gauge.point_total), `promos ${page.money(gauge.point_transaction)}, milestones ${page.money(gauge.point_loyalty)}`);
    renew(declined, declinesOf(gauge));
  });
  const sample = () => {
    if (sums === undefined) return;
    const now = Date.now() / 1_000;
    samples.push({ at: now, accepted: Number(sums.accepted) });
    samples = samples.filter(({ at }) => now - WINDOW_SECONDS <= at);
    const times = samples.slice(1).map(({ at }) => at);
    const rates = samples.slice(1).map(({ at, accepted }, index) => Math.max(0, (accepted - samples[index].accepted) / (at - samples[index].at)));
    const last = rates.at(-1) ?? 0;
    rate.set(decimal(last), `highest ${decimal(Math.max(0, ...rates))} in ${duration(now - samples[0].at)}`);
    chart.set(times, [rates], `${decimal(last)} now, at most ${decimal(Math.max(0, ...rates))}`);
  };
  page.tick(1_000, sample);
}

function declinesOf(gauge) {
  const rows = [
    ...gauge.promos.filter((promo) => promo.declined_exhausted > 0).map((promo) => ({
      reason: ["Quota of promo ", link("promos", promo.code, promo.code), " used up"], count: promo.declined_exhausted,
    })),
    ...Object.entries(gauge.rejected).map(([code, count]) => ({ reason: [`${words(code)} (refused)`], count })),
  ];
  return table({
    caption: "Declines by reason",
    columns: [
      { title: "Reason", value: (row) => row.reason },
      { title: "Purchases", numeric: true, value: (row) => whole(row.count) },
    ],
    rows,
    empty: "Nothing was declined or refused.",
  });
}

function countPurchases(page, seen) {
  let count = 0;
  const draw = page.soon(() => seen.set(whole(count)), { ms: 200 });
  page.on(["purchase.accepted"], () => {
    count += 1;
    draw();
  });
}

function saidOf(page, { type, data }) {
  const name = words(type);
  const result = data.result ?? data;
  if (type === "purchase.accepted" && result.point_total !== undefined) {
    return `${name}: ${page.money(result.amount)}, cashback ${page.money(result.point_total)}`;
  }
  if (type === "purchase.rejected") return `${name}: ${words(data.code ?? data.problem?.code)}`;
  return name;
}

/** What an operator should look at now. */
function alertsOf(page, system, waiting) {
  const alerts = [];
  if (system.status === "read_only") alerts.push(["bad", "The disk is nearly full: nothing is booked until there is room. ", addressOf("system"), "System"]);
  if (system.clock !== "ok") alerts.push(["bad", "The clock of the server jumped: it is not ready until that is looked at. ", addressOf("system"), "System"]);
  for (const promo of page.live.gauge?.promos ?? []) {
    if (promo.remaining === 0) alerts.push(["warn", `Promo ${promo.code} is used up. `, addressOf("promos", promo.code), "Promo"]);
    else if (Number(promo.remaining) * 10 < Number(promo.quota)) {
      alerts.push(["warn", `Promo ${promo.code} has ${percent(promo.remaining, promo.quota)} of its quota left. `, addressOf("promos", promo.code), "Promo"]);
    }
  }
  if (waiting.has_reviews) alerts.push(["warn", "Operations wait to be looked at. ", addressOf("risk"), "Risk queue"]);
  if (waiting.given_up > 0) alerts.push(["warn", `${whole(waiting.given_up)} deliveries were given up. `, addressOf("integrations"), "Integrations"]);
  if (alerts.length === 0) return badge("Nothing needs you", "good");
  return h("ul", { class: "plain-list" }, alerts.map(([kind, text, address, name]) => h("li", {}, badge(text, kind), h("a", { href: address }, name))));
}

/** What waits for somebody: operations that are set aside, and what could not be delivered. */
async function whatWaits(page) {
  const [reviews, webhooks] = await Promise.all([page.get("/v1/reviews", { limit: 1 }), page.get("/v1/webhooks")]);
  const outboxes = await Promise.all([
    ...webhooks.data.map(({ id }) => page.get(`/v1/webhooks/${id}`)),
    mailOf(page),
  ]);
  return { has_reviews: reviews.data.length > 0, given_up: outboxes.reduce((sum, own) => sum + (own?.given_up ?? 0), 0) };
}

/** What was earned, spent and expired since midnight, and what is owed now. */
function showLiability(page, { data }, { today, points, owed }) {
  const sum = (lines, name) => lines.reduce((all, line) => all + big(line[name]), 0n);
  const [kinds, money] = [data.filter(({ unit }) => isPoints(unit)), data.filter(({ unit }) => !isPoints(unit))];
  today.set(page.money(sum(money, "earned")), `since midnight in ${page.tenant.timezone}`);
  owed.set(page.money(sum(money, "closing")), `and ${whole(sum(kinds, "closing"))} points`);
  points.set(whole(sum(kinds, "earned")), `earned; ${whole(sum(kinds, "spent"))} spent, ${whole(sum(kinds, "expired"))} expired`);
}
