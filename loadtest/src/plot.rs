//! A plot of lines, as a figure of HTML with SVG in it or as an image of SVG. Knows scales and texts, nothing of what is plotted.
//!
//! It needs no script: what a point is, is said when one points at it. All is computed in whole numbers, places in tenths of a pixel.
//! Colours come from a style that the page or the image has: the classes `s1`, `s2` and so on. Read [`Plot`] first.

use std::fmt;

use crate::zipf::log2;

/// Points that a line may have. A caller with more puts some together.
pub(crate) const POINTS_MAX: usize = 600;

const WIDTH: u64 = 9_000;
const HEIGHT: u64 = 2_800;
const LEFT: u64 = 800;
const RIGHT: u64 = 250;
const TOP: u64 = 120;
const BOTTOM: u64 = 460;
const PLOT_WIDTH: u64 = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT: u64 = HEIGHT - TOP - BOTTOM;
const X_STEPS_MAX: u64 = 10;
const Y_STEPS_MAX: u64 = 5;
/// With more of them a logarithmic axis is marked at powers of ten alone.
const LOG_MARKS_MAX: usize = 10;

/// Text that stands in HTML or SVG, in an attribute too.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let last = part.chars().next_back();
            let escaped = match last {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                Some('\'') => "&#39;",
                _ => {
                    out.write_str(part)?;
                    continue;
                }
            };
            out.write_str(&part[..part.len() - 1])?;
            out.write_str(escaped)?;
        }
        Ok(())
    }
}

/// Lines over a common pair of axes.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    /// What is to be known of it, below the title.
    pub(crate) note: String,
    pub(crate) x: Axis<'a>,
    pub(crate) y: Axis<'a>,
    pub(crate) lines: Vec<Line<'a>>,
}

/// An axis.
pub(crate) struct Axis<'a> {
    /// What it shows, and in which unit.
    pub(crate) label: &'a str,
    pub(crate) scale: Scale,
    /// How a value is written at a mark.
    pub(crate) written: fn(u64) -> String,
}

/// How values are placed along an axis.
pub(crate) enum Scale {
    /// From 0 up.
    Linear,
    /// From 0 up to this at least, so that plots stand below each other that share an axis.
    To(u64),
    /// By the logarithm; 0 is where 1 is.
    Log,
    /// From the first of these marks to the last one, evenly; each has its text.
    Marked(Vec<(u64, String)>),
}

/// A line. Where a point is missing it is interrupted.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    /// Drawn dashed, for what was asked for rather than found.
    pub(crate) is_dashed: bool,
    pub(crate) points: Vec<Option<Point>>,
}

/// A point of a line.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) x: u64,
    pub(crate) y: u64,
    /// What is shown to whoever points at it.
    pub(crate) title: String,
}

/// An axis with its ends known.
struct Placed<'a> {
    axis: &'a Axis<'a>,
    low: u64,
    high: u64,
    length: u64,
    marks: Vec<(u64, String)>,
}

impl<'a> Placed<'a> {
    /// Chooses ends and marks for values, of which there may be none.
    fn new(axis: &'a Axis<'a>, values: impl Iterator<Item = u64>, (length, steps_max): (u64, u64)) -> Placed<'a> {
        let (least, most) = values.fold((u64::MAX, 0), |(least, most), value| (least.min(value), most.max(value)));
        let written = |value: u64| (value, (axis.written)(value));
        let (low, high, marks) = match &axis.scale {
            Scale::Linear | Scale::To(_) => {
                let most = if let Scale::To(end) = axis.scale { most.max(end) } else { most };
                let step = step(most, steps_max);
                // What stands above the highest mark needs one more, upwards; sidewards the line may end between two.
                let above = most.max(1).checked_next_multiple_of(step).unwrap_or(u64::MAX);
                let high = if length == PLOT_HEIGHT { above } else { most.max(1) };
                (0, high, (0..=high / step).map(|number| written(number * step)).collect())
            }
            Scale::Log => {
                let (least, most) = (least.min(most).max(1), most.max(1));
                let rounds: Vec<u64> = rounds().collect();
                let first = rounds.partition_point(|round| *round <= least).saturating_sub(1).min(rounds.len() - 2);
                let last = rounds.partition_point(|round| *round < most).clamp(first + 1, rounds.len() - 1);
                let mut marks = rounds[first..=last].to_vec();
                let (low, high) = (rounds[first], rounds[last]);
                if LOG_MARKS_MAX < marks.len() {
                    marks.retain(|mark| mark.checked_ilog10().is_some_and(|digits| 10_u64.pow(digits) == *mark));
                }
                (low, high, marks.into_iter().map(written).collect())
            }
            Scale::Marked(marks) => {
                let ends = || marks.iter().map(|(value, _)| *value);
                let low = ends().min().unwrap_or(0);
                (low, ends().max().unwrap_or(0).max(low + 1), marks.clone())
            }
        };
        Placed { axis, low, high, length, marks }
    }

    /// Returns how far a value is from the low end, in tenths of a pixel.
    fn place(&self, value: u64) -> u64 {
        let value = value.clamp(self.low, self.high);
        let measure = |value: u64| match self.axis.scale {
            Scale::Log => log2(value.max(1)),
            _ => value,
        };
        let (low, high) = (measure(self.low), measure(self.high));
        let along = u128::from(measure(value) - low) * u128::from(self.length) / u128::from((high - low).max(1));
        u64::try_from(along).unwrap_or(self.length)
    }
}

