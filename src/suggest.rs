//! "Did you mean": the known name that a word was most likely meant to be.
//!
//! `scenario`, `verdict` and live control call it for unknown names.
//! Invariant: a word that resembles no name gets no suggestion: none is better than a wild one.

/// Longer words get no suggestion: the comparison takes time and memory for each pair.
const MAX_NAME: usize = 64;

/// Returns the known name that `word` was most likely meant to be.
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
        // Two words of one letter are one edit apart, and nothing alike.
        .filter(|(distance, name)| *distance < name.len().max(word.len()))
        .min()
        .map(|(_, name)| name)
}
