//! `gvpie script`, `goal`, `map` and `metrics`, over a folder that other programs read and write, too.

use super::{failed, on_cpu, said, succeeded};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::process::Output;
use tempfile::TempDir;

/// Runs a subcommand with `--json` over `data` in the folder.
fn told(folder: &TempDir, arguments: &[&str]) -> Value {
    let output = on_data(folder, &[arguments, &["--json"]].concat());
    succeeded(&output);
    json(&output)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn on_data(folder: &TempDir, arguments: &[&str]) -> Output {
    on_cpu(folder, &[arguments, &["--data", "data"]].concat())
}

fn shown(folder: &TempDir, arguments: &[&str]) -> String {
    let output = on_data(folder, arguments);
    succeeded(&output);
    String::from_utf8(output.stdout).unwrap()
}

fn add(folder: &TempDir, name: &str, code: &str) -> Value {
    told(folder, &["script", "add", "--name", name, "--lang", "pixel", "--code", code])
}

fn database(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("data/db/daemon.db")).unwrap()
}

fn rows(database: &Connection, sql: &str) -> Vec<Vec<rusqlite::types::Value>> {
    let mut statement = database.prepare(sql).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

const HELLO: &str = "TXT 10 10 Hello World\nHALT";

#[test]
fn scripts_are_added_listed_switched_and_run() {
    let f = tempfile::tempdir().unwrap();
    let row = add(&f, "hello", HELLO);
    assert_eq!(
        (&row["id"], &row["enabled"], &row["lang"]),
        (&json!(1), &json!(true), &json!("pixel"))
    );
    let report = told(&f, &["script", "run", "hello"]);
    for (key, value) in [
        ("success", json!(true)),
        ("cycles_executed", json!(2)),
        ("backend_used", json!("cpu")),
        ("status", json!("halted")),
        ("canvas", json!([128, 64])),
        ("error", Value::Null),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    // The canvas is kept under the hash that `gvpie run` tells.
    std::fs::write(f.path().join("hello.pxl"), HELLO).unwrap();
    let run = on_cpu(&f, &["run", "hello.pxl", "--json"]);
    assert_eq!(json(&run)["canvas_sha256"], report["canvas_sha256"]);
    let hash = report["canvas_sha256"].as_str().unwrap();
    let object = f.path().join("data/objects").join(&hash[..2]).join(hash);
    assert_eq!(std::fs::metadata(object).unwrap().len(), 4 * 128 * 64);

    let list = told(&f, &["script", "list"]);
    assert_eq!((&list[0]["run_count"], &list[0]["last"]["status"]), (&json!(1), &json!("ok")));
    assert!(shown(&f, &["script", "disable", "hello"]).contains("is off"));
    let table = shown(&f, &["script", "list"]);
    assert!(table.starts_with("id  name   lang   runs  success"), "{table}");
    assert!(table.contains("off: switched off") && table.contains("100.0 %"), "{table}");
    assert!(shown(&f, &["script", "enable", "hello"]).contains("is on"));
    failed(&on_data(&f, &["script", "enable", "none"]), &["no script 'none'"]);
    let again = ["script", "add", "--name", "hello", "--lang", "pixel", "--code", "HALT"];
    failed(&on_data(&f, &again), &["'hello' is taken"]);
}

#[test]
fn programs_that_cannot_be_run_are_refused_or_recorded() {
    let f = tempfile::tempdir().unwrap();
    let wrong = ["script", "add", "--name", "w", "--lang", "pixel", "--code", "ADDD r1 r2"];
    let output = on_data(&f, &wrong);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("did you mean ADD?"), "{}", said(&output));
    for usage in [
        &["script", "add", "--name", "w", "--lang", "pixel"][..],
        &["script", "add", "--name", "w", "--lang", "lua", "--code", ""],
        &["script", "add", "--name", "w", "--lang", "pixel", "--code", "HALT", "--interval", "0"],
        &["goal", "add", "g", "--priority", "11"],
        &["goal", "add", "g", "--spec", "{"],
        &["script"],
    ] {
        assert_eq!(on_data(&f, usage).status.code(), Some(2), "{usage:?}");
    }
    assert_eq!(told(&f, &["script", "list"]), json!([]));

    add(&f, "trap", "NOP\nTRAP 3");
    failed(&on_data(&f, &["script", "run", "trap"]), &["trap", "fault 7", "instruction 1"]);
    told(&f, &["script", "add", "--name", "py", "--lang", "python", "--code", "print(1)"]);
    failed(&on_data(&f, &["script", "run", "py"]), &["python", "skipped"]);
    database(&f)
        .execute(
            "INSERT INTO improvement_scripts (name, lang, code, created_at)
             VALUES ('hand', 'pixel', 'RUBBISH', datetime('now'))",
            [],
        )
        .unwrap();
    assert_eq!(on_data(&f, &["script", "run", "hand"]).status.code(), Some(1));
    let list = told(&f, &["script", "list"]);
    let statuses: Vec<&Value> = (0..3).map(|at| &list[at]["last"]["status"]).collect();
    assert_eq!(statuses, [&json!("failed"), &json!("skipped"), &json!("failed")]);
    assert_eq!(list[2]["disabled_reason"], "it does not assemble");
    assert!(list[1]["last"]["stderr"].as_str().unwrap().contains("switched off"));
    shown(&f, &["map", "verify"]);
}

#[test]
fn cartridges_are_registered_with_their_scripts() {
    let f = tempfile::tempdir().unwrap();
    std::fs::write(f.path().join("rain.pxl"), ".meta name Soft Rain\n.canvas 8 8\nPLOT 1 1\nHALT")
        .unwrap();
    succeeded(&on_cpu(&f, &["asm", "rain.pxl", "-o", "rain.pxl.png"]));
    let named = |name: &'static str| ["script", "add", "--name", name, "--lang", "cartridge"];
    let row = told(&f, &[&named("rain")[..], &["--file", "rain.pxl.png"]].concat());
    let path = row["code"].as_str().unwrap();
    assert!(path.starts_with("cartridges/soft-rain-"), "{path}");
    assert!(f.path().join("data").join(path).is_file());
    let row = told(&f, &[&named("again")[..], &["--code", "soft-rain"]].concat());
    assert_eq!(row["code"], path);
    assert_eq!(told(&f, &["script", "run", "rain"])["canvas"], json!([8, 8]));
    let none = on_data(&f, &[&named("none")[..], &["--code", "none"]].concat());
    failed(&none, &["no cartridge 'none'"]);
    failed(&on_data(&f, &[&named("text")[..], &["--file", "rain.pxl"]].concat()), &["PNG"]);

    std::fs::write(f.path().join("data").join(path), "other").unwrap();
    failed(&on_data(&f, &["script", "run", "rain"]), &["soft-rain", "checksum"]);
    assert_eq!(told(&f, &["metrics"])["counts"]["runs_failed"], 1);
}

#[test]
fn goals_are_set_and_reached() {
    let f = tempfile::tempdir().unwrap();
    let spec = r#"{"ink":3}"#;
    let row = told(&f, &["goal", "add", "a circle", "--priority", "9", "--spec", spec]);
    assert_eq!((&row["priority"], &row["spec"]["ink"]), (&json!(9), &json!(3)));
    database(&f)
        .execute(
            "INSERT INTO development_goals (goal, created_at) VALUES ('by hand', datetime('now'))",
            [],
        )
        .unwrap();
    assert_eq!(told(&f, &["goal", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(shown(&f, &["goal", "done", "2"]), "goal 2 is reached\n");
    let open = shown(&f, &["goal", "list"]);
    assert!(open.contains("a circle") && !open.contains("by hand"), "{open}");
    assert_eq!(told(&f, &["goal", "list", "--all"]).as_array().unwrap().len(), 2);
    assert_eq!(told(&f, &["goal", "done", "2", "--reopen"])["completed"], false);
    failed(&on_data(&f, &["goal", "done", "7"]), &["no goal '7'"]);
}

#[test]
fn the_map_is_shown_exported_and_proved() {
    let f = tempfile::tempdir().unwrap();
    failed(&on_data(&f, &["map", "verify"]), &["no store in 'data'"]);
    assert!(!f.path().join("data").exists());
    add(&f, "one", HELLO);
    for _ in 0..2 {
        told(&f, &["script", "run", "one"]);
    }
    assert!(shown(&f, &["map", "show"]).contains("one"));
    let told_of = |arguments: &[&str]| told(&f, arguments);
    assert_eq!(told_of(&["map", "show", "--kind", "run"]).as_array().unwrap().len(), 2);
    assert_eq!(told_of(&["map", "show", "--limit", "1"])[0]["id"], 4);
    assert_eq!(told_of(&["map", "show", "2"])["code"], HELLO);
    assert!(shown(&f, &["map", "show", "2"]).contains("code"));
    let lineage = told_of(&["map", "lineage", "3"]);
    let ids = |rows: &Value| -> Vec<i64> {
        rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!((ids(&lineage["items"]), ids(&lineage["children"])), (vec![2, 3], vec![4]));
    assert!(shown(&f, &["map", "lineage", "3"]).contains("from 3:"));
    failed(&on_data(&f, &["map", "lineage", "9"]), &["no row of the map '9'"]);

    let lines = shown(&f, &["map", "export"]);
    assert_eq!(lines.lines().count(), 4);
    shown(&f, &["map", "export", "-o", "map.jsonl"]);
    assert_eq!(std::fs::read_to_string(f.path().join("map.jsonl")).unwrap(), lines);
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    let whole = json!({ "whole": true, "rows": 4, "head": last["row_hash"] });
    assert_eq!(told_of(&["map", "verify"]), whole);

    database(&f)
        .execute_batch(
            "DROP TRIGGER map_no_update; UPDATE infinite_map SET result = '{}' WHERE id = 3",
        )
        .unwrap();
    failed(&on_data(&f, &["map", "verify"]), &["row 3", "not what was written"]);
    let output = on_data(&f, &["map", "verify", "--json"]);
    assert_eq!((output.status.code(), &json(&output)["id"]), (Some(1), &json!(3)));
}

#[test]
fn statements_are_imported_as_data() {
    let f = tempfile::tempdir().unwrap();
    let folder = f.path().join("improvement_scripts");
    std::fs::create_dir(&folder).unwrap();
    let insert = "INSERT INTO improvement_scripts (name, lang, code, created_at) VALUES";
    std::fs::write(
        folder.join("a.sql"),
        format!("{insert} ('a', 'pixel', 'HALT', datetime('now'));"),
    )
    .unwrap();
    std::fs::write(
        folder.join("b.sql"),
        format!("{insert} ('a', 'pixel', 'NOP', 'now'),\n('b', 'pixel', 'HALT', 'now');"),
    )
    .unwrap();
    std::fs::write(folder.join("notes.txt"), "no statements").unwrap();
    let output = shown(&f, &["script", "import", "improvement_scripts"]);
    assert!(
        output.contains("b.sql: 1 scripts, 0 goals") && output.contains("'a' is there"),
        "{output}"
    );
    let list = told(&f, &["script", "list"]);
    assert_eq!((&list[0]["origin"], &list[1]["name"]), (&json!("import"), &json!("b")));
    std::fs::write(
        f.path().join("bad.sql"),
        format!("{insert} ('c', 'pixel', 'HALT', '');\nDELETE FROM improvement_runs;"),
    )
    .unwrap();
    let refused = on_data(&f, &["script", "import", "bad.sql"]);
    failed(&refused, &["bad.sql:2", "statement 2", "not authorized"]);
    assert_eq!(told(&f, &["script", "list"]).as_array().unwrap().len(), 2);
    failed(&on_data(&f, &["script", "import", "none.sql"]), &["none.sql"]);
}

#[test]
fn plain_sql_over_the_tables_tells_what_happened() {
    let f = tempfile::tempdir().unwrap();
    add(&f, "good", HELLO);
    add(&f, "never", HELLO);
    add(&f, "bad", "TRAP 1");
    for name in ["good", "bad", "good"] {
        on_data(&f, &["script", "run", name]);
    }
    let database = database(&f);
    let text = |value: &rusqlite::types::Value| match value {
        rusqlite::types::Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let runs = rows(
        &database,
        "SELECT s.name, r.success, r.duration_ms, r.backend, r.started_at
         FROM improvement_runs r JOIN improvement_scripts s ON r.script_id = s.id
         ORDER BY r.started_at DESC",
    );
    let names: Vec<String> = runs.iter().map(|row| text(&row[0])).collect();
    assert_eq!(names, ["good", "bad", "good"]);
    assert!(runs.iter().all(|row| text(&row[3]) == "cpu"));
    let rates = rows(
        &database,
        "SELECT name, run_count, success_count,
            CAST(success_count AS FLOAT) / run_count * 100 AS success_rate
         FROM improvement_scripts WHERE run_count > 0 ORDER BY name",
    );
    let rates: Vec<(String, rusqlite::types::Value)> =
        rates.into_iter().map(|row| (text(&row[0]), row[3].clone())).collect();
    assert_eq!(rates, [("bad".into(), 0.0.into()), ("good".into(), 100.0.into())]);
    let map = rows(
        &database,
        "SELECT iteration, task_description, substr(result, 1, 100), timestamp
         FROM infinite_map ORDER BY timestamp DESC",
    );
    assert_eq!(map.len(), 7);
    let metrics = rows(&database, "SELECT * FROM system_metrics ORDER BY timestamp DESC");
    assert_eq!(metrics.len(), 3);
    let told = told(&f, &["metrics", "--name", "run_duration_ms", "--limit", "2"]);
    assert_eq!(told["metrics"].as_array().unwrap().len(), 2);
    assert_eq!((&told["counts"]["runs"], &told["counts"]["runs_ok"]), (&json!(3), &json!(2)));
    let shown = shown(&f, &["metrics"]);
    assert!(shown.contains("map rows     7") && shown.contains("run_duration_ms"), "{shown}");
}
