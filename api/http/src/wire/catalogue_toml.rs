//! The catalogue as a TOML file, in the layout of one that a person writes.
//!
//! Members stand in the order of the types of [`super::catalogue`]; what is as it would be without being said is left
//! out. Lists of plain tables stand as one line a member, other lists as tables of their own.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::catalogue::{CatalogueFile, LevelFile};

/// Characters of a line up to which a list is written on it.
const LINE_MAX: usize = 110;
/// Members that mean the same when they are not there.
const UNSAID: [(&str, bool); 3] = [("or_more", false), ("active", true), ("cumulative", false)];

impl CatalogueFile {
    /// Writes the file. Read again, it is the same rules. API keys are never written.
    ///
    /// # Errors
    ///
    /// When a number is larger than TOML can say, which no applied catalogue has.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut file = self.clone();
        for program in &mut file.tier_programs {
            leave_implied_ways(&mut program.levels);
        }
        let mut out = String::new();
        let mut tables = Vec::new();
        for (key, value) in Table::try_from(&file)? {
            match value {
                Value::Array(members) if members.is_empty() => (),
                Value::Array(members) if is_of_tables(&members) => tables.push((key, members, true)),
                Value::Table(table) => tables.push((key, vec![Value::Table(table)], false)),
                value => write_member(&mut out, &key, &value),
            }
        }
        for (key, members, is_list) in tables {
            for table in members.iter().filter_map(Value::as_table) {
                write_table(&mut out, &key, table, is_list);
            }
        }
        Ok(out)
    }
}

/// Takes out which level is above and below where that is the next and the one before.
fn leave_implied_ways(levels: &mut [LevelFile]) {
    let names: Vec<String> = levels.iter().map(|level| level.name.clone()).collect();
    for (index, level) in levels.iter_mut().enumerate() {
        let above = names.get(index + 1).or(names.last());
        let below = names.get(index.saturating_sub(1));
        level.next.take_if(|next| Some(&*next) == above);
        level.previous.take_if(|previous| Some(&*previous) == below);
    }
}

fn is_of_tables(members: &[Value]) -> bool {
    members.first().is_some_and(Value::is_table)
}

/// Tells whether a table fits on a line: nothing in it has parts of its own.
fn is_plain(table: &Table) -> bool {
    table.values().all(|value| !value.is_table() && !value.is_array())
}

fn write_table(out: &mut String, path: &str, table: &Table, is_list: bool) {
    let blank = if out.is_empty() { "" } else { "\n" };
    let (open, close) = if is_list { ("[[", "]]") } else { ("[", "]") };
    // Writing into a string does not fail.
    let _ = writeln!(out, "{blank}{open}{path}{close}");
    let mut parts = Vec::new();
    for (key, value) in table.iter().filter(|(key, value)| is_said(key, value)) {
        match value {
            Value::Array(members) if members.iter().any(|own| own.as_table().is_some_and(|own| !is_plain(own))) => {
                parts.push((key, members));
            }
            value => write_member(out, key, value),
        }
    }
    for (key, members) in parts {
        for part in members.iter().filter_map(Value::as_table) {
            write_table(out, &format!("{path}.{key}"), part, true);
        }
    }
}

fn is_said(key: &str, value: &Value) -> bool {
    !UNSAID.iter().any(|(unsaid, implied)| *unsaid == key && value.as_bool() == Some(*implied))
}

fn write_member(out: &mut String, key: &str, value: &Value) {
    let _ = match value {
        Value::Array(members) if is_of_tables(members) || LINE_MAX < key.len() + inline(value).len() => {
            let lines: String = members.iter().map(|own| format!("    {},\n", inline(own))).collect();
            writeln!(out, "{key} = [\n{lines}]")
        }
        value => writeln!(out, "{key} = {}", inline(value)),
    };
}

/// Writes a value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(members) => format!("[{}]", members.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let said = table.iter().filter(|(key, value)| is_said(key, value));
            let members: Vec<String> = said.map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            if members.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", members.join(", ")) }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
    }
}

/// Writes text as a basic string of TOML, on one line whatever is in it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() => drop(write!(out, "\\u{:04X}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
#[path = "catalogue_toml_tests.rs"]
mod tests;
