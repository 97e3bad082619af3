// The risk queue: operations that are set aside are released and rejected after a preview, and a check is archived.
import assert from "node:assert/strict";

export async function risk({ page, call, open, look }) {
  const key = () => ({ "Idempotency-Key": crypto.randomUUID() });
  const { catalogue } = await call("GET", "/v1/catalogue");
  const rule = { name: "Over 5,000,000", operations: ["deposit"], amount_above: 5_000_000, action: "review" };
  await call("PUT", "/v1/catalogue?tenant=journey", { ...catalogue, risk_rules: [...(catalogue.risk_rules ?? []), rule] });
  const { customer } = await call("POST", "/v1/customers", { ref: "suspect" }, key());
  const balance = async () => (await call("GET", `/v1/customers/${customer}/wallets`)).data[0]?.balance ?? 0;
  const deposit = (amount) => call("POST", `/v1/customers/${customer}/wallets/0/deposits`, { amount }, key());
  await open("#/risk");
  const dialog = page.getByRole("dialog");
  const preview = () => dialog.getByRole("button", { name: "Preview" }).click();
  const [first, second] = [(await deposit(6_000_000)).seq, (await deposit(7_000_000)).seq];

  // Both appear by themselves, the older one before the newer one, with the rule in words.
  const rows = page.getByRole("table", { name: "Operations that are set aside" }).getByRole("row").filter({ hasText: customer.slice(0, 8) });
  await rows.nth(1).waitFor();
  await rows.nth(0).filter({ hasText: /Deposit of Rp\s6\.000\.000.*Over 5,000,000.*More than Rp\s5\.000\.000/ }).waitFor();
  await look("risk");
  await page.getByRole("button", { name: `Release review ${first}` }).click();
  await preview();
  await dialog.getByText(/Rp\s6\.000\.000 into wallet 0: Rp\s0 becomes Rp\s6\.000\.000/).waitFor();
  assert.equal(await balance(), 0);
  await dialog.getByRole("button", { name: "Release it" }).click();
  await page.getByRole("button", { name: `Release review ${first}` }).waitFor({ state: "detached" });
  assert.equal(await balance(), 6_000_000);

  await page.getByRole("button", { name: `Reject review ${second}` }).click();
  await preview();
  await dialog.getByText("The reason is missing.").waitFor();
  await dialog.getByLabel("Reason").fill("the bank knows nothing of it");
  await preview();
  await dialog.getByText("no money moves").waitFor();
  await dialog.getByRole("button", { name: "Reject it" }).click();
  await page.getByRole("button", { name: `Reject review ${second}` }).waitFor({ state: "detached" });
  assert.equal(await balance(), 6_000_000);

  // What was released was let be whatever struck, which is in the log, until it is archived.
  const [{ seq }] = (await call("GET", `/v1/risk-checks?customer=${customer}&verdict=suspicious`)).data;
  await page.getByRole("button", { name: `Archive check ${seq}` }).click();
  await preview();
  await dialog.getByRole("button", { name: "Archive the check" }).click();
  await page.getByRole("button", { name: `Archive check ${seq}` }).waitFor({ state: "detached" });
  assert.equal((await call("GET", `/v1/risk-checks?customer=${customer}&verdict=suspicious`)).data.length, 0);
}
