//! Runs that are recorded when they have ended, one and many.

use super::*;
use std::time::Instant;

fn asked(code: &str) -> Finished {
    Finished::asked("run", code.into(), 4, outcome(RunStatus::Ok))
}

#[test]
fn runs_without_a_script_have_their_row_of_the_map() {
    let (_folder, mut store) = store();
    let run = asked("HALT");
    assert_eq!(store.standing(&run.uuid).unwrap(), Standing::Unknown);
    let recorded = store.record_run(&run).unwrap();
    assert_eq!(store.standing(&run.uuid).unwrap(), Standing::Recorded);
    let row = store.map_row(recorded.map_id).unwrap().unwrap();
    assert_eq!((row.kind.as_str(), row.x, row.y, row.run_id), ("run", 4, 0, Some(recorded.id)));
    assert_eq!(row.code.as_deref(), Some("HALT"));
    let row = store.run(&run.uuid).unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.script_id, row.success), ("ok", None, Some(true)));
    assert!(row.started_at < row.finished_at.unwrap(), "it took 3 ms");
    assert!(matches!(store.record_run(&run), Err(StoreError::Recorded { .. })));
    assert_eq!(rows(&store), 2);
}

#[test]
fn a_name_that_is_taken_keeps_only_its_own_run_out() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    let due = store.due(1).unwrap().remove(0);
    let started = store.begin_run(&due).unwrap();
    assert_eq!(store.standing(&started.uuid).unwrap(), Standing::Running);
    let running = Finished { uuid: started.uuid, ..asked("HALT") };
    let gone = Finished::of(Due { id: 99, ..due.clone() }, 1, outcome(RunStatus::Ok));
    let of_script = Finished::of(due, 1, outcome(RunStatus::Failed));
    let twice = asked("NOP");
    let batch = [asked("HALT"), running, gone, of_script, twice.clone(), twice];
    let told = store.record_runs(&batch).unwrap();
    let right: Vec<bool> = told.iter().map(Result::is_ok).collect();
    assert_eq!(right, [true, false, false, true, true, false]);
    assert!(matches!(told[2], Err(StoreError::Missing { .. })));
    assert!(matches!(told[5], Err(StoreError::Recorded { .. })));
    assert_eq!(number(&store, "SELECT fail_streak FROM improvement_scripts"), 1);
    assert_eq!(number(&store, "SELECT run_count FROM improvement_scripts"), 1);
    let sql = "SELECT context FROM system_metrics WHERE metric_name = 'api_run_duration_ms'";
    let context: String = store.connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(context, r#"{"count":2}"#);
    assert_eq!(rows(&store), 5);
}

#[test]
fn a_script_that_cannot_be_counted_keeps_only_its_own_run_out() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    let full = "UPDATE improvement_scripts SET run_count = 9223372036854775807";
    store.connection.execute(full, []).unwrap();
    let due = store.due(1).unwrap().remove(0);
    let of_script = Finished::of(due, 1, outcome(RunStatus::Ok));
    let told = store.record_runs(&[asked("HALT"), of_script, asked("NOP")]).unwrap();
    let right: Vec<bool> = told.iter().map(Result::is_ok).collect();
    assert_eq!(right, [true, false, true]);
    assert_eq!(number(&store, "SELECT count(*) FROM improvement_runs"), 2);
    assert_eq!(rows(&store), 4);
}

#[test]
fn long_outputs_and_programs_are_objects() {
    let (_folder, mut store) = store();
    let long = "y".repeat(INLINE + 1);
    let mut run = asked(&long);
    run.outcome.stdout = long.clone();
    let recorded = store.record_run(&run).unwrap();
    let row = store.map_row(recorded.map_id).unwrap().unwrap();
    assert_eq!((row.code, row.result_sha256.as_ref()), (None, row.code_sha256.as_ref()));
    assert_eq!(store.run(&run.uuid).unwrap().unwrap().stdout, Some(long));
    let listed = store.runs(&RunFilter::default(), Page::default()).unwrap().items.remove(0);
    assert_eq!(listed.stdout, None);
}

#[test]
fn thousands_of_runs_are_recorded_in_a_second() {
    let (_folder, mut store) = store();
    let batch: Vec<Finished> = (0..2000).map(|_| asked("HALT")).collect();
    let began = Instant::now();
    assert!(store.record_runs(&batch).unwrap().iter().all(Result::is_ok));
    let rate = 2000.0 / began.elapsed().as_secs_f64();
    println!("{rate:.0} runs/s");
    // A tenth of what is wanted of a build with optimisation on a machine with nothing else to do.
    assert!(rate > 500.0, "{rate:.0} runs/s");
    assert_eq!(rows(&store), 2001);
}