/// Returns the least of 1, 2, 5, 10, 20 and so on of which `most` has at most so many.
fn step(most: u64, steps_max: u64) -> u64 {
    rounds().find(|step| most.div_ceil(*step) <= steps_max).unwrap_or(u64::MAX)
}

/// Lists 1, 2, 5, 10, 20 and so on, as far as there are numbers.
fn rounds() -> impl Iterator<Item = u64> {
    (0..=18).flat_map(|digits| [1, 2, 5].map(|first| first * 10_u64.pow(digits)))
}

/// A length in tenths of a pixel, written in pixels.
struct Pixels(u64);

impl fmt::Display for Pixels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

impl fmt::Display for Plot<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<figure>\n<figcaption><h3>{}</h3>", Text(self.title))?;
        if !self.note.is_empty() {
            write!(out, "<p class=\"note\">{}</p>", Text(&self.note))?;
        }
        if 1 < self.lines.len() {
            out.write_str("<p class=\"legend\">")?;
            for (number, line) in (1..).zip(&self.lines) {
                let dashed = if line.is_dashed { " dashed" } else { "" };
                let key = format!("<svg class=\"key s{number}{dashed}\" viewBox=\"0 0 24 8\" aria-hidden=\"true\">");
                write!(out, "<span>{key}<path d=\"M0 4H24\"/></svg>{}</span> ", Text(line.name))?;
            }
            out.write_str("</p>")?;
        }
        let (width, height) = (WIDTH / 10, HEIGHT / 10);
        writeln!(
            out,
            "</figcaption>\n<svg class=\"plot\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
            Text(self.title)
        )?;
        self.write_drawing(Dots::Told, out)?;
        out.write_str("</svg>\n</figure>\n")
    }
}

/// A plot as an image of SVG, with its style, its title and the names of its lines in it.
pub(crate) struct Image<'a> {
    pub(crate) plot: &'a Plot<'a>,
    pub(crate) style: &'a str,
}

/// Room above a plot for its title, and for the names of its lines, in pixels.
const HEADING: u64 = 48;
/// What a letter of a name takes about, in pixels.
const LETTER: usize = 7;

impl fmt::Display for Image<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Image { plot, style } = self;
        let (width, height) = (WIDTH / 10, HEIGHT / 10 + HEADING);
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 -{HEADING} {width} {height}\" \
             font-family=\"system-ui, sans-serif\" role=\"img\" aria-label=\"{}\">",
            Text(plot.title)
        )?;
        writeln!(out, "<style>\n{style}</style>")?;
        writeln!(out, "<rect class=\"ground\" y=\"-{HEADING}\" width=\"{width}\" height=\"{height}\"/>")?;
        let left = Pixels(LEFT);
        writeln!(out, "<text class=\"title\" x=\"{left}\" y=\"-26\">{}</text>", Text(plot.title))?;
        if 1 < plot.lines.len() {
            let mut at = LEFT as usize / 10;
            for (number, line) in (1..).zip(&plot.lines) {
                let dashed = if line.is_dashed { " dashed" } else { "" };
                write!(out, "<g class=\"s{number}{dashed}\"><polyline points=\"{at},-8 {},-8\"/></g>", at + 24)?;
                writeln!(out, "<text x=\"{}\" y=\"-4\">{}</text>", at + 30, Text(line.name))?;
                at += 54 + LETTER * line.name.chars().count();
            }
        }
        plot.write_drawing(Dots::Alone, out)?;
        out.write_str("</svg>\n")
    }
}

/// Which points are marked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    /// All of them: each tells what it is when it is pointed at.
    Told,
    /// Those that no line leads to. Nobody can point at an image.
    Alone,
}

