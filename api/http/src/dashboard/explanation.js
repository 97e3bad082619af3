// Why a purchase got what it got, and why not more: what each rule said to it, with the numbers that it saw.

import { h } from "./dom.js";
import { big, counted, dateTime, duration, ordinal, pointsText, rateText, whole, words } from "./format.js";
import { badge, plainList, table } from "./ui.js";
import { givenText, remarkText } from "./effects.js";
import { bandText } from "./rules.js";

export function explanationView(page, said) {
  const result = (paid) => (paid ? badge(`paid ${paid}`, "good") : badge("paid nothing"));
  const row = (kind, name, state, why) => ({ kind, name, state, why });
  const rows = [
    ...said.promos.map((own) => row("Promo", own.code, result(own.reason === null && page.money(own.points)), promoWhy(page, said, own))),
    ...said.tiers.map((own) => row("Tier programme", own.step.program, tierState(page, own), tierWhy(page, own))),
    ...said.cashback_rules.map((own) =>
      row("Cashback rule", own.name, result(own.reason === null && pointsText(own.points, own.kind)), cashbackWhy(page, own))),
    ...said.campaigns.map((own) => {
      const state = isNearer(own) ? badge("came nearer", "good") : result(own.completed && rewardsText(page, own));
      return row("Campaign", own.name, state, campaignWhy(page, own));
    }),
    ...said.risk_rules.map((own) => row("Risk rule", own.definition.name, riskState(own), riskWhy(page, own))),
  ];
  return table({
    caption: "What each rule said",
    columns: [
      { title: "Rule", value: ({ kind, name }) => h("div", {}, h("strong", {}, name), h("div", { class: "quiet" }, kind)) },
      { title: "Result", value: ({ state }) => state },
      { title: "Why", value: ({ why }) => h("div", {}, why) },
    ],
    rows,
    empty: "The rules of that version had nothing that looks at purchases.",
  });
}

function promoWhy(page, { promo_code, amount, quantity, at }, promo) {
  const share = promo.band && `${promo.band.percent}% of ${page.money(amount)}`;
  switch (promo.reason) {
    case null:
      return `${share}, by its band for ${bandText(page, promo.band)}. ${quotaText(promo)}`;
    case "not_named":
      return promo_code === null ? "The purchase named no promo." : `The purchase named another code, ${promo_code}.`;
    case "outside_period":
      return `It ran from ${dateTime(promo.starts_at)} to ${dateTime(promo.ends_at)}; the purchase was on ${dateTime(at)}.`;
    case "rounds_to_zero":
      return `${share} rounds to nothing.`;
    case "quota_exhausted":
      return `${quotaText(promo)} The purchase missed ${page.money(promo.points_missed)}, ${share}.`;
    case "no_band":
      return noBandWhy(page, promo.bands, quantity, amount);
    default:
      return words(promo.reason);
  }
}

function quotaText({ quota, used_before }) {
  return `It pays for ${whole(quota)} purchases, and had paid for ${whole(used_before)} before.`;
}

/** What a purchase lacked for the nearest band. */
function noBandWhy(page, bands, quantity, amount) {
  const fits = bands.filter((band) => (band.or_more ? band.quantity <= quantity : band.quantity === quantity));
  const said = `No band is for ${counted(quantity, "piece")} and ${page.money(amount)}.`;
  if (fits.length === 0) return `${said} It has bands for ${bands.map((band) => bandText(page, band)).join("; ")}.`;
  const [above] = fits.filter((band) => big(amount) < big(band.amount_min))
    .sort((one, other) => Number(big(one.amount_min) - big(other.amount_min)));
  if (above === undefined) return `${said} For so many pieces: ${fits.map((band) => bandText(page, band)).join("; ")}.`;
  const missing = page.money(big(above.amount_min) - big(amount));
  return `${said} Its band for ${bandText(page, above)} pays ${above.percent}%: ${missing} were missing.`;
}

/** What a tier programme did: milestones that paid, or a level. */
function tierState(page, { step: { before, after, remark }, journey }) {
  const paid = (journey?.milestones ?? []).filter((own) => own.paid);
  if (paid.length > 0) return badge(`paid ${page.money(paid.reduce((sum, { points }) => sum + big(points), 0n))}`, "good");
  if (before === null) return badge(`begins on ${after.level}`, "good");
  if (before.level === after.level) return badge(`stays on ${after.level}`);
  return badge(`${before.level} to ${after.level}`, remark === "upgrade" ? "good" : "warn");
}

