//! Says which store is being opened right now. Not a log: a panic hook asks it, because sled panics on some damage.

use std::sync::{Mutex, PoisonError};

static OPENING: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Returns what is being opened, with the remedy should it end in a panic; `None` when nothing is.
///
/// Never blocks, so that a panic hook may call it.
#[must_use]
pub fn current() -> Option<String> {
    let list = match OPENING.try_lock() {
        Ok(list) => list,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return None,
    };
    (!list.is_empty()).then(|| list.join("; "))
}

/// Names what is being opened until it is dropped.
#[derive(Debug)]
pub(crate) struct Opening(String);

impl Opening {
    pub(crate) fn begin(what: String) -> Opening {
        OPENING.lock().unwrap_or_else(PoisonError::into_inner).push(what.clone());
        Opening(what)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut list = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = list.iter().position(|what| *what == self.0) {
            list.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Opening, current};

    #[test]
    fn what_is_being_opened_is_named_until_it_is_open() {
        let opening = Opening::begin("generation of a test".to_owned());
        assert!(current().is_some_and(|what| what.contains("generation of a test")));
        drop(opening);
        assert!(!current().is_some_and(|what| what.contains("generation of a test")));
    }
}
