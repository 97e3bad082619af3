// The audit log: who changed what, and why.

import { h } from "./dom.js";
import { NOTHING, dateTime, whole, words } from "./format.js";
import { link } from "./page.js";
import { pagedTable, panel } from "./ui.js";
import { accountName, customerLink, whoAsked } from "./links.js";
import { limitsSaid } from "./partners.js";

/** Entries that a page of the log has at least: in a long ledger, most answers have none, and more behind them all the same. */
const ROWS = 20;

export function auditPanel(page) {
  return panel("Audit log", { note: "What administrators and operators did, the newest first." }, pagedTable({
    caption: "Entries of the audit log",
    load: (cursor) => page.get("/v1/audit", { limit: ROWS, cursor }),
    least: ROWS,
    columns: [
      { title: "Seq", numeric: true, value: ({ seq }) => whole(seq) },
      { title: "When", tight: true, value: ({ at }) => dateTime(at) },
      { title: "Who", value: (entry) => [whoAsked(page, entry.by), h("span", { class: "quiet" }, ` ${entry.role ?? ""}`)] },
      { title: "What", value: (entry) => actSaid(page, entry) },
      { title: "Why", value: ({ reason, operation }) => reason ?? operation?.reason ?? NOTHING },
    ],
    empty: "Nothing was done by an administrator or an operator.",
  }));
}

/** What was done, by what it is called. */
const ACTS = {
  rules_applied: ({ version }) => `Rules version ${whole(version)} applied`,
  api_key_given: ({ partner, key, signed }) => [`API key given to ${partner}${signed ? ", signed" : ""}: `, h("code", {}, key)],
  api_key_revoked: ({ partner, key }) => [`API key of ${partner} revoked: `, h("code", {}, key)],
  partner_changed: ({ partner, before, after }) => {
    const [was, is] = [limitsSaid(before.limits), limitsSaid(after.limits)];
    const standingSaid = before.status !== after.status && (after.status === "suspended" ? "suspended" : "opened again");
    return `Partner ${partner} ${[standingSaid, was !== is && `limits: ${was}; now ${is}`].filter(Boolean).join(", ")}`;
  },
  account_created: ({ account, account_role: role }, page) => ["Account ", accountName(page, account), ` created: ${role}`],
  account_changed: ({ account, before, after }, page) =>
    ["Account ", accountName(page, account), `: ${accountSaid(before)}; now ${accountSaid(after)}`],
  password_reset: ({ account }, page) => ["Password of ", accountName(page, account), " reset"],
  signing_key_rotated: ({ key }) => ["Tokens are signed with another key: ", h("code", {}, key)],
  webhook_changed: ({ webhook, partner, change }) => {
    const id = h("code", {}, webhook);
    const named = change === "deleted" ? id : link("integrations", `webhooks/${webhook}`, id);
    return ["Webhook ", named, partner && ` of ${partner}`, ` ${words(change).toLowerCase()}`];
  },
};

function actSaid(page, entry) {
  if (entry.act !== "operation") return ACTS[entry.act]?.(entry, page) ?? words(entry.act);
  const { operation, customer } = entry;
  const amount = operation.amount === undefined ? "" : ` ${page.money(operation.amount)}`;
  return [words(operation.type), amount, customer && [" of ", customerLink(customer, "customer")]];
}

function accountSaid({ role, suspended }) {
  return suspended ? `${role}, suspended` : role;
}
