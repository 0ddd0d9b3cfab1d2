//! Tests of recorded files, bundles as bytes, and unpacked bundles.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::recording::check_size;
use super::*;

fn contents(files: &Files, path: &Path, role: FileRole) -> io::Result<String> {
    let mut text = String::new();
    files.open(path, role)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Records the files at these paths of a folder.
fn recorded(folder: &Path, names: &[(&str, FileRole)]) -> FileRecorder {
    let recorder = FileRecorder::default();
    let files = recorder.files();
    for (name, role) in names {
        assert!(files.is_file(&folder.join(name)), "{name}");
        contents(&files, &folder.join(name), *role).unwrap();
    }
    recorder
}

fn variables(name: &str) -> BTreeMap<String, VariableCheck> {
    BTreeMap::from([(name.to_owned(), VariableCheck::Set)])
}

fn sent(bundle: &Bundle) -> Bundle {
    Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap()
}

#[test]
fn every_path_of_a_file_leads_to_its_content_without_the_disk() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("plan");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("a.yaml"), "one").unwrap();
    fs::write(root.join("sub/b.yaml"), "one").unwrap();
    fs::write(root.join("rows.csv"), "two").unwrap();
    symlink("rows.csv", root.join("link.csv")).unwrap();
    let names = [
        ("a.yaml", FileRole::Scenario),
        ("sub/b.yaml", FileRole::Scenario),
        ("sub/../rows.csv", FileRole::Data),
        ("link.csv", FileRole::Data),
    ];
    let bundle = recorded(&root, &names).bundle(variables("HOME")).unwrap();
    let bytes = bundle.to_bytes().unwrap();
    // Two files with one content are sent once.
    assert!(bytes.ends_with(b"onetwo"), "{:?}", bundle.manifest);
    let received = Bundle::from_bytes(&bytes).unwrap();
    assert_eq!(received, bundle);
    let real = root.canonicalize().unwrap();
    fs::rename(&root, place.path().join("moved")).unwrap();
    let files = Files::unpack(&received, &[]).unwrap();
    for (name, role) in names {
        let expected = if role == FileRole::Data { "two" } else { "one" };
        assert!(files.is_file(&root.join(name)), "{name}");
        assert_eq!(contents(&files, &root.join(name), role).unwrap(), expected, "{name}");
    }
    for name in ["sub/../rows.csv", "link.csv"] {
        assert_eq!(files.real_path(&root.join(name)).unwrap(), real.join("rows.csv"), "{name}");
    }
    assert_eq!(files.names_in(&root.join("sub"), 9), [root.join("sub/b.yaml")]);
    assert_eq!(received.manifest.check_variables("r1"), Ok(()));
}

#[test]
fn what_is_not_in_the_bundle_is_not_there() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.yaml"), "one").unwrap();
    fs::write(place.path().join("other.yaml"), "other").unwrap();
    let recorder = recorded(place.path(), &[("a.yaml", FileRole::Scenario)]);
    let bundle = recorder.bundle(variables("MANADA_NO_SUCH_VARIABLE")).unwrap();
    let files = Files::unpack(&sent(&bundle), &[]).unwrap();
    let other = place.path().join("other.yaml");
    assert!(!files.is_file(&other));
    let error = files.open(&other, FileRole::Scenario).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("the coordinator sent no"), "{error}");
    assert!(files.standard_input().is_err());
    assert_eq!(files.limits(|| Some(other)), None);
    let error = bundle.manifest.check_variables("r1").unwrap_err();
    assert_eq!(error.missing, ["MANADA_NO_SUCH_VARIABLE"]);
}

#[test]
fn keys_stay_on_their_machine_and_agents_have_their_own() {
    let place = tempfile::tempdir().unwrap();
    let (here, own) = (place.path().join("here"), place.path().join("own"));
    fs::create_dir(&here).unwrap();
    fs::create_dir(&own).unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        fs::write(here.join(name), format!("coordinator's {name}")).unwrap();
    }
    let names = [
        ("ca.pem", FileRole::Certificates),
        ("client.pem", FileRole::ClientCertificate),
        ("client.key", FileRole::PrivateKey),
    ];
    let bundle = recorded(&here, &names).bundle(BTreeMap::new()).unwrap();
    let bytes = bundle.to_bytes().unwrap();
    let has = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
    assert!(has("coordinator's ca.pem") && has("/client.key"));
    assert!(!has("coordinator's client"));
    let key = here.join("client.key");
    let error =
        Files::unpack(&sent(&bundle), &[]).unwrap().open(&key, FileRole::PrivateKey).unwrap_err();
    assert!(error.to_string().contains("put `client.key` into a folder"), "{error}");
    fs::write(own.join("client.key"), "agent's").unwrap();
    let files = Files::unpack(&sent(&bundle), &[own]).unwrap();
    assert_eq!(contents(&files, &key, FileRole::PrivateKey).unwrap(), "agent's");
    // Nothing else is read from the agent's own folders, whatever its path.
    assert!(!files.is_file(&place.path().join("own/client.key")));
}

