//! The JSON that the host prints is as its schemas say, and every code is explained on the page that they name.

use std::collections::BTreeSet;
use std::fs;

use host::unavailable::Shortage;
use plugin_record::{Code, NoteCode};
use serde_json::{Value, json};
use tests::bad::{Bad, small};
use tests::cargo::{root, sample, text};
use tests::files::with_record;
use tests::host::Site;

// Long: a table of cases.
#[test]
fn reports_of_check_are_as_the_schema_says() {
    let schema = schema("check");
    let check = Schema::new(&schema);
    let site = Site::new("[plugin.gone]\nrequired = false\n");
    let plugin = small(site.path());
    check.accepts(&site.check(&[]).1);

    // Something in every place: serving, standby, links, refused with and without a record, unversioned, from elsewhere.
    site.install(&sample("submit-echo"));
    Bad::new(&site, &plugin, "submit-echo", "lib?.so.1.0.0").record(|record| record.version.minor = 0);
    Bad::new(&site, &plugin, "schema-ab-x", "lib?.so.1.1.0").record(|record| record.panic = "abort".into());
    Bad::new(&site, &plugin, "schema-cd-x", "lib?.so.1.1.0").is(b"");
    site.copy(&plugin, "libschema.so");
    let report = site.check(&[]).1;
    check.accepts(&report);
    let states: BTreeSet<&str> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, BTreeSet::from(["refused", "serving", "standby"]), "{report:#}");
    assert!(
        report["plugins"][0].is_object() && report["unversioned"][0].is_string(),
        "{report:#}"
    );
    let elsewhere = site.check(&[&sample("submit-echo")]).1;
    assert_eq!(elsewhere["files"][0]["state"], "admitted");
    check.accepts(&elsewhere);

    let taking = site.check(&[crate::static_tls::library()]).1;
    assert!(taking["files"][0]["static_tls"]["size"].is_u64(), "{taking:#}");
    check.accepts(&taking);

    let accepting = Site::new("[policy]\ncompiler = \"any\"\n");
    Bad::new(&accepting, &plugin, "schema-othr", "lib?.so.1.1.0").record(|record| {
        record.compiler.release = "1.2.3".into();
        record.compiler.version_line = "rustc 1.2.3".into();
        record.packages[1].native = Some(true);
    });
    let accepted = accepting.check(&[]).1;
    let file = &accepted["files"][0];
    assert!(
        file["differences"][0].is_object() && file["notes"][0].is_object(),
        "{accepted:#}"
    );
    check.accepts(&accepted);

    // A schema that accepts everything would show nothing.
    let spoil: [fn(&mut Value); 7] = [
        |report| report["more"] = json!(1),
        |report| report["files"][0]["more"] = json!(1),
        |report| report["files"][0]["notes"] = json!([{ "code": "native-code" }]),
        |report| report["files"][0]["state"] = json!("asleep"),
        |report| report["files"][0]["commands"] = json!([1]),
        |report| report["plugins"][0]["refusal"]["cure"] = Value::Null,
        |report| drop(report.as_object_mut().unwrap().remove("unversioned")),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let mut report = report.clone();
        spoil(&mut report);
        assert!(!check.0.is_valid(&report), "wrong report {number} is accepted");
    }
}

