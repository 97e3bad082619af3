// Integrations: partners and their API keys, webhooks and mail with what became of each delivery, and who changed what.

import { fill, h, newId, setText } from "./dom.js";
import { NOTHING, dateTime, decimal, whole, wholeTyped, words } from "./format.js";
import { addressOf, link } from "./page.js";
import { badge, button, changeDialog, emptiness, field, figure, figures, loading, pagedTable, panel, settle, table, toast } from "./ui.js";
import { Problem } from "./session.js";

/** How often use and progress are read again: of all there is, and of the one that is looked at. */
const ALL_SECONDS = 5;
const ONE_SECONDS = 2;
/** Deliveries that are shown at first, and that one request gives at most. */
const DELIVERIES_SHOWN = 25;
const DELIVERIES_MAX = 200;
/** Entries that a page of the log has at least, and answers that are read for them at most: in a long ledger most have none. */
const AUDIT_ROWS = 20;
const AUDIT_ANSWERS_MAX = 25;

export const integrations = { name: "integrations", title: "Integrations", open };

function open(page) {
  const [kind, id] = page.path.split("/");
  if (kind === "partners" && id) return showPartner(page, id);
  if (kind === "webhooks" && id) return showWebhook(page, id);
  if (kind === "mail") return showMail(page);
  return showAll(page);
}

function showAll(page) {
  page.show({ intro: "Who sends, where to, and who changed what." },
    partnersPanel(page), webhooksPanel(page), mailPanel(page), auditPanel(page));
}

function address(kind, id) {
  return [addressOf("integrations"), kind, encodeURIComponent(id)].join("/");
}

function back() {
  return link("integrations", "", "All integrations");
}

// Partners and their keys.

function partnersPanel(page) {
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
        { title: "Partner", value: ({ slug, name }) => h("a", { href: address("partners", slug) }, name) },
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

async function showPartner(page, slug) {
  const [body, actions] = [h("div"), h("div", { class: "actions" })];
  const heading = page.show({ title: `Partner ${slug}`, intro: back(), actions }, body);
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
    throw new Problem(404, { code: "partner_not_found", title: "There is no such partner", detail: `The rules name none ${slug}.` });
  }
  return partner;
}

function standing({ status }) {
  return status === "suspended" ? badge("suspended", "bad") : badge("active", "good");
}

function limitsSaid({ requests_per_second: perSecond, requests_at_once: atOnce }) {
  const own = [perSecond !== null && `${whole(perSecond)} a second`, atOnce !== null && `${whole(atOnce)} at once`].filter(Boolean);
  if (own.length === 0) return "as everybody";
  return own.length === 2 ? own.join(", ") : `${own[0]}, else as everybody`;
}

function partnerActions(page, { slug, name, status, limits }, changed) {
  const path = `/v1/partners/${encodeURIComponent(slug)}`;
  const reason = () => field({ name: "reason", label: "Reason", hint: "It stands in the audit log." });
  const change = async (dialog, wanted) => {
    const commit = (values) => page.api.send("PATCH", path, { ...wanted(values), reason: reasonOf(values) });
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
    requests_per_second: numberTyped(values.per_second) ?? null,
    requests_at_once: numberTyped(values.at_once) ?? null,
  }));
  return [
    button("Change limits", limit),
    status === "suspended" ? button("Open again", reopen, { kind: "main" }) : button("Suspend", suspend, { kind: "danger" }),
  ];
}

/** A number that may be left out; whether it is one that fits, the server says. */
function numberTyped(text) {
  if (text === undefined) return undefined;
  const number = wholeTyped(text);
  if (number === undefined) {
    const detail = `Type digits instead of "${text}", or nothing.`;
    throw new Problem(400, { code: "field_invalid", title: "This must be a whole number", detail });
  }
  return Number(number);
}

function reasonOf({ reason }) {
  if (reason !== undefined) return reason;
  const detail = "Say why: whoever reads the audit log wants to know.";
  throw new Problem(400, { code: "field_missing", title: "A reason is missing", detail });
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
  return table({
    caption: "Use of API keys",
    columns: [
      { title: "Key", value: ({ id }) => h("code", {}, id) },
      { title: "State", tight: true, value: kind },
      ...useColumns(({ id }) => uses.get(id)),
      ...(page.session.isAdmin ? [{ title: "Change", tight: true, value: ({ id, revoked }) => !revoked && revokeButton(id, revoke) }] : []),
    ],
    rows: keys,
    empty: "No key: nobody can send in this partner's name. Give it one.",
  });
}

