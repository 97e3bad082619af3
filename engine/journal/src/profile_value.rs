//! Typed values of the profile store: a version, then the body. What a version holds never changes; a new shape is a new version.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::options;
use bincode::Options as _;

/// Writes a value down.
///
/// # Panics
///
/// If the value is one that no file holds: larger than a record, or a sequence of unknown length. No value of the profile store is.
#[must_use]
pub fn encode(version: u8, value: &impl Serialize) -> Vec<u8> {
    let mut out = vec![version];
    options().serialize_into(&mut out, value).expect("a value of the profile store is written to memory");
    out
}

/// Reads what [`encode`] wrote of the same version; `None` of anything else.
#[must_use]
pub fn decode<T: DeserializeOwned>(version: u8, stored: &[u8]) -> Option<T> {
    let (own, body) = stored.split_first()?;
    if *own != version {
        return None;
    }
    options().deserialize(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_version_and_nothing_behind_it_is_read() {
        let stored = encode(3, &(7u32, "seven".to_owned()));
        assert_eq!(decode(3, &stored), Some((7u32, "seven".to_owned())));
        assert_eq!(decode::<(u32, String)>(2, &stored), None);
        assert_eq!(decode::<(u32, String)>(3, &stored[..stored.len() - 1]), None);
        assert_eq!(decode::<(u32, String)>(3, &[&stored[..], &[0]].concat()), None);
        assert_eq!(decode::<(u32, String)>(3, &[]), None);
    }
}
