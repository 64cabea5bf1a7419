//! Scripts and goals from files of `INSERT` statements, which are read as data.
//!
//! The statements run in a database of their own, in memory, that lets them insert into the two tables
//! and do nothing else; the rows are then copied. Nothing in a file reaches the store but those rows.

use super::{Goal, Language, Origin, Result, Script, Store, StoreError, goals, scripts};
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Batch, Connection};
use std::collections::HashMap;

/// Bytes of a file, and of a value, at most.
const MOST_BYTES: usize = 1 << 20;

/// Steps of SQLite's machine for a file at most, in thousands.
const MOST_STEPS: u32 = 20_000;

/// Functions that a statement may call.
const FUNCTIONS: &[&str] = &[
    "char",
    "coalesce",
    "concat",
    "date",
    "datetime",
    "format",
    "ifnull",
    "json",
    "json_array",
    "json_object",
    "julianday",
    "lower",
    "printf",
    "replace",
    "strftime",
    "time",
    "trim",
    "unixepoch",
    "upper",
    "max",
    "length",
    "json_valid",
];

/// What was taken from a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The scripts, by name.
    pub scripts: Vec<String>,
    /// The goals.
    pub goals: Vec<String>,
    /// Scripts and goals that the store has already; those stay as they are.
    pub taken: Vec<String>,
}

/// What a file's statements have inserted.
struct Rows {
    goals: Vec<(i64, Goal, bool)>,
    scripts: Vec<Script>,
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    let ours = |table: &str| matches!(table, "improvement_scripts" | "development_goals");
    let allowed = match context.action {
        AuthAction::Insert { table_name } | AuthAction::Read { table_name, .. } => ours(table_name),
        AuthAction::Function { function_name } => {
            FUNCTIONS.contains(&function_name.to_ascii_lowercase().as_str())
        }
        AuthAction::Select => true,
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

/// An empty database that knows the tables and lets nothing else be done.
fn sandbox() -> rusqlite::Result<Connection> {
    let memory = Connection::open_in_memory()?;
    memory.execute_batch(include_str!("schema.sql"))?;
    memory.pragma_update(None, "foreign_keys", false)?; // goals of the store may be named
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, MOST_BYTES as i32),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, MOST_BYTES as i32),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 50),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        memory.set_limit(limit, most)?;
    }
    memory.authorizer(Some(authorize))?;
    let mut steps = 0;
    memory.progress_handler(
        1000,
        Some(move || {
            steps += 1;
            steps > MOST_STEPS
        }),
    )?;
    Ok(memory)
}

/// Runs a file's statements for themselves and reads what they have inserted.
fn read(file: &str, text: &str) -> Result<Rows> {
    let wrong = |statement: usize, offset: usize, message: String| StoreError::Import {
        file: file.into(),
        statement,
        line: 1 + text.get(..offset).unwrap_or(text).matches('\n').count(),
        message,
    };
    if text.len() > MOST_BYTES {
        let message = format!("{} bytes; {MOST_BYTES} at most", text.len());
        return Err(wrong(0, 0, message));
    }
    let told = |source| StoreError::Database { path: file.into(), source };
    let memory = sandbox().map_err(told)?;
    let mut batch = Batch::new(&memory, text);
    // Behind the statements that were read; then behind blanks and comments, at the next one.
    let (mut number, mut offset) = (0, 0);
    loop {
        number += 1;
        let begins = offset + blank(text.get(offset..).unwrap_or(""));
        let statement = batch.next().map_err(|error| wrong(number, begins, plain(error)))?;
        let Some(mut statement) = statement else { break };
        if statement.readonly() || statement.parameter_count() > 0 {
            let message = "expected an INSERT without parameters".into();
            return Err(wrong(number, begins, message));
        }
        statement.execute([]).map_err(|error| wrong(number, begins, plain(error)))?;
        offset += statement.expanded_sql().map_or(0, |sql| sql.len());
    }
    let no_hook: Option<fn(AuthContext<'_>) -> Authorization> = None;
    memory.authorizer(no_hook).and_then(|()| rows(&memory)).map_err(told)
}

/// SQLite's words alone, without the statement, which may be long.
fn plain(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::ExecuteReturnedResults => "it returns rows".into(),
        other => other.to_string(),
    }
}

