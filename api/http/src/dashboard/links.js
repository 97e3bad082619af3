// Links to what an id or a code names, and what customers and accounts are called.

import { h, setText } from "./dom.js";
import { NOTHING, words } from "./format.js";
import { addressOf, link } from "./page.js";

/** The names of accounts by their ids, each as it is read. */
const usernames = new Map();
/** Who asked that is neither a partner nor an account. */
const NOBODYS = { operator: "the server's token", server: "the server itself" };
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function isUuid(text) {
  return UUID.test(text);
}

/** The beginning of an id, which tells most of them apart. */
export function shortId(id) {
  return id.slice(0, 8);
}

/** What a customer is called: the name that the tenant knows it by, where there is one. */
export function nameOf(customer) {
  return customer.email ?? customer.ref ?? (customer.erased ? "Erased customer" : "Customer without a name");
}

/** A link to a customer by the beginning of the id; a dash where nobody is named. */
export function customerLink(id, text) {
  return id ? link("customers", id, text ?? shortId(id)) : NOTHING;
}

export function purchaseAddress(customer, id) {
  return addressOf("customers", customer, { purchase: id });
}

export function purchaseLink(customer, id, text) {
  return h("a", { href: purchaseAddress(customer, id) }, text);
}

export function operationAddress(customer, seq) {
  return addressOf("customers", customer, { operation: seq });
}

export function operationLink(customer, seq, text) {
  return h("a", { href: operationAddress(customer, seq) }, text);
}

export function invoiceLink(number) {
  return link("payments", number, number);
}

/** A link to what the server says of a problem's code. */
export function problemLink(code, text = words(code)) {
  return h("a", { href: `/problems/${code}`, target: "_blank", rel: "noopener" }, text);
}

/** Who asked: a partner, the server itself or its token, or an account, whose name comes as soon as it is read. */
export function whoAsked(page, by) {
  return isUuid(by) ? accountName(page, by) : NOBODYS[by] ?? by;
}

/** The name of an account. Until it is read, and where it is not told, the beginning of the id has to do. */
export function accountName(page, id) {
  if (!usernames.has(id)) usernames.set(id, page.api.get(`/v1/accounts/${id}`).then(({ username }) => username));
  const node = h("span", { title: id }, shortId(id));
  usernames.get(id).then((username) => setText(node, username), () => usernames.delete(id));
  return node;
}
