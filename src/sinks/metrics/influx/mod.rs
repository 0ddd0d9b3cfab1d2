//! `--influx URL`: metrics pushed to InfluxDB, or what else takes its line protocol.
//!
//! `cli` opens it, adds its sink, and waits for the rest after the run.
//! Invariant: the receiver never delays the run; each point is counted as delivered, rejected or
//! dropped.

mod lines;

use std::io;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};

use super::catalog;
use super::interval::IntervalStart;
use crate::clock;
use crate::event::{Report, RunEvent};
use crate::sinks::Sink;
use crate::sinks::push::LastWait;
use crate::sinks::push::delivery::{
    Batch, BatchIntake, BatchSender, Delivery, DeliveryItem, PartResult, SendResult,
};
use crate::sinks::push::http_push::{
    AGENT, HttpPush, PushResponse, receiver_url, shown_url, variable_headers, wrong,
};

/// The variable with headers of the requests: `name=value,name=value`.
pub const HEADERS_VARIABLE: &str = "MANADA_INFLUX_HEADERS";

/// An open connection to a receiver.
#[derive(Debug)]
pub struct Influx {
    delivery: Delivery,
    url: String,
}

impl Influx {
    /// Prepares pushes to `url`. `header_text`: headers as in [`HEADERS_VARIABLE`].
    ///
    /// # Errors
    /// If the URL or the headers are wrong, or the system provides no thread.
    pub fn open(url: &str, header_text: &str) -> io::Result<Self> {
        let example = "the URL to write to, such as http://127.0.0.1:8086/write?db=load or \
                       http://127.0.0.1:8086/api/v2/write?org=team&bucket=load";
        let url = receiver_url("--influx", url, example)?;
        for (name, value) in url.query_pairs() {
            if name == "precision" && value != "n" && value != "ns" {
                return Err(wrong(format!(
                    "--influx: times are in nanoseconds, and the URL has `precision={value}`; \
                     leave `precision` out"
                )));
            }
            if name == "u" || name == "p" {
                return Err(wrong(format!(
                    "--influx: the URL has credentials as `{name}=…`, which reports would show; \
                     put them before the host, as in http://USER:PASSWORD@127.0.0.1:8086/write, \
                     or into {HEADERS_VARIABLE}"
                )));
            }
        }
        let headers = variable_headers(HEADERS_VARIABLE, header_text)?;
        let shown = shown_url(&url);
        let sender = LineSender { push: HttpPush::new(url, headers)? };
        let delivery = Delivery::start("influx", sender)?;
        Ok(Self { delivery, url: shown })
    }

    /// The sink to be added to the run's sinks.
    pub fn sink(&self) -> InfluxSink {
        InfluxSink { batches: self.delivery.intake(), before: None }
    }

    /// Waits for the rest. Returns what was lost, for the user.
    pub fn finish(self, wait: LastWait<'_>) -> Option<String> {
        let receiver = format!("--influx {}", self.url);
        self.delivery.finish(wait).loss(&receiver, DeliveryItem::Point)
    }
}

/// The sink that encodes reports.
#[derive(Debug)]
pub struct InfluxSink {
    batches: BatchIntake,
    /// The report of the last push.
    before: Option<Arc<Report>>,
}

impl Sink for InfluxSink {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Tick(_) | RunEvent::Ended(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let RunEvent::Tick(report) | RunEvent::Ended(report) = event {
            self.push(report);
            self.before = Some(Arc::clone(report));
        }
        Ok(())
    }
}

impl InfluxSink {
    fn push(&self, report: &Report) {
        let before = self.before.as_deref().map(catalog::families).unwrap_or_default();
        let start = IntervalStart::at(&before);
        let at_ns = clock::wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let families = catalog::families(report);
        let run_id = report.info.plan.run_id.as_str();
        for batch in lines::batches(&families, &start, run_id, at_ns) {
            self.batches.push(batch);
        }
    }
}

struct LineSender {
    push: HttpPush,
}

impl BatchSender for LineSender {
    fn send(&mut self, batch: &Batch) -> SendResult {
        let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (USER_AGENT, AGENT)];
        match self.push.post(&headers, batch.bytes.to_vec()) {
            Ok(response) => result(batch, &response),
            Err(why) => SendResult::Retry(None, why),
        }
    }
}

/// What became of the points. Receivers write the valid points of a batch, and name the number of
/// the others: `partial write: … dropped=2`.
fn result(batch: &Batch, response: &PushResponse) -> SendResult {
    if response.status == StatusCode::PAYLOAD_TOO_LARGE {
        return lines::halves(batch).map_or_else(|| response.result(), SendResult::Split);
    }
    let all = response.result();
    if all == SendResult::Delivered
        && response.status == StatusCode::OK
        && !response.body.is_empty()
    {
        let why = "its response is not that of a write; is the URL right?".to_owned();
        return SendResult::Rejected(why);
    }
    let SendResult::Rejected(why) = &all else { return all };
    let text = String::from_utf8_lossy(&response.body);
    match dropped(&text) {
        Some(rejected) => {
            SendResult::Partly(PartResult { rejected, again: None, why: why.clone() })
        }
        None => all,
    }
}

/// The number of points that a partial write has lost.
fn dropped(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("partial write")?;
    let (_, rest) = rest.rsplit_once("dropped=")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_writes_name_the_number_of_lost_points() {
        for (text, lost) in [
            (r#"{"error":"partial write: points beyond retention policy dropped=3"}"#, Some(3)),
            (
                "partial write: field type conflict: input field \"a dropped=9\" on measurement \
                 \"m\" is type float, already exists as type integer dropped=1",
                Some(1),
            ),
            (r#"{"error":"unable to parse 'x': missing fields"}"#, None),
            ("partial write: dropped=", None),
            ("dropped=4", None),
        ] {
            assert_eq!(dropped(text), lost, "{text}");
        }
    }
}
