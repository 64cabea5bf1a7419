//! What is recorded, once, and what is not lost.

mod cartridges;
mod import;
mod reading;
mod recording;
mod retention;

use super::*;
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn script(name: &str, code: &str) -> Script {
    Script::new(name, Language::Pixel, code)
}

fn rows(store: &Store) -> u64 {
    match store.verify().unwrap() {
        Verdict::Whole { rows, .. } => rows,
        broken => panic!("{broken:?}"),
    }
}

fn outcome(status: RunStatus) -> Outcome {
    Outcome {
        status,
        stdout: "said".into(),
        stderr: String::new(),
        duration: 3,
        backend: "cpu",
        cycles: 2,
        fuel: 9,
        canvas_sha256: None,
        canvas: Some([128, 64]),
    }
}

fn number(store: &Store, sql: &str) -> i64 {
    store.connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn run(store: &mut Store, status: RunStatus) -> bool {
    let due = store.due(1).unwrap().remove(0);
    let started = store.begin_run(&due).unwrap();
    store.end_run(&started, &due, 1, &outcome(status)).unwrap()
}

#[test]
fn a_run_is_recorded_once_with_all_that_belongs_to_it() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    let due = store.due(3).unwrap();
    assert_eq!((due.len(), due[0].name.as_str(), due[0].language), (1, "one", Language::Pixel));
    let started = store.begin_run(&due[0]).unwrap();
    assert!(store.end_run(&started, &due[0], 7, &outcome(RunStatus::Ok)).unwrap());
    assert!(!store.end_run(&started, &due[0], 7, &outcome(RunStatus::Ok)).unwrap());
    assert_eq!(
        number(&store, "SELECT run_count * 10 + success_count FROM improvement_scripts"),
        11
    );
    assert_eq!(number(&store, "SELECT count(*) FROM infinite_map WHERE kind = 'run'"), 1);
    assert_eq!(number(&store, "SELECT iteration FROM infinite_map WHERE run_id = 1"), 7);
    assert_eq!(number(&store, "SELECT count(*) FROM system_metrics"), 1);
    assert_eq!(rows(&store), 3);
    assert_eq!(store.integrity().unwrap(), "ok");
}

#[test]
fn runs_of_another_life_are_abandoned_and_due_again() {
    let (folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    let due = store.due(1).unwrap().remove(0);
    store.begin_run(&due).unwrap();
    assert_eq!(store.abandon_runs(1).unwrap(), 0, "its own run");
    drop(store);
    let mut store = Store::open(folder.path()).unwrap();
    assert_eq!(store.abandon_runs(2).unwrap(), 1);
    assert_eq!(store.abandon_runs(2).unwrap(), 0);
    let again = store.begin_run(&store.due(1).unwrap()[0].clone()).unwrap();
    assert_eq!(number(&store, "SELECT attempt FROM improvement_runs ORDER BY id DESC LIMIT 1"), 2);
    assert!(store.end_run(&again, &due, 3, &outcome(RunStatus::Ok)).unwrap());
    assert_eq!(number(&store, "SELECT count(*) FROM infinite_map WHERE kind = 'abandoned'"), 1);
    assert_eq!(rows(&store), 4);
}

#[test]
fn scripts_that_fail_wait_and_are_switched_off() {
    let (_folder, mut store) = store();
    store.add_script(&script("bad", "RUBBISH")).unwrap();
    run(&mut store, RunStatus::Failed);
    assert!(store.due(1).unwrap().is_empty(), "it waits");
    for _ in 0..4 {
        store.connection.execute("UPDATE improvement_scripts SET next_run_at = NULL", []).unwrap();
        run(&mut store, RunStatus::Failed);
    }
    assert_eq!(number(&store, "SELECT enabled FROM improvement_scripts"), 0);
    assert!(store.enable_script("bad", true).unwrap());
    assert!(!store.enable_script("none", true).unwrap());
    run(&mut store, RunStatus::Broken);
    assert_eq!(number(&store, "SELECT enabled FROM improvement_scripts"), 0);
}

#[test]
fn scripts_added_by_hand_are_due_before_those_that_ran() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    run(&mut store, RunStatus::Ok);
    let by_hand = "INSERT INTO improvement_scripts (name, lang, code, created_at)
        VALUES ('hand', 'pixel', 'HALT', datetime('now'))";
    store.connection.execute(by_hand, []).unwrap();
    let names: Vec<String> = store.due(3).unwrap().into_iter().map(|due| due.name).collect();
    assert_eq!(names, ["hand", "one"]);
}