impl Plot<'_> {
    /// Draws the axes and the lines.
    fn write_drawing(&self, dots: Dots, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().flatten());
        let x = Placed::new(&self.x, points().map(|point| point.x), (PLOT_WIDTH, X_STEPS_MAX));
        let y = Placed::new(&self.y, points().map(|point| point.y), (PLOT_HEIGHT, Y_STEPS_MAX));
        write_axes(&x, &y, out)?;
        if points().next().is_none() {
            let (middle, centre) = (Pixels(LEFT + PLOT_WIDTH / 2), Pixels(TOP + PLOT_HEIGHT / 2));
            writeln!(out, "<text class=\"none\" x=\"{middle}\" y=\"{centre}\">nothing was measured</text>")?;
        }
        // The first line comes last, on top of those behind it.
        for (number, line) in (1..).zip(&self.lines).collect::<Vec<_>>().into_iter().rev() {
            let dashed = if line.is_dashed { " dashed" } else { "" };
            writeln!(out, "<g class=\"s{number}{dashed}\">")?;
            for part in line.points.split(Option::is_none) {
                write_part(part.iter().flatten(), (&x, &y), dots, out)?;
            }
            out.write_str("</g>\n")?;
        }
        Ok(())
    }
}

fn write_axes(x: &Placed<'_>, y: &Placed<'_>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (left, right, bottom) = (Pixels(LEFT), Pixels(LEFT + PLOT_WIDTH), Pixels(TOP + PLOT_HEIGHT));
    for (value, text) in &y.marks {
        let at = TOP + PLOT_HEIGHT - y.place(*value);
        writeln!(out, "<path class=\"grid\" d=\"M{left} {0}H{right}\"/>", Pixels(at))?;
        writeln!(out, "<text class=\"y\" x=\"{}\" y=\"{}\">{}</text>", Pixels(LEFT - 80), Pixels(at + 40), Text(text))?;
    }
    writeln!(out, "<path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>")?;
    for (value, text) in &x.marks {
        let at = Pixels(LEFT + x.place(*value));
        writeln!(out, "<path class=\"axis\" d=\"M{at} {bottom}v5\"/>")?;
        writeln!(out, "<text class=\"x\" x=\"{at}\" y=\"{}\">{}</text>", Pixels(TOP + PLOT_HEIGHT + 190), Text(text))?;
    }
    let (middle, centre) = (Pixels(LEFT + PLOT_WIDTH / 2), Pixels(TOP + PLOT_HEIGHT / 2));
    writeln!(
        out,
        "<text class=\"x label\" x=\"{middle}\" y=\"{}\">{}</text>",
        Pixels(HEIGHT - 60),
        Text(x.axis.label)
    )?;
    writeln!(
        out,
        "<text class=\"x label\" transform=\"translate(14 {centre}) rotate(-90)\">{}</text>",
        Text(y.axis.label)
    )
}