#[test]
fn fingerprints_and_records_are_as_the_schema_says() {
    let whole = schema("fingerprint");
    let site = Site::new("[policy.packages]\nserde_json = \">=1.0.140, <2\"\n");
    let (_, printed, _) = site.with_configuration(&["fingerprint", "--json"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["policy"]["packages"]["serde_json"], ">=1.0.140, <2");
    Schema::new(&whole).accepts(&printed);
    Schema::new(&whole).accepts(&site.json(&["fingerprint"]));
    let mut record = json!({ "$ref": "#/$defs/record" });
    record["$defs"] = whole["$defs"].clone();
    Schema::new(&record).accepts(&site.inspect(&small(site.path())));
    Schema::new(&record).accepts(&site.inspect(crate::static_tls::library()));
    let native = site.path().join("libnative.so");
    with_record(&small(site.path()), &native, |record| {
        record.packages[1].native = Some(true)
    });
    let native = site.inspect(&native);
    assert_eq!(native["notes"][0]["code"], "native-code");
    Schema::new(&record).accepts(&native);
    assert!(!Schema::new(&whole).0.is_valid(&printed["record"]));
}

#[test]
fn reports_of_bench_are_as_the_schema_says() {
    let schema = schema("bench");
    let bench = Schema::new(&schema);
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    let (address, pid) = (host.address(), host.pid().to_string());
    let run = |more: &[&str]| {
        let quick = [
            "bench",
            "--addr",
            &address,
            "--duration",
            "100ms",
            "--warmup",
            "0s",
            "--json",
        ];
        let output = site.host(&[&quick, more].concat());
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
    };
    let report = run(&[]);
    assert!(report["rate"].is_null() && report["host_cpu_seconds"].is_null());
    bench.accepts(&report);
    let report = run(&[
        "--rate",
        "1000",
        "--pid",
        &pid,
        "--commands",
        "0x02,0x7f",
        "--body",
        "echo",
    ]);
    assert!(report["rate"].is_f64() && report["host_cpu_seconds"].is_f64());
    assert!(report["results"]["0xf0"].is_u64() && report["faults"]["wrong_body"] != 0);
    bench.accepts(&report);
    host.stop();

    let spoil: [fn(&mut Value); 6] = [
        |report| report["more"] = json!(1),
        |report| report["faults"]["more"] = json!(1),
        |report| report["results"]["240"] = json!(1),
        |report| report["latency_us"]["p99"] = Value::Null,
        |report| report["commands"] = json!([1]),
        |report| drop(report["faults"].as_object_mut().unwrap().remove("lost")),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let mut report = report.clone();
        spoil(&mut report);
        assert!(!bench.0.is_valid(&report), "wrong report {number} is accepted");
    }
}

/// Something in every place: serving, standby, disabled, refused with and without a record, unversioned, misnamed.
#[test]
fn statuses_are_as_the_schema_says() {
    let status = status();
    let site = Site::new("[plugin.gone]\nrequired = false\n[plugin.submit-log]\nenabled = false\n");
    status.accepts(&site.start().status());
    let plugin = small(site.path());
    site.install(&sample("submit-echo"));
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    Bad::new(&site, &plugin, "submit-echo", "lib?.so.1.0.0").record(|record| record.version.minor = 0);
    Bad::new(&site, &plugin, "schema-ab-x", "lib?.so.1.1.0").record(|record| record.panic = "abort".into());
    Bad::new(&site, &plugin, "schema-cd-x", "lib?.so.1.1.0").is(b"");
    site.copy(&plugin, "libschema.so");
    site.copy(&plugin, "schema-1.0.so");
    site.copy(crate::static_tls::library(), "libstatic.so.1.0.0");
    let host = site.start();
    let report = host.status();
    status.accepts(&report);
    let states = report["files"].as_array().unwrap().iter();
    let states: BTreeSet<&str> = states.map(|file| file["state"].as_str().unwrap()).collect();
    assert_eq!(
        states,
        BTreeSet::from(["disabled", "refused", "serving", "standby"]),
        "{report:#}"
    );
    host.stop();

    let spoil: [fn(&mut Value); 8] = [
        |report| report["more"] = json!(1),
        |report| report["host"]["more"] = json!(1),
        |report| report["host"]["phase"] = json!("asleep"),
        |report| report["files"][0]["state"] = json!("admitted"),
        |report| report["events"][0]["kind"] = json!("other"),
        |report| report["events"][0]["more"] = json!(1),
        |report| report["revision"] = Value::Null,
        |report| drop(report.as_object_mut().unwrap().remove("instances")),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let mut report = report.clone();
        spoil(&mut report);
        assert!(!status.0.is_valid(&report), "wrong status {number} is accepted");
    }
}

#[test]
fn acks_of_submit_are_as_the_schema_says() {
    let schema = schema("submit");
    let submit = Schema::new(&schema);
    let site = Site::with("[plugin.submit-echo.config]\nreply = true\n", &[&sample("submit-echo")]);
    let host = site.start();
    let address = host.address();
    let run = |more: &[&str]| {
        let output = site.host(&[&["submit", "--addr", &address, "--json"], more].concat());
        let acks = String::from_utf8(output.stdout).unwrap();
        let acks = acks.lines().map(|ack| serde_json::from_str::<Value>(ack).unwrap());
        acks.inspect(|ack| submit.accepts(ack)).collect::<Vec<_>>()
    };
    let acks = run(&["--conn", "hello"]);
    assert_eq!(
        (&acks[0]["request"], &acks[1]["body"], &acks[1]["body_hex"]),
        (&json!(1), &json!("hello"), &json!("68656c6c6f"))
    );
    let bytes = run(&["--hex", "00ff 80"]);
    assert_eq!(
        (&bytes[0]["body"], &bytes[0]["body_hex"]),
        (&Value::Null, &json!("00ff80"))
    );
    assert_eq!(run(&["-c", "0x7f", "x"])[0]["result"], 0xF0);
    host.stop();

    let spoil: [fn(&mut Value); 5] = [
        |ack| ack["more"] = json!(1),
        |ack| ack["id"] = json!("1"),
        |ack| ack["body_hex"] = json!("0"),
        |ack| ack["command"] = json!(1),
        |ack| drop(ack.as_object_mut().unwrap().remove("body")),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let mut ack = acks[1].clone();
        spoil(&mut ack);
        assert!(!submit.0.is_valid(&ack), "wrong ack {number} is accepted");
    }
}

#[test]
fn the_cures_of_the_page_name_what_is_known() {
    let page = fs::read_to_string(root().join("host/docs/refusals.md")).unwrap();
    let cures = page.lines().filter_map(|line| line.strip_prefix("- Cure: "));
    let cures: Vec<&str> = cures.map(|cure| cure.trim_matches(['`', ' '])).collect();
    assert!(cures.len() > 40, "{cures:#?}");
    cures.into_iter().for_each(tests::report::assert_names_what_is_known);
}

#[test]
fn every_code_is_explained_and_no_other() {
    let page = fs::read_to_string(root().join("host/docs/refusals.md")).unwrap();
    let sections: Vec<&str> = page.split("\n### `").skip(1).collect();
    let explained: Vec<&str> = sections
        .iter()
        .map(|section| section.split('`').next().unwrap())
        .collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let sorted = |list: &[&str]| {
        let mut list: Vec<String> = list.iter().map(|code| (*code).to_owned()).collect();
        list.sort();
        list
    };
    assert_eq!(sorted(&explained), sorted(&codes), "left: the page, right: the codes");
    for shortage in Shortage::ALL {
        assert!(
            page.lines()
                .any(|line| line.starts_with("#### ") && line.contains(&format!("`{}`", shortage.as_str())))
        );
    }
    for note in NoteCode::ALL {
        let title = format!("#### `{}`", note.as_str());
        assert!(page.lines().any(|line| line == title), "{title}");
    }
    for section in sections {
        let meaning = section.lines().nth(2).unwrap();
        assert!(meaning.len() > 10 && !meaning.starts_with('-'), "no meaning: {section}");
        for part in ["\n- Example: ", "\n- Cure: "] {
            assert!(section.contains(part), "no {part:?}: {section}");
        }
    }
}

/// The schema of statuses.
pub(crate) fn status() -> Schema {
    Schema::new(&schema("status"))
}

pub(crate) struct Schema(jsonschema::Validator);

impl Schema {
    fn new(schema: &Value) -> Schema {
        jsonschema::draft202012::meta::validate(schema).unwrap();
        Schema(jsonschema::draft202012::new(schema).unwrap())
    }

    #[track_caller]
    pub(crate) fn accepts(&self, value: &Value) {
        let errors: Vec<String> = self
            .0
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
    }
}

fn schema(name: &str) -> Value {
    let text = fs::read_to_string(root().join(format!("host/schema/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}
