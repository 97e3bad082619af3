//! Which present level a wanted one is: the one of its name, or the one that it was renamed from.
//!
//! A rename is carried out where its old name is there, unless the new name is there too and stays. A file that was
//! applied before names old levels that are gone: there is nothing to rename then. Names may be swapped.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::LevelRename;

/// Finds the present level of each wanted one, by its place in `present`; `None` of a new one.
///
/// # Errors
///
/// The name of the wanted level whose rename is wrong, and what is wrong with it.
pub(super) fn origins(
    wanted: &[&str],
    renames: &[LevelRename],
    present: &[&str],
) -> Result<Vec<Option<usize>>, (String, String)> {
    let find = |name: &str| present.iter().position(|own| *own == name);
    for (index, rename) in renames.iter().enumerate() {
        if renames[..index].iter().any(|other| other.from == rename.from) {
            return Err((rename.to.clone(), format!("renamed_from names a level that another takes: {}", rename.from)));
        }
    }
    let mut carried_out: Vec<&LevelRename> = renames.iter().filter(|rename| find(&rename.from).is_some()).collect();
    // What keeps its own name stops whoever wants that name, and so whoever wants the name of that one.
    while let Some(stopped) = carried_out.iter().position(|rename| {
        let is_vacated = carried_out.iter().any(|other| other.from == rename.to);
        find(&rename.to).is_some() && !is_vacated
    }) {
        carried_out.swap_remove(stopped);
    }
    for rename in renames.iter().filter(|rename| !carried_out.contains(rename)) {
        let (from, to) = (&rename.from, &rename.to);
        if find(to).is_none() {
            return Err((to.clone(), format!("renamed_from names no present level: {from}")));
        }
        if find(from).is_some() && !wanted.contains(&from.as_str()) {
            return Err((
                to.clone(),
                format!("renamed_from names {from}, but {to} is a level already; remove one first"),
            ));
        }
    }
    let origin = |name: &&str| match carried_out.iter().find(|rename| rename.to == *name) {
        Some(rename) => find(&rename.from),
        None if carried_out.iter().any(|rename| rename.from == *name) => None,
        None => find(name),
    };
    Ok(wanted.iter().map(origin).collect())
}
