//! Lists, lineages, regions, goals, scripts as they are shown and changed.

use super::*;
use serde_json::{Value, json};

#[test]
fn lists_come_in_pages_that_neither_miss_nor_repeat() {
    let (_folder, mut store) = store();
    for number in 0..7 {
        store.add_script(&script(&format!("s{number}"), "HALT")).unwrap();
    }
    let (mut page, mut names) = (Page::first(3), Vec::new());
    loop {
        let part = store.scripts(page).unwrap();
        names.extend(part.items.into_iter().map(|row| row.name));
        match part.next {
            None => break,
            next => page.cursor = next,
        }
    }
    assert_eq!(names, ["s0", "s1", "s2", "s3", "s4", "s5", "s6"]);
    let (mut page, mut ids) = (Page::first(4), Vec::new());
    loop {
        let part = store.map(None, page).unwrap();
        ids.extend(part.items.into_iter().map(|row| row.id));
        match part.next {
            None => break,
            next => page.cursor = next,
        }
    }
    assert_eq!(ids, [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(store.map(Some("genesis"), Page::default()).unwrap().items[0].id, 1);
    assert_eq!(store.scripts(Page::first(7)).unwrap().next, None);
    assert_eq!(store.scripts(Page::first(0)).unwrap().items.len(), 1);
}

#[test]
fn a_script_shows_its_last_run() {
    let (_folder, mut store) = store();
    let id = store.add_script(&script("one", "HALT")).unwrap();
    assert_eq!(store.script_row(id).unwrap().unwrap().last, None);
    run(&mut store, RunStatus::Ok);
    let due = store.due(1).unwrap().remove(0);
    store.begin_run(&due).unwrap(); // runs still
    let row = store.scripts(Page::default()).unwrap().items.remove(0);
    assert_eq!((row.run_count, row.success_count, row.enabled), (1, 1, true));
    let last = row.last.unwrap();
    assert_eq!((last.status.as_str(), last.canvas), ("ok", Some([128, 64])));
    assert_eq!(last.stdout.as_deref(), Some("said"));
    let runs = store.runs(&RunFilter::default(), Page::default()).unwrap().items;
    assert_eq!(runs.iter().map(|run| run.status.as_str()).collect::<Vec<_>>(), ["running", "ok"]);
    let ok = RunFilter { script: Some(id), status: Some("ok".into()) };
    let ok = store.runs(&ok, Page::default()).unwrap().items.remove(0);
    assert_eq!(store.run(&ok.run_uuid).unwrap(), store.run(&ok.id.to_string()).unwrap());
    assert_eq!((ok.script.as_deref(), ok.canvas), (Some("one"), Some([128, 64])));
    assert!(ok.map_id.is_some() && store.run("none").unwrap().is_none());
}

#[test]
fn every_code_that_was_run_is_in_the_map() {
    let (_folder, mut store) = store();
    let long = format!("; {}\nHALT", "x".repeat(INLINE));
    let id = store.add_script(&script("one", "HALT")).unwrap();
    run(&mut store, RunStatus::Ok);
    let row =
        store.change_script(id, &Change { code: Some(long.clone()), ..Change::default() }).unwrap();
    assert_eq!(row.code, long);
    run(&mut store, RunStatus::Ok);
    let by_hand = "UPDATE improvement_scripts SET code = 'NOP'";
    store.connection.execute(by_hand, []).unwrap();
    run(&mut store, RunStatus::Ok);
    run(&mut store, RunStatus::Ok);
    let mut rows = store.map(None, Page::default()).unwrap().items;
    rows.reverse();
    let told: Vec<(&str, Option<i64>)> =
        rows.iter().map(|row| (row.kind.as_str(), row.parent_iteration)).collect();
    assert_eq!(
        told,
        [
            ("genesis", None),
            ("script", None),
            ("run", Some(2)),
            ("script", Some(3)),
            ("run", Some(4)),
            ("script", Some(5)),
            ("run", Some(6)),
            ("run", Some(7)),
        ]
    );
    assert_eq!((rows[1].code.as_deref(), rows[5].code.as_deref()), (Some("HALT"), Some("NOP")));
    let hash = rows[3].code_sha256.as_deref().unwrap();
    assert_eq!((rows[3].code.as_deref(), store.object(hash).unwrap()), (None, long.into_bytes()));
    assert_eq!(rows[4].code_sha256, rows[3].code_sha256);
}

#[test]
fn scripts_are_changed_where_they_are_asked_to_be() {
    let (_folder, mut store) = store();
    let id = store.add_script(&script("one", "HALT")).unwrap();
    let change = Change {
        enabled: Some(false),
        purpose: Some(Some("art".into())),
        interval: Some(Some(2.5)),
        code: None,
    };
    let row = store.change_script(id, &change).unwrap();
    assert_eq!(
        (row.enabled, row.purpose.as_deref(), row.interval_s),
        (false, Some("art"), Some(2.5))
    );
    assert_eq!(row.disabled_reason.as_deref(), Some("switched off"));
    let change = Change { interval: Some(None), enabled: Some(true), ..Change::default() };
    let row = store.change_script(id, &change).unwrap();
    assert_eq!((row.enabled, row.purpose.as_deref(), row.interval_s), (true, Some("art"), None));
    assert_eq!(row.disabled_reason, None);
    for interval in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let change = Change { interval: Some(Some(interval)), ..Change::default() };
        assert!(matches!(store.change_script(id, &change), Err(StoreError::Value { .. })));
    }
    let nothing = Change::default();
    assert!(matches!(store.change_script(99, &nothing), Err(StoreError::Missing { .. })));
    let orphan = Script { goal: Some(7), ..script("two", "HALT") };
    assert!(matches!(store.add_script(&orphan), Err(StoreError::Missing { .. })));
}

#[test]
fn goals_are_set_reached_and_opened_again() {
    let (_folder, mut store) = store();
    let goal = |text: &str, priority, spec| Goal { goal: text.into(), priority, spec };
    let id = store.add_goal(&goal("a circle", 7, Some(json!({ "ink": 3 })))).unwrap();
    store.add_goal(&goal("a square", 1, None)).unwrap();
    for bad in [goal("", 5, None), goal("x", 0, None), goal("x", 11, None)] {
        assert!(matches!(store.add_goal(&bad), Err(StoreError::Value { .. })));
    }
    let row = store.change_goal(id, Some(true), None).unwrap();
    assert!(row.completed && row.completed_at.is_some());
    assert_eq!(row.spec, Some(json!({ "ink": 3 })));
    assert_eq!(store.goals(false, Page::default()).unwrap().items.len(), 1);
    assert_eq!(store.goals(true, Page::default()).unwrap().items.len(), 2);
    let row = store.change_goal(id, Some(false), Some(9)).unwrap();
    assert_eq!((row.completed, row.completed_at, row.priority), (false, None, 9));
    assert!(matches!(store.change_goal(9, None, None), Err(StoreError::Missing { .. })));
    assert!(matches!(store.change_goal(id, None, Some(0)), Err(StoreError::Value { .. })));
    let told = store.map(Some("goal"), Page::default()).unwrap().items;
    let results: Vec<&str> = told.iter().filter_map(|row| row.result.as_deref()).collect();
    assert_eq!(results, ["open again", "priority 9", "reached", "set", "set"]);
    assert!(told.iter().all(|row| row.goal_id.is_some()));
}

#[test]
fn lineages_go_through_both_parents() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    (0..3).for_each(|_| assert!(run(&mut store, RunStatus::Ok)));
    let ids = |rows: &[MapRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let lineage = store.lineage(4, 100).unwrap();
    assert_eq!((ids(&lineage.items), ids(&lineage.children)), (vec![2, 3, 4], vec![5]));
    assert_eq!(ids(&store.lineage(5, 2).unwrap().items), [4, 5], "the nearest");
    assert!(matches!(store.lineage(99, 9), Err(StoreError::Missing { .. })));
    // A crossing of rows 3 and 1, of which row 3 has a parent of its own.
    store
        .connection
        .execute(
            "INSERT INTO infinite_map (iteration, timestamp, parent_iteration, parent_b, kind,
                prev_hash, row_hash) VALUES (1, datetime('now'), 3, 1, 'elite', '', 'x')",
            [],
        )
        .unwrap();
    assert_eq!(ids(&store.lineage(6, 100).unwrap().items), [1, 2, 3, 6]);
    assert_eq!(ids(&store.lineage(1, 100).unwrap().children), [6]);
}

