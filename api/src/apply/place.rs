//! Where a place that the server names, such as `promos[JOURNEY2017].bands[3].percent`, stands in a catalogue file, and
//! how that is shown.
//!
//! What stands in brackets is the `name`, `code` or `slug` of a member of a list, or its position from 0. A place that
//! is not in the file, such as that of a partner who was taken out, is shown at the nearest table that is.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The members that a table in a list is called by.
const NAMES: [&str; 3] = ["name", "code", "slug"];
/// Characters that are shown of a long line.
const SHOWN_MAX: usize = 160;

/// Finds a place in a file: its bytes, or those of the nearest table.
pub(super) fn find(file: &Spanned<DeTable<'_>>, place: &str) -> Range<usize> {
    let whole = Found { span: file.span(), left: place.len(), rank: 0 };
    in_table(file.get_ref(), place, whole).span
}

/// A part of the file that a place may mean.
struct Found {
    span: Range<usize>,
    /// Bytes of the place that are not found in it.
    left: usize,
    /// How well its name fits; of equal ones the later is meant: the twin that should not be there.
    rank: u8,
}

impl Found {
    /// Returns the one that is the better match.
    fn or(self, other: Found) -> Found {
        let is_better = other.left < self.left || (other.left == self.left && self.rank <= other.rank);
        if is_better { other } else { self }
    }
}

/// Looks for `place` among the members of a table; `own` is the table itself.
fn in_table(table: &DeTable<'_>, place: &str, own: Found) -> Found {
    let mut best = own;
    for (key, value) in table {
        let Some(rest) = place.strip_prefix(key.get_ref().as_ref()) else { continue };
        if rest.is_empty() || rest.starts_with(['.', '[']) {
            best = best.or(in_value(value, rest, u8::MAX));
        }
    }
    best
}

/// Looks for what is left of a place within a value that the place before it means.
fn in_value(value: &Spanned<DeValue<'_>>, rest: &str, rank: u8) -> Found {
    let own = Found { span: value.span(), left: rest.len(), rank };
    match (value.get_ref(), rest.strip_prefix('.'), rest.strip_prefix('[')) {
        (DeValue::Table(table), Some(rest), _) => in_table(table, rest, own),
        (DeValue::Array(members), _, Some(rest)) => {
            let found = members.iter().enumerate().filter_map(|(index, member)| in_member(index, member, rest));
            found.fold(own, Found::or)
        }
        _ => own,
    }
}

/// Looks for a place that begins with the name of a member of a list, as `JOURNEY2017].quota`.
fn in_member(index: usize, member: &Spanned<DeValue<'_>>, place: &str) -> Option<Found> {
    let after = |name: &str| place.strip_prefix(name).and_then(|rest| rest.strip_prefix(']'));
    let named = |name: &str| {
        // A name with control characters is written escaped; names that differ in case alone are written in lower case.
        let forms = [name.to_owned(), name.escape_debug().to_string(), name.to_lowercase()];
        forms.iter().zip([3, 2, 1]).find_map(|(form, rank)| Some((after(form)?, rank)))
    };
    let (rest, rank) = match member.get_ref() {
        DeValue::String(name) => named(name),
        DeValue::Table(table) => NAMES.iter().find_map(|key| named(table.get(*key)?.get_ref().as_str()?)),
        _ => None,
    }
    .or_else(|| Some((after(&index.to_string())?, 0)))?;
    let is_part = rest.is_empty() || rest.starts_with(['.', '[']);
    is_part.then(|| in_value(member, rest, rank))
}

/// Lists the bytes of every API key in a file, which are never shown.
pub(super) fn keys(file: &DeTable<'_>) -> Vec<Range<usize>> {
    let partners = file.get("partners").and_then(|partners| partners.get_ref().as_array()).into_iter().flatten();
    // There is no api_secret in a file: whoever writes one there must not find it in a log.
    let secrets = |partner: &DeTable<'_>| ["api_key", "api_secret"].map(|name| Some(partner.get(name)?.span()));
    partners.filter_map(|partner| Some(secrets(partner.get_ref().as_table()?))).flatten().flatten().collect()
}

/// Lists the bytes that may be API keys in a file that cannot be read: what follows on a line that speaks of a key.
pub(super) fn perhaps_keys(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let end = start + line.len();
        let value = line.find('=').filter(|_| ["key", "secret"].iter().any(|word| line.to_lowercase().contains(word)));
        let hidden = value.map_or(end..end, |equals| start + equals + 1..end);
        start = end;
        hidden
    });
    lines.filter(|hidden| !hidden.is_empty()).collect()
}

