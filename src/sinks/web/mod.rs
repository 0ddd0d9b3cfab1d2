//! The dashboard in a browser: the sections of the report, live, with controls that need a token.
//!
//! `cli` opens it and adds it to the sinks; its server has a thread of its own.
//! Invariant: it never slows the run: it holds only the latest report, renders it only for
//! connected browsers, and a slow browser misses frames.

mod hub;
mod request_guard;
mod server;
mod shell;
mod stream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::Sink;
use crate::event::RunEvent;
use crate::event::control_request::ControlClient;
use hub::Hub;
use request_guard::RequestGuard;
use server::ServerState;

/// The default address.
pub const PLACE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7373);

/// The sink of the dashboard.
#[derive(Debug)]
pub struct Web {
    hub: Arc<Hub>,
    /// Tells the server that the run is over.
    over: watch::Sender<bool>,
    server: Option<JoinHandle<io::Result<()>>>,
}

/// An open dashboard.
#[derive(Debug)]
pub struct OpenedDashboard {
    /// The sink, to be added to the run's sinks.
    pub sink: Web,
    /// URL of the dashboard, with the token of the controls if there are any.
    pub url: String,
    /// Whether other machines can reach it.
    pub is_remote: bool,
}

/// Opens the dashboard at `place`, or at [`PLACE`] or a free port near it. `remote`: the control
/// client; `None` if live control is disabled.
///
/// # Errors
/// If no address can be bound, or no thread started.
pub fn open(
    place: Option<SocketAddr>,
    remote: Option<ControlClient>,
) -> io::Result<OpenedDashboard> {
    let listener = match place {
        Some(place) => TcpListener::bind(place)?,
        None => TcpListener::bind(PLACE).or_else(|_| TcpListener::bind((PLACE.ip(), 0)))?,
    };
    listener.set_nonblocking(true)?;
    let place = listener.local_addr()?;
    let token = format!("{:032x}", rand::random::<u128>());
    let url = url(place, remote.is_some().then_some(&token));
    let hub = Arc::new(Hub::new(remote.is_some()));
    let (over, is_over) = watch::channel(false);
    let shared = Arc::new(ServerState {
        gate: RequestGuard { place, token },
        hub: Arc::clone(&hub),
        remote,
        is_over,
    });
    let server = std::thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || server::serve(listener, shared))?;
    let sink = Web { hub, over, server: Some(server) };
    Ok(OpenedDashboard { sink, url, is_remote: !place.ip().is_loopback() })
}

/// The token is in the fragment, which stays in the browser: no server and no log sees it.
fn url(place: SocketAddr, token: Option<&String>) -> String {
    let mut shown = place;
    if place.ip().is_unspecified() {
        shown.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let fragment = token.map_or(String::new(), |token| format!("#token={token}"));
    format!("http://{shown}/{fragment}")
}

impl Sink for Web {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Tick(_) | RunEvent::Ended(_) | RunEvent::Note(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Tick(report) => self.hub.show(report, false),
            RunEvent::Ended(report) => self.hub.show(report, true),
            RunEvent::Note(text) => self.hub.note(text),
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.over.send_replace(true);
        // The server gives its clients a bounded time to receive the end.
        if let Some(server) = self.server.take() {
            drop(server.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_the_fragment_alone() {
        let token = "ab".to_owned();
        for (place, token, wanted) in [
            ("127.0.0.1:7373", Some(&token), "http://127.0.0.1:7373/#token=ab"),
            ("[::1]:80", None, "http://[::1]:80/"),
            ("0.0.0.0:9000", None, "http://127.0.0.1:9000/"),
        ] {
            assert_eq!(url(place.parse().unwrap(), token), wanted);
        }
    }
}
