//! The tokens of one stream: what they are, and their texts.
//!
//! `session` asks where a part ends, `dialect` and `responses` for texts.
//! Invariant: reasoning comes first, then text, then the arguments of a tool call; a stream has at
//! least one token, so at least one part.

use std::ops::Range;

/// The tokens: token n is word n modulo 16, with a blank before it unless it is the first.
const WORDS: [&str; 16] = [
    "herd", "of", "größer", "waves", "under", "ein", "light", "that", "møves", "on", "slow", "and",
    "then", "naïve", "again", "fast",
];

/// What a text of tokens is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Reasoning,
    Text,
    /// Arguments of a tool call: a JSON object whose member `text` has the tokens.
    Arguments,
}

impl TokenKind {
    pub const ALL: [Self; 3] = [Self::Reasoning, Self::Text, Self::Arguments];
}

/// Numbers of tokens of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenParts {
    /// All tokens.
    pub tokens: u64,
    /// How many of them are reasoning.
    pub reasoning: u64,
    /// How many of them are arguments of a tool call.
    pub arguments: u64,
}

impl TokenParts {
    pub fn new(tokens: u64, reasoning: u64, arguments: u64) -> Self {
        let reasoning = reasoning.min(tokens);
        Self { tokens, reasoning, arguments: arguments.min(tokens - reasoning) }
    }

    /// The tokens of a kind; empty if there are none.
    pub fn range(&self, kind: TokenKind) -> Range<u64> {
        let text_end = self.tokens - self.arguments;
        match kind {
            TokenKind::Reasoning => 0..self.reasoning,
            TokenKind::Text => self.reasoning..text_end,
            TokenKind::Arguments => text_end..self.tokens,
        }
    }

    /// The kinds that there are, in their order.
    pub fn kinds(&self) -> impl DoubleEndedIterator<Item = TokenKind> {
        TokenKind::ALL.into_iter().filter(|kind| !self.range(*kind).is_empty())
    }

    /// The kind of token `n`; of the last one behind the end.
    pub fn kind_of(&self, n: u64) -> TokenKind {
        let n = n.min(self.tokens.saturating_sub(1));
        let found = self.kinds().find(|kind| self.range(*kind).contains(&n));
        found.unwrap_or(TokenKind::Text)
    }

    /// The place of a kind among those that there are.
    pub fn place(&self, kind: TokenKind) -> usize {
        self.kinds().take_while(|other| *other != kind).count()
    }

    /// The whole text of a kind.
    pub fn text(&self, kind: TokenKind) -> String {
        let mut all = String::new();
        let range = self.range(kind);
        text(range.start, range.end, &mut all);
        match kind {
            TokenKind::Arguments => format!("{{\"text\":\"{all}\"}}"),
            _ => all,
        }
    }
}

/// The text of tokens `from..to`.
pub(super) fn text(from: u64, to: u64, out: &mut String) {
    for n in from..to {
        if n > 0 {
            out.push(' ');
        }
        out.push_str(WORDS[(n % 16) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_tokens() {
        for (tokens, reasoning, arguments) in [(1, 0, 0), (5, 2, 2), (5, 9, 9), (4, 0, 9)] {
            let parts = TokenParts::new(tokens, reasoning, arguments);
            let all: Vec<u64> = parts.kinds().flat_map(|kind| parts.range(kind)).collect();
            assert!(all.iter().copied().eq(0..tokens), "{parts:?}");
            assert!((0..tokens).all(|n| parts.range(parts.kind_of(n)).contains(&n)));
        }
        let parts = TokenParts::new(3, 1, 1);
        assert_eq!(TokenKind::ALL.map(|kind| parts.place(kind)), [0, 1, 2]);
        assert_eq!(parts.text(TokenKind::Arguments), "{\"text\":\" größer\"}");
    }
}
