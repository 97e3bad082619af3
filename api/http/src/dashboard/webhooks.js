// Webhooks: where what happens is sent to, whether that works, and what became of each delivery.

import { fill, h, setText } from "./dom.js";
import { NOTHING, dateTime, whole } from "./format.js";
import { addressOf, link } from "./page.js";
import { badge, button, panel, settle, table, toast } from "./ui.js";
import { changeDialog, field, typedNumber } from "./forms.js";
import { deliveriesOf } from "./deliveries.js";
import { showOnce } from "./secrets.js";

/** How often progress is read again: of all webhooks, and of the one that is looked at. */
const ALL_SECONDS = 5;
const ONE_SECONDS = 2;

export function webhooksPanel(page) {
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
        { title: "Webhook", value: (own) => link("integrations", `webhooks/${own.id}`, own.description || own.url) },
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
    const address = addressOf("integrations", `webhooks/${webhook.id}`, { state: "given_up" });
    fill(lost, now.given_up === 0 ? count : h("a", { href: address }, count));
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

export async function showWebhook(page, id) {
  const path = `/v1/webhooks/${encodeURIComponent(id)}`;
  const [body, actions] = [h("div"), h("div", { class: "actions" })];
  const heading = page.show({ title: "Webhook", intro: link("integrations", "", "All integrations"), actions }, body);
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
    commit: (values) => page.api.send("POST", "/v1/webhooks", {
      ...values, topics: topicsOf(values), after: typedNumber(values.after, "The seq"),
    }),
    submit: "Create the webhook",
  });
  if (created === undefined) return;
  await showOnce("Secret of the webhook", [["secret", created.secret]]);
  location.hash = addressOf("integrations", `webhooks/${created.id}`);
}

async function rotateSecret(page, path, read) {
  const rotated = await changeDialog({
    title: "Rotate the secret",
    intro: "A new secret signs from now on. The present one signs too for a while, so that the receiver can change over.",
    fields: field({ name: "hours", label: "Hours for which the present one signs too, 0 to 168", value: "24", inputmode: "numeric" }),
    commit: ({ hours }) => page.api.send("POST", `${path}/secret`, { overlap_hours: typedNumber(hours, "The number of hours") }),
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
