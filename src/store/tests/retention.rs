//! What is let go, what never is, and clocks that are wrong.

use super::*;
use crate::store::retention::check;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

fn tidy(store: &mut Store) -> Tidied {
    store.tidy(&Keep::default()).unwrap()
}

fn text(store: &Store, sql: &str) -> Option<String> {
    store.connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn figures_become_means_of_hours() {
    let (_folder, mut store) = store();
    for (time, value, context) in [
        ("2020-01-01 10:00:01.500", 1.0, Some("one")),
        ("2020-01-01 10:59:59", 3.0, Some("one")),
        ("2020-01-01 10:30:00", 9.0, Some(r#"{"count":4}"#)),
        ("2020-01-01 10:31:00", 4.0, None),
        ("2020-01-01T11:00:00", 7.0, Some("one")),
        ("no time", 8.0, None),
        ("0", 8.0, None),
    ] {
        let sql = "INSERT INTO system_metrics (timestamp, metric_name, metric_value, context)
            VALUES (?1, 'm', ?2, ?3)";
        store.connection.execute(sql, rusqlite::params![time, value, context]).unwrap();
    }
    store.add_metric("m", 5.0, None).unwrap();
    assert!(matches!(store.add_metric("m", f64::NAN, None), Err(StoreError::Value { .. })));
    let before = number(&store, "SELECT count(*) FROM system_metrics WHERE grain = 'raw'");
    let rolled = tidy(&mut store).metrics;
    let after = number(&store, "SELECT count(*) FROM system_metrics WHERE grain = 'raw'");
    assert_eq!(before - after, rolled as i64);
    assert_eq!(tidy(&mut store).metrics, 0);
    let filter = MetricFilter { name: Some("m".into()), since: None };
    let mut hours: Vec<(String, f64, String)> = store
        .metrics(&filter, Page::default())
        .unwrap()
        .items
        .into_iter()
        .filter(|row| row.grain == "hour" && row.timestamp.starts_with("2020"))
        .map(|row| (row.timestamp, row.metric_value, row.context.unwrap()))
        .collect();
    hours.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let hour = |time: &str, value, context: &str| (time.to_string(), value, context.to_string());
    assert_eq!(
        hours,
        [
            hour("2020-01-01 10:00:00", 2.0, r#"{"count":2,"of":"one"}"#),
            hour("2020-01-01 10:00:00", 8.0, r#"{"count":5,"of":null}"#),
            hour("2020-01-01 11:00:00", 7.0, r#"{"count":1,"of":"one"}"#),
        ]
    );
    let since = MetricFilter { name: None, since: Some("2021-01-01 00:00:00".into()) };
    assert!(store.metrics(&since, Page::default()).unwrap().items[0].metric_value == 5.0);
}

#[test]
fn what_the_map_names_and_failures_stay() {
    let (_folder, mut store) = store();
    let long = format!("; {}\nHALT", "x".repeat(INLINE));
    store.add_script(&script("one", &long)).unwrap();
    let due = store.due(1).unwrap().remove(0);
    let canvas = store.keep(&[7; 64]).unwrap();
    for (status, stdout) in [
        (RunStatus::Ok, "a".repeat(300)),
        (RunStatus::Ok, "short".into()),
        (RunStatus::Failed, "b".repeat(300)),
        (RunStatus::Ok, "c".repeat(INLINE + 1)),
    ] {
        let canvas_sha256 = Some(canvas.clone());
        let told = Outcome { stdout, canvas_sha256, ..outcome(status) };
        store.record_run(&Finished::of(due.clone(), 1, told)).unwrap();
    }
    store
        .connection
        .execute("UPDATE improvement_runs SET finished_at = '2020-01-01 00:00:00'", [])
        .unwrap();
    store.keep(b"nobody's").unwrap();
    let lineage = store.lineage(6, 99).unwrap();
    let mut aged = 0;
    for object in objects(&store) {
        let old = SystemTime::now() - Duration::from_secs(7200);
        File::options().append(true).open(&object).unwrap().set_modified(old).unwrap();
        aged += 1;
    }
    assert_eq!(aged, 4);
    let tidied = tidy(&mut store);
    assert_eq!((tidied.outputs, tidied.objects, tidied.bytes), (1, 1, 8));
    assert_eq!(objects(&store).len(), 3);
    let outputs: Vec<usize> = ["1", "2", "3", "4"]
        .map(|id| store.run(id).unwrap().unwrap().stdout.map_or(0, |text| text.len()))
        .into();
    assert_eq!(outputs, [0, 5, 300, INLINE + 1]);
    assert_eq!(store.object(&canvas).unwrap(), [7; 64]);
    assert_eq!(store.lineage(6, 99).unwrap(), lineage);
    assert_eq!(lineage.items.len(), 5);
    assert_eq!(rows(&store), 6);
}

fn objects(store: &Store) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(store.folder.join("objects")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    found
}

#[test]
fn objects_that_somebody_may_be_about_to_name_stay() {
    let (folder, mut store) = store();
    let hash = store.keep(b"value").unwrap();
    let place = folder.path().join("objects").join(&hash[..2]).join(&hash);
    let age = |path: &Path, seconds: u64| {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    };
    age(&place, 3000);
    assert_eq!(tidy(&mut store).objects, 0, "young");
    age(&place, 7200);
    store.keep(b"value").unwrap();
    assert_eq!(tidy(&mut store).objects, 0, "wanted again");
    let future = SystemTime::now() + Duration::from_secs(1 << 30);
    File::options().append(true).open(&place).unwrap().set_modified(future).unwrap();
    assert_eq!(tidy(&mut store).objects, 0, "of a clock that was wrong");
    // A write and a deletion that were cut short.
    let (part, moved) =
        (place.with_file_name(".tmpx"), place.with_file_name(format!("{hash}.old")));
    fs::write(&part, "va").unwrap();
    fs::rename(&place, &moved).unwrap();
    age(&part, 7200);
    age(&moved, 7200);
    assert_eq!(tidy(&mut store).objects, 0);
    assert!(!part.exists() && place.exists());
    assert_eq!(tidy(&mut store).objects, 1);
    assert!(store.object(&hash).is_err());
    assert_eq!(store.keep(b"value").unwrap(), hash);
    assert_eq!(store.object(&hash).unwrap(), b"value");
}

#[test]
fn a_backup_is_made_once_a_day_and_seven_are_kept() {
    let (folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    run(&mut store, RunStatus::Ok);
    let backups = folder.path().join("backups");
    fs::create_dir(&backups).unwrap();
    for day in 1..=9 {
        fs::write(backups.join(format!("daemon-2020010{day}.db")), "old").unwrap();
    }
    fs::write(backups.join("mine.db"), "not ours").unwrap();
    fs::write(backups.join("daemon-29990101.db"), "of a clock that was wrong").unwrap();
    let path = store.back_up_daily(&Keep::default()).unwrap().unwrap();
    assert_eq!(store.back_up_daily(&Keep::default()).unwrap(), None);
    assert_eq!(fs::read_dir(&backups).unwrap().count(), 8);
    assert!(backups.join("mine.db").exists() && path.exists());
    assert!(!backups.join("daemon-20200104.db").exists());
    assert!(backups.join("daemon-20200105.db").exists());
    check(&path).unwrap();
    let copy = Connection::open(&path).unwrap();
    copy.execute_batch("DROP TRIGGER map_no_update; UPDATE infinite_map SET result = 'x'").unwrap();
    drop(copy);
    assert!(matches!(check(&path), Err(StoreError::Damaged { .. })));
}

#[test]
fn clocks_that_jump_break_nothing_and_leave_nobody_waiting() {
    let (_folder, mut store) = store();
    for (name, interval) in [("every", None), ("daily", Some(86_400.0))] {
        store.add_script(&Script { interval, ..script(name, "HALT") }).unwrap();
    }
    let names = |store: &Store| -> Vec<String> {
        store.due(9).unwrap().into_iter().map(|due| due.name).collect()
    };
    let set = |store: &Store, next: &str, last: &str| {
        let sql =
            format!("UPDATE improvement_scripts SET next_run_at = {next}, last_run_at = {last}");
        store.connection.execute(&sql, []).unwrap();
    };
    // Said while the clock was a year ahead.
    set(&store, "datetime('now', '+1 year')", "datetime('now', '+1 year')");
    assert_eq!(names(&store), ["every", "daily"]);
    // In two hours: later than any backoff, but within a day.
    set(&store, "datetime('now', '+2 hours')", "datetime('now')");
    assert_eq!(names(&store), ["every"]);
    set(&store, "datetime('now', '+30 minutes')", "datetime('now')");
    assert!(names(&store).is_empty());
    for next in ["'soon'", "''", "'9999-99-99'", "datetime('now', '-50 years')", "NULL"] {
        set(&store, next, "'whenever'");
        assert_eq!(names(&store), ["every", "daily"], "{next}");
    }
    // Those that were run while the clock was ahead do not come behind all others for a year.
    set(&store, "NULL", "datetime('now', '-1 minute')");
    let ahead = "UPDATE improvement_scripts SET last_run_at = datetime('now', '+1 year')
        WHERE name = 'daily'";
    store.connection.execute(ahead, []).unwrap();
    assert_eq!(names(&store), ["daily", "every"]);
    run(&mut store, RunStatus::Ok);
    // Rows of the map whose times run backwards are a chain all the same.
    let last = text(&store, "SELECT max(timestamp) FROM infinite_map").unwrap();
    store
        .write(|tx| {
            let mut chain = map::Chain::of(tx)?;
            for time in ["2999-01-01 00:00:00", "1999-01-01 00:00:00", &last] {
                chain.now = time.into();
                chain.append(&Entry::new(Kind::System, 1))?;
            }
            Ok(())
        })
        .unwrap();
    run(&mut store, RunStatus::Ok);
    assert_eq!(rows(&store), 8);
}

#[test]
fn runs_are_counted_while_others_run_and_vanish() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    let due = store.due(1).unwrap().remove(0);
    let counted = |store: &Store| {
        let counts = store.counts().unwrap();
        assert_eq!(counts.runs as i64, number(store, "SELECT count(*) FROM improvement_runs"));
        (counts.runs, counts.runs_ok)
    };
    let first = store.begin_run(&due).unwrap();
    let second = store.begin_run(&due).unwrap();
    run(&mut store, RunStatus::Ok);
    assert_eq!(counted(&store), (3, 1));
    assert!(store.release_run(&second).unwrap());
    assert_eq!(counted(&store), (2, 1));
    assert!(store.end_run(&first, &due, 1, &outcome(RunStatus::Ok)).unwrap());
    assert_eq!((counted(&store), counted(&store)), ((2, 2), (2, 2)));
    let last = store.begin_run(&due).unwrap();
    assert_eq!(counted(&store), (3, 2));
    assert!(store.release_run(&last).unwrap());
    assert_eq!(counted(&store), (2, 2));
    run(&mut store, RunStatus::Failed);
    assert_eq!(counted(&store), (3, 2));
}

#[test]
fn counts_are_those_of_the_rows() {
    let (_folder, mut store) = store();
    assert_eq!(store.counts().unwrap(), Counts { map_rows: 1, ..Counts::default() });
    store.add_script(&script("one", "HALT")).unwrap();
    for status in [RunStatus::Ok, RunStatus::Skipped, RunStatus::Ok, RunStatus::Failed] {
        run(&mut store, status);
    }
    store.connection.execute("UPDATE improvement_scripts SET next_run_at = NULL", []).unwrap();
    let due = store.due(1).unwrap().remove(0);
    store.begin_run(&due).unwrap();
    let expected = Counts {
        runs: 5,
        runs_ok: 2,
        runs_failed: 1,
        runs_skipped: 1,
        runs_running: 1,
        scripts: 1,
        scripts_enabled: 1,
        map_rows: 6,
        ..Counts::default()
    };
    assert_eq!(store.counts().unwrap(), expected);
}