#[test]
fn the_map_is_only_added_to_and_its_chain_shows_every_change() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    (0..3).for_each(|_| assert!(run(&mut store, RunStatus::Ok)));
    for change in [
        "UPDATE infinite_map SET result = 'better'",
        "DELETE FROM infinite_map WHERE id = 3",
        "INSERT OR REPLACE INTO infinite_map SELECT * FROM infinite_map WHERE id = 2",
    ] {
        let refused = store.connection.execute(change, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{change}: {refused}");
    }
    store
        .connection
        .execute_batch(
            "DROP TRIGGER map_no_update; DROP TRIGGER map_no_delete; PRAGMA foreign_keys = OFF",
        )
        .unwrap();
    let verdict_after = |change: &str| {
        store.connection.execute_batch(&format!("BEGIN; {change}")).unwrap();
        let verdict = store.verify().unwrap();
        store.connection.execute_batch("ROLLBACK").unwrap();
        verdict
    };
    let broken = |change: &str| match verdict_after(change) {
        Verdict::Broken { id, .. } => id,
        whole => panic!("{change}: {whole:?}"),
    };
    assert_eq!(broken("UPDATE infinite_map SET result = 'better' WHERE id = 3"), 3);
    assert_eq!(broken("UPDATE infinite_map SET timestamp = '2000-01-01 00:00:00' WHERE id = 1"), 1);
    assert_eq!(broken("DELETE FROM infinite_map WHERE id = 2"), 3);
    assert_eq!(broken("DELETE FROM infinite_map WHERE id = 5"), 5);
    assert_eq!(rows(&store), 5);
}

#[test]
fn large_values_are_kept_once_and_known_when_damaged() {
    let (folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    let due = store.due(1).unwrap().remove(0);
    let long = Outcome { stdout: "x".repeat(INLINE + 1), ..outcome(RunStatus::Ok) };
    for _ in 0..2 {
        let started = store.begin_run(&due).unwrap();
        assert!(store.end_run(&started, &due, 1, &long).unwrap());
    }
    let sql = "SELECT result_sha256 FROM infinite_map WHERE run_id = 1";
    let hash: String = store.connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(store.object(&hash).unwrap(), long.stdout.as_bytes());
    let place = folder.path().join("objects").join(&hash[..2]);
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
    std::fs::write(place.join(&hash), "other").unwrap();
    for (name, found) in [(hash.as_str(), "damaged"), ("../../x", "no hash")] {
        let error = store.object(name).unwrap_err().to_string();
        assert!(error.ends_with(found), "{error}");
    }
}

#[test]
fn a_backup_is_a_store() {
    let (folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    run(&mut store, RunStatus::Ok);
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join("db")).unwrap();
    store.back_up(&other.join("db/daemon.db")).unwrap();
    let copy = Store::open(&other).unwrap();
    assert_eq!(rows(&copy), 3);
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("db")).unwrap();
    std::fs::write(folder.path().join("db/daemon.db"), "this is not a database, but long enough")
        .unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Database { .. })));
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let db = Connection::open(folder.path().join("db/daemon.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Version { .. })));
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    assert!(matches!(store.add_script(&script("one", "HALT")), Err(StoreError::Taken { .. })));
    for bad in [script("one", ""), script("", "HALT"), script("x", &"y".repeat(262_145))] {
        assert!(matches!(store.add_script(&bad), Err(StoreError::Value { .. })), "{}", bad.name);
    }
}

#[test]
fn many_may_open_a_new_store_at_once() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = folder.path();
                scope.spawn(move || {
                    let mut store = Store::open(path).unwrap();
                    store.add_script(&script(&format!("s{number}"), "HALT")).unwrap();
                });
            }
        });
        assert_eq!(rows(&Store::open(folder.path()).unwrap()), 9);
    }
}
