//! Documents on their way: requests of the bulk API, and the index template before them.
//!
//! The sink fills bodies, the thread of `delivery` sends them. Sources: "Bulk API" and "Create or
//! update index template" of Elasticsearch and OpenSearch.
//! Invariant: a response is believed only if it has a result for each document; of a batch, only
//! the documents that may be taken later are sent again.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{CONTENT_TYPE, HeaderMap, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::template::template;
use crate::printable::printable;
use crate::sinks::push::delivery::{Batch, BatchSender, PartResult, SendResult};
use crate::sinks::push::http_push::{AGENT, HttpPush, PushResponse};

/// Maximum documents of a request.
const MAX_DOCUMENTS: u64 = 1_000;

/// Size at which a request is full, bytes.
const FULL: usize = 4 << 20;

/// The longest part of a response that is read, bytes: some hundred for each document.
const MAX_RESPONSE: usize = 1 << 20;

/// Results of documents: nothing else of them is needed.
const FILTER: &str = "errors,items.*.status,items.*.error.type";

/// Requests that are being filled.
#[derive(Debug, Default)]
pub(super) struct BulkBody {
    full: Vec<Batch>,
    open: Vec<u8>,
    documents: u64,
}

impl BulkBody {
    /// Adds a document.
    pub(super) fn add(&mut self, index: &str, id: &str, document: &Value) {
        let action = json!({ "index": { "_index": index, "_id": id } });
        for line in [&action, document] {
            self.open.extend(line.to_string().as_bytes());
            self.open.push(b'\n');
        }
        self.documents += 1;
        if self.documents >= MAX_DOCUMENTS || self.open.len() >= FULL {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.documents > 0 {
            let bytes = std::mem::take(&mut self.open);
            self.full.push(Batch::new(bytes, std::mem::take(&mut self.documents)));
        }
    }

    /// Takes the requests that are full, or `all`.
    pub(super) fn take(&mut self, all: bool) -> Vec<Batch> {
        if all {
            self.close();
        }
        std::mem::take(&mut self.full)
    }
}

/// Sends requests, after the index template.
pub(super) struct BulkSender {
    push: HttpPush,
    bulk: Url,
    /// Until the template is written or refused.
    template: Option<Url>,
    refused: Arc<Mutex<Option<String>>>,
}

impl BulkSender {
    /// Prepares requests to a node at `url`, with these headers in addition.
    ///
    /// # Errors
    /// If the system provides no runtime, or no roots of trust.
    pub(super) fn new(
        url: &Url,
        headers: HeaderMap,
        refused: Arc<Mutex<Option<String>>>,
    ) -> io::Result<Self> {
        let at = |path: &str| {
            let mut all = url.clone();
            all.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
            all
        };
        let mut bulk = at("_bulk");
        bulk.query_pairs_mut().append_pair("filter_path", FILTER);
        let template = Some(at("_index_template/manada"));
        Ok(Self { push: HttpPush::new(url.clone(), headers)?, bulk, template, refused })
    }

    fn request(&self, method: Method, url: &Url, body: Vec<u8>) -> Result<PushResponse, String> {
        let media = if method == Method::PUT { "application/json" } else { "application/x-ndjson" };
        let headers = [(CONTENT_TYPE, media), (USER_AGENT, AGENT)];
        self.push.send(method, url.clone(), &headers, body, MAX_RESPONSE)
    }

    /// Writes the template, unless that is done. Documents wait for it: fields whose types were
    /// guessed keep them.
    fn write_template(&mut self) -> Result<(), SendResult> {
        let Some(url) = &self.template else { return Ok(()) };
        let response = self
            .request(Method::PUT, url, template().to_string().into_bytes())
            .map_err(|why| SendResult::Retry(None, why))?;
        match response.result() {
            SendResult::Rejected(why) => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            }
            retry @ SendResult::Retry(..) => return Err(retry),
            _ => {}
        }
        self.template = None;
        Ok(())
    }
}

impl BatchSender for BulkSender {
    fn send(&mut self, batch: &Batch) -> SendResult {
        if let Err(result) = self.write_template() {
            return result;
        }
        match self.request(Method::POST, &self.bulk, batch.bytes.to_vec()) {
            Ok(response) if response.status == StatusCode::PAYLOAD_TOO_LARGE => {
                halves(batch).map_or_else(|| response.result(), SendResult::Split)
            }
            Ok(response) if response.status.is_success() => settled(batch, &response.body),
            Ok(response) => response.result(),
            Err(why) => SendResult::Retry(None, why),
        }
    }
}

/// The response of the bulk API, as far as [`FILTER`] leaves it.
#[derive(Deserialize)]
struct BulkResponse {
    errors: bool,
    #[serde(default)]
    items: Vec<std::collections::BTreeMap<String, ItemResult>>,
}

/// The result of a document, by the name of its action.
#[derive(Deserialize)]
struct ItemResult {
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    #[serde(default, rename = "type")]
    kind: String,
}

