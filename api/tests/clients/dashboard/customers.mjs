// Customer 360: found by any id, live, frozen and made active, why a purchase got what it got, and a refund after a preview.
import assert from "node:assert/strict";

export async function customers({ page, call, buy, open, look, visit }) {
  const ref = "customer-360";
  const text = (minor) => `Rp\u00a0${String(minor).replace(/\B(?=(\d{3})+$)/g, ".")}`;
  const lines = [{ product: "FROZEN PIZZA", quantity: 4, amount: 500_000 }, { product: "BREAD", quantity: 2, amount: 1_500_000 }];
  const when = { promo_code: "JOURNEY2017", occurred_at: "2017-02-16T00:00:00Z" };
  const first = await buy({ ref, amount: 2_000_000, quantity: 6, lines, ...when });
  const path = `/v1/customers/${first.customer}`;
  const dialog = page.getByRole("dialog");
  const figure = (label) => page.locator(".figure").filter({ has: page.getByText(label, { exact: true }) }).locator("dd").first();
  const shows = (label, value) => figure(label).filter({ hasText: value }).waitFor();
  const change = async (submit) => {
    await dialog.getByRole("button", { name: "Preview" }).click();
    await dialog.getByRole("heading", { name: "What will happen" }).waitFor();
    const said = await dialog.getByRole("status").innerText();
    if (submit === "Refund") await look("refund");
    await dialog.getByRole("button", { name: submit, exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    return said;
  };

  // Found by the ref, and by the id of the purchase.
  for (const [id, title] of [[first.id, `Purchase ${first.origin_id}`], [ref, ref]]) {
    await open("#/customers");
    await page.getByLabel("Customer id, e-mail or ref").fill(id);
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByRole("heading", { level: 1, name: title }).waitFor();
  }
  // What is no customer's id is looked for among purchases.
  visit.isQuiet("the search", ["/v1/customers?id="]);
  await shows("Balance", text((await call("GET", path)).balance));
  // A purchase that is streamed appears, and the balance moves.
  const second = await buy({ ref, amount: 620_000, quantity: 2, ...when });
  await page.getByRole("link", { name: `Purchase of ${text(620_000)}` }).waitFor();
  await shows("Balance", text(second.balances[0].balance));
  await look("customer");
  // A frozen wallet is seen as one, and active again.
  for (const [name, submit, state] of [["Freeze: wallet 0", "Freeze", "visible"], ["Make active: wallet 0", "Make active", "detached"]]) {
    await page.getByRole("button", { name }).click();
    await change(submit);
    await page.getByText("Wallet 0 is frozen").waitFor({ state });
  }
  // Why, and a refund of one line, which is looked at first.
  await page.getByRole("link", { name: `Purchase of ${text(2_000_000)}` }).click();
  const why = page.getByRole("table", { name: "What each rule said" });
  await why.getByText(`paid ${text(first.point_total)}`).waitFor();
  await why.getByText("Soft drinks for 60,000: not bought").waitFor();
  await look("purchase");
  await page.getByRole("button", { name: "Refund" }).click();
  await dialog.getByLabel("What comes back").selectOption("part");
  await dialog.getByLabel("Pieces of FROZEN PIZZA").fill("4");
  const said = await change("Refund");
  await page.getByText(`${text(1_500_000)} remain`).first().waitFor();
  const { balance } = await call("GET", path);
  assert.ok(balance < second.balances[0].balance && said.includes(text(balance)), `the preview says what the balance is now: ${balance} in ${said}`);
}
