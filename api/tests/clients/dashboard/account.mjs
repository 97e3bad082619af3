// My account: what a customer sees of its own, live, and points that are spent after a preview.
import assert from "node:assert/strict";

export async function account({ call, buy, visitAs }) {
  const ref = "my-account";
  const bought = { ref, amount: 500_000, quantity: 2, lines: [{ product: "FROZEN PIZZA", quantity: 2, amount: 500_000 }] };
  const first = await buy({ ...bought, occurred_at: "2017-02-16T00:00:00Z" });
  const path = `/v1/customers/${first.customer}`;
  await call("POST", "/v1/accounts", { username: ref, password: "correct horse battery", role: "customer", customer: first.customer });
  const own = await visitAs(ref);
  const { page } = own;
  await page.getByRole("heading", { level: 1, name: "My account" }).waitFor();
  const text = (number, separator) => String(number).replace(/\B(?=(\d{3})+$)/g, separator);
  const shows = (label, value) =>
    page.locator(".figure").filter({ has: page.getByText(label, { exact: true }) }).getByText(value, { exact: true }).waitFor();
  const points = async () => (await call("GET", path)).points.find(({ kind }) => kind === "cashback").balance;
  await shows("Cashback points", text(await points(), ","));
  assert.equal(await page.getByRole("navigation").getByRole("link").count(), 1, "a customer has one screen");
  // A purchase that is streamed appears with what it earned, and in the log.
  await buy({ ref, amount: 77_000, promo_code: "JOURNEY2017", occurred_at: "2017-02-17T00:00:00Z" });
  await page.getByText(`Purchase of Rp\u00a0${text(77_000, ".")}`, { exact: true }).waitFor();
  await page.getByRole("table", { name: "Purchases and what they earned" }).getByText("promo JOURNEY2017, 1.2%").waitFor();
  await own.look("my-account");
  // Points are spent once it was looked at.
  const before = await call("GET", path);
  await page.getByRole("button", { name: "Redeem: 10 a point" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("How many").fill("3");
  await dialog.getByRole("button", { name: "Preview" }).click();
  await dialog.getByText("3 × 10 a point for 300 cashback points").waitFor();
  assert.equal(await points(), before.points[0].balance, "nothing is spent by looking");
  await dialog.getByRole("button", { name: "Redeem" }).click();
  await shows("Balance", `Rp\u00a0${text(before.balance + 3_000, ".")}`);
  await shows("Cashback points", text(before.points[0].balance - 300, ","));
  await page.getByRole("table", { name: "Movements of all accounts" }).getByText("−300 cashback points").waitFor();
  own.isQuiet("my account");
  await page.context().close();
}
