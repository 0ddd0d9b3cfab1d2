//! Where the history is by default, and the bound on how long its database may take.
//!
//! `cli` asks for both.
//! Invariant: without a home folder there is no default place, and nothing is written.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::store::{StoreError, StorePlace};

/// Returns `manada/history.db` in the user's data folder; `None` if there is no such folder.
pub fn default_place() -> Option<StorePlace> {
    let folder =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(Path::new(".local/share"))))?;
    Some(StorePlace::File(data.join("manada/history.db")))
}

/// Returns the result of a job with a database.
///
/// # Errors
/// Those of the job, and that it took longer than `limit`: it then goes on in the background, until
/// the process ends.
pub fn within<T: Send + 'static>(
    limit: Duration,
    job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (done, result) = sync_channel(1);
    let thread = thread::Builder::new().name("history".to_owned()).spawn(move || {
        // The command may have stopped waiting.
        drop(done.send(job()));
    });
    thread.map_err(|error| StoreError::Unreachable(format!("cannot start a thread: {error}")))?;
    match result.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(StoreError::Slow(limit.as_secs())),
        Err(RecvTimeoutError::Disconnected) => {
            Err(StoreError::Failed("its thread panicked".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_takes_too_long_is_not_waited_for() {
        let (held, release) = sync_channel::<()>(1);
        let waiting = move || release.recv().map_err(|_| StoreError::Missing);
        let result = within(Duration::from_millis(20), waiting);
        assert_eq!(result, Err(StoreError::Slow(0)));
        drop(held);
        assert_eq!(within(Duration::from_mins(1), || Ok(7)), Ok(7));
    }
}