#[test]
fn the_plane_is_read_by_region_and_the_map_as_lines() {
    let (_folder, mut store) = store();
    store.add_script(&script("one", "HALT")).unwrap();
    (0..3).for_each(|_| assert!(run(&mut store, RunStatus::Ok)));
    let region = |x0, y0, x1, y1| store.region(Region { x0, y0, x1, y1 }, 2).unwrap();
    assert_eq!(region(1, 1, 1, 1).iter().map(|place| place.id).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(region(0, 0, 0, 0).iter().map(|place| place.id).collect::<Vec<_>>(), [1]);
    assert!(region(2, 0, 9, 9).is_empty());
    let mut text = Vec::new();
    assert_eq!(store.export(&mut text).unwrap(), 5);
    let lines: Vec<Value> = std::str::from_utf8(&text)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[4]["kind"]), (5, &json!("run")));
    let Verdict::Whole { rows, head } = store.verify().unwrap() else { panic!("broken") };
    assert_eq!((rows, json!(head)), (5, lines[4]["row_hash"].clone()));
}

#[test]
fn rows_inserted_by_hand_are_read_everywhere() {
    let (_folder, mut store) = store();
    store
        .connection
        .execute_batch(
            "INSERT INTO development_goals (goal, created_at) VALUES ('g', datetime('now'));
             INSERT INTO development_goals (goal, created_at, spec_json, best_map_id)
                VALUES ('h', date('now'), '[1e400]', 1);
             INSERT INTO improvement_scripts (name, lang, code, created_at, goal_id, interval_s)
                VALUES ('s', 'pixel', 'HALT', datetime('now'), 1, 1e300);
             INSERT INTO improvement_scripts (name, lang, code, created_at)
                VALUES ('t', 'python', '', 'today');
             INSERT INTO improvement_runs (started_at, finished_at, run_uuid, boot_id, status,
                code_sha256) VALUES (datetime('now'), datetime('now'), 'u', '', 'ok', '');
             INSERT INTO improvement_runs (script_id, started_at, run_uuid, boot_id, status,
                code_sha256) VALUES (1, datetime('now'), 'v', '', 'running', '');
             INSERT INTO cartridge_registry (path, kind, checksum, created_at, slug)
                VALUES ('cartridges/x', 'prompt', hex(zeroblob(32)), datetime('now'), 'x');
             INSERT INTO system_metrics (timestamp, metric_name, metric_value)
                VALUES (datetime('now'), 'm', 1);",
        )
        .unwrap();
    let page = Page::default();
    let goals = store.goals(false, page).unwrap().items;
    assert_eq!((goals.len(), goals[0].priority, goals[0].spec.is_none()), (2, 5, true));
    assert_eq!(goals[1].spec, Some(Value::String("[1e400]".into())));
    let scripts = store.scripts(page).unwrap().items;
    assert_eq!((scripts.len(), scripts[0].goal_id, &scripts[0].last), (2, Some(1), &None));
    let runs = store.runs(&RunFilter::default(), page).unwrap().items;
    assert_eq!((runs.len(), runs[0].success, runs[1].map_id), (2, None, None));
    let cartridges = store.cartridges(page).unwrap().items;
    assert_eq!((cartridges[0].name.as_str(), cartridges[0].width), ("x", None));
    assert_eq!(store.metrics(&MetricFilter::default(), page).unwrap().items[0].grain, "raw");
    assert_eq!(store.due(9).unwrap().len(), 2);
    run(&mut store, RunStatus::Ok);
    run(&mut store, RunStatus::Skipped);
    assert_eq!(store.due(9).unwrap().len(), 2, "an interval that no clock has is none");
    assert_eq!(store.abandon_runs(1).unwrap(), 1);
    store.tidy(&Keep::default()).unwrap();
    store.change_goal(1, Some(true), Some(1)).unwrap();
    rows(&store);
}
