// Days and midnights in a tenant's time zone, which is neither the reader's nor UTC.

const DAY_MS = 86_400_000;

/** The day that it is in a time zone, as "2026-11-30". */
export function dayIn(zone) {
  return new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(new Date());
}

export function dayAfter(day) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + DAY_MS).toISOString().slice(0, 10);
}

/** When a day begins in a time zone, in milliseconds. */
export function midnightOf(day, zone) {
  const wanted = Date.parse(`${day}T00:00:00Z`);
  // Twice, since the clocks may be put forward or back between the guess and the midnight.
  return wanted - offsetAt(wanted - offsetAt(wanted, zone), zone);
}

/** How far the clocks of a time zone are ahead of UTC, in milliseconds. */
function offsetAt(instant, zone) {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric", hour12: false,
  }).formatToParts(instant);
  const { year, month, day, hour, minute, second } = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(year, month - 1, day, hour % 24, minute, second) - instant;
}
