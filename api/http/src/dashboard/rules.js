// What the rules say, in words, and what a change of them would do.

import { h } from "./dom.js";
import { counted, whole } from "./format.js";
import { badge } from "./ui.js";

/** "3 pieces or more, from Rp 1.500.000 to below Rp 2.000.000". */
export function bandText(page, { quantity, or_more, amount_min, amount_end }) {
  const end = amount_end === undefined ? "" : ` to below ${page.money(amount_end)}`;
  return `${counted(quantity, "piece")}${or_more ? " or more" : ""}, from ${page.money(amount_min)}${end}`;
}

/** Whether something runs, and when, by `show(time)`. */
export function runsView(page, { active = true, starts_at: from, ends_at: to }, show = (time) => time) {
  if (!active) return badge("off");
  if (!from && !to) return badge("runs", "good");
  const period = [from && `from ${show(from)}`, to && `until ${show(to)}`].filter(Boolean).join(" ");
  // Where purchases bring their own time, the clock on the wall decides nothing.
  if (page.tenant.clock === "occurred") return period;
  const state = to && isPast(page, to) ? badge("ended") : from && !isPast(page, from) ? badge("not yet") : badge("runs", "good");
  return h("span", {}, state, `, ${period}`);
}

/** A time of the rules without an offset is local to the tenant. Such texts compare as the times do. */
function isPast(page, time) {
  if (time.includes("T")) return Date.parse(time) < Date.now();
  return time < new Date().toLocaleString("sv-SE", { timeZone: page.tenant.timezone });
}

/**
 * What a change of the rules would do, as its dry run says it: what changes, what customers would see of it, and warnings. Those in `known`
 * hold under the present rules too.
 */
export function changeView(page, { changed, changes, warnings, outcome, version }, known) {
  if (!changed) return h("p", {}, "Nothing: the rules are like that already.");
  const fresh = warnings.filter((warning) => !known.includes(warning));
  const old = warnings.filter((warning) => known.includes(warning));
  const list = (texts) => h("ul", {}, texts.map((text) => h("li", {}, text)));
  return [
    list(changes),
    fresh.length > 0 && [h("h3", {}, badge("Warnings: allowed, but maybe a slip", "warn")), list(fresh)],
    outcome && [h("h3", {}, "What customers would see"), list(outcomeTexts(page, outcome))],
    old.length > 0 && h("details", {}, h("summary", {}, `${whole(old.length)} warnings that the present rules have too`), list(old)),
    h("p", { class: "quiet" }, `The rules become version ${whole(version)}.`),
  ];
}

function outcomeTexts(page, { customers: looked, tier_moves: moves, promos, cashback_rules: cashback, campaigns }) {
  const why = { removed: "is removed", off: "is off" };
  const who = (count) => counted(count, "customer");
  const texts = [
    ...moves.map((move) => `${move.program}: ${moveText(page, move)}, for ${who(move.customers)}.`),
    ...promos.map(({ code, quota, used }) => `Promo ${code} pays nothing more: its quota is ${whole(quota)}, and ${whole(used)} are used.`),
    ...cashback.map((own) => `Cashback rule ${own.name} ${why[own.why]}. Its ${whole(own.points)} points stay with ${who(own.customers)}.`),
    ...campaigns.map((own) => `Campaign ${own.name} ${why[own.why]}. Progress that leads to nothing then: ${who(own.customers)}.`),
  ];
  if (texts.length === 0) texts.push("Nobody moves, and nothing stops.");
  return [...texts, `${who(looked)} looked at.`];
}

function moveText(page, { when, from, to, bound, bound_level: level }) {
  if (when === "at_once") return `from ${from} to ${to} at once`;
  if (when === "next_purchase" && from === to) return `the next purchase no longer leads away from ${from}`;
  if (when === "next_purchase") return `the next purchase leads from ${from} to ${to}, if it came now`;
  if (when === "next_bound") return `enough is spent for ${to}, yet ${from} is kept until ${page.money(bound)}, which leads to ${level}`;
  return `${from} is kept, though somebody new who spends as much would stand on ${to}`;
}
