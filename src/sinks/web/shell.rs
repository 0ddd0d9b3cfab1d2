//! The page of the dashboard before its first figures: bar, controls, empty sections.
//!
//! `server` responds to `GET /` with it; `live.js` fills it.
//! Invariant: its content security policy allows only its own two blocks, and requests only to its
//! own server.

use std::sync::LazyLock;

use maud::{Markup, html};

use crate::report::page;

/// The script of the live page, after the script of every page.
static SCRIPT: LazyLock<String> =
    LazyLock::new(|| format!("{}{}", page::SCRIPT, include_str!("live.js")));

/// Returns the document.
pub static PAGE: LazyLock<String> = LazyLock::new(|| page::shell(&live(), &SCRIPT));

/// Returns its content security policy.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        page::hash(page::STYLE),
        page::hash(&SCRIPT)
    )
});

/// Returns the part above the sections.
fn live() -> Markup {
    html! {
        div.live {
            p.banner role="status" { "Waiting for the first numbers…" }
            form.controls hidden {
                div.group {
                    label for="workload" { "Workload" }
                    select id="workload" { option value="" { "all" } }
                }
                div.group {
                    button type="button" data-command="pause" { "Pause" }
                    button type="button" data-command="resume" { "Resume" }
                    button type="button" data-command="scale" data-value="-10%" { "− 10 %" }
                    button type="button" data-command="scale" data-value="+10%" { "+ 10 %" }
                    button type="button" data-command="plan" { "As planned" }
                }
                div.group {
                    input.short id="amount" inputmode="numeric" placeholder="300, 200/s"
                        aria-label="Users, or starts per second";
                    button type="button" data-command="users" data-from="amount" { "Users" }
                    button type="button" data-command="rate" data-from="amount" { "Rate" }
                }
                div.group {
                    input.long id="words" placeholder="text of a mark, or: mute home"
                        aria-label="A mark, or a command";
                    button type="button" data-command="mark" data-from="words" data-whole { "Mark" }
                    button type="submit" { "Command" }
                }
                div.group { button.stop type="button" { "Stop run" } }
                output.answer {}
            }
        }
    }
}
