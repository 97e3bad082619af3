// Partners: whether they may send, how much, and their API keys with how these are used.

import { fill, h, setText } from "./dom.js";
import { NOTHING, dateTime, decimal, whole } from "./format.js";
import { link } from "./page.js";
import { Problem } from "./session.js";
import { badge, button, loading, panel, rowButton, table, toast } from "./ui.js";
import { changeDialog, field, reasonField, typedNumber, typedReason } from "./forms.js";
import { problemLink } from "./links.js";
import { showOnce } from "./secrets.js";

/** How often use is read again: of all partners, and of the one that is looked at. */
const ALL_SECONDS = 5;
const ONE_SECONDS = 2;

export function partnersPanel(page) {
  const [list, trouble] = [h("div"), h("div")];
  page.load(list, () => page.get("/v1/partners"), ({ data }) => {
    const uses = new Map(data.map(({ slug }) => [slug, useCells()]));
    const rates = new Rates();
    page.every(ALL_SECONDS, trouble, async () => {
      for (const [slug, cells] of uses) {
        const keys = await page.get(keysPath(slug));
        const use = useOfAll(keys.data);
        cells.set(use, rates.of(slug, use.requests, keys.counted_since));
      }
    });
    return table({
      caption: "Standing and use of partners",
      columns: [
        { title: "Partner", value: ({ slug, name }) => link("integrations", `partners/${slug}`, name) },
        { title: "Standing", value: standing },
        { title: "Limits", value: ({ limits }) => limitsSaid(limits) },
        ...useColumns(({ slug }) => uses.get(slug)),
      ],
      rows: data,
      empty: "No partner yet. The rules name them: kembali apply rules.toml.",
    });
  });
  return panel("Partners", { note: "Requests with all keys of a partner, since the server started." }, trouble, list);
}

export async function showPartner(page, slug) {
  const [body, actions] = [h("div"), h("div", { class: "actions" })];
  const heading = page.show({ title: `Partner ${slug}`, intro: link("integrations", "", "All integrations"), actions }, body);
  await page.load(body, () => partnerOf(page, slug), (partner) => {
    const [facts, trouble, list] = [h("ul", { class: "plain-list" }), h("div"), h("div", {}, loading())];
    const show = (own) => {
      setText(heading, own.name);
      const opens = own.status === "suspended" ? "Its keys open nothing: what it sends is refused." : "Its keys let it send.";
      fill(facts, h("li", {}, standing(own), ` ${opens}`), h("li", {}, `Limits: ${limitsSaid(own.limits)}.`));
      if (page.session.isAdmin) fill(actions, partnerActions(page, own, async () => show(await partnerOf(page, slug))));
    };
    show(partner);
    const keys = keysOf(page, slug, list);
    page.every(ONE_SECONDS, trouble, keys.read);
    const give = button("New API key", () => giveKey(page, slug, keys.read), { kind: "main" });
    return [
      panel("Standing", {}, facts),
      panel("API keys", {
        actions: page.session.isAdmin && give,
        note: "Use is counted since the server started. The keys themselves are never shown.",
      }, trouble, list),
    ];
  });
}

/** There is no route for one partner alone. */
async function partnerOf(page, slug) {
  const { data } = await page.get("/v1/partners");
  const partner = data.find((own) => own.slug === slug);
  if (partner === undefined) {
    throw new Problem(404, { code: "partner_not_found", title: "There is no such partner.", detail: `The rules name none ${slug}.` });
  }
  return partner;
}

function standing({ status }) {
  return status === "suspended" ? badge("suspended", "bad") : badge("active", "good");
}

export function limitsSaid({ requests_per_second: perSecond, requests_at_once: atOnce }) {
  const own = [perSecond !== null && `${whole(perSecond)} a second`, atOnce !== null && `${whole(atOnce)} at once`].filter(Boolean);
  if (own.length === 0) return "as everybody";
  return own.length === 2 ? own.join(", ") : `${own[0]}, else as everybody`;
}

function partnerActions(page, { slug, name, status, limits }, changed) {
  const path = `/v1/partners/${encodeURIComponent(slug)}`;
  const reason = () => reasonField({ hint: "It stands in the audit log." });
  const change = async (dialog, wanted) => {
    const commit = (values) => page.api.send("PATCH", path, { ...wanted(values), reason: typedReason(values) });
    const done = await changeDialog({ ...dialog, commit });
    if (done === undefined) return;
    toast(done.seq === null ? "Nothing to change." : `Changed, seq ${whole(done.seq)}.`);
    await changed();
  };
  const suspend = () => change({
    title: `Suspend ${name}`,
    intro: "Its keys open nothing from now on, and its open streams end. What is in flight is finished. It can be opened again.",
    fields: reason(), submit: "Suspend", danger: true,
  }, () => ({ status: "suspended" }));
  const reopen = () => change({
    title: `Open ${name} again`, intro: "Its keys open again what they opened before.", fields: reason(), submit: "Open again",
  }, () => ({ status: "active" }));
  const limit = () => change({
    title: `Limits of ${name}`,
    intro: "An empty field is what the server allows to everybody. Requests beyond a limit are refused, and may come again a little later.",
    fields: [
      field({ name: "per_second", label: "Requests a second", value: limits.requests_per_second ?? undefined, inputmode: "numeric" }),
      field({ name: "at_once", label: "Requests at once", value: limits.requests_at_once ?? undefined, inputmode: "numeric" }),
      reason(),
    ],
    submit: "Change the limits",
  }, (values) => ({
    requests_per_second: typedNumber(values.per_second, "How many a second") ?? null,
    requests_at_once: typedNumber(values.at_once, "How many at once") ?? null,
  }));
  return [
    button("Change limits", limit),
    status === "suspended" ? button("Open again", reopen, { kind: "main" }) : button("Suspend", suspend, { kind: "danger" }),
  ];
}