/// Draws points that belong together, at least one of them.
fn write_part<'a>(
    points: impl Iterator<Item = &'a Point> + Clone,
    (x, y): (&Placed<'_>, &Placed<'_>),
    dots: Dots,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let place = |point: &Point| (Pixels(LEFT + x.place(point.x)), Pixels(TOP + PLOT_HEIGHT - y.place(point.y)));
    let mut lonely = " alone";
    if points.clone().nth(1).is_some() {
        lonely = "";
        out.write_str("<polyline points=\"")?;
        for point in points.clone() {
            let (across, down) = place(point);
            write!(out, "{across},{down} ")?;
        }
        out.write_str("\"/>\n")?;
        if dots == Dots::Alone {
            return Ok(());
        }
    }
    for point in points {
        let (across, down) = place(point);
        let dot = format!("<circle class=\"dot{lonely}\" cx=\"{across}\" cy=\"{down}\" r=\"5\">");
        writeln!(out, "{dot}<title>{}</title></circle>", Text(&point.title))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, lines: &[&[Option<(u64, u64)>]]) -> String {
        plotted(scale, lines).to_string()
    }

    fn plotted<'a>(scale: Scale, lines: &[&[Option<(u64, u64)>]]) -> Plot<'a> {
        let point = |(x, y): (u64, u64)| Point { x, y, title: format!("{y} at {x}") };
        let lines = lines.iter().map(|points| {
            let points = points.iter().map(|own| own.map(point)).collect();
            Line { name: "a<b", is_dashed: false, points }
        });
        Plot {
            title: "T & co",
            note: String::new(),
            x: Axis { label: "time, s", scale: Scale::Linear, written: |value| value.to_string() },
            y: Axis { label: "height, m", scale, written: |value| value.to_string() },
            lines: lines.collect(),
        }
    }

    #[test]
    fn an_image_has_its_style_and_its_names_in_it_and_dots_where_no_line_is() {
        let line = [Some((0, 1)), Some((1, 2)), None, Some((3, 4))];
        let two = plotted(Scale::Linear, &[&line, &line]);
        let text = Image { plot: &two, style: ".s1 { --s: red; }\n" }.to_string();
        assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && text.ends_with("</svg>\n"), "{text}");
        for expected in ["<style>\n.s1 { --s: red; }", ">T &amp; co</text>", ">a&lt;b</text>", ">time, s</text>"] {
            assert!(text.contains(expected), "no {expected} in {text}");
        }
        assert_eq!((count(&text, "<polyline"), count(&text, "<circle")), (2 + 2, 2));
        let one = plotted(Scale::Linear, &[&line]);
        assert_eq!(count(&Image { plot: &one, style: "" }.to_string(), ">a&lt;b</text>"), 0);
    }

    fn count(text: &str, part: &str) -> usize {
        text.matches(part).count()
    }

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        assert_eq!(Text("a<b>&\"'ü<").to_string(), "a&lt;b&gt;&amp;&quot;&#39;ü&lt;");
        assert_eq!(Text("").to_string(), "");
    }

    #[test]
    fn a_line_is_interrupted_where_a_point_is_missing() {
        let text = plot(
            Scale::Linear,
            &[&[Some((0, 1)), Some((1, 2)), None, Some((3, 4)), None, None, Some((6, 5)), Some((7, 5))]],
        );
        assert_eq!(
            (count(&text, "<polyline"), count(&text, "<circle"), count(&text, "dot alone")),
            (2, 5, 1),
            "{text}"
        );
        assert!(text.contains("T &amp; co") && text.contains("time, s") && text.contains("height, m"), "{text}");
        assert!(text.contains("<title>4 at 3</title>"), "{text}");
    }

    #[test]
    fn nothing_one_point_and_extremes_are_drawn() {
        for scale in [|| Scale::Linear, || Scale::To(9), || Scale::Log, || Scale::Marked(Vec::new())] {
            for lines in [
                &[][..],
                &[&[][..]],
                &[&[None, None][..]],
                &[&[Some((0, 0))][..]],
                &[&[Some((5, 7))][..]],
                &[&[Some((0, 0)), Some((u64::MAX, u64::MAX))][..]],
                &[&[Some((u64::MAX, u64::MAX))][..]],
                &[&[Some((1, 3)), Some((1, 3))][..], &[None][..]],
            ] {
                let text = plot(scale(), lines);
                assert_eq!(count(&text, "<svg class=\"plot\""), 1);
                let points = lines.iter().flat_map(|line| line.iter().flatten()).count();
                assert_eq!((count(&text, "<circle"), count(&text, "nothing was")), (points, usize::from(points == 0)));
            }
        }
    }

    #[test]
    fn places_are_in_proportion_to_values_or_their_logarithms() {
        let axis = |scale| Axis { label: "", scale, written: |value| value.to_string() };
        let places = |scale, values: &[u64]| {
            let axis = axis(scale);
            let placed = Placed::new(&axis, values.iter().copied(), (1_000, 10));
            values.iter().map(|value| placed.place(*value)).collect::<Vec<_>>()
        };
        assert_eq!(places(Scale::Linear, &[0, 5, 10]), [0, 500, 1_000]);
        assert_eq!(places(Scale::Log, &[10, 100, 1_000]), [0, 500, 1_000]);
        assert_eq!(
            places(Scale::Marked(vec![(10, "a".to_owned()), (20, "b".to_owned())]), &[10, 15, 20]),
            [0, 500, 1_000]
        );
    }

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!([0, 1, 5, 6, 10, 11, 99, 101, 1_234].map(|most| step(most, 5)), [1, 1, 1, 2, 2, 5, 20, 50, 500]);
        let marks = |values: &[u64]| {
            let axis = Axis { label: "", scale: Scale::Log, written: |value| value.to_string() };
            let placed = Placed::new(&axis, values.iter().copied(), (1_000, 10));
            placed.marks.into_iter().map(|(value, _)| value).collect::<Vec<_>>()
        };
        assert_eq!(marks(&[30, 900]), [20, 50, 100, 200, 500, 1_000]);
        assert_eq!(marks(&[3, 70_000]), [10, 100, 1_000, 10_000, 100_000]);
        assert_eq!(marks(&[]), [1, 2]);
    }
}
