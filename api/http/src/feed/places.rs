//! Places for subscribers: so many in all, and so many for one person, so that nobody takes them all. A partner's are also among its
//! requests under way, and whoever holds the server's token has as many as there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use kembali_core::AccountId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reader::Scope;
use crate::codes;
use crate::config::Limits;
use crate::problem::Problem;

/// What places there are.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    of_a_person_max: usize,
    /// How many each person has who has any.
    of_persons: Mutex<HashMap<AccountId, usize>>,
}

/// A place, which is given back by its drop.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    person: Option<AccountId>,
    _of_all: OwnedSemaphorePermit,
    /// Of a partner, one among its requests.
    _of_partner: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Arc<Places> {
        Arc::new(Places {
            all: Arc::new(Semaphore::new(limits.subscribers_max)),
            of_a_person_max: limits.subscribers_of_a_person_max,
            of_persons: Mutex::default(),
        })
    }

    /// Takes a place for whoever is to see `scope`.
    ///
    /// # Errors
    ///
    /// 429 where the person has too many, 503 where there is none left.
    pub(super) fn take(
        self: &Arc<Places>,
        scope: Scope,
        of_partner: Option<OwnedSemaphorePermit>,
    ) -> Result<Place, Problem> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Problem::new(&codes::OVERLOADED))?;
        let person = scope.bearer().map(|bearer| bearer.account);
        if let Some(person) = person {
            // Whoever panicked has counted or not.
            let mut of_persons = self.of_persons.lock().unwrap_or_else(PoisonError::into_inner);
            let own = of_persons.entry(person).or_default();
            if self.of_a_person_max <= *own {
                return Err(Problem::new(&codes::TOO_MANY_AT_ONCE).member("requests_at_once", *own));
            }
            *own += 1;
        }
        Ok(Place { places: Arc::clone(self), person, _of_all: of_all, _of_partner: of_partner })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(person) = self.person else { return };
        let mut of_persons = self.places.of_persons.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut own) = of_persons.entry(person) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}
