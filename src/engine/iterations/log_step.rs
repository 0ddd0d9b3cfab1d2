//! The line of a `log` step.
//!
//! `iteration` writes it.
//! Invariant: no line shows a secret.

use crate::engine::call::redacted::redactor;
use crate::engine::call::trace;
use crate::engine::iterations::iteration::IterationRunner;
use crate::stats::sample::IterationEnd;
use crate::template::Template;

impl IterationRunner<'_> {
    /// Writes the line of a `log` step.
    pub(super) fn log(&mut self, text: &Template) -> Result<(), IterationEnd> {
        let mut line = Vec::new();
        let rendered =
            text.render(&mut self.user.scope(self.shard, self.timing.intended), &mut line);
        self.or_template_error(rendered)?;
        if let Some(recorder) = &self.shard.trace {
            trace::log_line(recorder, (self.shard, self.user), &line);
        }
        // Made only within the bound: most lines of a busy step are only counted.
        let line = || {
            let line = String::from_utf8_lossy(&line);
            redactor(self.shard, self.user).text(&line).into_owned()
        };
        self.shard.recorder.borrow_mut().push_log_line(line);
        Ok(())
    }
}
