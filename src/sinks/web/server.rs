//! The server: routes, responses and their headers.
//!
//! It runs on a thread of its own until the run is over and its clients know it.
//! Invariant: every request passes the request guard first, and every response gets the headers
//! last.

use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::hub::Hub;
use super::request_guard::RequestGuard;
use super::shell::{PAGE, POLICY};
use super::stream::Frames;
use crate::clock;
use crate::event::ControlCommand;
use crate::event::control::MAX_LINE;
use crate::event::control_request::ControlClient;
use crate::sinks::client_connections::{ClientListener, MAX_CONNECTIONS, attend};
use crate::stats::ControlOrigin;

/// Maximum time for clients to receive the end of the run.
const FAREWELL: Duration = Duration::from_secs(2);

/// The headers of every response.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// State shared by all requests.
#[derive(Debug)]
pub struct ServerState {
    pub gate: RequestGuard,
    pub hub: Arc<Hub>,
    /// The control client; `None` if live control is disabled.
    pub remote: Option<ControlClient>,
    pub is_over: watch::Receiver<bool>,
}

/// Serves until the run is over.
pub fn serve(listener: TcpListener, shared: Arc<ServerState>) -> io::Result<()> {
    clock::block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (line, accepted) = mpsc::channel(MAX_CONNECTIONS);
        let hub = Arc::clone(&shared.hub);
        let attending = tokio::task::spawn_local(attend(listener, line, move || hub.tick()));
        let place = shared.gate.place;
        let (mut ends, mut ended) = (shared.is_over.clone(), shared.is_over.clone());
        let server = axum::serve(ClientListener { accepted, place }, router(shared));
        let over = async move { drop(ends.wait_for(|over| *over).await) };
        let server = server.with_graceful_shutdown(over).into_future();
        let late = async {
            drop(ended.wait_for(|over| *over).await);
            attending.abort();
            clock::sleep_until(clock::now() + FAREWELL).await;
        };
        tokio::select! {
            served = server => served,
            () = pin!(late) => Ok(()),
        }
    })?
}

fn router(shared: Arc<ServerState>) -> Router {
    let known = Router::new()
        .route("/", get(shell))
        .route("/events", get(events))
        .route("/control", post(control));
    known
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "not found") })
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// Checks each request, and adds the headers to each response.
async fn guard(State(shared): State<Arc<ServerState>>, request: Request, next: Next) -> Response {
    let mut response = match shared.gate.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => refuse(status, why),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

async fn shell() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE.as_str())
}

async fn events(State(shared): State<Arc<ServerState>>) -> Response {
    match Frames::open(&shared.hub) {
        Some(frames) => {
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(frames)).into_response()
        }
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "too many look on already"),
    }
}

/// The body of a request to `/control`: a line of the command language.
async fn control(State(shared): State<Arc<ServerState>>, request: Request) -> Response {
    let Some(remote) = &shared.remote else {
        return refuse(StatusCode::FORBIDDEN, "this run is not to be changed: --no-control");
    };
    if let Err((status, why)) = shared.gate.admit(request.headers()) {
        return refuse(status, why);
    }
    let Ok(bytes) = to_bytes(request.into_body(), MAX_LINE).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "a command has at most 4096 bytes");
    };
    let command = match std::str::from_utf8(&bytes) {
        Ok(line) if !line.trim().contains(['\n', '\r']) => {
            ControlCommand::parse(line).map_err(|error| error.to_string())
        }
        _ => Err("expected one line of UTF-8".to_owned()),
    };
    let is_data = command == Ok(ControlCommand::Status);
    let command = match command {
        Ok(command) => command,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let busy = "the run has not started, is over, or has too many control clients";
    let Some(answer) = remote.send(command, ControlOrigin::Web) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, busy);
    };
    match answer.await {
        Ok(Ok(words)) if is_data => {
            let value: Value = serde_json::from_str(&words).unwrap_or_default();
            Json(json!({ "ok": value })).into_response()
        }
        Ok(Ok(words)) => Json(json!({ "ok": words })).into_response(),
        Ok(Err(why)) => refuse(StatusCode::CONFLICT, &why.to_string()),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the run is over"),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
