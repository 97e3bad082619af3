// Wallets and payments: an invoice that appears and is cancelled after a preview, a hold of which a part is paid, and payments that match nothing.
import assert from "node:assert/strict";

export async function payments({ page, call, server, open, look }) {
  const key = () => ({ "Idempotency-Key": crypto.randomUUID() });
  const asPartner = async (path, body) => (await server.partner("POST", path, body, key())).effects[0];
  const { customer } = await call("POST", "/v1/customers", { ref: "payer" }, key());
  const wallet = `/v1/customers/${customer}/wallets/0`;
  await call("POST", `${wallet}/deposits`, { amount: 500_000 }, key());
  await open("#/payments");
  const panel = (name) => page.getByRole("region", { name, exact: true });
  const dialog = page.getByRole("dialog");
  const preview = () => dialog.getByRole("button", { name: "Preview" }).click();

  // What is opened while somebody looks appears by itself; a preview changes nothing, the second click does.
  const { va_number: invoice } = await asPartner("/v1/invoices", { amount: 48_000 });
  const row = panel("Invoices").getByRole("row").filter({ hasText: invoice });
  await row.filter({ hasText: /Rp\s48\.000/ }).getByText("Open").waitFor();
  await row.getByRole("button", { name: `Cancel ${invoice}` }).click();
  await preview();
  await dialog.getByText(`Invoice ${invoice} of grocer is cancelled`).waitFor();
  assert.equal((await call("GET", `/v1/invoices/${invoice}`)).state, "open");
  await dialog.getByRole("button", { name: "Cancel the invoice" }).click();
  await row.getByText("Cancelled").waitFor();
  assert.equal((await call("GET", `/v1/invoices/${invoice}`)).state, "cancelled");

  // A part of a hold is paid, the rest is free.
  const { hold } = await asPartner(`${wallet}/holds`, { amount: 150_000 });
  const settle = page.getByRole("button", { name: `Settle hold ${hold} of ${customer.slice(0, 8)}` });
  await look("payments");
  await settle.click();
  await dialog.getByLabel("Amount to pay").fill("100.000");
  await preview();
  await dialog.getByText(/grocer is paid Rp\s100\.000, and Rp\s50\.000 are free/).waitFor();
  await dialog.getByRole("button", { name: "Settle the hold" }).click();
  await settle.waitFor({ state: "detached" });
  assert.equal((await call("GET", `/v1/customers/${customer}/wallets`)).data[0].balance, 400_000);

  // A payment that names no invoice, and a transfer that nobody takes.
  await assert.rejects(call("POST", `${wallet}/payments`, { va_number: "VA-1", amount: 7 }, key()));
  await panel("Unmatched payments").getByRole("row").filter({ hasText: customer.slice(0, 8) }).getByText("No such invoice").waitFor();
  await assert.rejects(call("POST", `${wallet}/transfers`, { to: { id: customer }, to_wallet: 7, amount: 9 }, key()));
  const returned = panel("Transfers that are under way or came back").getByRole("row").filter({ hasText: customer.slice(0, 8) });
  await returned.getByText("Returned").waitFor();
  await page.getByLabel("Invoice number").fill(invoice);
  await page.getByRole("button", { name: "Find the invoice" }).click();
  await page.getByRole("heading", { name: `Invoice ${invoice}`, level: 1 }).waitFor();
  await look("invoice");
}