#[test]
fn files_that_cannot_be_sent_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let refused =
        |recorder: &FileRecorder| recorder.bundle(BTreeMap::new()).unwrap_err().to_string();
    fs::write(path("a.yaml"), "one").unwrap();
    let recorder = recorded(place.path(), &[("a.yaml", FileRole::Scenario)]);
    fs::write(path("a.yaml"), "two").unwrap();
    assert!(refused(&recorder).contains("a.yaml` changed while"));
    fs::remove_file(path("a.yaml")).unwrap();
    assert!(refused(&recorder).contains("can no longer be read"));
    // Read twice, with two contents: one of them is in the plan.
    fs::write(path("b.yaml"), "one").unwrap();
    let recorder = recorded(place.path(), &[("b.yaml", FileRole::Scenario)]);
    fs::write(path("b.yaml"), "two").unwrap();
    contents(&recorder.files(), &path("b.yaml"), FileRole::Scenario).unwrap();
    assert!(refused(&recorder).contains("b.yaml` changed while"));
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    fs::write(path("both.pem"), key).unwrap();
    let as_body = recorded(place.path(), &[("both.pem", FileRole::Body)]);
    assert_eq!(as_body.bundle(BTreeMap::new()).unwrap().manifest.files.len(), 1);
    let recorder = recorded(place.path(), &[("both.pem", FileRole::Certificates)]);
    assert!(refused(&recorder).contains("both.pem` contains a private key"));
    let recorder = FileRecorder::default();
    recorder.files().open(Path::new("/dev/null"), FileRole::Scenario).unwrap();
    assert!(refused(&recorder).contains("`/dev/null` is not a regular file"));
    let recorder = FileRecorder::default();
    drop(recorder.files().standard_input().unwrap());
    assert!(refused(&recorder).contains("cannot read standard input"));
}

#[test]
fn too_large_plans_name_their_largest_files() {
    let file = |path: &str, length: u64| BundleFile {
        path: path.to_owned(),
        real: path.to_owned(),
        role: FileRole::Data,
        sha256: Sha256Hash::of(path.trim_end_matches('2').as_bytes()),
        length,
    };
    let mib = 1 << 20;
    let mut files = vec![
        file("a.csv", 5 * mib),
        file("b.csv", 300 * mib),
        // The same content.
        file("b.csv2", 300 * mib),
        file("c.csv", 200 * mib),
        file("d.csv", 7 * mib),
    ];
    check_size(&files).unwrap();
    files.push(file("e.csv", mib));
    let why = check_size(&files).unwrap_err().to_string();
    assert!(why.contains("513 MiB, at most 512 MiB"), "{why}");
    assert!(why.contains("`b.csv` 300 MiB, `c.csv` 200 MiB, `d.csv` 7.00 MiB"), "{why}");
}

#[test]
fn hostile_bytes_are_refused() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.yaml"), "one").unwrap();
    fs::write(place.path().join("b.yaml"), "other").unwrap();
    let names = [("a.yaml", FileRole::Scenario), ("b.yaml", FileRole::Scenario)];
    let bundle = recorded(place.path(), &names).bundle(BTreeMap::new()).unwrap();
    let bytes = bundle.to_bytes().unwrap();
    for end in 0..bytes.len() {
        assert!(Bundle::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut longer = bytes.clone();
    longer.push(0);
    let mut length = bytes.clone();
    length[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    for (bytes, why) in
        [(changed, "another hash"), (longer, "bytes after"), (length, "larger than the bound")]
    {
        let error = Bundle::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let refused = |change: &dyn Fn(&mut BundleManifest), why: &str| {
        let mut bundle = bundle.clone();
        change(&mut bundle.manifest);
        let error = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&|manifest| manifest.files.reverse(), "no coordinator makes");
    refused(&|manifest| manifest.files[1].path = manifest.files[0].path.clone(), "no coordinator");
    refused(&|manifest| manifest.files[0].role = FileRole::PrivateKey, "no coordinator makes");
    refused(&|manifest| manifest.files[0].length = u64::MAX, "larger than the bound");
    refused(&|manifest| manifest.files[0].length = MAX_BUNDLE / 2, "cut off");
    let second = |manifest: &mut BundleManifest| {
        manifest.files[1].sha256 = manifest.files[0].sha256;
        manifest.files[1].length = 4;
    };
    let mut bundle = bundle.clone();
    second(&mut bundle.manifest);
    let error = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap_err().to_string();
    assert!(error.contains("another length"), "{error}");
}

#[test]
fn an_unpacked_bundle_is_private_and_goes_with_its_last_user() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("rows.csv"), "rows").unwrap();
    let bundle =
        recorded(place.path(), &[("rows.csv", FileRole::Data)]).bundle(BTreeMap::new()).unwrap();
    let files = Files::unpack(&bundle, &[]).unwrap();
    let path = files.location(&place.path().join("rows.csv")).unwrap();
    let folder: PathBuf = path.parent().unwrap().to_owned();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
    let mut open = files.open(&place.path().join("rows.csv"), FileRole::Data).unwrap();
    let clone = files.clone();
    drop(files);
    assert!(folder.exists());
    drop(clone);
    assert!(!folder.exists());
    // What is open stays readable, as rows of a large file have to be.
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "rows");
}