/// What became of the documents of a batch.
fn settled(batch: &Batch, body: &[u8]) -> SendResult {
    let unknown = || SendResult::Rejected("its response is not that of the bulk API".to_owned());
    let Ok(response) = serde_json::from_slice::<BulkResponse>(body) else { return unknown() };
    if !response.errors {
        return SendResult::Delivered;
    }
    let results: Option<Vec<ItemResult>> =
        response.items.into_iter().map(|item| item.into_values().next()).collect();
    let Some(results) = results.filter(|all| all.len() as u64 == batch.items) else {
        return unknown();
    };
    let (mut part, mut why_again) = (PartResult::default(), String::new());
    let mut again = Vec::new();
    for (number, result) in results.iter().enumerate() {
        let why = || {
            let kind = result.error.as_ref().map_or("", |error| &*error.kind);
            let kind: String = printable(kind).chars().take(100).collect();
            format!("{} {kind}", result.status).trim_end().to_owned()
        };
        match result.status {
            200..=299 => {}
            429 | 500..=599 => {
                again.push(number);
                why_again = why();
            }
            _ => {
                part.rejected += 1;
                part.why = why();
            }
        }
    }
    if !again.is_empty() {
        part.again = Some(selected(batch, &again));
        if part.rejected == 0 {
            part.why = why_again;
        }
    }
    SendResult::Partly(part)
}

/// The documents of a batch, each with its action.
fn documents(batch: &Batch) -> Vec<&[u8]> {
    let mut rest = &*batch.bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let end = ends.nth(1).map_or(rest.len(), |(at, _)| at + 1);
        let (document, later) = rest.split_at(end);
        all.push(document);
        rest = later;
    }
    all
}

/// The documents with these numbers, ascending.
fn selected(batch: &Batch, numbers: &[usize]) -> Batch {
    let all = documents(batch);
    let bytes: Vec<&[u8]> = numbers.iter().filter_map(|at| all.get(*at).copied()).collect();
    Batch::new(bytes.concat(), numbers.len() as u64)
}

/// A batch as two; `None` if it has a single document.
fn halves(batch: &Batch) -> Option<Vec<Batch>> {
    let all = documents(batch);
    let (one, other) = all.split_at(all.len() / 2);
    let half = |part: &[&[u8]]| Batch::new(part.concat(), part.len() as u64);
    (!one.is_empty()).then(|| vec![half(one), half(other)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ids: &[&str]) -> Batch {
        let mut body = BulkBody::default();
        ids.iter().for_each(|id| body.add("i", id, &json!({ "a": id })));
        body.take(true).remove(0)
    }

    #[test]
    fn a_body_is_an_action_and_a_document_for_each() {
        let batch = batch(&["1", "x\n\"y"]);
        let text = String::from_utf8(batch.bytes.to_vec()).unwrap();
        assert_eq!(
            text,
            "{\"index\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"a\":\"1\"}\n\
             {\"index\":{\"_index\":\"i\",\"_id\":\"x\\n\\\"y\"}}\n{\"a\":\"x\\n\\\"y\"}\n"
        );
        let mut many = BulkBody::default();
        (0..2_500).for_each(|n| many.add("i", &n.to_string(), &json!({})));
        let sizes: Vec<u64> = many.take(false).iter().map(|batch| batch.items).collect();
        assert_eq!(sizes, [1_000, 1_000]);
        assert_eq!(many.take(true)[0].items, 500);
        assert!(many.take(true).is_empty());
    }

    #[test]
    fn documents_are_settled_by_their_own_results() {
        let all = batch(&["1", "2", "3", "4"]);
        let of = |body: &str| settled(&all, body.as_bytes());
        assert_eq!(of(r#"{"errors":false,"items":[]}"#), SendResult::Delivered);
        let mixed = r#"{"errors":true,"items":[{"index":{"status":201}},
            {"index":{"status":429,"error":{"type":"es_rejected_execution_exception"}}},
            {"index":{"status":400,"error":{"type":"mapper_parsing_exception"}}},
            {"index":{"status":503}}]}"#;
        let SendResult::Partly(part) = of(mixed) else { panic!() };
        assert_eq!((part.rejected, &*part.why), (1, "400 mapper_parsing_exception"));
        assert_eq!(part.again.unwrap(), selected(&all, &[1, 3]));
        assert_eq!(selected(&all, &[1, 3]), batch(&["2", "4"]));
        for wrong in ["", "<html>", "{}", r#"{"errors":true}"#, r#"{"errors":true,"items":[{}]}"#] {
            assert!(matches!(of(wrong), SendResult::Rejected(_)), "{wrong}");
        }
    }

    #[test]
    fn a_batch_is_halved_between_documents() {
        let all = batch(&["1", "2", "3"]);
        assert_eq!(halves(&all).unwrap(), [batch(&["1"]), batch(&["2", "3"])]);
        assert!(halves(&batch(&["1"])).is_none());
    }
}
