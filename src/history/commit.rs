//! The commit of the sources that a run belongs to: of the git work tree around the scenario, else
//! of the variables of a CI job.
//!
//! `cli` reads it before the run. Git's files are read by hand, since git may be missing, and
//! running it would carry out what its configuration says.
//! Invariant: a bounded number of bytes and folders is read, and a file that is not as expected
//! leaves the commit out.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Maximum folders between the scenario and the root of its work tree.
const MAX_FOLDERS: usize = 64;
/// Maximum bytes of a file that names a commit or another file.
const MAX_NAME: u64 = 4 << 10;
/// Maximum bytes of `packed-refs`, of the index, and of a scenario that is compared with it.
const MAX_LIST: u64 = 16 << 20;

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCommit {
    /// Its hash.
    pub id: String,
    /// The branch, if one is checked out.
    pub branch: Option<String>,
    /// Whether the scenario's file differs from that in git's index, or is not in it; `None` if
    /// that is not known.
    pub is_changed: Option<bool>,
}

impl SourceCommit {
    /// Finds the commit of a scenario's file, or of the working directory.
    pub fn find(scenario: Option<&Path>) -> Option<Self> {
        let file = scenario.and_then(|path| path.canonicalize().ok());
        let folder = match &file {
            Some(file) => file.parent()?.to_owned(),
            None => std::env::current_dir().ok()?,
        };
        Self::of_work_tree(&folder, file.as_deref()).or_else(Self::of_ci)
    }

    /// The commit that a CI job names.
    fn of_ci() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let id = variable("GITHUB_SHA").or_else(|| variable("CI_COMMIT_SHA"))?;
        let branch = variable("GITHUB_REF_NAME").or_else(|| variable("CI_COMMIT_REF_NAME"));
        is_hash(&id).then_some(Self { id, branch, is_changed: None })
    }

    fn of_work_tree(folder: &Path, file: Option<&Path>) -> Option<Self> {
        let root = folder.ancestors().take(MAX_FOLDERS).find(|at| at.join(".git").exists())?;
        let git = git_folder(root)?;
        let head = read(&git.join("HEAD"), MAX_NAME)?;
        let head = head.trim();
        let (id, branch) = match head.strip_prefix("ref: ") {
            Some(name) => {
                let branch = name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
                (commit_of(&git, name)?, Some(branch))
            }
            None => (head.to_owned(), None),
        };
        let is_changed = file.and_then(|file| is_changed(&git, root, file));
        is_hash(&id).then_some(Self { id, branch, is_changed })
    }
}

/// The folder with the files of git: a linked work tree has a file that names it.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let place = root.join(".git");
    if place.is_dir() {
        return Some(place);
    }
    let text = read(&place, MAX_NAME)?;
    Some(root.join(text.strip_prefix("gitdir:")?.trim()))
}

/// The commit that a reference names.
fn commit_of(git: &Path, name: &str) -> Option<String> {
    // A name is no way out of the folder.
    if name.split('/').any(|part| part == "..") || name.starts_with('/') {
        return None;
    }
    let shared = match read(&git.join("commondir"), MAX_NAME) {
        Some(text) => git.join(text.trim()),
        None => git.to_owned(),
    };
    let loose = [git, &shared].into_iter().find_map(|at| read(&at.join(name), MAX_NAME));
    if let Some(text) = loose {
        return Some(text.trim().to_owned());
    }
    let packed = read(&shared.join("packed-refs"), MAX_LIST)?;
    let of_name = |line: &str| {
        let (id, known) = line.split_once(' ')?;
        (known == name).then(|| id.to_owned())
    };
    packed.lines().find_map(of_name)
}

/// Whether a file differs from its entry in git's index; `None` if that cannot be told.
fn is_changed(git: &Path, root: &Path, file: &Path) -> Option<bool> {
    let root = root.canonicalize().ok()?;
    let name = file.strip_prefix(&root).ok()?.to_str()?.as_bytes();
    let index = bytes(&git.join("index"), MAX_LIST)?;
    let text = bytes(file, MAX_LIST)?;
    let mut blob = format!("blob {}\0", text.len()).into_bytes();
    blob.extend_from_slice(&text);
    let own = digest(&SHA1_FOR_LEGACY_USE_ONLY, &blob);
    let word = |at: usize| Some(u32::from_be_bytes(index.get(at..at + 4)?.try_into().ok()?));
    // Version 4 shortens names by those before, which is not read here.
    if index.get(..4)? != b"DIRC" || !matches!(word(4)?, 2 | 3) {
        return None;
    }
    let mut at = 12;
    for _ in 0..word(8)? {
        let flags = u16::from_be_bytes(index.get(at + 60..at + 62)?.try_into().ok()?);
        let from = at + 62 + if flags & 0x4000 == 0 { 0 } else { 2 };
        let length = index.get(from..)?.iter().position(|byte| *byte == 0)?;
        if &index[from..from + length] == name {
            return Some(index.get(at + 40..at + 60)? != own.as_ref());
        }
        // An entry is filled up to a multiple of 8, with at least one zero.
        at += (from + length - at) / 8 * 8 + 8;
    }
    Some(true)
}

