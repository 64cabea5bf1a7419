//! Files of statements, plain ones and others.

use super::*;

const FILE: &str = "-- what people write
INSERT INTO development_goals (id, goal, priority, created_at)
  VALUES (7, 'Draw; slowly', 8, datetime('now'));

INSERT INTO improvement_scripts (name, lang, purpose, code, enabled, created_at, goal_id) VALUES
  ('line', 'pixel', 'it''s a line', 'LINE 0 0 9 9' || char(10) || 'HALT', 1, datetime('now'), 7),
  ('off', 'python', NULL, 'print(1); -- no', 0, strftime('%Y-%m-%d', 'now'), 3);
/* done */
";

#[test]
fn plain_statements_are_read_as_data() {
    let (_folder, mut store) = store();
    store.add_goal(&Goal { goal: "first".into(), priority: 1, spec: None }).unwrap();
    let done = store.import("a.sql", FILE).unwrap();
    assert_eq!(
        (done.scripts, done.goals),
        (vec!["line".into(), "off".into()], vec!["Draw; slowly".into()])
    );
    let rows = store.scripts(Page::default()).unwrap().items;
    assert_eq!((rows[0].code.as_str(), rows[0].goal_id), ("LINE 0 0 9 9\nHALT", Some(2)));
    assert_eq!((rows[0].origin, rows[1].enabled, rows[1].goal_id), (Origin::Import, false, None));
    assert_eq!(rows[0].purpose.as_deref(), Some("it's a line"));
    let again = store.import("a.sql", FILE).unwrap();
    assert_eq!(again.taken, ["Draw; slowly", "line", "off"]);
    assert!(again.scripts.is_empty() && again.goals.is_empty());
    assert_eq!(store.map(Some("script"), Page::default()).unwrap().items.len(), 2);
    assert_eq!(super::rows(&store), 5);
}

#[test]
fn all_else_is_refused_with_its_place_and_changes_nothing() {
    let (folder, mut store) = store();
    let secret = folder.path().join("secret");
    let attach = format!("ATTACH '{}' AS x", secret.display());
    let vacuum = format!("VACUUM INTO '{}'", secret.display());
    let insert =
        "INSERT INTO improvement_scripts (name, lang, code, created_at) VALUES ('a', 'pixel',";
    let endless = format!(
        "{insert} (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
         SELECT max(i) FROM n), '')"
    );
    let large = format!("{insert} printf('%.*c', 2000000, 'x'), '')");
    let read = format!("{insert} (SELECT sql FROM sqlite_master LIMIT 1), '')");
    let file = format!("{insert} readfile('/etc/passwd'), '')");
    let load = format!("{insert} load_extension('x'), '')");
    let check = format!("{insert} 'HALT', 'now'), ('', 'pixel', 'HALT', 'now')");
    let slow = format!("{insert} 'HALT', 'now');\n{}", slow());
    let mut unexpected = Vec::new();
    for (bad, words) in [
        ("DELETE FROM improvement_scripts", "not authorized"),
        ("UPDATE improvement_scripts SET code = ''", "not authorized"),
        ("DROP TABLE improvement_scripts", "not authorized"),
        ("CREATE TABLE t (a)", "not authorized"),
        ("PRAGMA user_version = 9", "not authorized"),
        ("BEGIN", "not authorized"),
        (
            "INSERT INTO infinite_map (iteration, timestamp, kind, prev_hash, row_hash)
          VALUES (1, '', 'run', '', '')",
            "prohibited|not authorized",
        ),
        ("INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)", "may not be modified|not authorized"),
        ("SELECT 1", "expected an INSERT"),
        (
            "INSERT INTO development_goals (goal, created_at) VALUES (?1, 'now')",
            "without parameters",
        ),
        (
            "INSERT INTO development_goals (goal, created_at) VALUES ('a', '') RETURNING id",
            "returns rows",
        ),
        (
            "INSERT INTO development_goals (goal, priority, created_at) VALUES ('a', 11, '')",
            "CHECK",
        ),
        ("INSERT INTO", "syntax error"),
        ("!", "unrecognized token"),
        (attach.as_str(), "not authorized|too many"),
        (&vacuum, "authorization denied"),
        (&endless, "not authorized"),
        (&large, "too big|not authorized"),
        (&read, "prohibited"),
        (&file, "no such function|not authorized"),
        (&load, "not authorized"),
        (&check, "CHECK"),
        (&slow, "interrupted"),
    ] {
        let text = format!("{}\n\n-- it\n{bad};\n", &FILE);
        let error = store.import("bad.sql", &text).unwrap_err();
        let StoreError::Import { statement, line, message, .. } = &error else {
            panic!("{bad}: {error}")
        };
        let expected = if bad == slow { (4, 13) } else { (3, 12) };
        assert_eq!((*statement, *line), expected, "{bad}: {error}");
        if !words.split('|').any(|word| message.contains(word)) {
            unexpected.push(format!("{bad}: {message}"));
        }
        assert!(error.to_string().starts_with("bad.sql:1"), "{error}");
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(!secret.exists());
    assert!(store.scripts(Page::default()).unwrap().items.is_empty());
    let long = " ".repeat((1 << 20) + 1);
    assert!(matches!(store.import("long.sql", &long), Err(StoreError::Import { .. })));
    assert_eq!(rows(&store), 1);
}

/// A statement that has more to do than any file may.
fn slow() -> String {
    let many = "(VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))";
    let joined = [many; 10].join(", ");
    format!("INSERT INTO development_goals (goal, created_at) SELECT max(1), '' FROM {joined}")
}
