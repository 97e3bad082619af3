//! The rows of a shard, found by customer, and walked through piece by piece in the order in which they came. With a limit, those that were
//! not used for the longest time are put away, and come back when they are asked for.

use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::hint::black_box;
use std::num::{NonZeroU64, NonZeroUsize};

use bincode::Options as _;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use kembali_core::CustomerId;
use kembali_core::customer::Row;

use crate::chunks::Chunks;
use crate::shelf::{AwayError, Place, Shelf, Store};

/// Parts of the directory: a table that is full moves everything into one of twice the size while whoever asks waits.
const PARTS: usize = 256;
/// Segments of the store that are emptied after a batch at most.
const EMPTIED_MAX: usize = 2;
/// Rows that are away and that a walk looks at in one piece: each may wait for the disk.
pub(crate) const AWAY_LOOKS_MAX: usize = 256;

/// How many rows stay in memory, and where the others lie.
#[derive(Debug)]
pub struct Limit {
    /// Rows in memory between two batches.
    pub resident_max: NonZeroUsize,
    /// Where the others lie.
    pub store: Box<dyn Store>,
}

/// Where a row is, as the directory knows it: in memory under a number of its own, or away under the customer's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At(u32);

impl At {
    const AWAY: u32 = 1 << 31;

    fn resident(number: usize) -> At {
        At(number as u32)
    }

    fn away(place: u32) -> At {
        At(place | At::AWAY)
    }

    fn is_away(self) -> bool {
        self.0 & At::AWAY != 0
    }

    fn number(self) -> usize {
        (self.0 & !At::AWAY) as usize
    }
}

const _: () = assert!(size_of::<Option<Row>>() == size_of::<Row>(), "room for a row costs no more than the row");

/// Finds where a row is by a part of the customer's hash; the row itself says whose it is.
#[derive(Debug)]
struct Directory {
    parts: Vec<HashTable<(u32, At)>>,
}

impl Directory {
    fn hash(customer: &CustomerId) -> u64 {
        FixedState::with_seed(1).hash_one(customer)
    }

    /// Spreads what is kept of a hash over all bits that a table looks at.
    fn spread(kept: u32) -> u64 {
        u64::from(kept).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn candidates(&self, hash: u64) -> impl Iterator<Item = At> {
        let kept = hash as u32;
        let part = &self.parts[(hash >> 56) as usize];
        part.iter_hash(Directory::spread(kept)).filter(move |entry| entry.0 == kept).map(|entry| entry.1)
    }

    fn insert(&mut self, hash: u64, at: At) {
        let kept = hash as u32;
        let part = &mut self.parts[(hash >> 56) as usize];
        part.insert_unique(Directory::spread(kept), (kept, at), |entry| Directory::spread(entry.0));
    }

    /// Notes that a row is somewhere else now.
    fn change(&mut self, hash: u64, before: At, after: At) {
        let kept = hash as u32;
        let part = &mut self.parts[(hash >> 56) as usize];
        let entry = part.find_mut(Directory::spread(kept), |entry| entry.1 == before);
        entry.expect("a row that moves is in the directory").1 = after;
    }
}

/// What is known of a row in memory beside it.
#[derive(Clone, Copy, Debug)]
struct Note {
    place: u32,
    /// Used since the hand came by.
    is_used: bool,
    /// Where the same row lies, as long as it has not changed.
    copy: Option<Place>,
}

/// Where a customer's row was found.
enum Located {
    Resident(usize),
    /// With its place, and where it lies.
    Away(usize, Row, Place),
}

/// Where a row probably is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guess(usize);

/// A row that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found(usize);

/// Rows by customer. A row keeps its place for ever, so that a walk can stop anywhere and go on later.
#[derive(Debug)]
pub(crate) struct Rows {
    directory: Directory,
    /// Rows in memory, by their numbers, which without a limit are their places; `None` where there is room for another.
    residents: Chunks<Option<Row>>,
    away: Option<Away>,
}

/// What a limit needs.
#[derive(Debug)]
struct Away {
    resident_max: usize,
    shelf: Shelf,
    /// What is known of each resident.
    notes: Chunks<Note>,
    /// Numbers of residents that are free.
    free: Vec<u32>,
    /// Where the row of each place is.
    places: Chunks<Whereabouts>,
    /// The resident that is looked at next when one has to go.
    hand: usize,
}

/// Where a row is, as its place knows it: the number of a resident above 24 bits that are zero, or where it lies, whose length is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whereabouts(u64);

impl Whereabouts {
    fn resident(number: usize) -> Whereabouts {
        Whereabouts((number as u64) << 24)
    }