function tierWhy(page, { step, journey, next_level }) {
  const { before, after, remark } = step;
  const place = journey ? `Purchase ${whole(after.count)} of ${after.level}` : `Spent ${page.money(after.spent)} in all`;
  const said = [`${[place, remarkText(remark)].filter(Boolean).join(": ")}.`];
  if (next_level) {
    const [missing, from] = [page.money(next_level.missing), page.money(next_level.spent_min)];
    said.push(`${missing} are missing for ${next_level.level}, which begins at ${from}.`);
  }
  if (journey?.count_max) said.push(`${before.level} is full with ${counted(journey.count_max, "purchase")}.`);
  if (Number.isInteger(journey?.gap_days)) {
    const [down, reset] = [whole(journey.downgrade_after_days), whole(journey.reset_after_days)];
    said.push(`Days since the last: ${whole(journey.gap_days)}; more than ${down} lead a level down, more than ${reset} to the lowest.`);
  }
  const milestone = (own) => `Milestone at purchase ${whole(own.at_count)}, ${page.money(own.points)}: ${milestoneWhy(own, after)}`;
  return [said.join(" "), plainList((journey?.milestones ?? []).map(milestone))];
}

function milestoneWhy({ paid, reason, at_count }, { count }) {
  if (paid) return "paid";
  if (reason === "first_transaction") return "not paid, a first purchase meets none";
  if (reason === "maximum") return "not paid, the highest level was full";
  return count < at_count ? `not yet, this is purchase ${whole(count)}` : `not now, this is purchase ${whole(count)}`;
}

function cashbackWhy(page, { reason, rate, bought, exact_share, products, partner, ends_at, kind }) {
  const share = `${rateText(rate)} of ${page.money(bought)}`;
  switch (reason) {
    case null:
      return `${share} spent on ${products.join(", ") || "all products"} is ${shareText(exact_share)}, to the nearest ${kind} point.`;
    case "inactive":
      return "It was switched off.";
    case "ended":
      return `It ended on ${dateTime(ends_at)}.`;
    case "other_partner":
      return `It is for purchases of ${partner}.`;
    case "nothing_bought":
      return `None of its products was bought: ${products.join(", ") || "any"}.`;
    case "rounds_to_zero":
      return `${share} is ${shareText(exact_share)}, which rounds to nothing.`;
    default:
      return words(reason);
  }
}

/** A share before it was rounded, which is a decimal text. */
function shareText(share) {
  const [units, decimals] = share.split(".");
  return decimals === undefined ? whole(units) : `${whole(units)}.${decimals}`;
}

/** Whether the purchase met, or moved, a part of a campaign that it did not complete. */
function isNearer({ completed, fulfillments }) {
  return !completed && fulfillments.some(({ reason }) => reason === null);
}

function rewardsText(page, { rewards }) {
  return rewards.map((own) => givenText(own, page.money)).join(", ");
}

function campaignWhy(page, campaign) {
  const { reason, completions_before, completions_max, budget, fulfillments } = campaign;
  const pays = `It pays ${rewardsText(page, campaign)}.`;
  switch (reason) {
    case null:
      return `Completed for the ${ordinal(completions_before + 1)} time.`;
    case "not_started":
      return `It begins on ${dateTime(campaign.starts_at)}.`;
    case "ended":
      return `It ended on ${dateTime(campaign.ends_at)}.`;
    case "completions_used":
      return `The customer had completed it ${whole(completions_before)} of ${whole(completions_max)} times.`;
    case "budget_used":
      return `All customers together had completed it ${whole(budget)} times, as often as it pays.`;
    default:
      return [`Not all that it asks for is met. ${pays}`, plainList(fulfillments.map((own) => fulfillmentWhy(page, own)))];
  }
}

/** What a fulfillment lacked; whether it counts money or purchases is known by the rules that hold now. */
function fulfillmentWhy(page, { name, needed, so_far, met, reason, bought }) {
  const isTag = reason === "no_tag" || page.rules.catalogue.fulfillments?.some((own) => own.name === name && own.tag);
  const amount = (value) => (isTag ? whole(value) : page.money(value));
  if (met) return badge(`${name}: ${reason === "met_before" ? "met before" : "met"}`, "good");
  const so = `${amount(so_far)} of ${amount(needed)}`;
  const why = {
    not_bought: "not bought",
    below_minimum: `${page.money(bought)} bought, ${page.money(needed)} needed at once`,
    no_tag: `${so}, the purchase has not the tag`,
    gone: "gone from the rules",
  }[reason];
  return badge(`${name}: ${why ?? so}`);
}

function riskState({ strikes }) {
  if (strikes === null) return badge("not told");
  return strikes ? badge("struck", "warn") : badge("let be", "good");
}

function riskWhy(page, { found, definition: { amount_above, count_above, sum_above, within_seconds, per, action } }) {
  const [bound, show] = count_above === undefined ? [amount_above ?? sum_above, page.money] : [count_above, whole];
  const window = within_seconds === undefined ? "" : ` within ${duration(within_seconds)}`;
  const acts = { flag: "It flags", block: "It blocks", review: "It sets aside" }[action] ?? "It strikes";
  const counted = per ? ` It counts those of a ${per}, of all customers, which is not told of one purchase.` : "";
  return `${acts} above ${show(bound)}${window}.${found === null ? counted : ` It found ${show(found)}.`}`;
}
