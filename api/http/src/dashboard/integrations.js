// Integrations: partners that send, webhooks and mail that are sent, and who changed what.

import { auditPanel } from "./audit.js";
import { mailPanel, showMail } from "./mail.js";
import { partnersPanel, showPartner } from "./partners.js";
import { showWebhook, webhooksPanel } from "./webhooks.js";

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
