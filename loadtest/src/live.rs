//! What a terminal shows while a run goes on: how far it is, the last whole second, and what the server said of itself. Nothing where there
//! is no terminal.

use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressStyle};

use crate::gauges::Gauges;
use crate::series::Second;
use crate::units::{bytes, count, time};

const TEMPLATE: &str = "{bar:32} {percent:>3}%  {human_pos} of {human_len} purchases  left: {eta}\n{msg}";

/// A view of a run.
pub(crate) struct Live(ProgressBar);

impl Live {
    /// Begins with so many purchases to be answered.
    ///
    /// # Errors
    ///
    /// Never with the template of this file.
    pub(crate) fn begin(purchases: u64) -> Result<Live, TemplateError> {
        Ok(Live(ProgressBar::new(purchases).with_style(ProgressStyle::with_template(TEMPLATE)?)))
    }

    /// Shows how far the run is. `server` is nothing where nobody asks it, and says nothing where it did not answer last.
    pub(crate) fn show(&self, answered: u64, second: Option<Second>, server: Option<Option<Gauges>>) {
        self.0.set_position(answered);
        self.0.set_message(said(second, server));
    }

    /// Takes the view away.
    pub(crate) fn end(self) {
        self.0.finish_and_clear();
    }
}

/// Says what the last whole second came to, and what the server said last, if anybody asks it.
fn said(second: Option<Second>, server: Option<Option<Gauges>>) -> String {
    let second = match second {
        None => "not over yet".to_owned(),
        Some(Second { latency: None, .. }) => "nothing was answered".to_owned(),
        Some(Second { purchases, requests, latency: Some(own) }) => format!(
            "{} purchases in {} requests, p50 {}, p99 {}, max {}",
            count(purchases),
            count(requests),
            time(own.p50),
            time(own.p99),
            time(own.max)
        ),
    };
    let Some(server) = server else { return format!("last second: {second}") };
    let server = server.map_or_else(
        || "does not say".to_owned(),
        |own| {
            let memory = own.memory_bytes.map(|own| format!(", memory {}", bytes(own)));
            let sync = own.sync_p99_us.map(|own| format!(", p99 of a sync {}", time(own)));
            format!(
                "{} units under way{}, {} records not archived{}",
                count(own.in_flight_units),
                sync.unwrap_or_default(),
                count(own.tail_records),
                memory.unwrap_or_default()
            )
        },
    );
    format!("last second: {second}\nserver:      {server}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::LatencyBrief;

    #[test]
    fn a_second_and_the_server_are_told_in_words() {
        let latency = Some(LatencyBrief { p50: 1_620, p99: 3_210, max: 51_000 });
        let server = Gauges {
            in_flight_units: 1_204,
            tail_records: 12_000,
            durable_seq: 1,
            archived_seq: 0,
            archive_segments: 0,
            measured_s: 60,
            syncs: 9,
            sync_p99_us: Some(412),
            decision_p99_us: None,
            disk_free_bytes: None,
            memory_bytes: Some(294_000_000),
        };
        assert_eq!(
            said(Some(Second { purchases: 34_512, requests: 345, latency }), Some(Some(server))),
            "last second: 34,512 purchases in 345 requests, p50 1.62 ms, p99 3.21 ms, max 51 ms\n\
             server:      1,204 units under way, p99 of a sync 412 us, 12,000 records not archived, memory 294 MB"
        );
        assert_eq!(
            said(Some(Second::default()), Some(None)),
            "last second: nothing was answered\nserver:      does not say"
        );
        assert_eq!(said(None, None), "last second: not over yet");
    }
}
