// Numbers, amounts and times as people read them. Whole numbers may be larger than a float keeps exactly: they stay texts or BigInt.

const WHOLE = new Intl.NumberFormat("en-US");
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const DATE_TIME = new Intl.DateTimeFormat("en-GB", {
  year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});
const DATE = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "short", day: "2-digit" });
const ORDINAL = new Intl.PluralRules("en", { type: "ordinal" });
const POINTS = "points/";

export const NOTHING = "–";

/** A whole number, which the API writes as a number or as a text of digits. */
export function big(value) {
  return typeof value === "bigint" ? value : BigInt(value ?? 0);
}

/** 1234567 is "1,234,567". */
export function whole(value) {
  return value === undefined || value === null ? NOTHING : WHOLE.format(big(value));
}

/** 1234567 is "1.2M": for axes and tight places alone. */
export function short(value) {
  return SHORT.format(Number(value));
}

/** A number that is measured, with so many decimals. */
export function decimal(value, digits = 1) {
  return new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Minor units of a currency `{ code, exponent }`: 48000 rupiah are "Rp 48.000", 12345 cents "USD 123.45". */
export function money(minor, currency) {
  if (minor === undefined || minor === null) return NOTHING;
  const units = big(minor);
  const isRupiah = currency.code === "IDR";
  const digits = String(units < 0n ? -units : units).padStart(currency.exponent + 1, "0");
  const split = digits.length - currency.exponent;
  let text = WHOLE.format(BigInt(digits.slice(0, split)));
  let decimals = digits.slice(split);
  if (decimals !== "") decimals = (isRupiah ? "," : ".") + decimals;
  if (isRupiah) text = text.replaceAll(",", ".");
  return `${isRupiah ? "Rp" : currency.code}\u00a0${units < 0n ? "−" : ""}${text}${decimals}`;
}

/**
 * A whole number as the API takes it, from what somebody typed: digits, or digits in groups of three. Undefined for anything else: "1.5"
 * and "12,50" are no whole numbers.
 */
export function wholeTyped(text) {
  const plain = text.trim();
  const isWhole = /^-?\d{1,18}$/.test(plain) || /^-?\d{1,3}([.,_\s])\d{3}(\1\d{3}){0,4}$/.test(plain);
  return isWhole ? plain.replaceAll(/[\s.,_]/g, "") : undefined;
}

/** "30 Nov 2026, 14:05:09", in the reader's time zone. */
export function dateTime(instant) {
  return instant ? DATE_TIME.format(new Date(instant)) : NOTHING;
}

/** "30 Nov 2026". */
export function date(instant) {
  return instant ? DATE.format(new Date(instant)) : NOTHING;
}

/** Microseconds as people read them: "850 µs", "1.2 ms", "3.4 s". */
export function micros(value) {
  if (value === undefined || value === null) return NOTHING;
  if (value < 1_000) return `${value} µs`;
  if (value < 1_000_000) return `${decimal(value / 1_000)} ms`;
  return `${decimal(value / 1_000_000)} s`;
}

/** Bytes as people read them. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [size, unit] = [Number(value), 0];
  while (size >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${decimal(size, unit === 0 ? 0 : 1)} ${units[unit]}`;
}

/** Seconds as people read them: "45 s", "3 min", "2 h 5 min", "4 d". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / (24 * 60))} d`;
}

/** `part` of `all`, neither of which is negative, in percent with one decimal; nothing where there is nothing to be a part of. */
export function percent(part, all) {
  const [own, total] = [big(part), big(all)];
  return total === 0n ? NOTHING : `${decimal(Number((own * 1000n + total / 2n) / total) / 10)}%`;
}

/** "1 customer", "2 customers". */
export function counted(count, one) {
  return `${whole(count)} ${one}${big(count) === 1n ? "" : "s"}`;
}

/** "300 reward points". */
export function pointsText(points, kind) {
  return counted(points, `${kind} point`);
}

/** "1st", "22nd". */
export function ordinal(count) {
  const suffix = { one: "st", two: "nd", few: "rd", other: "th" }[ORDINAL.select(count)];
  return `${whole(count)}${suffix}`;
}

/** A fraction below 1 as the rules write it, in percent: "0.025" is "2.5%". Its digits are moved, so nothing is rounded. */
export function rateText(rate) {
  const digits = (rate.split(".")[1] ?? "").padEnd(2, "0");
  const rest = digits.slice(2).replace(/0+$/, "");
  return `${Number(digits.slice(0, 2))}${rest && `.${rest}`}%`;
}

/** Units of accounts are a currency, or `points/` and a kind. */
export function isPoints(unit) {
  return unit.startsWith(POINTS);
}

/** "points/cashback" is "cashback points"; money is named by its currency. */
export function unitName(unit) {
  return isPoints(unit) ? `${unit.slice(POINTS.length)} points` : unit;
}

/** `snake_case` and `dotted.names` as words: "promo_exhausted" is "Promo exhausted". */
export function words(code) {
  const text = String(code ?? "").replaceAll(/[_.]/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