function revokeButton(id, revoke) {
  const node = button("Revoke", () => revoke(id), { kind: "danger" });
  node.setAttribute("aria-label", `Revoke ${id}`);
  return node;
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

/** Shows secrets that are never shown again, each `[name, value]`. Escape does not close it: a slip would cost the secret. */
function showOnce(title, secrets) {
  const id = newId("dialog");
  const fields = secrets.map(([name, value]) => field({ name: "secret", label: words(name), value, readonly: true }));
  const copies = secrets.map(([name], index) => copyButton(name, fields[index].control));
  const done = button("Done", () => dialog.close(), { kind: "main" });
  const dialog = h("dialog", { "aria-labelledby": id },
    h("h2", { id }, title),
    h("p", { class: "quiet" }, "Shown this once and never again. Keep it where secrets are kept."),
    fields,
    h("div", { class: "actions" }, copies, done));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    dialog.showModal();
  });
}

function copyButton(name, control) {
  const node = button(`Copy the ${name}`, async () => {
    control.select();
    // Without encryption a browser gives no clipboard: then the text is selected at least.
    const isCopied = await navigator.clipboard?.writeText(control.value).then(() => true, () => false);
    setText(node, isCopied ? `${words(name)} copied` : `${words(name)} selected: copy it`);
  });
  return node;
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
      if (failure.textContent !== key) fill(failure, last === null ? key : [problemLink(last.code), `, ${dateTime(last.at)}`]);
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

function problemLink(code) {
  return h("a", { href: `/problems/${code}`, target: "_blank", rel: "noopener" }, h("code", {}, code));
}

// Webhooks.

function webhooksPanel(page) {
  const [list, trouble] = [h("div"), h("div")];
  const create = button("New webhook", () => createWebhook(page), { kind: "main" });
  page.load(list, () => page.get("/v1/webhooks"), ({ data }) => {
    const cells = new Map(data.map((own) => [own.id, webhookCells(own)]));
    page.every(ALL_SECONDS, trouble, async () => {
      for (const [id, own] of cells) own.set(await page.get(`/v1/webhooks/${id}`));
    });
    return table({
      caption: "State of webhooks",
      columns: [
        { title: "Webhook", value: (own) => h("a", { href: address("webhooks", own.id) }, own.description || own.url) },
        { title: "Sends to", value: ({ url }) => h("code", {}, url) },
        { title: "Topics", value: topicsSaid },
        { title: "Whose", value: ({ partner }) => partner ?? "the tenant's" },
        { title: "State", value: ({ id }) => cells.get(id).state },
        { title: "Behind", numeric: true, value: ({ id }) => cells.get(id).behind },
        { title: "Due", numeric: true, value: ({ id }) => cells.get(id).due },
        { title: "Given up", numeric: true, value: ({ id }) => cells.get(id).lost },
      ],
      rows: data,
      empty: "No webhook: nothing that happens is sent anywhere. Create one to have it sent to a server of yours.",
    });
  });
  return panel("Webhooks", { actions: page.session.isAdmin && create }, trouble, list);
}

/** Cells that say whether a webhook sends, and how far it is; they stay while that changes. */
function webhookCells(webhook) {
  const [behind, due, lost] = Array.from({ length: 3 }, () => h("span", {}, NOTHING));
  const state = h("span", {}, webhookState(webhook));
  const set = (now) => {
    const count = whole(now.given_up);
    fill(state, webhookState(now));
    setText(behind, whole(now.head - now.position));
    setText(due, whole(now.due));
    // The link stays, and with it the focus, for as long as it says the same.
    if (lost.textContent === count) return;
    fill(lost, now.given_up === 0 ? count : h("a", { href: `${address("webhooks", webhook.id)}?state=given_up` }, count));
  };
  return { state, behind, due, lost, set };
}

function topicsSaid({ topics }) {
  return topics.join() === "*" ? "all" : topics.join(", ");
}

/** Why a webhook sends nothing, and what to do about it. What happens meanwhile waits for it in the ledger. */
const STOPPED = {
  asked: ["paused", "warn", "Start it again and it sends what happened meanwhile."],
  gone: ["receiver gone", "bad", "The receiver answered 410. Change the URL and start it again: it sends what happened meanwhile."],
  failing: ["stopped", "bad", "Nothing was taken for a day, or too much was given up. Put the receiver right, then start it again."],
  sealed: ["sealed", "bad", "Its secret cannot be opened. Start the server with the secrets_key of before, or rotate the secret."],
};

function webhookState({ disabled_because: why }) {
  if (why === null) return badge("sends", "good");
  const [text, kind] = STOPPED[why];
  return badge(text, kind);
}

async function showWebhook(page, id) {
  const path = `/v1/webhooks/${encodeURIComponent(id)}`;
  const [body, actions] = [h("div"), h("div", { class: "actions" })];
  const heading = page.show({ title: "Webhook", intro: back(), actions }, body);
  await page.load(body, () => page.get(path), (webhook) => {
    const [facts, trouble, tested] = [h("ul", { class: "plain-list" }), h("div"), h("div", { role: "status" })];
    const deliveries = deliveriesOf(page, path, {
      note: `The webhook-id of each is msg_${id}_ and its seq, the same in each attempt.`,
      empty: "No such delivery. All that are due or given up are listed, and the last thousand that were made.",
    });
    let shown;
    const show = (own) => {
      deliveries.set(own);
      const settings = JSON.stringify({ ...own, position: 0, head: 0, due: 0, given_up: 0 });
      if (settings === shown) return;
      shown = settings;
      setText(heading, own.description || "Webhook");
      fill(facts, webhookFacts(own).map((fact) => h("li", {}, fact)));
      fill(actions, webhookActions(page, path, own, { read, tested }));
    };
    const read = async () => {
      show(await page.get(path));
      await deliveries.follow();
    };
    show(webhook);
    page.every(ONE_SECONDS, trouble, read);
    return [trouble, tested, panel("Settings", {}, facts), deliveries.nodes];
  });
}

function webhookFacts(own) {
  const stopped = STOPPED[own.disabled_because];
  return [
    [webhookState(own), ` since ${dateTime(own.status_since)}. `, stopped?.[2]],
    ["Sends to ", h("code", {}, own.url)],
    `Topics: ${topicsSaid(own)}`,
    own.partner === null ? "The tenant's: what anybody does" : `Of partner ${own.partner}: what that does itself`,
    `Created ${dateTime(own.created_at)}, began behind seq ${whole(own.after)}`,
    own.former_secret_until !== null && `Signs with the secret before the present one too, until ${dateTime(own.former_secret_until)}`,
  ].filter(Boolean);
}

function webhookActions(page, path, own, { read, tested }) {
  const isPaused = own.status === "disabled" && own.disabled_because !== "sealed";
  const test = button("Test", () => settle(tested, async () => {
    const { delivered, reason, milliseconds } = await page.api.send("POST", `${path}/test`);
    const said = delivered ? [badge("Test taken", "good")] : [badge("Test not taken", "bad"), `: ${reason}`];
    fill(tested, h("p", {}, said, `, in ${whole(milliseconds)} ms`));
  }));
  if (!page.session.isAdmin) return [test];
  const after = async (dialog, said) => {
    const done = await changeDialog(dialog);
    if (done === undefined) return;
    toast(said);
    await read();
  };
  const pause = () => after({
    title: "Pause the webhook", intro: "It sends nothing until it is started again. What happens meanwhile waits for it in the ledger.",
    submit: "Pause", commit: () => page.api.send("PATCH", path, { status: "disabled" }),
  }, "Paused.");
  const start = () => after({
    title: "Start the webhook again", intro: "It goes on where it stopped: everything that happened since is sent.",
    submit: "Start again", commit: () => page.api.send("PATCH", path, { status: "enabled" }),
  }, "Started again.");
  const change = () => after({
    title: "Change the webhook",
    fields: webhookFields(own),
    submit: "Change the webhook",
    commit: (values) => page.api.send("PATCH", path, { description: "", ...values, topics: topicsOf(values) }),
  }, "Changed.");
  return [
    test,
    button("Change", change),
    isPaused ? button("Start again", start, { kind: "main" }) : button("Pause", pause),
    button("Rotate the secret", () => rotateSecret(page, path, read)),
    button("Delete", () => deleteWebhook(page, path, own), { kind: "danger" }),
  ];
}

function webhookFields({ url, topics = [], description } = {}) {
  return [
    field({ name: "url", label: "URL", type: "url", value: url, hint: "https, and a public address, unless the server allows others." }),
    field({
      name: "topics", label: "Topics", value: topics.join() === "*" ? "" : topics.join(", "),
      hint: "With commas between them, as purchase.*, tier.changed. Empty for all.",
    }),
    field({ name: "description", label: "Description", value: description, maxlength: 100 }),
  ];
}

function topicsOf({ topics = "*" }) {
  return topics.split(",").map((topic) => topic.trim()).filter(Boolean);
}

async function createWebhook(page) {
  const { partners } = page.rules.catalogue;
  const created = await changeDialog({
    title: "New webhook",
    intro: "What happens is posted to its URL as CloudEvents, signed as Standard Webhooks have it.",
    fields: [
      webhookFields(),
      field({
        name: "partner", label: "Whose", type: "select", value: "",
        options: [["", "the tenant's: what anybody does"], ...partners.map((own) => [own.slug, `of ${own.name}: what that does itself`])],
      }),
      field({
        name: "after", label: "Begin behind seq", inputmode: "numeric",
        hint: "Empty for what comes from now on; 0 for all that ever happened.",
      }),
    ],
    commit: (values) => page.api.send("POST", "/v1/webhooks", { ...values, topics: topicsOf(values), after: numberTyped(values.after) }),
    submit: "Create the webhook",
  });
  if (created === undefined) return;
  await showOnce("Secret of the webhook", [["secret", created.secret]]);
  location.hash = address("webhooks", created.id);
}

async function rotateSecret(page, path, read) {
  const rotated = await changeDialog({
    title: "Rotate the secret",
    intro: "A new secret signs from now on. The present one signs too for a while, so that the receiver can change over.",
    fields: field({ name: "hours", label: "Hours for which the present one signs too, 0 to 168", value: "24", inputmode: "numeric" }),
    commit: ({ hours }) => page.api.send("POST", `${path}/secret`, { overlap_hours: numberTyped(hours) }),
    submit: "Rotate", danger: true,
  });
  if (rotated === undefined) return;
  await showOnce("Secret of the webhook", [["secret", rotated.secret]]);
  await read();
}

async function deleteWebhook(page, path, { url }) {
  const deleted = await changeDialog({
    title: "Delete the webhook",
    intro: `Nothing is sent to ${url} any more, and what is known of its deliveries is forgotten. To stop it for a while, pause it.`,
    submit: "Delete", danger: true,
    commit: () => page.api.send("DELETE", path),
  });
  if (deleted === undefined) return;
  toast("The webhook is deleted.");
  location.hash = addressOf("integrations");
}

// Mail.

function mailPanel(page) {
  const [body, trouble, more] = [h("div"), h("div"), h("div")];
  page.load(body, () => mailOf(page), (mail) => {
    if (mail === undefined) return mailIsOff();
    const progress = progressFigures();
    progress.set(mail);
    page.every(ALL_SECONDS, trouble, async () => progress.set(await page.get("/v1/mail")));
    fill(more, link("integrations", "mail", "Deliveries of mail"));
    return progress;
  });
  return panel("Mail", { actions: more, note: "What customers are told of what they earn and where they stand." }, trouble, body);
}

async function showMail(page) {
  const body = h("div");
  page.show({ title: "Mail", intro: back() }, body);
  await page.load(body, () => mailOf(page), (mail) => {
    if (mail === undefined) return mailIsOff();
    const trouble = h("div");
    const deliveries = deliveriesOf(page, "/v1/mail", {
      note: "To whom a mail went is not kept: the record at its seq says whom it is about.",
      empty: "No such mail. All that are due or given up are listed, and the last thousand that were sent.",
    });
    deliveries.set(mail);
    page.every(ONE_SECONDS, trouble, async () => {
      deliveries.set(await page.get("/v1/mail"));
      await deliveries.follow();
    });
    return [trouble, deliveries.nodes];
  });
}

/** How far mail is; undefined where there is none. */
function mailOf(page) {
  return page.get("/v1/mail").catch((error) => {
    if (error instanceof Problem && error.code === "mail_disabled") return undefined;
    throw error;
  });
}

function mailIsOff() {
  return emptiness("Mail is off: start the server with --mail-tenants.");
}

// Deliveries, of a webhook or of mail.

/** How far something is that follows the ledger. Returns the node; `set(progress)` on it shows another. */
function progressFigures() {
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
function deliveriesOf(page, path, { note, empty }) {
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
  const replay = button("Replay", () => replayOne(delivery.seq));
  replay.setAttribute("aria-label", `Replay seq ${delivery.seq}`);
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

// The audit log.

function auditPanel(page) {
  const names = new Names(page);
  return panel("Audit log", { note: "What administrators and operators did, the newest first." }, pagedTable({
    caption: "Entries of the audit log",
    load: (cursor) => auditPage(page, names, cursor),
    columns: [
      { title: "Seq", numeric: true, value: ({ seq }) => whole(seq) },
      { title: "When", tight: true, value: ({ at }) => dateTime(at) },
      { title: "Who", value: (entry) => [names.of(entry.by), h("span", { class: "quiet" }, ` ${roleOf(entry)}`)] },
      { title: "What", value: (entry) => actSaid(page, names, entry) },
      { title: "Why", value: ({ reason, operation }) => reason ?? operation?.reason ?? NOTHING },
    ],
    empty: "Nothing was done in the part of the ledger that was looked at.",
  }));
}

/** A page of the log. An answer looks through a part of the ledger, and may have no entry and more behind it all the same. */
async function auditPage(page, names, cursor) {
  const entries = [];
  let next = cursor;
  for (let answers = 0; answers < AUDIT_ANSWERS_MAX && entries.length < AUDIT_ROWS && next !== null; answers += 1) {
    const answer = await page.get("/v1/audit", { limit: AUDIT_ROWS, cursor: next });
    entries.push(...answer.data);
    next = answer.next_cursor;
  }
  await names.learn(entries.flatMap(({ by, role, account }) => [role && by, account]).filter(Boolean));
  return { data: entries, next_cursor: next };
}

/** The usernames of accounts, each asked for once. */
class Names {
  #names = new Map([["operator", "the server's token"], ["server", "the server itself"]]);

  constructor(page) {
    this.page = page;
  }

  /** Asks for those that are not known. One that is not told keeps its id. */
  async learn(ids) {
    const unknown = [...new Set(ids)].filter((id) => !this.#names.has(id));
    await Promise.all(unknown.map(async (id) => {
      const account = await this.page.get(`/v1/accounts/${id}`).catch(() => undefined);
      this.#names.set(id, account?.username ?? id);
    }));
  }

  of(id) {
    return this.#names.get(id) ?? id;
  }
}

/** In which role it was done. Of an account that is created, `role` is the one that it was given. */
function roleOf({ act, role = "" }) {
  return act === "account_created" ? "" : role;
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
  account_created: ({ account, role }, names) => `Account ${names.of(account)} created: ${role}`,
  account_changed: ({ account, before, after }, names) => `Account ${names.of(account)}: ${accountSaid(before)}; now ${accountSaid(after)}`,
  password_reset: ({ account }, names) => `Password of ${names.of(account)} reset`,
  signing_key_rotated: ({ key }) => ["Tokens are signed with another key: ", h("code", {}, key)],
  webhook_changed: ({ webhook, partner, change }) => {
    const id = h("code", {}, webhook);
    const named = change === "deleted" ? id : h("a", { href: address("webhooks", webhook) }, id);
    return ["Webhook ", named, partner && ` of ${partner}`, ` ${words(change).toLowerCase()}`];
  },
};

function actSaid(page, names, entry) {
  if (entry.act !== "operation") return ACTS[entry.act]?.(entry, names) ?? words(entry.act);
  const { operation, customer } = entry;
  const amount = operation.amount === undefined ? "" : ` ${page.money(operation.amount)}`;
  return [words(operation.type), amount, customer && [" of ", link("customers", customer, "customer")]];
}

function accountSaid({ role, suspended }) {
  return suspended ? `${role}, suspended` : role;
}
