//! A secret is sent, and shows nowhere.

use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::builtin::Builtin;
use crate::harness::Manada;

const SECRET: &str = "t0p/s3cr&t=k\"y";

#[test]
fn a_secret_reaches_the_target_and_nobody_else() {
    let target = Builtin::start(&["--fail", "100%:503"]);
    let scenario = format!(
        r#"
scenario: hush
description: it is t0p/s3cr&t=k"y, really
services: {{ shop: "{}" }}
thresholds: [ "errors < 1%" ]
workloads:
  w:
    users: 2
    iterations: 10
    flow:
      - post: /cart/{{{{ secret("SHOP_TOKEN") }}}}
        name: "cart t0p/s3cr&t=k\"y"
        headers: {{ authorization: "Basic {{{{ base64('u:' ~ secret('SHOP_TOKEN')) }}}}" }}
        json:
          token: "{{{{ secret('SHOP_TOKEN') }}}}"
          q: "{{{{ secret('SHOP_TOKEN') | urlencode }}}}"
        check: {{ body: {{ contains: "t0p/s3cr&t=k\"y" }} }}
      - get: /{{{{ secret("SHOP_TOKEN") | nothing }}}}
"#,
        target.url("")
    );
    // As it stands it does not compile: the message shows neither the value nor its forms.
    let broken = Manada::run(&scenario, &[]).env("SHOP_TOKEN", SECRET).go();
    assert_eq!(broken.code, Some(3), "{broken}");
    let scenario = scenario.replace(" | nothing", "");
    let json = Manada::run(&scenario, &["-v"]).env("SHOP_TOKEN", SECRET).go();
    assert_eq!(json.code, Some(4), "{json}");
    let words = ["run", "scenario.yaml", "--ui", "plain", "--out", "out"];
    let text = Manada::new(&words).file("scenario.yaml", &scenario).env("SHOP_TOKEN", SECRET).go();
    assert_eq!(text.code, Some(4), "{text}");
    assert!(text.stdout.contains("***"), "{text}");
    let mut shown: Vec<String> = Vec::new();
    for done in [&broken, &json, &text] {
        shown.extend([done.stdout.clone(), done.stderr.clone()]);
        let Ok(files) = std::fs::read_dir(done.path("out")) else { continue };
        for file in files {
            let mut bytes = std::fs::read(file.unwrap().path()).unwrap();
            if let Some(packed) = bytes.strip_prefix(b"manada record 1\n") {
                // What is packed can be unpacked by anybody.
                let mut text = Vec::new();
                DeflateDecoder::new(packed).read_to_end(&mut text).unwrap();
                assert!(text.len() > 1_000);
                bytes = text;
            }
            shown.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    assert!(shown.len() > 10);
    let forms =
        [SECRET, "t0p%2Fs3cr", "t0p/s3cr&t=k%22", "t0p/s3cr&t=k\\\"", "dTp0MHAvczNj", "MHAvczNj"];
    for text in shown {
        for form in forms {
            assert!(!text.contains(form), "{form} shows in\n{text}");
        }
    }
}