    fn away(place: Place) -> Whereabouts {
        Whereabouts(place.0.get())
    }

    /// Returns the number of a resident, or where the row lies.
    fn get(self) -> Result<usize, Place> {
        match NonZeroU64::new(self.0).filter(|own| own.get() & 0xff_ffff != 0) {
            Some(own) => Err(Place(own)),
            None => Ok((self.0 >> 24) as usize),
        }
    }
}

impl Default for Rows {
    fn default() -> Rows {
        Rows::new(None)
    }
}

impl Rows {
    pub(crate) fn new(limit: Option<Limit>) -> Rows {
        let away = limit.map(|limit| Away {
            resident_max: limit.resident_max.get(),
            shelf: Shelf::new(limit.store),
            notes: Chunks::default(),
            free: Vec::new(),
            places: Chunks::default(),
            hand: 0,
        });
        let directory = Directory { parts: (0..PARTS).map(|_| HashTable::new()).collect() };
        Rows { directory, residents: Chunks::default(), away }
    }

    /// Finds the row of a customer, and brings it into memory.
    pub(crate) fn find(&mut self, customer: &CustomerId) -> Result<Option<Found>, AwayError> {
        let hash = Directory::hash(customer);
        let number = match self.locate(customer, hash)? {
            None => return Ok(None),
            Some(Located::Resident(number)) => {
                self.touch(number);
                number
            }
            Some(Located::Away(place, row, lies)) => self.bring(row, place, lies, hash),
        };
        Ok(Some(Found(number)))
    }

    fn locate(&self, customer: &CustomerId, hash: u64) -> Result<Option<Located>, AwayError> {
        for at in self.directory.candidates(hash) {
            if at.is_away() {
                // Another customer's row in one case of a hundred thousand, with ten million of them.
                let (row, lies) = self.fetch(at.number())?;
                if row.id == *customer {
                    return Ok(Some(Located::Away(at.number(), row, lies)));
                }
            } else if self.resident(at.number()).is_some_and(|row| row.id == *customer) {
                return Ok(Some(Located::Resident(at.number())));
            }
        }
        Ok(None)
    }

    /// Brings a row that was away into memory.
    fn bring(&mut self, row: Row, place: usize, lies: Place, hash: u64) -> usize {
        let number = self.seat(row, place as u32, Some(lies));
        self.directory.change(hash, At::away(place as u32), At::resident(number));
        number
    }

    /// Returns a row that was found since the last [`Rows::settle`].
    pub(crate) fn row(&self, found: Found) -> &Row {
        self.resident(found.0).expect("a row that was found stays until rows settle")
    }

    /// As [`Rows::row`], to change it.
    pub(crate) fn row_mut(&mut self, found: Found) -> &mut Row {
        self.forget_copy(found.0);
        let resident = self.residents.get_mut(found.0).and_then(Option::as_mut);
        resident.expect("a row that was found stays until rows settle")
    }

    /// Hands a row that was found out until [`Rows::take_back`].
    pub(crate) fn lend(&mut self, found: Found) -> Row {
        self.forget_copy(found.0);
        let resident = self.residents.get_mut(found.0).and_then(Option::take);
        resident.expect("a row that was found stays until rows settle")
    }

    pub(crate) fn take_back(&mut self, found: Found, row: Row) {
        *self.residents.get_mut(found.0).expect("the room of a row that is lent stays") = Some(row);
    }

