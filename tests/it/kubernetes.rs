//! `manada k8s render`: goldens, which are valid by the published schemas of several versions, and
//! what is refused. Then the files of `deploy/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Done, MANADA, Manada};

const BUS: &[&str] = &[
    "k8s",
    "render",
    "--agents",
    "3",
    "--bus",
    "rediss://agent@10.1.2.3:6380/1",
    "--run",
    "shop-7",
    "--image",
    "registry.example/manada:0.2.0",
];

const OWN_REDIS: &[&str] = &[
    "k8s",
    "render",
    "--agents",
    "1",
    "--bus",
    "rediss://bus.load.svc:6379",
    "--run",
    "try-1",
    "--image",
    "manada@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "--with-redis",
    "--namespace",
    "load",
    "--bus-secret",
    "bus",
    "--tls-secret",
    "bus-tls",
    "--allow",
    "203.0.113.7:443",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Two runs: name of the folder of their goldens, and words.
fn runs() -> [(&'static str, Vec<&'static str>); 2] {
    let more = [
        "--bus-secret",
        "bus",
        "--secret-env",
        "API_TOKEN=shop/token",
        "--allow",
        "203.0.113.0/24:443",
        "--allow",
        "[2001:db8::]:8443",
        "--allow",
        "shop.example:443",
        "--cpu",
        "500m",
        "--memory",
        "512Mi",
        "--keys-secret",
        "shop-keys",
        "--deadline",
        "90m",
    ];
    [("bus", [BUS, &more].concat()), ("own-redis", OWN_REDIS.to_vec())]
}

/// The files that a run renders to.
fn rendered(words: &[&str]) -> BTreeMap<String, String> {
    let manada = Manada::new(words).words(&["--out", "objects"]);
    let folder = manada.path("objects");
    let done = manada.go();
    assert_eq!(done.code, Some(0), "{done}");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), std::fs::read_to_string(entry.path()).unwrap())).collect()
}

/// Set `MANADA_BLESS=1` to write them.
#[test]
fn objects_are_those_of_the_goldens() {
    for (name, words) in runs() {
        let folder = root().join("tests/kubernetes").join(name);
        let files = rendered(&words);
        if std::env::var_os("MANADA_BLESS").is_some() {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, text) in &files {
                std::fs::write(folder.join(file), text).unwrap();
            }
        }
        let mut known: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        known.sort();
        assert_eq!(files.keys().cloned().collect::<Vec<_>>(), known, "{name}");
        for (file, text) in &files {
            let golden = std::fs::read_to_string(folder.join(file)).unwrap();
            assert_eq!(*text, golden, "{name}/{file}: MANADA_BLESS=1 writes it");
        }
        // Printed, they are the same documents, in an order in which they can be created.
        let printed = Manada::new(&words).go();
        let documents: Vec<&str> = printed.stdout.split("---\n").collect();
        assert_eq!(documents.len(), files.len());
        assert!(documents.iter().all(|one| files.values().any(|text| text == one)));
        assert!(documents.last().unwrap().contains("kind: Job"), "{}", printed.stdout);
    }
}

/// Each value that a Secret has is a reference.
#[test]
fn goldens_are_valid_by_the_schemas_of_several_versions() {
    let validator = root().join("target/kubernetes/bin/kubernetes-validate");
    assert!(
        validator.exists(),
        "this test needs kubernetes-validate: scripts/kubernetes-validator target/kubernetes, or \
         run scripts/test, which does"
    );
    let files: Vec<PathBuf> = runs()
        .iter()
        .flat_map(|(name, _)| {
            let folder = root().join("tests/kubernetes").join(name);
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
        })
        .collect();
    assert_eq!(files.len(), 7);
    let validate = |version: &str, files: &[PathBuf]| {
        let mut command = Command::new(&validator);
        command.args(["--strict", "--no-warn", "-k", version]).args(files);
        command.output().unwrap()
    };
    // The first version whose Jobs have all fields without a feature gate, and the last one known.
    for version in ["1.33.0", "1.34.0", "1.35.0", "1.36.0", "1.37.0"] {
        let done = validate(version, &files);
        let output = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{version}: {output}");
        assert_eq!(output.matches("INFO").count(), 7, "{version}: {output}");
    }
    // It does refuse what is wrong: an unknown field, and a value of another type.
    let job = root().join("tests/kubernetes/bus/agents-job.yaml");
    let text = std::fs::read_to_string(job).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("completionMode:", "completionsMode:"),
        ("parallelism: 3", "parallelism: three"),
        ("automountServiceAccountToken: false", "automountServiceAccountToken: 'no'"),
    ] {
        assert!(text.contains(from));
        let path = folder.path().join("job.yaml");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        assert!(!validate("1.37.0", &[path]).status.success(), "{to}");
    }
}

