// Mail to customers: how far it is, and what became of each.

import { fill, h } from "./dom.js";
import { link } from "./page.js";
import { Problem } from "./session.js";
import { emptiness, panel } from "./ui.js";
import { deliveriesOf, progressFigures } from "./deliveries.js";

/** How often progress is read again: beside all else, and alone. */
const ALL_SECONDS = 5;
const ONE_SECONDS = 2;

export function mailPanel(page) {
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

export async function showMail(page) {
  const body = h("div");
  page.show({ title: "Mail", intro: link("integrations", "", "All integrations") }, body);
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
export function mailOf(page) {
  return page.get("/v1/mail").catch((error) => {
    if (error instanceof Problem && error.code === "mail_disabled") return undefined;
    throw error;
  });
}

function mailIsOff() {
  return emptiness("Mail is off: start the server with --mail-tenants.");
}
