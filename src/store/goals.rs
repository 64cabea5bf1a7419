//! Goals: what scripts are for.

use super::map::{Chain, Entry, Kind, last_iteration};
use super::{Page, Paged, Result, Store, StoreError};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A goal to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// What is to be reached: one character at least.
    pub goal: String,
    /// How much it matters: 1 to 10.
    pub priority: i64,
    /// What a machine has to know of it.
    pub spec: Option<Value>,
}

/// A goal.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GoalRow {
    /// Its row.
    pub id: i64,
    /// What is to be reached.
    pub goal: String,
    /// How much it matters: 1 to 10, most.
    pub priority: i64,
    /// Whether it is reached.
    pub completed: bool,
    /// When it was set, UTC.
    pub created_at: String,
    /// When it was reached, UTC.
    pub completed_at: Option<String>,
    /// What a machine has to know of it.
    pub spec: Option<Value>,
    /// The best score that a program has reached.
    pub best_score: Option<f64>,
    /// That program's row of the map.
    pub best_map_id: Option<i64>,
}

const COLUMNS: &str = "id, goal, priority, completed, created_at, completed_at, spec_json, \
    best_score, best_map_id";

impl GoalRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let spec: Option<String> = row.get(6)?;
        Ok(GoalRow {
            id: row.get(0)?,
            goal: row.get(1)?,
            priority: row.get(2)?,
            completed: row.get(3)?,
            created_at: row.get(4)?,
            completed_at: row.get(5)?,
            // SQLite's idea of JSON was checked; numbers that serde has no place for remain text.
            spec: spec.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
            best_score: row.get(7)?,
            best_map_id: row.get(8)?,
        })
    }
}

/// Tells the map of a goal.
fn chart(tx: &Connection, id: i64, goal: &str, what: &str) -> rusqlite::Result<()> {
    let mut chain = Chain::of(tx)?;
    let iteration = last_iteration(tx)?;
    chain.append(&Entry {
        task: Some(goal.into()),
        result: Some(what.into()),
        goal: Some(id),
        place: [iteration, 0],
        ..Entry::new(Kind::Goal, iteration)
    })?;
    Ok(())
}

/// Adds a goal and its row of the map.
pub(super) fn insert(tx: &Connection, goal: &Goal) -> rusqlite::Result<i64> {
    let now = Chain::of(tx)?.now;
    tx.execute(
        "INSERT INTO development_goals (goal, priority, created_at, spec_json) VALUES (?1, ?2, ?3, ?4)",
        params![goal.goal, goal.priority, now, goal.spec.as_ref().map(Value::to_string)],
    )?;
    let id = tx.last_insert_rowid();
    chart(tx, id, &goal.goal, "set")?;
    Ok(id)
}

/// Says that a goal is reached, or open again.
pub(super) fn complete(
    tx: &Connection,
    id: i64,
    goal: &str,
    completed: bool,
) -> rusqlite::Result<()> {
    let now = Chain::of(tx)?.now;
    tx.execute(
        "UPDATE development_goals SET completed = ?2, completed_at = ?3 WHERE id = ?1",
        params![id, completed, completed.then_some(now)],
    )?;
    chart(tx, id, goal, if completed { "reached" } else { "open again" })
}

fn in_range(priority: i64) -> Result<()> {
    if (1..=10).contains(&priority) {
        return Ok(());
    }
    Err(StoreError::Value {
        what: "the goal's priority",
        expected: "1 to 10".into(),
        found: priority.to_string(),
    })
}

impl Store {
    /// Adds a goal, and returns its row.
    ///
    /// # Errors
    /// [`StoreError::Value`] for an empty text or a priority out of range; [`StoreError::Database`].
    pub fn add_goal(&mut self, goal: &Goal) -> Result<i64> {
        in_range(goal.priority)?;
        let length = goal.goal.chars().count();
        if goal.goal.trim().is_empty() || length > 4096 {
            return Err(StoreError::Value {
                what: "the goal",
                expected: "a text of 1 to 4096 characters".into(),
                found: format!("{length} long"),
            });
        }
        self.write(|tx| insert(tx, goal))
    }

    /// Goals, the oldest first: those that are not reached, or all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn goals(&self, all: bool, page: Page) -> Result<Paged<GoalRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM development_goals
             WHERE id > ?1 AND (?2 OR completed = 0) ORDER BY id LIMIT ?3"
        );
        self.paged(page, &sql, &[&page.after(), &all], GoalRow::of, |row| row.id)
    }

    /// A goal by its row.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn goal(&self, id: i64) -> Result<Option<GoalRow>> {
        let sql = format!("SELECT {COLUMNS} FROM development_goals WHERE id = ?1");
        self.one(&sql, &[&id], GoalRow::of)
    }

    /// Says whether a goal is reached, or how much it matters; what it is then.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Value`], [`StoreError::Database`].
    pub fn change_goal(
        &mut self,
        id: i64,
        completed: Option<bool>,
        priority: Option<i64>,
    ) -> Result<GoalRow> {
        priority.map_or(Ok(()), in_range)?;
        let missing = || StoreError::Missing { what: "goal", which: id.to_string() };
        let before = self.goal(id)?.ok_or_else(missing)?;
        self.write(|tx| {
            if let Some(priority) = priority.filter(|&priority| priority != before.priority) {
                tx.execute(
                    "UPDATE development_goals SET priority = ?2 WHERE id = ?1",
                    [id, priority],
                )?;
                chart(tx, id, &before.goal, &format!("priority {priority}"))?;
            }
            if let Some(completed) = completed.filter(|&completed| completed != before.completed) {
                complete(tx, id, &before.goal, completed)?;
            }
            Ok(())
        })?;
        self.goal(id)?.ok_or_else(missing)
    }
}
