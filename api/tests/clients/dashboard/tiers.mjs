// Tiers: members and movements live, who is about to rise, and a programme's numbers changed after a preview.
import assert from "node:assert/strict";

export async function tiers({ page, call, buy, open, look }) {
  const before = await call("GET", "/v1/tier-programs");
  const { levels } = before.data.find(({ name }) => name === "Spend");
  const [bronze, silver, , platinum] = levels;
  // A purchase of somebody new is a customer more on the lowest level, while one looks, and a line that leads to the customer.
  await open("#/tiers");
  const bar = page.getByRole("meter", { name: `Customers on ${bronze.name} of Spend` });
  await page.locator(`[aria-label="Customers on ${bronze.name} of Spend"][aria-valuenow]`).waitFor();
  const counted = Number(await bar.getAttribute("aria-valuenow"));
  const sum = (await call("GET", "/v1/reports/summary")).programs.find(({ program }) => program === "Spend");
  assert.equal(counted, Number(sum.levels[0].customers));
  const ref = "somebody new";
  const bought = await buy({ ref, amount: silver.spent_min - 1 });
  await page.locator(`[aria-label="Customers on ${bronze.name} of Spend"][aria-valuenow="${counted + 1}"]`).waitFor();
  const moved = page.getByRole("region", { name: "Who moved" }).getByRole("listitem")
    .filter({ has: page.locator(`a[href="#/customers/${bought.customer}"]`) });
  await moved.filter({ hasText: `Spend: ${bronze.name} (the first purchase)` }).waitFor();
  await look("tiers");
  // One unit is missing: nobody is nearer.
  await page.getByRole("region", { name: "Spend", exact: true }).getByRole("link", { name: "Rules, and who is about to move" }).click();
  await page.getByRole("heading", { level: 1, name: "Tiers of Spend" }).waitFor();
  const near = page.getByRole("row").filter({ has: page.getByRole("link", { name: ref }) });
  assert.match(await near.innerText(), new RegExp(`${bronze.name} → ${silver.name}[\\s\\S]*Rp\\s1$`));
  await buy({ ref, amount: 1 });
  await moved.filter({ hasText: `Spend: ${bronze.name} → ${silver.name} (a level up)` }).waitFor();
  await page.getByRole("button", { name: "Look again" }).click();
  await near.filter({ hasText: `${bronze.name} →` }).waitFor({ state: "detached" });
  // A change is looked at first: nothing is changed by that.
  const wanted = platinum.spent_min + 1;
  await page.getByRole("button", { name: "Change the numbers" }).click();
  const dialog = page.getByRole("dialog", { name: "Numbers of Spend" });
  await dialog.getByLabel(`${platinum.name}: spent at least`).fill(String(wanted));
  await dialog.getByRole("button", { name: "Preview" }).click();
  await dialog.getByText(`spent_min ${platinum.spent_min} -> ${wanted}`).waitFor();
  assert.equal((await call("GET", "/v1/tier-programs")).version, before.version);
  await dialog.getByRole("button", { name: "Change the numbers" }).click();
  await page.getByText(`Numbers changed; rules version ${before.version + 1}`).waitFor();
  const after = await call("GET", "/v1/tier-programs");
  assert.equal(after.data.find(({ name }) => name === "Spend").levels[3].spent_min, wanted);
  // Who stands above the lowest level of a Journey is asked about one by one.
  await open("#/tiers/Journey");
  await page.getByRole("button", { name: "Find who is about to drop" }).click();
  await page.getByText(/customers were asked about/).waitFor();
  await look("tier-programme");
}
