//! `--elasticsearch URL`: seconds, failures and events of a run as documents of Elasticsearch or
//! OpenSearch.
//!
//! `cli` opens it, adds its sink, and waits for the rest after the run.
//! Invariant: the receiver never delays the run; each document is counted as delivered, rejected or
//! dropped; a request that is sent again writes nothing twice.

mod bulk;
mod documents;
mod template;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::Sink;
use super::push::LastWait;
use super::push::delivery::{BatchIntake, Delivery, DeliveryItem};
use super::push::http_push::{receiver_url, shown_url, variable_headers};
use crate::event::RunEvent;
use bulk::{BulkBody, BulkSender};
use documents::DocumentWriter;

/// The variable with headers of the requests: `name=value,name=value`.
pub const HEADERS_VARIABLE: &str = "MANADA_ELASTICSEARCH_HEADERS";

/// An open connection to a receiver.
#[derive(Debug)]
pub struct Elasticsearch {
    delivery: Delivery,
    url: String,
    /// Why the index template was refused, if it was.
    refused: Arc<Mutex<Option<String>>>,
}

impl Elasticsearch {
    /// Prepares requests to `url`. `header_text`: headers as in [`HEADERS_VARIABLE`].
    ///
    /// # Errors
    /// If the URL or the headers are wrong, or the system provides no thread.
    pub fn open(url: &str, header_text: &str) -> io::Result<Self> {
        let example = "the URL of a node, such as http://127.0.0.1:9200";
        let url = receiver_url("--elasticsearch", url, example)?;
        let headers = variable_headers(HEADERS_VARIABLE, header_text)?;
        let shown = shown_url(&url);
        let refused = Arc::new(Mutex::new(None));
        let sender = BulkSender::new(&url, headers, Arc::clone(&refused))?;
        let delivery = Delivery::start("elasticsearch", sender)?;
        Ok(Self { delivery, url: shown, refused })
    }

    /// The sink to be added to the run's sinks.
    pub fn sink(&self) -> ElasticsearchSink {
        ElasticsearchSink {
            batches: self.delivery.intake(),
            documents: None,
            body: BulkBody::default(),
        }
    }

    /// Waits for the rest. Returns what was lost or refused, for the user.
    pub fn finish(self, wait: LastWait<'_>) -> Vec<String> {
        let receiver = format!("--elasticsearch {}", self.url);
        let lost = self.delivery.finish(wait).loss(&receiver, DeliveryItem::Document);
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        let refused = refused.map(|why| {
            format!(
                "{receiver}: the index template was refused: {why}; types of fields are those that \
                 the receiver guesses"
            )
        });
        refused.into_iter().chain(lost).collect()
    }
}

/// The sink that makes documents.
#[derive(Debug)]
pub struct ElasticsearchSink {
    batches: BatchIntake,
    /// From the start of the run on.
    documents: Option<DocumentWriter>,
    /// The documents since the last tick.
    body: BulkBody,
}

impl Sink for ElasticsearchSink {
    fn wants(event: &RunEvent) -> bool {
        use RunEvent::{
            Ended, EventLogged, Note, SecondsCompleted, Started, StateChanges, Stopped, Tick,
        };
        matches!(
            event,
            Started(_)
                | SecondsCompleted(_)
                | Tick(_)
                | Note(_)
                | StateChanges(_)
                | EventLogged(_)
                | Stopped(..)
                | Ended(_)
        )
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let RunEvent::Started(info) = event {
            self.documents = Some(DocumentWriter::new(Arc::clone(info)));
        }
        let Some(documents) = &mut self.documents else { return Ok(()) };
        let body = &mut self.body;
        match event {
            RunEvent::Started(info) => documents.started(info, body),
            RunEvent::SecondsCompleted(seconds) => {
                seconds.iter().for_each(|second| documents.second(second, body));
            }
            RunEvent::Note(text) => documents.note(text, body),
            RunEvent::StateChanges(changes) => {
                changes.list.iter().for_each(|change| documents.changed(change, body));
                documents.left_out(changes.lost, body);
            }
            RunEvent::EventLogged(change) => documents.changed(change, body),
            RunEvent::Stopped(cause, at) => documents.stopped(cause, *at, body),
            RunEvent::Tick(report) => documents.failures(report, body),
            RunEvent::Ended(report) => {
                documents.failures(report, body);
                documents.ended(report, body);
            }
            _ => {}
        }
        let is_due = matches!(event, RunEvent::Tick(_) | RunEvent::Ended(_));
        for batch in body.take(is_due) {
            self.batches.push(batch);
        }
        Ok(())
    }
}
