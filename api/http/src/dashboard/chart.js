// Lines over time, by uPlot. What a chart shows is said in words too, for whoever does not see it.

import uPlot from "./uPlot.js";
import { h } from "./dom.js";
import { short } from "./format.js";

/** Colours that differ in brightness as well as in hue (after Okabe and Ito); lines differ in their dashes too. */
const DASHES = [[], [6, 4], [2, 3]];

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/**
 * A chart of `series`, each `{ label, format }`, over time. `set(times, columns)` shows other values: seconds since 1970, and one list of
 * numbers or nulls a series. It is as wide as its place, and takes the colours of the page, also when they change.
 */
export function lineChart({ label, series, height = 180, format = short, signal }) {
  const place = h("div", { class: "chart", role: "img", "aria-label": label });
  let plot;
  let data = [[], ...series.map(() => [])];
  const draw = () => {
    const width = Math.floor(place.clientWidth);
    if (width === 0) return;
    plot?.destroy();
    plot = new uPlot(optionsOf({ place, series, width, height, format }), data, place);
  };
  // The first call comes once the place is in the page.
  const watch = new ResizeObserver(draw);
  watch.observe(place);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", draw, { signal });
  signal.addEventListener("abort", () => {
    watch.disconnect();
    plot?.destroy();
  });
  return {
    node: place,
    set(times, columns, said) {
      data = [times, ...columns];
      plot?.setData(data);
      if (said !== undefined) place.setAttribute("aria-label", `${label}: ${said}`);
    },
  };
}

function lastMinutes() {
  const now = Date.now() / 1_000;
  return [now - 120, now];
}

function optionsOf({ place, series, width, height, format }) {
  const style = getComputedStyle(place);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${style.fontFamily}` };
  return {
    width,
    height,
    cursor: { y: false },
    legend: { live: true },
    scales: {
      // Without anything to show: the last minutes.
      x: { range: (plot, low, high) => (high === null ? lastMinutes() : [Math.min(low, high - 30), high]) },
      y: { range: (plot, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.1)] },
    },
    axes: [{ ...axis, values: (plot, times) => times.map((time) => CLOCK.format(new Date(time * 1_000))), space: 80 }, { ...axis, size: 56, values: (plot, values) => values.map(format) }],
    series: [
      { label: "At", value: (plot, time) => (time === null ? "–" : CLOCK.format(new Date(time * 1_000))) },
      ...series.map((own, index) => ({
        label: own.label,
        stroke: colour(`--series-${index + 1}`),
        fill: index === 0 && series.length === 1 ? colour("--series-fill") : undefined,
        width: 2,
        dash: DASHES[index % DASHES.length],
        points: { show: false },
        value: (plot, value) => (value === null || value === undefined ? "–" : (own.format ?? format)(value)),
      })),
    ],
  };
}
