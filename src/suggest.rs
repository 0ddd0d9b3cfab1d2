//! "Did you mean": the known name that a word was most likely meant to be.
//!
//! `cli`, `scenario`, `verdict` and live control call it for unknown names, and for paths without a
//! file.
//! Invariant: a word that resembles no name gets no suggestion: none is better than a wild one.

use std::path::{Path, PathBuf};

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

/// Returns `; did you mean `NAME`?`, or nothing if no known name resembles `word`.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

/// Maximum entries of a folder that are compared: they are only used in a message.
const MAX_ENTRIES: usize = 1_000;

/// Returns the path that `path` was most likely meant to be: in its own folder or in one of
/// `folders`, an entry that `fits`, and whose name without `.yaml` is that of `path`, continues it
/// after a `-` (of several the last one: the latest report of a scenario), or resembles it.
pub(crate) fn nearest_path(
    path: &Path,
    folders: &[&str],
    fits: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let word = bare_name(path)?;
    let own = path.parent().unwrap_or(Path::new(""));
    let mut entries: Vec<PathBuf> = [own]
        .into_iter()
        .chain(folders.iter().map(Path::new))
        .flat_map(|folder| {
            let shown = folder.to_owned();
            let read = if shown.as_os_str().is_empty() { Path::new(".") } else { folder };
            let entries = std::fs::read_dir(read).into_iter().flatten().flatten();
            entries.take(MAX_ENTRIES).map(move |entry| shown.join(entry.file_name()))
        })
        .filter(|entry| fits(entry))
        .collect();
    entries.sort();
    let begins = format!("{word}-");
    let continued = entries.iter().rfind(|entry| {
        bare_name(entry).is_some_and(|name| name == word || name.starts_with(&begins))
    });
    let names = entries.iter().filter_map(|entry| bare_name(entry));
    let near =
        nearest(&word, names.collect::<Vec<_>>().iter().map(String::as_str)).map(str::to_owned);
    let resembling =
        || entries.iter().rfind(|entry| near.is_some() && bare_name(entry) == near).cloned();
    continued.cloned().or_else(resembling)
}

/// The last part of a path, without the ending of a YAML file.
fn bare_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let bare = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    Some(bare.unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_suggested_by_name_and_by_beginning() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["quickstart.yaml", "shop.yml", "shop-1", "shop-2", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let is_yaml = |path: &Path| {
            path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
        };
        let no_text = |path: &Path| !path.ends_with("notes.txt");
        let own = folder.path().to_str().unwrap();
        let yaml = |word: &str| nearest_path(&folder.path().join(word), &[], is_yaml);
        let elsewhere = |word: &str| nearest_path(Path::new(word), &[own], is_yaml);
        let any = |word: &str| nearest_path(&folder.path().join(word), &[], no_text);
        let path = |name: &str| Some(folder.path().join(name));
        assert_eq!(yaml("quickstrat.yaml"), path("quickstart.yaml"));
        assert_eq!(yaml("shop.yaml"), path("shop.yml"));
        assert_eq!(elsewhere("quickstart"), path("quickstart.yaml"));
        assert_eq!(any("shop"), path("shop.yml"));
        assert_eq!(any("shop-9"), path("shop-1"));
        assert_eq!(any("quickstar"), path("quickstart.yaml"));
        assert_eq!(yaml("notes"), None);
        assert_eq!(yaml("x"), None);
    }
}