    /// Finds where in memory the row of a customer probably is, and does not look at it: each look waits for memory that is far away, and
    /// several should be waited for together. Rarely it is another customer's.
    pub(crate) fn guess(&self, customer: &CustomerId) -> Option<Guess> {
        let mut rows = self.directory.candidates(Directory::hash(customer)).filter(|at| !at.is_away());
        rows.next().map(|at| Guess(at.number()))
    }

    /// Looks at a row, so that it is near when it is needed, and changes nothing.
    pub(crate) fn look_at(&self, Guess(number): Guess) {
        if let Some(row) = self.resident(number) {
            black_box(row.purchases);
            black_box(row.wallets.first().map(|wallet| wallet.balance));
            black_box(row.standings.first().map(|standing| standing.count));
            black_box((row.points.len(), row.holds.len()));
        }
    }

    /// Adds the row of a customer who has none.
    ///
    /// # Panics
    ///
    /// With more customers than memory could ever hold.
    pub(crate) fn insert(&mut self, row: Row) {
        let place = u32::try_from(self.len()).ok().filter(|place| place & At::AWAY == 0);
        let place = place.expect("a shard has fewer than 2^31 customers");
        let hash = Directory::hash(&row.id);
        if let Some(away) = &mut self.away {
            away.places.push(Whereabouts::resident(0));
        }
        let number = self.seat(row, place, None);
        self.directory.insert(hash, At::resident(number));
    }

    /// How many rows there are, in memory and away.
    pub(crate) fn len(&self) -> usize {
        self.away.as_ref().map_or(self.residents.len(), |away| away.places.len())
    }

    /// Returns true when the row of a place is not in memory.
    pub(crate) fn is_away(&self, place: usize) -> bool {
        matches!(self.whereabouts(place), Some(Err(_)))
    }

    /// Returns the number of the resident at a place, or where the row lies.
    fn whereabouts(&self, place: usize) -> Option<Result<usize, Place>> {
        match &self.away {
            None => (place < self.residents.len()).then_some(Ok(place)),
            Some(away) => away.places.get(place).map(|own| own.get()),
        }
    }

    /// Returns the row of a place; one that is away stays away.
    pub(crate) fn peek(&self, place: usize) -> Result<Option<Cow<'_, Row>>, AwayError> {
        match self.whereabouts(place) {
            None => Ok(None),
            Some(Ok(number)) => Ok(self.resident(number).map(Cow::Borrowed)),
            Some(Err(_)) => self.fetch(place).map(|(row, _)| Some(Cow::Owned(row))),
        }
    }

    /// Lets `change` look at the row of a place, and change it: it says whether it did by what it returns.
    pub(crate) fn visit<T>(
        &mut self,
        place: usize,
        change: impl FnOnce(&mut Row) -> Option<T>,
    ) -> Result<Option<T>, AwayError> {
        match self.whereabouts(place) {
            None => Ok(None),
            Some(Ok(number)) => {
                let row = self.residents.get_mut(number).and_then(Option::as_mut);
                let changed = change(row.expect("a resident's row is in memory"));
                if changed.is_some() {
                    self.forget_copy(number);
                }
                Ok(changed)
            }
            Some(Err(_)) => {
                let (mut row, lies) = self.fetch(place)?;
                let changed = change(&mut row);
                if changed.is_some() {
                    let hash = Directory::hash(&row.id);
                    let number = self.bring(row, place, lies, hash);
                    self.forget_copy(number);
                }
                Ok(changed)
            }
        }
    }

    /// Puts rows away until no more are in memory than may be.
    pub(crate) fn settle(&mut self) -> Result<(), AwayError> {
        let Rows { directory, residents, away: Some(away) } = self else { return Ok(()) };
        // Twice round: the first time each may have been used. Rows that are too large to be put away stay.
        let mut looks = 2 * residents.len();
        while away.resident_max < residents.len() - away.free.len() && 0 < looks {
            looks -= 1;
            away.look_at_next(directory, residents)?;
        }
        for _ in 0..EMPTIED_MAX {
            away.empty_a_segment()?;
        }
        Ok(())
    }