function keysPath(slug) {
  return `/v1/partners/${encodeURIComponent(slug)}/api-keys`;
}

/** A partner's keys in `list`. `read()` reads them again; the table stays, and with it the focus, for as long as the keys do. */
function keysOf(page, slug, list) {
  const rates = new Rates();
  let [shown, uses] = [undefined, new Map()];
  const read = async () => {
    const { data, counted_since: since } = await page.get(keysPath(slug));
    const present = data.map(({ id, revoked }) => `${id} ${revoked}`).join();
    if (present !== shown) {
      uses = new Map(data.map(({ id }) => [id, useCells()]));
      const rows = data.toSorted((one, other) => one.revoked - other.revoked);
      fill(list, keysTable(page, rows, uses, (id) => revokeKey(page, slug, id, read)));
      shown = present;
    }
    for (const key of data) uses.get(key.id).set(key, rates.of(key.id, key.requests, since));
  };
  return { read };
}

function keysTable(page, keys, uses, revoke) {
  const kind = ({ revoked, signed }) => {
    if (revoked) return badge("revoked");
    return badge(signed ? "signed requests" : "opens alone", "good");
  };
  const changeOf = ({ id, revoked }) => !revoked && rowButton("Revoke", `Revoke ${id}`, () => revoke(id), { kind: "danger" });
  return table({
    caption: "Use of API keys",
    columns: [
      { title: "Key", value: ({ id }) => h("code", {}, id) },
      { title: "State", tight: true, value: kind },
      ...useColumns(({ id }) => uses.get(id)),
      ...(page.session.isAdmin ? [{ title: "Change", tight: true, value: changeOf }] : []),
    ],
    rows: keys,
    empty: "No key: nobody can send in this partner's name. Give it one.",
  });
}

async function giveKey(page, slug, changed) {
  const wanted = ({ signed }) => ({ signed: signed === "true" });
  const given = await changeDialog({
    title: `New API key for ${slug}`,
    intro: "It opens beside those that there are: give the new one first, revoke the old one once nobody uses it.",
    fields: field({
      name: "signed", label: "Requests", type: "select", value: "true",
      options: [["true", "must be signed with the key's secret"], ["false", "need the key alone"]],
    }),
    preview: async (values) => {
      await page.api.send("POST", keysPath(slug), wanted(values), { query: { dry_run: "true" } });
      const made = wanted(values).signed ? "a key and its secret" : "a key";
      return h("p", {}, `The server makes ${made} for ${slug}, and shows that once. The other keys stay as they are.`);
    },
    commit: (values) => page.api.send("POST", keysPath(slug), wanted(values)),
    submit: "Give the key",
  });
  if (given === undefined) return;
  const secret = given.api_secret === undefined ? [] : [["API secret", given.api_secret]];
  await showOnce(`API key ${given.id}`, [["API key", given.api_key], ...secret]);
  await changed();
}

async function revokeKey(page, slug, id, changed) {
  const done = await changeDialog({
    title: "Revoke the API key",
    intro: `${id} opens nothing any more, for ever, and its open streams end. Look first whether it is still used.`,
    submit: "Revoke", danger: true,
    commit: () => page.api.send("DELETE", `${keysPath(slug)}/${id}`),
  });
  if (done === undefined) return;
  toast("The key is revoked.");
  await changed();
}

/** How many requests a second came, by the difference between one read and the next. */
class Rates {
  #seen = new Map();

  /** Undefined at the first read, and where the server has started again since the last. */
  of(name, count, since) {
    const now = performance.now() / 1_000;
    const before = this.#seen.get(name);
    this.#seen.set(name, { at: now, count, since });
    return before?.since === since ? (count - before.count) / (now - before.at) : undefined;
  }
}

/** The use of all keys together. */
function useOfAll(keys) {
  const sum = (name) => keys.reduce((all, key) => all + key[name], 0);
  const known = (name) => keys.map((key) => key[name]).filter((own) => own !== null);
  return {
    requests: sum("requests"),
    last_used_at: latest(known("last_used_at"), (at) => at),
    failures: sum("failures"),
    last_failure: latest(known("last_failure"), ({ at }) => at),
  };
}

/** Whichever was last; null where there is none. */
function latest(all, atOf) {
  return all.reduce((last, own) => (last === null || Date.parse(atOf(last)) < Date.parse(atOf(own)) ? own : last), null);
}

/** Cells that say how keys are used, and stay while their numbers change. */
function useCells() {
  const [rate, requests, used, failures, failure] = Array.from({ length: 5 }, () => h("span", {}, NOTHING));
  return {
    rate, requests, used, failures, failure,
    set(use, perSecond) {
      setText(rate, perSecond === undefined ? NOTHING : decimal(perSecond));
      setText(requests, whole(use.requests));
      setText(used, use.last_used_at === null ? "never" : dateTime(use.last_used_at));
      setText(failures, whole(use.failures));
      const last = use.last_failure;
      const key = last === null ? "none" : `${last.code}, ${dateTime(last.at)}`;
      if (failure.textContent === key) return;
      fill(failure, last === null ? key : [problemLink(last.code, h("code", {}, last.code)), `, ${dateTime(last.at)}`]);
    },
  };
}

function useColumns(cellsOf) {
  return [
    { title: "Requests a second", numeric: true, value: (row) => cellsOf(row).rate },
    { title: "Requests", numeric: true, value: (row) => cellsOf(row).requests },
    { title: "Last used", value: (row) => cellsOf(row).used },
    { title: "Refused", numeric: true, value: (row) => cellsOf(row).failures },
    { title: "Last refused for", value: (row) => cellsOf(row).failure },
  ];
}