fn is_hash(text: &str) -> bool {
    (40..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read(path: &Path, most: u64) -> Option<String> {
    String::from_utf8(bytes(path, most)?).ok()
}

/// The content of a regular file; `None` if it has more bytes than `most`.
fn bytes(path: &Path, most: u64) -> Option<Vec<u8>> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut found = Vec::new();
    File::open(path).ok()?.take(most + 1).read_to_end(&mut found).ok()?;
    (found.len() as u64 <= most).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef01234567";

    /// The index of one file, version 2, as git writes it.
    fn index(name: &str, text: &[u8]) -> Vec<u8> {
        let mut blob = format!("blob {}\0", text.len()).into_bytes();
        blob.extend_from_slice(text);
        let mut out = b"DIRC\0\0\0\x02\0\0\0\x02".to_vec();
        for (name, id) in [
            ("a-first", [7; 20].as_slice()),
            (name, digest(&SHA1_FOR_LEGACY_USE_ONLY, &blob).as_ref()),
        ] {
            let from = out.len();
            out.extend([0; 40]);
            out.extend(id);
            out.extend((name.len() as u16).to_be_bytes());
            out.extend(name.as_bytes());
            let length = (out.len() - from) / 8 * 8 + 8;
            out.resize(from + length, 0);
        }
        out
    }

    #[test]
    fn commit_and_branch_come_from_the_work_tree_around_the_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        let deep = folder.path().join("load/tests");
        fs::create_dir_all(git.join("refs/heads/feature")).unwrap();
        fs::create_dir_all(&deep).unwrap();
        let scenario = deep.join("shop.yaml");
        fs::write(&scenario, "name: shop\n").unwrap();
        let find = || SourceCommit::of_work_tree(&deep, Some(&scenario.canonicalize().unwrap()));
        assert_eq!(find(), None);
        fs::write(git.join("HEAD"), "ref: refs/heads/feature/x\n").unwrap();
        assert_eq!(find(), None);
        fs::write(git.join("packed-refs"), format!("# pack\n{ONE} refs/heads/feature/x\n"))
            .unwrap();
        let branch = Some("feature/x".to_owned());
        let commit = |is_changed| {
            Some(SourceCommit { id: ONE.to_owned(), branch: branch.clone(), is_changed })
        };
        assert_eq!(find(), commit(None));
        fs::write(git.join("index"), index("load/tests/shop.yaml", b"name: shop\n")).unwrap();
        assert_eq!(find(), commit(Some(false)));
        fs::write(&scenario, "name: shop 2\n").unwrap();
        assert_eq!(find(), commit(Some(true)));
        let other = ONE.replace('0', "f");
        fs::write(git.join("refs/heads/feature/x"), format!("{other}\n")).unwrap();
        assert_eq!(find().unwrap().id, other);
        fs::write(git.join("HEAD"), format!("{ONE}\n")).unwrap();
        assert_eq!(find().unwrap().branch, None);
        for odd in ["", "ref: ../../etc/passwd", "zz", "ref: refs/heads/none"] {
            fs::write(git.join("HEAD"), odd).unwrap();
            assert_eq!(find(), None, "{odd}");
        }
    }

    #[test]
    fn a_linked_work_tree_names_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let linked = folder.path().join("main/.git/worktrees/two");
        fs::create_dir_all(&linked).unwrap();
        let tree = folder.path().join("two");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", linked.display())).unwrap();
        fs::write(linked.join("HEAD"), "ref: refs/heads/two\n").unwrap();
        fs::write(linked.join("commondir"), "../..\n").unwrap();
        fs::write(folder.path().join("main/.git/packed-refs"), format!("{ONE} refs/heads/two\n"))
            .unwrap();
        let found = SourceCommit::of_work_tree(&tree, None).unwrap();
        assert_eq!((found.id.as_str(), found.branch.as_deref()), (ONE, Some("two")));
    }

    #[test]
    fn damaged_indexes_tell_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "x").unwrap();
        let file = file.canonicalize().unwrap();
        let whole = index("a.yaml", b"x");
        for length in 0..whole.len() {
            fs::write(folder.path().join("index"), &whole[..length]).unwrap();
            let found = is_changed(folder.path(), folder.path(), &file);
            assert_ne!(found, Some(true), "{length}");
        }
    }
}