    fn resident(&self, number: usize) -> Option<&Row> {
        self.residents.get(number)?.as_ref()
    }

    fn touch(&mut self, number: usize) {
        if let Some(note) = self.away.as_mut().and_then(|away| away.notes.get_mut(number)) {
            note.is_used = true;
        }
    }

    /// Puts a row into memory, under a number.
    fn seat(&mut self, row: Row, place: u32, copy: Option<Place>) -> usize {
        let Some(away) = &mut self.away else {
            self.residents.push(Some(row));
            return self.residents.len() - 1;
        };
        let note = Note { place, is_used: true, copy };
        let number = match away.free.pop().map(|number| number as usize) {
            Some(number) => {
                *self.residents.get_mut(number).expect("a free number was given once") = Some(row);
                *away.notes.get_mut(number).expect("a free number was given once") = note;
                number
            }
            None => {
                self.residents.push(Some(row));
                away.notes.push(note);
                self.residents.len() - 1
            }
        };
        *away.places.get_mut(place as usize).expect("a row has a place") = Whereabouts::resident(number);
        number
    }

    /// Forgets where the same row lies: it changes.
    fn forget_copy(&mut self, number: usize) {
        let Some(away) = &mut self.away else { return };
        let note = away.notes.get_mut(number).expect("a resident has a note");
        if let Some(copy) = note.copy.take() {
            away.shelf.forget(copy);
        }
    }

    fn fetch(&self, place: usize) -> Result<(Row, Place), AwayError> {
        let (Some(Err(lies)), Some(away)) = (self.whereabouts(place), &self.away) else {
            unreachable!("only with a limit rows are away, and then it is known where");
        };
        let bytes = away.shelf.get(place as u32, lies)?;
        let row = options().deserialize(&bytes).map_err(|_| AwayError::Damaged)?;
        Ok((row, lies))
    }
}

impl Away {
    /// Puts the next resident away, unless it was used since it was looked at last.
    fn look_at_next(
        &mut self,
        directory: &mut Directory,
        residents: &mut Chunks<Option<Row>>,
    ) -> Result<(), AwayError> {
        let number = self.hand;
        self.hand = if number + 1 < residents.len() { number + 1 } else { 0 };
        let (Some(resident), Some(note)) = (residents.get_mut(number), self.notes.get_mut(number)) else {
            return Ok(());
        };
        if std::mem::replace(&mut note.is_used, false) {
            return Ok(());
        }
        let Some(row) = resident else { return Ok(()) };
        let lies = match note.copy {
            Some(lies) => lies,
            None => {
                let bytes = options().serialize(row).expect("a row can be written into memory");
                let Some(lies) = self.shelf.put(note.place, &bytes)? else { return Ok(()) };
                lies
            }
        };
        directory.change(Directory::hash(&row.id), At::resident(number), At::away(note.place));
        *resident = None;
        self.free.push(number as u32);
        *self.places.get_mut(note.place as usize).expect("a row has a place") = Whereabouts::away(lies);
        Ok(())
    }

    /// Moves what is still wanted of a segment, if it is time.
    fn empty_a_segment(&mut self) -> Result<(), AwayError> {
        let Away { shelf, notes, places, .. } = self;
        // A row that once lay there may lie somewhere else by now, or be in memory and changed.
        let copy = |owner: u32| match places.get(owner as usize)?.get() {
            Ok(number) => notes.get(number)?.copy,
            Err(lies) => Some(lies),
        };
        for (owner, lies) in shelf.empty_a_segment(|owner, lies| copy(owner) == Some(lies))? {
            let whereabouts = places.get_mut(owner as usize).expect("what is wanted has a place");
            match whereabouts.get() {
                Ok(number) => notes.get_mut(number).expect("a resident has a note").copy = Some(lies),
                Err(_) => *whereabouts = Whereabouts::away(lies),
            }
        }
        Ok(())
    }
}

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new()
}

#[cfg(test)]
mod tests;
