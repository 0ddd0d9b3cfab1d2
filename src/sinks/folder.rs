//! The folder of a run's files: claimed before the run, written under temporary names.
//!
//! `files` writes through it, `cli` claims it.
//! Invariant: two runs never share a folder; a run removes and replaces only its own files, or
//! those that `--force` names; symbolic links in the folder are not followed; a file under its
//! final name is complete or grows by whole rows.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::disk_budget::DiskBudget;

/// Maximum folders of one name that are tried: runs may start in the same second.
const MAX_NUMBERED: u32 = 10_000;

/// A folder that no other run writes to.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Open handle; all files are opened relative to it, so that the folder cannot be exchanged.
    /// Its lock ends with the process.
    dir: OwnedFd,
    /// Whether this run created it.
    is_own: bool,
    /// Whether existing files may be replaced.
    force: bool,
    /// The names of finished files.
    placed: Mutex<BTreeSet<String>>,
    /// Counts what is written; set once the run's limits are known.
    disk: OnceLock<DiskBudget>,
}

/// Creates the folder that a file is to be in, if it is missing.
///
/// # Errors
/// If it cannot be created; the text names it.
pub fn make_folder_of(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    fs::create_dir_all(folder).map_err(|error| {
        let text = format!("its folder {} cannot be created: {error}", folder.display());
        io::Error::new(error.kind(), text)
    })
}

impl RunFolder {
    /// Claims the folder at `path` and creates it if necessary. With `force`, existing files of
    /// these names are removed.
    ///
    /// # Errors
    /// If it cannot be created or read, is a symbolic link, is claimed by a running run, or
    /// contains one of these names and `force` is not set.
    pub fn claim(path: &Path, names: &[&str], force: bool) -> io::Result<Arc<Self>> {
        // A trailing slash would follow a symbolic link.
        let path: PathBuf = path.components().collect();
        let is_own = match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
                fs::create_dir(&path).map(|()| true)?
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true)?,
        };
        Self::take(path, is_own, names, force)
    }

    /// Creates and claims the first folder that does not exist yet: `first`, `first-2`, …
    ///
    /// # Errors
    /// If none can be created.
    pub fn claim_free(first: &Path) -> io::Result<Arc<Self>> {
        fs::create_dir_all(first.parent().unwrap_or(Path::new("")))?;
        for number in 1..=MAX_NUMBERED {
            let mut path = first.to_owned();
            if number > 1 {
                let mut name = path.file_name().map(OsString::from).unwrap_or_default();
                name.push(format!("-{number}"));
                path.set_file_name(name);
            }
            match fs::create_dir(&path) {
                Ok(()) => return Self::take(path, true, &[], false),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many folders of this name"))
    }

    fn take(path: PathBuf, is_own: bool, names: &[&str], force: bool) -> io::Result<Arc<Self>> {
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_symlink() {
            return Err(io::Error::other(
                "it is a symbolic link; name the folder that it leads to",
            ));
        }
        if !kind.is_dir() {
            return Err(io::Error::other("it is no folder"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty())?;
        // Some network file systems have no locks for folders; there only the names protect.
        let locked = rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            let text = "another run is writing its report there; choose another folder";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        let placed = Mutex::default();
        let folder = Self { path, dir, is_own, force, placed, disk: OnceLock::new() };
        if let Some(name) = names.iter().find(|name| folder.has(name))
            && !force
        {
            let path = folder.path.join(name);
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} exists; choose another folder, or --force to replace", path.display()),
            ));
        }
        // Files of an older run must not look like this run's.
        for name in names.iter().filter(|name| folder.has(name)) {
            folder.remove(name).map_err(|error| folder.named(name, &error))?;
        }
        Ok(Arc::new(folder))
    }

    /// Counts what its files write in a budget, from now on; only the first one is taken.
    pub fn set_disk(&self, disk: DiskBudget) {
        drop(self.disk.set(disk));
    }

    /// The budget of its files.
    pub(super) fn disk(&self) -> DiskBudget {
        self.disk.get().cloned().unwrap_or_default()
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file under a temporary name. `place` gives it its name; without that it is removed.
    ///
    /// # Errors
    /// If it cannot be created; the text names it.
    pub fn create(self: &Arc<Self>, name: &str) -> io::Result<ReportFile> {
        let temporary = format!(".{name}.{}.part", std::process::id());
        let open = || {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(0o666);
            rustix::fs::openat(&self.dir, &temporary, flags | OFlags::CLOEXEC, mode)
        };
        let opened = match open() {
            // The folder is ours: a killed run with the same process id left this file.
            Err(Errno::EXIST) => self.remove(&temporary).and_then(|()| Ok(open()?)),
            opened => opened.map_err(io::Error::from),
        };
        let file = File::from(opened.map_err(|error| self.named(name, &error))?);
        let raw = NamedFile { file, folder: Arc::clone(self), name: name.to_owned() };
        Ok(ReportFile { out: BufWriter::new(raw), temporary: Some(temporary) })
    }

    /// Removes the folder if this run created it and it is empty.
    pub fn sweep(&self) {
        if self.is_own {
            // Fails if the folder is not empty, as intended.
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// Whether an entry of this name exists, also a dangling link.
    fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the entry of this name: a link itself, not its target.
    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        let replaces = self.force || placed.contains(to);
        let flags = if replaces { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match rustix::fs::renameat_with(&self.dir, from, &self.dir, to, flags) {
            // Not every file system can refuse to replace a file.
            Err(Errno::INVAL | Errno::NOSYS) if replaces || !self.has(to) => {
                rustix::fs::renameat(&self.dir, from, &self.dir, to)?;
            }
            renamed => renamed?,
        }
        placed.insert(to.to_owned());
        Ok(())
    }

    fn named(&self, name: &str, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.join(name).display()))
    }
}

/// A file of a run's folder.
#[derive(Debug)]
pub struct ReportFile {
    out: BufWriter<NamedFile>,
    /// Temporary name of the report file.
    temporary: Option<String>,
}

/// The open file; its errors name it.
#[derive(Debug)]
struct NamedFile {
    file: File,
    folder: Arc<RunFolder>,
    name: String,
}

impl ReportFile {
    /// Flushes the file and gives it its final name; an existing file is replaced.
    ///
    /// # Errors
    /// If it cannot be written or named; the text names it.
    pub fn place(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let Some(temporary) = &self.temporary else { return Ok(()) };
        let NamedFile { folder, name, .. } = self.out.get_ref();
        folder.rename(temporary, name).map_err(|error| folder.named(name, &error))?;
        self.temporary = None;
        Ok(())
    }
}

impl Write for ReportFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = self.out.get_ref().folder.remove(temporary);
        }
    }
}

