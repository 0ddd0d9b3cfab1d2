//! Any bytes as a scenario file: a plan or a list of mistakes that can be rendered, never a panic.
//!
//! Input: the file.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use manada::scenario::{self, ScenarioOverrides};

/// A file of this process only, in memory if the system has a memory file system.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("manada-fuzz-{}.yaml", std::process::id()))
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("a place for the file");
    match scenario::load(&FILE, &ScenarioOverrides::default()) {
        Ok((plan, warnings)) => {
            // A plan is valid by construction: its methods must succeed.
            let _ = (plan.peak_users(), plan.load_end(), plan.has_local_target());
            warnings.iter().for_each(|warning| drop(warning.render(false)));
        }
        Err(mistakes) => assert!(!mistakes.render(false).is_empty(), "refused without a reason"),
    }
});