fn refused(done: &Done, why: &str) {
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(done.code, Some(2), "{done}");
    assert!(text.contains(why), "{why:?} is not in {done}");
    assert!(!text.contains("hunter2"), "{done}");
}

/// The words of the first run with another value of a flag.
fn with<'w>(flag: &'w str, value: &'w str) -> Vec<&'w str> {
    let mut words = BUS.to_vec();
    match words.iter().position(|word| *word == flag) {
        Some(at) => words[at + 1] = value,
        None => words.extend([flag, value]),
    }
    words
}

#[test]
fn values_that_kubernetes_would_refuse_are_refused() {
    for (flag, value, why) in [
        ("--agents", "0", "0 is not in 1..=1024"),
        ("--run", "Shop_7", "such as shop-7"),
        ("--run", "-a", "unexpected argument"),
        ("--run", "a-", "such as shop-7"),
        ("--namespace", "a.b", "such as shop-7"),
        ("--image", "manada 2", "expected an image"),
        ("--bus", "redis://10.1.2.3", "is not encrypted"),
        ("--bus", "rediss://:hunter2@10.1.2.3", "has a password"),
        ("--bus", "rediss://localhost:6379", "cannot reach this machine"),
        ("--bus", "rediss://[::1]:6379", "cannot reach this machine"),
        ("--bus", "rediss://10.0.0.0/x", "expected a URL"),
        ("--bus", "https://x", "expected a URL"),
        ("--allow", "shop.example", "expected HOST:PORT"),
        ("--allow", "shop.example:0", "expected HOST:PORT"),
        ("--allow", "10.0.0.1/8:443", "expected HOST:PORT"),
        ("--allow", "10.0.0.256:443", "expected HOST:PORT"),
        ("--allow", "2001:db8::1:443", "expected HOST:PORT"),
        ("--cpu", "2.5", "expected cores"),
        ("--cpu", "0", "expected cores"),
        ("--memory", "1G", "such as 512Mi"),
        ("--memory", "0Gi", "such as 512Mi"),
        ("--secret-env", "TOKEN=hunter2", "never the value itself"),
        ("--secret-env", "1A=shop/token", "expected NAME=SECRET/KEY"),
        ("--secret-env", "MANADA_BUS_PASSWORD=a/b", "use `--bus-secret`"),
        ("--run", "a2345678-b2345678-c2345678-d2345678-e2345678-f2345678-g2", "at most 54"),
    ] {
        refused(&Manada::new(&with(flag, value)).go(), why);
    }
    let twice = ["--secret-env", "A=b/c", "--secret-env", "A=d/e"];
    refused(&Manada::new(BUS).words(&twice).go(), "is there twice");
    let without = |flag: &str| {
        let mut words = OWN_REDIS.to_vec();
        let at = words.iter().position(|word| *word == flag).unwrap();
        words.drain(at..at + 2);
        words
    };
    refused(&Manada::new(&without("--bus-secret")).go(), "needs `--bus-secret`");
    refused(&Manada::new(&without("--tls-secret")).go(), "needs `--tls-secret`");
    refused(&Manada::new(&without("--namespace")).go(), "is outside `--namespace`");
    for (bus, why) in [
        ("rediss://10.1.2.3", "is an address"),
        ("rediss://me@bus", "for a user that it would not have"),
        ("rediss://bus.example.com", "is outside `--namespace`"),
        ("rediss://7bus", "begins with a letter"),
    ] {
        let mut words = OWN_REDIS.to_vec();
        words[5] = bus;
        refused(&Manada::new(&words).go(), why);
    }
    let done = Manada::new(BUS).words(&["--out", "file"]).file("file", "").go();
    assert_eq!(done.code, Some(1), "{done}");
}

