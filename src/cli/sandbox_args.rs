//! The option `--sandbox`.
//!
//! Commands that send load have it; `sandbox` makes the rules.
//! Invariant: without the option nothing is limited.

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::files::{FileRecorder, Files};
use crate::sandbox::SandboxLevel;

/// The option.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct SandboxArgs {
    /// Limit what this process may do to what the run needs: files, and TCP ports
    ///
    /// The kernel (Linux 6.7, Landlock) then refuses to write outside the folders of the outputs,
    /// to read files that the scenario does not use, and to connect to ports of others than the
    /// targets and receivers. `files` does without the limit of ports, for older kernels.
    #[arg(long, value_enum, value_name = "LEVEL", num_args = 0..=1, require_equals = true,
        default_missing_value = "all", hide_short_help = true, help_heading = "Safety")]
    pub(super) sandbox: Option<SandboxLevel>,
}

impl SandboxArgs {
    /// The files to compile with: those that are read are noted for the sandbox.
    pub(super) fn files(self, recorder: &FileRecorder) -> Files {
        if self.sandbox.is_some() { recorder.files() } else { Files::default() }
    }
}

/// The values of `--sandbox`.
impl ValueEnum for SandboxLevel {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::All, Self::Files]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::All => PossibleValue::new("all").help("Files and TCP ports"),
            Self::Files => PossibleValue::new("files").help("Files alone"),
        })
    }
}
