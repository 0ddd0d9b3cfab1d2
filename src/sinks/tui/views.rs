//! The names of the views, in the order of their numbers.
//!
//! `ui_state` moves between them, `head` shows them, `view` draws them.
//! Invariant: each view has one place here and one in `view::draw`.

/// A view of the dashboard.
pub(super) struct ViewName {
    /// Name of the view in the bar.
    pub(super) name: &'static str,
    /// Whether the view can be filtered by a text.
    pub(super) is_filtered: bool,
}

/// All views.
pub(super) const VIEWS: [ViewName; 9] = [
    ViewName { name: "overview", is_filtered: false },
    ViewName { name: "latency", is_filtered: false },
    ViewName { name: "steps", is_filtered: true },
    ViewName { name: "users", is_filtered: true },
    ViewName { name: "errors", is_filtered: true },
    ViewName { name: "client", is_filtered: true },
    ViewName { name: "health", is_filtered: false },
    ViewName { name: "log", is_filtered: true },
    ViewName { name: "streams", is_filtered: true },
];

/// The index of the steps.
pub(super) const STEPS: usize = 2;

/// The index of the log.
pub(super) const LOG: usize = 7;

/// The index of the streams: the bar shows them if the plan has some.
pub(super) const STREAMS: usize = 8;
