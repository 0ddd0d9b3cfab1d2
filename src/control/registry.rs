//! Where runs can be reached: the folder of their control sockets, one file for each.
//!
//! `door` puts a socket there, `control` looks for one.
//! Invariant: the folder is ours alone, or nothing in it is trusted.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::getuid;

/// The longest path of a socket, bytes: what the kernel takes is 108 with an end.
const LONGEST: usize = 100;

/// A run that can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisteredRun {
    /// Its scenario's name, as far as a file can be called so.
    pub(crate) name: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Its socket.
    pub(crate) socket: PathBuf,
}

/// Where sockets are: `$XDG_RUNTIME_DIR/manada`, or a folder of this user's in `/tmp`.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Path::new(&folder).join("manada"),
        None => PathBuf::from(format!("/tmp/manada-{}", getuid().as_raw())),
    }
}

/// Makes sure that the folder is there and ours.
///
/// # Errors
/// When it cannot be made, or when somebody else could put a socket there.
pub(crate) fn secure(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Not what a link leads to: who made the link could lead it elsewhere.
    let found = fs::symlink_metadata(folder)?;
    let ours = found.uid() == getuid().as_raw() && found.mode().trailing_zeros() >= 6;
    if found.is_dir() && ours {
        return Ok(());
    }
    let why = "others may write or look there; remove it, or make it yours with mode 700";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// The file of this process's own socket.
pub(crate) fn own(folder: &Path, scenario: &str) -> PathBuf {
    let pid = std::process::id();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.".contains(c) { c } else { '-' };
    let room = LONGEST.saturating_sub(folder.as_os_str().len() + format!("/-{pid}.sock").len());
    let name: String = scenario.chars().map(plain).take(room.max(1)).collect();
    folder.join(format!("{}-{pid}.sock", name.trim_start_matches('.')))
}

/// All runs that are there, by name and process; what dead ones left is removed.
pub(crate) fn all(folder: &Path) -> Vec<RegisteredRun> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<RegisteredRun> =
        entries.filter_map(|entry| RegisteredRun::at(entry.ok()?.path())).collect();
    found.retain(|run| {
        let lives = run.lives();
        if !lives {
            let _ = fs::remove_file(&run.socket);
        }
        lives
    });
    found.sort_by(|a, b| (&a.name, a.pid).cmp(&(&b.name, b.pid)));
    found
}

impl RegisteredRun {
    fn at(socket: PathBuf) -> Option<Self> {
        let stem = socket.file_name()?.to_str()?.strip_suffix(".sock")?;
        let (name, pid) = stem.rsplit_once('-')?;
        let (name, pid) = (name.to_owned(), pid.parse().ok()?);
        Some(Self { name, pid, socket })
    }

    /// Whether a run listens there. The number of its process says less: a process that has ended
    /// and was not waited for still has it, and another process may have taken it.
    fn lives(&self) -> bool {
        UnixStream::connect(&self.socket).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("manada");
        secure(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        secure(&folder).unwrap();
        for mode in [0o770, 0o701, 0o755] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            assert!(secure(&folder).is_err(), "{mode:o}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let link = place.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(secure(&link).is_err(), "a link leads where its maker wants");
        assert!(secure(&place.path().join("no/such")).is_err());
    }

    #[test]
    fn what_the_dead_left_is_removed_and_the_living_are_found() {
        let place = tempfile::tempdir().unwrap();
        let mine = own(place.path(), ".a shop/2");
        // The number of a process that lives, at a socket that its owner has left.
        let dead = place.path().join(format!("shop-{}.sock", std::process::id()));
        drop(UnixListener::bind(&dead).unwrap());
        let _listens = UnixListener::bind(&mine).unwrap();
        fs::write(place.path().join("notes.txt"), "").unwrap();
        let found = all(place.path());
        let name = "a-shop-2".to_owned();
        assert_eq!(found, [RegisteredRun { name, pid: std::process::id(), socket: mine }]);
        assert!(!dead.exists() && place.path().join("notes.txt").exists());
        let long = own(place.path(), &"x".repeat(500));
        assert!(long.as_os_str().len() <= LONGEST, "{long:?}");
    }
}
