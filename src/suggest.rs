//! "Did you mean": the known name that a word was most likely meant to be.
//!
//! Whoever reads words that people wrote asks: scenarios, rules and live control.
//! Invariant: a word that is like none of the names gets none: no guess beats a wild one.

/// A longer word is compared with nothing: the comparison takes time and room for each pair.
const MAX_NAME: usize = 64;

/// The known name that `word` was most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_NAME {
        return None;
    }
    let word = word.to_lowercase();
    known
        .into_iter()
        .filter(|name| name.len() <= MAX_NAME)
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 4)
        .min()
        .map(|(_, name)| name)
}
