//! Heads of requests in parts: what is known beforehand, and templates.
//!
//! `request` builds and renders them.
//! Invariant: static neighbours are one part.

use std::io::Write;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::plan::transport::Auth;
use crate::template::{RenderError, RenderScope, Template};

/// A part of a head.
#[derive(Debug)]
pub(crate) enum HeadPart {
    /// A text, written as rendered.
    Text(Template),
    /// Rendered, then in base64.
    Base64(Template),
}

/// Renders the parts of a head.
pub(super) fn render_parts(
    parts: &[HeadPart],
    scope: &mut RenderScope<'_>,
    buffer: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(), RenderError> {
    for part in parts {
        match part {
            HeadPart::Text(text) => text.render(scope, buffer)?,
            HeadPart::Base64(text) => {
                scratch.clear();
                text.render(scope, scratch)?;
                let _ = write!(buffer, "{}", Base64Display::new(scratch, &STANDARD));
            }
        }
    }
    Ok(())
}

/// Collects a head, joining static neighbours.
#[derive(Default)]
pub(super) struct HeadBuilder {
    parts: Vec<HeadPart>,
    literal: Vec<u8>,
}

impl HeadBuilder {
    pub(super) fn text(&mut self, text: &str) {
        self.literal.extend_from_slice(text.as_bytes());
    }

    pub(super) fn template(&mut self, template: &Template) {
        if let Some(text) = template.as_static() {
            self.literal.extend_from_slice(text);
            return;
        }
        self.flush();
        self.parts.push(HeadPart::Text(template.clone()));
    }

    pub(super) fn header(&mut self, name: &str, value: &Template) {
        self.text(&format!("{name}: "));
        self.template(value);
        self.text("\r\n");
    }

    pub(super) fn authorization(&mut self, auth: &Auth) {
        self.text("Authorization: ");
        match auth {
            Auth::Bearer(token) => {
                self.text("Bearer ");
                self.template(token);
            }
            Auth::Basic(login) => {
                self.text("Basic ");
                match login.as_static() {
                    Some(login) => self.text(&STANDARD.encode(login)),
                    None => {
                        self.flush();
                        self.parts.push(HeadPart::Base64(login.clone()));
                    }
                }
            }
        }
        self.text("\r\n");
    }

    /// Begins another part; how many there are before it.
    pub(super) fn split(&mut self) -> usize {
        self.flush();
        self.parts.len()
    }

    pub(super) fn flush(&mut self) {
        if !self.literal.is_empty() {
            let text = Template::literal(std::mem::take(&mut self.literal));
            self.parts.push(HeadPart::Text(text));
        }
    }

    pub(super) fn finish(mut self) -> Vec<HeadPart> {
        self.flush();
        self.parts
    }
}
