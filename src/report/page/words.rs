//! Foreign texts on a page, and formats of numbers.
//!
//! All sections pass their texts through it; maud escapes the result.
//! Invariant: no secret, control character or bidirectional mark reaches a page, and the length of
//! texts is bounded.

use maud::Render;
use serde_json::Value;

use crate::printable::{REPLACED, is_printable};
use crate::redact;
use crate::stats::{Latency, Quantile};

/// Maximum characters of a name or sentence.
const SHORT: usize = 400;
/// Maximum characters of a listing: a body, a command, a file.
const LONG: usize = 64 << 10;

/// A name or a sentence.
pub struct HtmlText<'a>(pub &'a str);

/// A text of several lines.
pub struct HtmlLines<'a>(pub &'a str);

impl Render for HtmlText<'_> {
    fn render_to(&self, out: &mut String) {
        short(self.0).render_to(out);
    }
}

impl Render for HtmlLines<'_> {
    fn render_to(&self, out: &mut String) {
        harmless(self.0, LONG, |c| c == '\n' || c == '\t').render_to(out);
    }
}

/// Cleans and cuts a name or sentence.
pub fn short(text: &str) -> String {
    harmless(text, SHORT, |_| false)
}

fn harmless(text: &str, most: usize, stays: impl Fn(char) -> bool) -> String {
    // Secrets are redacted before the text is cut, so that none is cut in two.
    let hidden = redact::redact_secrets(text);
    let mut chars = hidden.chars();
    let show = |c: char| if is_printable(c) || stays(c) { c } else { REPLACED };
    let mut shown: String = chars.by_ref().take(most).map(show).collect();
    let more = chars.count();
    if more > 0 {
        use std::fmt::Write;
        let _ = write!(shown, "… ({more} characters more)");
    }
    shown
}

/// Returns JSON for a script element.
pub fn embedded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// Returns the value by which a cell is sorted, µs; `None` if it is not known.
pub fn weight(quantile: Option<Quantile>) -> Option<u64> {
    quantile.map(|quantile| quantile.us)
}

/// Returns the percentiles of a table's row, and the maximum.
pub fn spread(latency: &Latency, at: &[f64]) -> Vec<Option<Quantile>> {
    let known = at.iter().map(|p| latency.quantile(*p));
    known.chain([latency.longest()]).collect()
}

/// Formats a share.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        100.0 => "100 %".to_owned(),
        // Only all of it reads 100 %.
        _ if percent > 99.99 => "> 99.99 %".to_owned(),
        _ if percent < 0.01 => "< 0.01 %".to_owned(),
        _ if !(10.0..99.0).contains(&percent) => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_nothing() {
        for (text, shown) in [
            ("home", "home"),
            ("<b>", "&lt;b&gt;"),
            ("\" onload='x'", "&quot; onload='x'"),
            ("&lt;", "&amp;lt;"),
            ("a\u{1b}[2Jb\0c", "a\u{fffd}[2Jb\u{fffd}c"),
            ("gnp.\u{202e}exe", "gnp.\u{fffd}exe"),
            ("a\nb", "a\u{fffd}b"),
        ] {
            assert_eq!(HtmlText(text).render().into_string(), shown, "{text:?}");
        }
        assert_eq!(HtmlLines("a\nb\r").render().into_string(), "a\nb\u{fffd}");
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let long = "é".repeat(1 << 20);
        let shown = short(&long);
        assert!(shown.chars().count() < 450);
        assert!(shown.ends_with("… (1048176 characters more)"), "{}", &shown[700..]);
        assert!(HtmlLines(&long).render().into_string().len() < 200_000);
    }

    #[test]
    fn json_cannot_end_its_script() {
        let value = Value::from("</script><!--");
        let text = embedded(&value);
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn shares_keep_what_is_small() {
        for (share, text) in [
            (0.0, "0 %"),
            (1e-6, "< 0.01 %"),
            (0.0123, "1.23 %"),
            (0.5, "50.0 %"),
            (0.999, "99.90 %"),
            (0.99999, "> 99.99 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }
}
