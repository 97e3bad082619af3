//! Logs of a tenant, read off its records: the newest first, a bounded part of the ledger for each page.

use kembali_core::catalogue::Catalogue;
use kembali_core::event::Record;
use kembali_core::{CustomerId, Seq, TenantId};

use crate::app::App;
use crate::codes;
use crate::cursor::{self, List, Start};
use crate::problem::Problem;
use crate::query::Query;
use crate::wire::instant::parse_uuid;

/// Records that one page looks through.
const PAGE_RECORDS_MAX: u64 = 2_000;
/// Stands where a cursor names the customer of its list: everybody's are asked for.
const EVERYBODY: CustomerId = CustomerId(0);

/// A page of a log.
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    pub(super) next_cursor: Option<String>,
    /// The position that the log was looked at from.
    pub(super) as_of: Seq,
}

/// Reads the customer that a log is asked about, if there is one.
pub(super) fn customer_of(query: &Query) -> Result<Option<CustomerId>, Problem> {
    let id = query.text("customer").map(|text| parse_uuid(text).ok_or_else(|| invalid("customer", "an id")));
    Ok(id.transpose()?.map(CustomerId))
}

/// Reads which of the items is asked for, by its name; `None` without the parameter.
pub(super) fn one_of<T: Copy>(
    query: &Query,
    name: &'static str,
    known: &[(&'static str, T)],
) -> Result<Option<T>, Problem> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let found = known.iter().find(|(own, _)| *own == text).map(|(_, value)| *value);
    found.map(Some).ok_or_else(|| invalid(name, &format!("one of {}", names())))
}

fn invalid(name: &'static str, form: &str) -> Problem {
    Problem::new(&codes::QUERY_INVALID).detail(format!("{name} must be {form}")).member("parameter", name)
}

/// A walk over the records of a tenant, from the newest or from where the cursor says, back.
pub(super) struct Walk {
    tenant: TenantId,
    list: List,
    whose: CustomerId,
    start: Start,
    limit: usize,
    durable: Seq,
}

impl Walk {
    /// Begins a walk. `filter` stands for whatever else is asked: a cursor goes on with the list that it was given for.
    pub(super) fn of(
        app: &App,
        query: &Query,
        tenant: TenantId,
        (list, customer, filter): (List, Option<CustomerId>, u32),
    ) -> Result<Walk, Problem> {
        let (durable, whose) = (app.engine.durable(), customer.unwrap_or(EVERYBODY));
        let start = match query.text("cursor") {
            Some(text) => cursor::read(text, list, whose)?,
            None => Start { seq: durable, skip: filter },
        };
        if durable < start.seq || start.skip != filter {
            return Err(Problem::new(&codes::CURSOR_INVALID));
        }
        Ok(Walk { tenant, list, whose, start, limit: query.limit()?, durable })
    }

    /// Returns the first and the last record that the page may look at.
    pub(super) const fn span(&self) -> (Seq, Seq) {
        (Seq(self.start.seq.0.saturating_sub(PAGE_RECORDS_MAX) + 1), self.start.seq)
    }

    /// Takes the walk. The last record on a page is shown whole, so there may be a few more items than asked for.
    pub(super) async fn page<T, I: IntoIterator<Item = T>>(
        self,
        app: &App,
        items: impl Fn(&Record, &Catalogue) -> I,
    ) -> Result<Page<T>, Problem> {
        let (first, last) = self.span();
        let (mut data, mut next) = (Vec::new(), last);
        while first <= next && data.len() < self.limit {
            let found = app.engine.record(next).await?;
            next = Seq(next.0 - 1);
            if let Some((record, catalogue)) = found.filter(|(record, _)| record.body.tenant == self.tenant) {
                data.extend(items(&record, &catalogue));
            }
        }
        let next = Start { seq: next, skip: self.start.skip };
        let next_cursor = (next.seq != Seq::ZERO).then(|| cursor::write(self.list, self.whose, next));
        Ok(Page { data, next_cursor, as_of: self.durable })
    }
}