#[test]
fn ports_of_names_are_told_to_be_open_to_every_address() {
    let done = Manada::new(BUS).words(&["--allow", "shop.example:443"]).go();
    assert!(done.stderr.contains("port 443 is open to every address"), "{done}");
    let done = Manada::new(BUS).words(&["--allow", "10.0.0.0/8:443"]).go();
    assert_eq!(done.stderr, "", "{done}");
    let done = Manada::new(BUS).go();
    assert!(done.stderr.contains("without `--allow` the agents reach no target"), "{done}");
}

/// Reads YAML by the library of the validator, as JSON.
fn read_yaml(path: &str) -> Value {
    let python = root().join("target/kubernetes/bin/python");
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let done = Command::new(python).args(["-c", script, path]).current_dir(root()).output();
    let done = done.expect("this test needs scripts/kubernetes-validator target/kubernetes");
    let text = String::from_utf8_lossy(&done.stderr);
    serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn compose_starts_the_same_agents_and_the_same_bus() {
    let compose = read_yaml("deploy/compose.yaml");
    let container = |file: &str| {
        let object = read_yaml(&format!("tests/kubernetes/own-redis/{file}"));
        object["spec"]["template"]["spec"]["containers"][0].clone()
    };
    let job = container("agents-job.yaml");
    let flags = |words: &[&str]| -> Vec<String> {
        words.iter().filter(|word| word.starts_with("--")).map(|&word| word.to_owned()).collect()
    };
    for (name, ordinal) in [("agent-0", "0"), ("agent-1", "1")] {
        let agent = &compose["services"][name];
        assert_eq!(agent["environment"]["JOB_COMPLETION_INDEX"], ordinal);
        // Declared without a value: it is that of the shell.
        assert_eq!(agent["environment"]["MANADA_BUS_PASSWORD"], Value::Null);
        assert!(agent["environment"].as_object().unwrap().contains_key("MANADA_BUS_PASSWORD"));
        let mut known = flags(&texts(&job["args"]));
        let mut own = flags(&texts(&agent["command"]));
        known.sort();
        own.sort();
        assert_eq!(own, known, "{name}");
        assert_eq!((&agent["read_only"], &agent["user"]), (&true.into(), &"65532:65532".into()));
    }
    let bus = compose["services"]["bus"]["command"][0].as_str().unwrap();
    let own = bus.split("/data/redis.conf --port").nth(1).unwrap().replace("\\\n", " ");
    let own = shlex::split(&own).unwrap();
    let redis = container("redis-deployment.yaml");
    let known = texts(&redis["args"]);
    let known: Vec<&str> = known[1..].to_vec();
    let password = known.iter().position(|word| *word == "--requirepass").unwrap();
    let sorted = |words: Vec<&str>| {
        let mut pairs: Vec<String> = words.chunks(2).map(|pair| pair.join(" ")).collect();
        pairs.sort();
        pairs
    };
    let known = [&["--port"], &known[..password], &known[password + 2..]].concat();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    assert_eq!(sorted([&["--port"], own.as_slice()].concat()), sorted(known));
}

#[test]
fn unit_for_systemd_is_valid_and_restarts_only_what_may_succeed() {
    let unit = std::fs::read_to_string(root().join("deploy/manada-agent@.service")).unwrap();
    let job = read_yaml("tests/kubernetes/bus/agents-job.yaml");
    let codes = &job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"];
    let codes: Vec<String> = codes.as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(unit.contains(&format!("\nRestartPreventExitStatus={}\n", codes.join(" "))), "{unit}");
    assert!(unit.contains("\nEnvironment=JOB_COMPLETION_INDEX=%i\n"));
    // The program has to exist, and the man page is found only where it is installed.
    let unit = unit.replace("/usr/local/bin/manada", MANADA);
    let unit = unit.replace("Documentation=man:manada-agent(1)\n", "");
    let folder = tempfile::tempdir().unwrap();
    let verify = |text: &str| {
        std::fs::write(folder.path().join("manada-agent@.service"), text).unwrap();
        let mut command = Command::new("systemd-analyze");
        command.arg("verify").arg(folder.path().join("manada-agent@0.service"));
        let done = command.output();
        done.expect("this test needs systemd-analyze: `apt-get install systemd`")
    };
    let done = verify(&unit);
    let output = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && output.is_empty(), "{output}");
    let wrong = verify(&unit.replace("ProtectHome=yes", "ProtectHouse=yes"));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("ProtectHouse"));
}
