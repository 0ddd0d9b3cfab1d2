//! A monitor that reads an instant query of a Prometheus server.
//!
//! Invariant: the run never waits for the server: a thread sends the query, and a late response
//! counts for the next second. What the server sends is bounded.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::error::MonitorError;
use crate::side_client::{cause, side_client};
use crate::stats::{Monitor, MonitorOwner, MonitorUnit};

/// The timeout of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest response that is read, bytes.
const MOST: usize = 64 * 1_024;

/// A query and its newest value.
#[derive(Debug)]
pub(super) struct Query {
    text: String,
    ask: SyncSender<()>,
    value: Arc<Mutex<Option<f64>>>,
}

impl Query {
    /// Queries once, so that a wrong address or query is found before the load begins.
    ///
    /// # Errors
    /// The error of the server, or why it does not respond.
    pub(super) fn new(url: &str, query: &str) -> Result<Self, MonitorError> {
        let client = Client::new(url, query)?;
        client.ask()?;
        let (ask, asked) = sync_channel(1);
        let value = Arc::<Mutex<Option<f64>>>::default();
        let out = Arc::clone(&value);
        let run = move || {
            while asked.recv().is_ok() {
                let value = client.ask().ok().flatten();
                *out.lock().unwrap_or_else(PoisonError::into_inner) = value;
            }
        };
        let thread = std::thread::Builder::new().name("prometheus".to_owned());
        thread.spawn(run).map_err(|error| unavailable(url, query, error.to_string()))?;
        Ok(Self { text: query.to_owned(), ask, value })
    }

    pub(super) fn monitor(&self) -> Monitor {
        Monitor { name: self.text.clone(), unit: MonitorUnit::Plain, owner: MonitorOwner::Target }
    }

    /// Sends the query, unless the last one is still under way.
    pub(super) fn ask(&self) {
        let _ = self.ask.try_send(());
    }

    /// Takes the value of the last response.
    pub(super) fn read(&self) -> Option<f64> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Client {
    url: String,
    query: String,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Client {
    fn new(url: &str, query: &str) -> Result<Self, MonitorError> {
        let failed = |error: &dyn std::fmt::Display| unavailable(url, query, error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let http = side_client(url, QUERY_TIMEOUT);
        Ok(Self {
            url: format!("{url}/api/v1/query"),
            query: query.to_owned(),
            runtime: runtime.map_err(|error| failed(&error))?,
            http: http.map_err(|error| failed(&error))?,
        })
    }

    /// The value now; `None` if the query has no result.
    fn ask(&self) -> Result<Option<f64>, MonitorError> {
        let failed = |reason| unavailable(&self.url, &self.query, reason);
        let answer = self.runtime.block_on(async {
            let request = self.http.get(&self.url).query(&[("query", &self.query)]);
            let mut answer = request.send().await.map_err(|error| cause(&error))?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
                body.extend_from_slice(&chunk);
                if body.len() > MOST {
                    return Err(format!("response exceeds {MOST} bytes"));
                }
            }
            Ok(body)
        });
        value(&answer.map_err(failed)?).map_err(failed)
    }
}

/// A query that a server does not respond to.
fn unavailable(url: &str, query: &str, reason: String) -> MonitorError {
    MonitorError::Unavailable { monitor: format!("`{query}` at {url}"), reason }
}

/// The one value in a response of Prometheus' HTTP API, version 1.
fn value(body: &[u8]) -> Result<Option<f64>, String> {
    let no_api = || "not a response of the Prometheus HTTP API".to_owned();
    let answer: Value = serde_json::from_slice(body).map_err(|_| no_api())?;
    if let Some(error) = answer["error"].as_str() {
        return Err(error.chars().take(200).collect());
    }
    let result = &answer["data"]["result"];
    // A sample is its time, then its value as a text. `NaN` and `+Inf` are no place on an axis.
    let number =
        |sample: &Value| sample[1].as_str()?.parse().ok().filter(|value: &f64| value.is_finite());
    match answer["data"]["resultType"].as_str() {
        Some("scalar") => Ok(number(result)),
        Some("vector") => match result.as_array().map(Vec::as_slice) {
            Some([]) => Ok(None),
            Some([one]) => Ok(number(&one["value"])),
            Some(many) => {
                Err(format!("{} series; expected one, for example with `sum(…)`", many.len()))
            }
            None => Err(no_api()),
        },
        Some(other) => Err(format!("result type {other}; expected a single value")),
        None => Err(no_api()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_read_and_nothing_else() {
        let data = |kind: &str, result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
        };
        let sample = |value: &str| format!(r#"{{"metric":{{}},"value":[1.5,"{value}"]}}"#);
        let one = format!("[{}]", sample("2.5"));
        let two = format!("[{},{}]", sample("1"), sample("2"));
        for (body, expected) in [
            (data("vector", &one), Ok(Some(2.5))),
            (data("vector", "[]"), Ok(None)),
            (data("scalar", r#"[1, "7"]"#), Ok(Some(7.0))),
            (data("vector", &format!("[{}]", sample("what"))), Ok(None)),
            (data("vector", &format!("[{}]", sample("NaN"))), Ok(None)),
            (data("vector", &format!("[{}]", sample("+Inf"))), Ok(None)),
            (data("vector", &two), Err("2 series")),
            (data("matrix", "[]"), Err("result type matrix")),
            (r#"{"status":"error","error":"parse error"}"#.to_owned(), Err("parse error")),
            ("<html>".to_owned(), Err("not a response of the Prometheus")),
            ("{}".to_owned(), Err("not a response of the Prometheus")),
        ] {
            match (value(body.as_bytes()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{body}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (found, expected) => panic!("{body}: {found:?}, not {expected:?}"),
            }
        }
    }
}