/// Bytes of blanks and comments that a text begins with.
fn blank(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let end = if trimmed.starts_with("--") {
            trimmed.find('\n').unwrap_or(trimmed.len())
        } else if trimmed.starts_with("/*") {
            trimmed.find("*/").map_or(trimmed.len(), |at| at + 2)
        } else {
            return text.len() - trimmed.len();
        };
        rest = &trimmed[end..];
    }
}

fn rows(memory: &Connection) -> rusqlite::Result<Rows> {
    let goals = memory
        .prepare(
            "SELECT id, goal, priority, spec_json, completed FROM development_goals ORDER BY id",
        )?
        .query_map([], |row| {
            let spec: Option<String> = row.get(3)?;
            let goal = Goal {
                goal: row.get(1)?,
                priority: row.get(2)?,
                spec: spec.and_then(|text| serde_json::from_str(&text).ok()),
            };
            Ok((row.get(0)?, goal, row.get(4)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let scripts = memory
        .prepare(
            "SELECT name, lang, code, purpose, interval_s, goal_id, enabled
             FROM improvement_scripts ORDER BY id",
        )?
        .query_map([], |row| {
            let language: String = row.get(1)?;
            Ok(Script {
                name: row.get(0)?,
                language: Language::read(&language),
                code: row.get(2)?,
                purpose: row.get(3)?,
                interval: row.get(4)?,
                goal: row.get(5)?,
                origin: Origin::Import,
                enabled: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Rows { goals, scripts })
}

impl Store {
    /// Adds the scripts and goals of a file of `INSERT` statements, all or none. Those that the store
    /// has already, by their name or their words, stay as they are and are told.
    ///
    /// A script's `goal_id` is a goal of the same file, or else one of the store, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Import`], which names the file and the statement; [`StoreError::Database`],
    /// [`StoreError::File`].
    pub fn import(&mut self, file: &str, text: &str) -> Result<Imported> {
        let rows = read(file, text)?;
        for script in &rows.scripts {
            self.keep_code(&script.code)?;
        }
        self.write(|tx| {
            let mut done = Imported::default();
            let mut ids = HashMap::new();
            for (id, goal, completed) in &rows.goals {
                let there = tx
                    .prepare_cached("SELECT id FROM development_goals WHERE goal = ?1 LIMIT 1")?
                    .query_map([&goal.goal], |row| row.get::<_, i64>(0))?
                    .next()
                    .transpose()?;
                let (place, list) = match there {
                    Some(place) => (place, &mut done.taken),
                    None => (goals::insert(tx, goal)?, &mut done.goals),
                };
                list.push(goal.goal.clone());
                if *completed && there.is_none() {
                    goals::complete(tx, place, &goal.goal, true)?;
                }
                ids.insert(*id, place);
            }
            for script in &rows.scripts {
                let there: bool = tx
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM improvement_scripts WHERE name = ?1)",
                    )?
                    .query_row([&script.name], |row| row.get(0))?;
                if there {
                    done.taken.push(script.name.clone());
                    continue;
                }
                let of_store = |id: i64| -> rusqlite::Result<Option<i64>> {
                    let sql = "SELECT max(id) FROM development_goals WHERE id = ?1";
                    tx.prepare_cached(sql)?.query_row([id], |row| row.get(0))
                };
                let goal = match script.goal {
                    None => None,
                    Some(id) => {
                        ids.get(&id).copied().map_or_else(|| of_store(id), |id| Ok(Some(id)))?
                    }
                };
                scripts::insert(tx, &Script { goal, ..script.clone() })?;
                done.scripts.push(script.name.clone());
            }
            Ok(done)
        })
    }
}
