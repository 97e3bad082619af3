//! Places for subscribers: so many in all, and so many for one person or partner, so that nobody takes them all. A partner's are also
//! among its requests under way, and whoever holds the server's token has as many as there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use kembali_core::{AccountId, PartnerId, TenantId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reader::Scope;
use crate::codes;
use crate::config::Limits;
use crate::problem::Problem;

/// Who has so many places and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Person(AccountId),
    Partner(TenantId, PartnerId),
}

/// What places there are.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    all_max: usize,
    of_a_person_max: usize,
    of_a_partner_max: usize,
    /// How many each has who has any.
    held: Mutex<HashMap<Holder, usize>>,
}

/// A place, which is given back by its drop.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    holder: Option<Holder>,
    _of_all: OwnedSemaphorePermit,
    /// Of a partner, one among its requests.
    _of_partner: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Arc<Places> {
        Arc::new(Places {
            all: Arc::new(Semaphore::new(limits.subscribers_max)),
            all_max: limits.subscribers_max,
            of_a_person_max: limits.subscribers_of_a_person_max,
            of_a_partner_max: limits.subscribers_of_a_partner_max,
            held: Mutex::default(),
        })
    }

    /// How many are taken, by anybody.
    pub(crate) fn taken(&self) -> usize {
        self.all_max.saturating_sub(self.all.available_permits())
    }

    /// Takes a place for whoever is to see `scope`.
    ///
    /// # Errors
    ///
    /// 429 where whoever asks has too many, 503 where there is none left.
    pub(super) fn take(
        self: &Arc<Places>,
        scope: Scope,
        of_partner: Option<OwnedSemaphorePermit>,
    ) -> Result<Place, Problem> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Problem::new(&codes::OVERLOADED))?;
        let (holder, own_max) = match scope {
            Scope::Partner(caller) => (Some(Holder::Partner(caller.tenant, caller.partner)), self.of_a_partner_max),
            Scope::Customer(_) | Scope::Tenant(..) => {
                (scope.bearer().map(|bearer| Holder::Person(bearer.account)), self.of_a_person_max)
            }
        };
        if let Some(holder) = holder {
            // Whoever panicked has counted or not.
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let own = held.entry(holder).or_default();
            if own_max <= *own {
                return Err(Problem::new(&codes::TOO_MANY_AT_ONCE).member("requests_at_once", own_max));
            }
            *own += 1;
        }
        Ok(Place { places: Arc::clone(self), holder, _of_all: of_all, _of_partner: of_partner })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(holder) = self.holder else { return };
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut own) = held.entry(holder) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}
