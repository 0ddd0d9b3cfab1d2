//! Real servers of other projects on free ports of 127.0.0.1, each in a folder of its own.
//!
//! Invariant: a machine without one fails the tests that need it, with advice.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::Tied;

/// A server of another project, with its folder.
pub(crate) struct RealServer {
    child: Tied,
    folder: TempDir,
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.end(Signal::TERM);
    }
}

/// An address of this machine that was free a moment ago.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts a server, and waits until it listens on all addresses.
pub(crate) fn start(mut command: Command, folder: TempDir, listens: &[SocketAddr]) -> RealServer {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = RealServer { child: Tied(child.spawn().unwrap()), folder };
    for address in listens {
        // A refused connection takes no time, so the server's own start limits this loop.
        let is_open = (0..2_000_000).any(|_| {
            std::thread::yield_now();
            TcpStream::connect(address).is_ok()
        });
        assert!(is_open, "{command:?} does not listen on {address}");
    }
    server
}

/// Path of a program of a Debian package.
pub(crate) fn program(name: &str, package: &str) -> String {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = folders.iter().map(|folder| format!("{folder}/{name}"));
    found.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| {
        panic!("this test needs {name}: `apt-get install {package}`, or run scripts/test")
    })
}

impl RealServer {
    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends it with a signal, and waits for its end. nginx ends its workers itself.
    pub(crate) fn end(&mut self, signal: Signal) {
        if self.child.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.signal(signal);
            let _ = self.child.0.wait();
        }
    }
}
