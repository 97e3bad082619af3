// What a customer has, and where one stands: wallets, points, tiers and campaigns. Of the rules, what is shown is what may be seen.

import { h } from "./dom.js";
import { NOTHING, big, counted, date, whole, words } from "./format.js";
import { badge, figure, figures, meter, plainList, table } from "./ui.js";

/** Points that expire within so many days are told of. */
export const EXPIRING_DAYS = 30;

/** A customer in numbers: what is in the wallets, points, purchases, levels. */
export function customerFigures(customer, wallets, money) {
  const open = wallets.filter(({ status }) => status !== "closed");
  return figures(
    open.length === 0 && figure("Balance", money(customer.balance)),
    open.map(({ wallet, name, balance, available }) =>
      figure(open.length === 1 ? "Balance" : walletText(wallet, name), money(balance), `${money(available)} can be spent`)),
    customer.points.map(({ kind, balance, available, expiring }) =>
      figure(`${words(kind)} points`, whole(balance),
        `${whole(available)} can be spent, ${whole(expiring)} expire within ${EXPIRING_DAYS} days`)),
    figure("Purchases", whole(customer.purchases)),
    customer.tiers.map(({ program, level }) => figure(`Tier, ${program}`, level)));
}

/** "Wallet 1, Holiday"; the first is the one that cashback goes to. */
export function walletText(wallet, name) {
  return [`Wallet ${wallet}`, name].filter((part) => part !== undefined).join(", ");
}

/** Points, lot by lot, in the order in which they are spent. */
export function lotsView(customer) {
  const rows = customer.points.flatMap(({ kind, lots }) => lots.map((lot) => ({ kind, ...lot })));
  return table({
    caption: "Points by lots",
    columns: [
      { title: "Kind", value: ({ kind }) => kind },
      { title: "Earned by", value: ({ source }) => source },
      { title: "Points", numeric: true, value: ({ points }) => whole(points) },
      { title: "Can be spent", value: ({ matures_at }) => (matures_at ? `from ${date(matures_at)}` : "at once") },
      { title: "Expire", value: ({ expires_at }) => (expires_at ? date(expires_at) : "never") },
    ],
    rows,
    empty: "No points. Cashback rules and campaigns grant them.",
  });
}

/** Where a customer stands in each campaign; `rules` say what is still asked for, where they may be seen. */
export function campaignsView(customer, money, rules) {
  return table({
    caption: "State of each campaign",
    columns: [
      { title: "Campaign", value: ({ campaign }) => campaign },
      { title: "Completed", numeric: true, value: ({ completions }) => whole(completions) },
      { title: "Towards the next time", value: (state) => progressView(state, money, rules) },
    ],
    rows: customer.campaigns,
    empty: "Nothing towards a campaign yet. A purchase that meets a part of one shows it here.",
  });
}

function progressView({ campaign, progress }, money, rules) {
  const asked = rules?.campaigns?.find(({ name }) => name === campaign)?.fulfillments ?? progress.map(({ fulfillment }) => fulfillment);
  if (asked.length === 0) return "begins anew";
  return plainList(asked.map((name) => {
    const state = progress.find(({ fulfillment }) => fulfillment === name);
    if (state?.met) return badge(name, "good");
    const { tag, buy } = rules?.fulfillments.find((own) => own.name === name) ?? {};
    if (tag) return badge(`${name}: ${whole(state?.so_far ?? 0)} of ${whole(tag.count)}`);
    if (buy?.cumulative) return badge(`${name}: ${money(state?.so_far ?? 0)} of ${money(buy.amount_min)}`);
    return badge(`${name}: ${state === undefined ? "not yet" : "begun"}`);
  }));
}

/** How far a customer is in a tier programme; `programs` are the rules', where they may be seen. */
export function standingView(state, programs, money) {
  const program = programs?.find(({ name }) => name === state.program);
  const [bar, said] = program?.policy === "threshold" ? spendProgress(state, program, money) : countProgress(state, program, money);
  if (state.effective_level === null) said.push(badge("The rules have this programme no longer", "warn"));
  else if (state.effective_level !== state.level) {
    said.push(badge(`${state.effective_level} at the next purchase, after the days without one`, "warn"));
  }
  return h("div", {}, bar, plainList(said));
}

/** A bar, where something is missing for a level, and what is said of it. */
function spendProgress({ level, spent }, { levels }, money) {
  const above = levels.slice(levels.findIndex(({ name }) => name === level) + 1);
  const next = above.find(({ spent_min }) => big(spent) < big(spent_min));
  if (next === undefined) return [undefined, [`Spent ${money(spent)} in all. No level above.`]];
  const bar = meter(`Spent towards ${next.name}`);
  bar.set({ used: spent, total: next.spent_min });
  return [bar, [`Needs ${money(big(next.spent_min) - big(spent))} more for ${next.name}, which begins at ${money(next.spent_min)}.`]];
}

function countProgress({ level, count, spent, last_at }, program, money) {
  const last = last_at === undefined ? [] : [h("span", { class: "quiet" }, `Last purchase ${date(last_at)}.`)];
  const own = program?.levels.find(({ name }) => name === level);
  if (own === undefined) {
    const so = spent === undefined ? `${counted(count, "purchase")} within ${level}.` : `Spent ${money(spent)} in all.`;
    return [undefined, [so, ...last]];
  }
  const isHighest = own.next === level;
  if (isHighest && own.count_max <= count) {
    return [undefined, [`${counted(count, "purchase")} within ${level}, the highest level.`, ...last]];
  }
  const bar = meter(`Purchases within ${level}`);
  bar.set({ used: Math.min(count, own.count_max), total: own.count_max });
  // A level is full with its last purchase, and the one after that begins the next.
  const missing = counted(own.count_max + 1 - count, "more purchase");
  const said = [isHighest ? `${level} is the highest level.` : `Needs ${missing} for ${own.next}.`];
  const milestone = own.milestones.find(({ at_count }) => count < at_count);
  if (milestone) said.push(`Next milestone: ${money(milestone.points)} at purchase ${whole(milestone.at_count)} of ${level}.`);
  return [bar, [...said, ...last]];
}

/** A place in a tier programme: the level, and how far within it. */
export function placeText(page, place) {
  if (place === null) return NOTHING;
  return place.count === undefined ? `${place.level}, ${page.money(place.spent)}` : `${place.level}, ${whole(place.count)}`;
}