impl Write for NamedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written =
            self.file.write(bytes).map_err(|error| self.folder.named(&self.name, &error))?;
        if let Some(disk) = self.folder.disk.get() {
            disk.add(written as u64);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NAMES: [&str; 2] = ["a.csv", "b.json"];

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_belongs_to_one_run_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x/y");
        let folder = RunFolder::claim(&path, &NAMES, false).unwrap();
        for force in [false, true] {
            let error = RunFolder::claim(&path, &NAMES, force).unwrap_err();
            assert!(error.to_string().contains("another run"), "{error}");
        }
        let mut output = folder.create("a.csv").unwrap();
        output.write_all(b"1").unwrap();
        assert_eq!(names_in(&path).len(), 1, "under a name of its own");
        output.place().unwrap();
        assert_eq!(names_in(&path), ["a.csv"]);
        drop(folder.create("b.json").unwrap());
        folder.sweep();
        assert_eq!(names_in(&path), ["a.csv"], "what is unfinished is gone, what is written stays");
        drop((folder, output));
        let error = RunFolder::claim(&path, &NAMES, false).unwrap_err();
        assert!(error.to_string().contains("a.csv exists"), "{error}");
        RunFolder::claim(&path, &NAMES, true).unwrap().sweep();
        assert!(names_in(&path).is_empty(), "a folder that was there stays");
    }

    #[test]
    fn no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let (precious, path) = (root.path().join("precious"), root.path().join("out"));
        fs::write(&precious, "kept").unwrap();
        fs::create_dir(&path).unwrap();
        symlink(&precious, path.join("a.csv")).unwrap();
        symlink(root.path().join("nowhere"), path.join("b.json")).unwrap();
        assert!(RunFolder::claim(&path, &NAMES[1..], false).is_err(), "a link that leads nowhere");
        let folder = RunFolder::claim(&path, &NAMES, true).unwrap();
        symlink(&precious, path.join("b.json")).unwrap();
        for name in NAMES {
            let mut output = folder.create(name).unwrap();
            output.write_all(b"new").unwrap();
            output.place().unwrap();
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), "new");
            assert!(!path.join(name).is_symlink());
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
        let link = root.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [link.clone(), link.join("")] {
            let error = RunFolder::claim(&path, &[], true).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        assert!(
            RunFolder::claim(&precious, &[], true).unwrap_err().to_string().contains("no folder")
        );
    }

    #[test]
    fn folders_of_one_name_are_numbered() {
        let root = tempfile::tempdir().unwrap();
        let first = root.path().join("r/run");
        let made: Vec<Arc<RunFolder>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| RunFolder::claim_free(&first).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let paths: BTreeSet<&Path> = made.iter().map(|folder| folder.path()).collect();
        assert_eq!(paths.len(), 8);
        assert!(paths.contains(&*first) && paths.contains(&*root.path().join("r/run-8")));
        made[0].sweep();
        assert!(!made[0].path().exists());
    }
}
