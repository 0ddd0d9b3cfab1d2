//! The registry of runs: a folder with the control socket of each run.
//!
//! `socket` adds a socket, `cli::control` looks runs up.
//! Invariant: the folder is accessible to this user only, or it is not used.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::getuid;

/// Maximum path of a socket, bytes: the kernel's limit is 108 including the terminator.
const MAX_PATH: usize = 100;

/// A run that can be controlled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisteredRun {
    /// The scenario's name, reduced to characters for file names.
    pub(crate) name: String,
    /// The process id.
    pub(crate) pid: u32,
    /// The path of the control socket.
    pub(crate) socket: PathBuf,
}

/// Returns the folder of sockets: `$XDG_RUNTIME_DIR/manada`, or this user's folder in `/tmp`.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Path::new(&folder).join("manada"),
        None => PathBuf::from(format!("/tmp/manada-{}", getuid().as_raw())),
    }
}

/// Creates the folder if necessary, and checks that only this user can access it.
///
/// # Errors
/// If it cannot be created, or other users could put a socket there.
pub(crate) fn ensure_private(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // A link is refused, because its owner could change its target.
    let found = fs::symlink_metadata(folder)?;
    let is_ours = found.uid() == getuid().as_raw() && found.mode().trailing_zeros() >= 6;
    if found.is_dir() && is_ours {
        return Ok(());
    }
    let why = "other users can read or write this folder; remove it, or `chmod 700` it";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Returns the socket path of this process.
pub(crate) fn own_socket(folder: &Path, scenario: &str) -> PathBuf {
    let pid = std::process::id();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.".contains(c) { c } else { '-' };
    let room = MAX_PATH.saturating_sub(folder.as_os_str().len() + format!("/-{pid}.sock").len());
    let name: String = scenario.chars().map(plain).take(room.max(1)).collect();
    folder.join(format!("{}-{pid}.sock", name.trim_start_matches('.')))
}

/// Returns all active runs by name and process id; removes sockets of ended runs.
pub(crate) fn active_runs(folder: &Path) -> Vec<RegisteredRun> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<RegisteredRun> =
        entries.filter_map(|entry| RegisteredRun::from_socket(entry.ok()?.path())).collect();
    found.retain(|run| {
        let is_active = run.is_active();
        if !is_active {
            let _ = fs::remove_file(&run.socket);
        }
        is_active
    });
    found.sort_by(|a, b| (&a.name, a.pid).cmp(&(&b.name, b.pid)));
    found
}

impl RegisteredRun {
    fn from_socket(socket: PathBuf) -> Option<Self> {
        let stem = socket.file_name()?.to_str()?.strip_suffix(".sock")?;
        let (name, pid) = stem.rsplit_once('-')?;
        let (name, pid) = (name.to_owned(), pid.parse().ok()?);
        Some(Self { name, pid, socket })
    }

    /// Whether a run listens on the socket. The process id is less reliable: an ended process
    /// keeps it until its parent waits for it, and a new process may reuse it.
    fn is_active(&self) -> bool {
        UnixStream::connect(&self.socket).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    #[test]
    fn folder_with_access_for_others_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("manada");
        ensure_private(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        ensure_private(&folder).unwrap();
        for mode in [0o770, 0o701, 0o755] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            assert!(ensure_private(&folder).is_err(), "{mode:o}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let link = place.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(ensure_private(&link).is_err(), "a link leads where its maker wants");
        assert!(ensure_private(&place.path().join("no/such")).is_err());
    }

    #[test]
    fn stale_sockets_are_removed_and_active_runs_found() {
        let place = tempfile::tempdir().unwrap();
        let own = own_socket(place.path(), ".a shop/2");
        // The id of a live process, with a socket that no process listens on.
        let stale = place.path().join(format!("shop-{}.sock", std::process::id()));
        drop(UnixListener::bind(&stale).unwrap());
        let _listens = UnixListener::bind(&own).unwrap();
        fs::write(place.path().join("notes.txt"), "").unwrap();
        let found = active_runs(place.path());
        let name = "a-shop-2".to_owned();
        assert_eq!(found, [RegisteredRun { name, pid: std::process::id(), socket: own }]);
        assert!(!stale.exists() && place.path().join("notes.txt").exists());
        let long = own_socket(place.path(), &"x".repeat(500));
        assert!(long.as_os_str().len() <= MAX_PATH, "{long:?}");
    }
}