/// Shows a part of a file: where it is, its line, and a mark beneath. What is `hidden` is shown as stars.
pub(super) fn show(path: &Path, text: &str, span: &Range<usize>, hidden: &[Range<usize>]) -> String {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let number = 1 + text[..line_start].matches('\n').count();
    let column = 1 + text[line_start..start].chars().count();
    let line = text[line_start..].lines().next().unwrap_or_default();
    let is_hidden = |at: usize| hidden.iter().any(|hidden| hidden.contains(&at));
    let (mut shown, mut marks) = (String::new(), String::new());
    let skipped = column.saturating_sub(SHOWN_MAX / 2 + 1);
    for (at, char) in line.char_indices().skip(skipped).take(SHOWN_MAX) {
        let at = line_start + at;
        shown.push(if is_hidden(at) && !char.is_whitespace() { '*' } else { char });
        if span.contains(&at) {
            marks.push('^');
        } else if at < start {
            marks.push(if char == '\t' { '\t' } else { ' ' });
        }
    }
    if !marks.ends_with('^') {
        // It has no character of its own, as where something is missing.
        marks.push('^');
    }
    let margin = " ".repeat(number.to_string().len());
    format!("{margin}--> {}:{number}:{column}\n{margin} |\n{number} | {shown}\n{margin} | {marks}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
[tenant]
name = 'T'
[[promos]]
code = '1'
bands = [{ percent = '1' }, { percent = '2' }]
[[promos]]
code = 'a].bands[0'
[[promos]]
code = 'A'
[[promos]]
code = '1'
[[tier_programs]]
name = \"tab\\there\"
";

    fn check(place: &str, line: usize, part: &str) {
        let file = DeTable::parse(FILE).expect("it is TOML");
        let span = find(&file, place);
        let found = 1 + FILE[..span.start].matches('\n').count();
        assert_eq!((found, &FILE[span]), (line, part), "{place}");
    }

    #[test]
    fn places() {
        check("tenant", 1, "[tenant]");
        check("tenant.name", 2, "'T'");
        check("tenant.zone", 1, "[tenant]");
        check("promos[0].bands[1].percent", 5, "'2'");
        check("promos[0].bands[1]", 5, "{ percent = '2' }");
        // A name goes before a position, the later of two twins before the earlier, the exact case before any other.
        check("promos[1]", 10, "[[promos]]");
        check("promos[A]", 8, "[[promos]]");
        check("promos[a]", 8, "[[promos]]");
        check("promos[a].bands[0]", 6, "[[promos]]");
        check("promos[a].bands[0].quota", 6, "[[promos]]");
        check("promos[a].bands[0].code", 7, "'a].bands[0'");
        check("promos[a].bands[1].quota", 8, "[[promos]]");
        check("tier_programs[tab\\there].name", 13, "\"tab\\there\"");
        check("promos[none].bands[3]", 3, "[[promos]]");
        check("partners[none]", 1, "");
        check("", 1, "");
    }

    #[test]
    fn lines() {
        let check = |text: &str, span: Range<usize>, hidden: &[Range<usize>], shown: &str| {
            assert_eq!(show(Path::new("f"), text, &span, hidden), shown);
        };
        check("a = 1\n\tb = 'é' # c", 11..15, &[], " --> f:2:6\n  |\n2 | \tb = 'é' # c\n  | \t    ^^^");
        check(
            "key = 'secret' # c",
            6..14,
            &[6..14, 99..99],
            " --> f:1:7\n  |\n1 | key = ******** # c\n  |       ^^^^^^^^",
        );
        check("a = \n", 4..5, &[], " --> f:1:5\n  |\n1 | a = \n  |     ^");
        check("", 0..0, &[], " --> f:1:1\n  |\n1 | \n  | ^");
        let long = show(Path::new("f"), &format!("{}b{}", "a".repeat(500), "c".repeat(500)), &(500..501), &[]);
        assert!(long.starts_with(" --> f:1:501\n") && long.len() < 400 && long.contains("aabcc"), "{long}");
        // Whatever the bytes are said to be, it is shown.
        for (start, end) in [(0, 99), (99, 100), (12, 13), (13, 12)] {
            assert!(show(Path::new("f"), "a = 1\n\tb = 'é' # c", &(start..end), &[]).contains('^'));
        }
    }

    #[test]
    fn what_may_be_a_key_is_hidden() {
        let text = "slug = 'a'\napi_key = 'secret\nname = 'b'\n";
        assert_eq!(perhaps_keys(text).iter().map(|hidden| &text[hidden.clone()]).collect::<Vec<_>>(), [" 'secret\n"]);
    }
}
