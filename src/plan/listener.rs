//! Listeners: what handles the messages of a stream in the background, and what selects messages.
//!
//! `scenario` compiles them, `engine::streams` runs them.
//! Invariant: a condition without a template is compiled, so that it cannot fail later.

use crate::extract::{BoundedPath, Capture, Check, TextCondition};
use crate::template::Template;

/// What handles the messages of a stream in the background.
#[derive(Clone, Debug)]
pub struct ListenerPlan {
    /// Conditions on its messages; without one, it takes all.
    pub conditions: Vec<MatchCondition>,
    /// The channel whose stamped messages it is due; `None`: it reads no stamps.
    pub channel: Option<ChannelPlan>,
    /// Whether it is due the messages that its own user sends.
    pub own: bool,
    /// Whether each message is due at one of the listeners of its channel, as with a queue; else
    /// at all of them.
    pub shares: bool,
    /// Answers to messages.
    pub replies: Vec<Reply>,
}

impl ListenerPlan {
    /// Whether it reads stamps of a channel that has the name of its source.
    pub const fn has_default_channel(&self) -> bool {
        matches!(self.channel, Some(ChannelPlan::Path))
    }
}

/// A condition on a message.
#[derive(Clone, Debug)]
pub enum MatchCondition {
    /// A condition without a template.
    Fixed(Check),
    /// The first node that the path selects equals the value, a JSON text that is rendered when the
    /// step begins.
    Json(BoundedPath, Template),
    /// A condition on the text, with a text that is computed when the step begins.
    Text(TextVerb, Template),
}

/// How a computed text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextVerb {
    /// Equal.
    Equals,
    /// At the beginning.
    StartsWith,
    /// Contained.
    Contains,
    /// Not contained.
    Lacks,
}

impl TextVerb {
    /// The condition on this text.
    pub fn with(self, text: String) -> TextCondition {
        match self {
            Self::Equals => TextCondition::Equals(text),
            Self::StartsWith => TextCondition::StartsWith(text),
            Self::Contains => TextCondition::Contains(text),
            Self::Lacks => TextCondition::Lacks(text),
        }
    }
}

/// An automatic answer to a message.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Conditions on the message.
    pub conditions: Vec<MatchCondition>,
    /// Values of the message that the answer reads; an answer without one is rendered when the
    /// listener begins.
    pub captures: Vec<Capture>,
    /// The answer.
    pub text: Template,
}

/// Which stamped messages belong together: those of one channel are due at each of its listeners.
#[derive(Clone, Debug)]
pub enum ChannelPlan {
    /// The service and the path that the stream was opened with.
    Path,
    /// A name, rendered when the step begins.
    Named(Template),
}
