//! Colours by the capabilities of the terminal, characters by its locale.
//!
//! `mod` reads it from the environment once; all views use it.
//! Invariant: without colours or without Unicode no information is lost: characters differ where
//! colours do.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

/// The number of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// None: `NO_COLOR`, or a terminal without colours.
    None,
    /// The sixteen colours that the terminal's own theme defines.
    Sixteen,
    /// The sixteen, and 256 for heat maps.
    Many,
}

/// Colours and signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Theme {
    /// The available colours.
    pub(super) colours: Colours,
    /// Whether characters beyond ASCII are available.
    pub(super) unicode: bool,
}

/// Colours of a heat map from cold to hot, in the palette of 256.
const HEAT: [u8; 12] = [17, 18, 54, 90, 126, 162, 197, 203, 209, 215, 221, 229];

impl Theme {
    /// Reads the theme from environment variables.
    pub(super) fn of(environment: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let many = set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit")
            || term.contains("256color");
        let colours = match (set("NO_COLOR"), many) {
            (Some(_), _) => Colours::None,
            _ if term == "vt100" || term.ends_with("-m") || term.ends_with("-mono") => {
                Colours::None
            }
            (None, true) => Colours::Many,
            (None, false) => Colours::Sixteen,
        };
        // Without a locale, as in a container, nearly every terminal shows UTF-8.
        let language = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let utf8 = |name: String| name.to_lowercase().replace('-', "").contains("utf8");
        Self { colours, unicode: language.is_none_or(utf8) }
    }

    fn colour(self, colour: Color) -> Style {
        if self.colours == Colours::None { Style::new() } else { Style::new().fg(colour) }
    }

    /// Style of good values.
    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// Style of warnings.
    pub(super) fn warn(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// Style of bad values.
    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Style of the screen's own elements: titles, keys.
    pub(super) fn accent(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// Style of the most important text.
    #[expect(clippy::unused_self, reason = "whoever draws asks the theme for each style")]
    pub(super) const fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Style of the least important text.
    #[expect(clippy::unused_self, reason = "whoever draws asks the theme for each style")]
    pub(super) const fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Style of the selected row.
    #[expect(clippy::unused_self, reason = "whoever draws asks the theme for each style")]
    pub(super) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Returns the style of a curve, from the least important to the most important one.
    pub(super) fn curve(self, at: usize) -> Style {
        let colours = [Color::Green, Color::Yellow, Color::Red, Color::Magenta];
        self.colour(colours[at.min(colours.len() - 1)])
    }

    /// Returns the style of a heat map cell with this share of the highest count, above zero.
    pub(super) fn heat(self, share: f64) -> (char, Style) {
        let step = |steps: usize| ((share * steps as f64).ceil() as usize).clamp(1, steps) - 1;
        match self.colours {
            Colours::None => (['░', '▒', '▓', '█'][step(4)], Style::new()),
            Colours::Sixteen => {
                let colours = [Color::Blue, Color::Cyan, Color::Green, Color::Yellow, Color::Red];
                (['░', '▒', '▓', '█', '█'][step(5)], self.colour(colours[step(5)]))
            }
            Colours::Many => ('█', Style::new().fg(Color::Indexed(HEAT[step(HEAT.len())]))),
        }
    }

    /// Replaces characters beyond ASCII where the terminal has none.
    pub(super) fn degrade(self, screen: &mut Buffer) {
        if self.unicode {
            return;
        }
        for cell in &mut screen.content {
            if !cell.symbol().is_ascii() {
                let sign = cell.symbol().chars().next().map_or(' ', ascii);
                cell.set_char(sign);
            }
        }
    }
}

/// Returns the closest ASCII character.
fn ascii(sign: char) -> char {
    match sign {
        '─' | '━' | '═' | '╌' | '┄' | '–' => '-',
        '│' | '┃' | '┤' | '├' | '‖' => '|',
        '╭' | '╮' | '╰' | '╯' | '└' | '┘' | '┌' | '┐' | '✓' => '+',
        '✗' | '×' => 'x',
        '≥' | '→' | '▶' | '›' => '>',
        '←' | '‹' => '<',
        '≤' => '<',
        'µ' => 'u',
        '∅' => '0',
        '·' | '░' | '▁' | '▂' | '•' => '.',
        '▒' | '▃' | '▄' => ':',
        '▓' | '▅' | '▆' => '=',
        '█' | '▇' | '▉' | '▊' | '▋' | '▌' => '#',
        '▍' | '▎' | '▏' => '|',
        '▲' | '↑' => '^',
        '▼' | '↓' => 'v',
        '●' | '◆' => '*',
        '○' => 'o',
        '…' => '~',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    #[test]
    fn the_environment_says_what_there_is() {
        for (given, colours, unicode) in [
            (&[][..], Colours::Sixteen, true),
            (&[("TERM", "xterm-256color"), ("LANG", "en_GB.UTF-8")], Colours::Many, true),
            (&[("TERM", "xterm"), ("COLORTERM", "truecolor")], Colours::Many, true),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Colours::None, true),
            (&[("TERM", "xterm"), ("NO_COLOR", ""), ("LANG", "C")], Colours::Sixteen, false),
            (&[("LC_ALL", "C.utf8"), ("LANG", "C")], Colours::Sixteen, true),
        ] {
            let find = |name: &str| {
                let found = given.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(Theme::of(find), Theme { colours, unicode }, "{given:?}");
        }
    }

    #[test]
    fn without_unicode_all_is_ascii() {
        let theme = Theme { colours: Colours::None, unicode: false };
        let mut screen = Buffer::empty(Rect::new(0, 0, 20, 1));
        screen.set_string(0, 0, "✓ ≥ 5 µs ⠿ 世 ─ █", Style::new());
        theme.degrade(&mut screen);
        let text: String = screen.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert!(text.is_ascii() && text.starts_with("+ > 5 us ?"), "{text}");
    }

    #[test]
    fn heat_rises_with_its_share_whatever_the_colours() {
        for colours in [Colours::None, Colours::Sixteen, Colours::Many] {
            let theme = Theme { colours, unicode: true };
            let cells: Vec<_> = (1..=20).map(|at| theme.heat(f64::from(at) / 20.0)).collect();
            let mut known = cells.clone();
            known.dedup();
            assert!(known.len() >= 4);
            let distinct = known.iter().enumerate().all(|(at, one)| !known[..at].contains(one));
            assert!(distinct, "no two shares far apart look the same");
        }
    }
}
