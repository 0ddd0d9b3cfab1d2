//! Checks metadata of gRPC: headers of its requests.
//!
//! Services and steps of gRPC call it beside `header`.
//! Invariant: what Manada writes itself is in no request twice.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;

/// Reports metadata that Manada sends itself, and values that are no base64.
pub(crate) fn check(diagnostics: &mut Diagnostics, node: &Node) {
    let NodeKind::Map(entries) = &node.kind else { return };
    for (key, value) in entries {
        let name = key.name.to_ascii_lowercase();
        if name.starts_with("grpc-") || matches!(name.as_str(), "content-type" | "te") {
            diagnostics
                .mistake(key.span, format!("`{}` is set by Manada; remove it", key.name))
                .help("`compress` of the service and `timeout` of the step have settings of gRPC");
        }
        let text = values::scalar(value).filter(|text| !text.contains("{{"));
        let is_wrong =
            |text: &str| STANDARD.decode(text).is_err() && STANDARD_NO_PAD.decode(text).is_err();
        if name.ends_with("-bin") && text.is_some_and(is_wrong) {
            diagnostics
                .mistake(value.span, format!("the value of `{}` is no base64", key.name))
                .expected("base64, since its name ends in `-bin`");
        }
    }
}
