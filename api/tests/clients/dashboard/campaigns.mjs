// Campaigns: what they ask for, in words, and that a completion moves the budget, the list and the costs.
import assert from "node:assert/strict";

export async function campaigns({ page, call, buy, open, look }) {
  await open("#/campaigns");
  const { completions, budget } = (await call("GET", "/v1/reports/summary")).campaigns.find(({ name }) => name === "Movie night");
  const completed = (count) => page.locator(`[aria-label="Budget of Movie night"][aria-valuenow="${count}"][aria-valuemax="${budget}"]`);
  await completed(completions).waitFor();
  const campaign = page.getByRole("table", { name: "All campaigns" }).getByRole("row").filter({ hasText: "Movie night" });
  assert.match(await campaign.innerText(), /Buy FROZEN PIZZA for Rp\s90\.000 or more, in one purchase/);
  await look("campaigns");
  // Half of it completes nothing; the other half does, and the bar and the line come by themselves.
  const ref = "movie lover";
  await buy({ ref, amount: 90_000, lines: [{ product: "FROZEN PIZZA", quantity: 1, amount: 90_000 }] });
  const bought = await buy({ ref, amount: 60_000, lines: [{ product: "SOFT DRINKS", quantity: 1, amount: 60_000 }] });
  await completed(completions + 1).waitFor();
  const lines = page.getByRole("region", { name: "What happened" }).getByRole("listitem")
    .filter({ has: page.locator(`a[href="#/customers/${bought.customer}"]`) });
  await lines.filter({ hasText: "Movie night completed, for the customer's 1st time" }).waitFor();
  await lines.filter({ hasText: "Reward 100 points of Movie night: 100 reward points" }).waitFor();
  // What it cost comes with the next reading.
  const cost = (await call("GET", "/v1/reports/costs")).data.find(({ of, name }) => of === "reward" && name === "100 points");
  const row = page.getByRole("table", { name: "Costs by rule" }).getByRole("row").filter({ hasText: "100 points" });
  await row.filter({ hasText: `${Number(cost.cost).toLocaleString("en-US")} reward points` }).waitFor();
  const offer = page.getByRole("table", { name: "All offers" }).getByRole("row").filter({ hasText: "Cinema ticket" });
  const { redeemed, stock } = (await call("GET", "/v1/offers")).data.find(({ name }) => name === "Cinema ticket");
  assert.match(await offer.innerText(), new RegExp(`${redeemed} of ${stock} `));
}
