//! Scripts: what the daemon runs, again and again.

use super::history::{LastRun, size};
use super::map::{Chain, Entry, Kind, last_iteration};
use super::objects::INLINE;
use super::runs::{BACKOFF, newest};
use super::{NOW, Page, Paged, Result, Store, StoreError, objects};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// A text of PXL-1.
    Pixel,
    /// The path of a cartridge in the data folder.
    Cartridge,
    /// Python, which is not run unless it is switched on.
    Python,
}

impl Language {
    /// As the column has it.
    pub fn name(self) -> &'static str {
        match self {
            Language::Pixel => "pixel",
            Language::Cartridge => "cartridge",
            Language::Python => "python",
        }
    }

    pub(super) fn read(name: &str) -> Self {
        // The column's check lets no other name in.
        let known = [Language::Pixel, Language::Cartridge, Language::Python];
        known.into_iter().find(|language| language.name() == name).unwrap_or(Language::Python)
    }
}

/// Who wrote a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Origin {
    #[default]
    User,
    Evolve,
    Llm,
    Import,
}

impl Origin {
    /// As the column has it.
    pub fn name(self) -> &'static str {
        match self {
            Origin::User => "user",
            Origin::Evolve => "evolve",
            Origin::Llm => "llm",
            Origin::Import => "import",
        }
    }

    fn read(name: &str) -> Self {
        // The column's check lets no other name in.
        let known = [Origin::User, Origin::Evolve, Origin::Llm, Origin::Import];
        known.into_iter().find(|origin| origin.name() == name).unwrap_or_default()
    }
}

/// A script to be added.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its name, which no other has: 1 to 128 characters.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// Its text: 262,144 characters at most.
    pub code: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// Seconds from one run to the next; every cycle unless said.
    pub interval: Option<f64>,
    /// The goal that it serves.
    pub goal: Option<i64>,
    /// Who wrote it.
    pub origin: Origin,
    /// Whether it is run.
    pub enabled: bool,
}

impl Script {
    /// A user's script that is run in every cycle.
    pub fn new(name: &str, language: Language, code: &str) -> Self {
        Script {
            name: name.into(),
            language,
            code: code.into(),
            purpose: None,
            interval: None,
            goal: None,
            origin: Origin::User,
            enabled: true,
        }
    }
}

/// What is to be changed of a script; what is not said stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Whether it is run. Switching it on forgets its failures, whatever switched it off.
    pub enabled: Option<bool>,
    /// What it is for; `Some(None)` for nothing.
    pub purpose: Option<Option<String>>,
    /// Seconds from one run to the next; `Some(None)` for every cycle.
    pub interval: Option<Option<f64>>,
    /// Its text. It is due at once, and its failures are forgotten.
    pub code: Option<String>,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ScriptRow {
    /// Its row.
    pub id: i64,
    /// Its name, which no other has.
    pub name: String,
    /// What it is written in.
    pub lang: Language,
    /// What it is for.
    pub purpose: Option<String>,
    /// Its text.
    pub code: String,
    /// Whether it is run.
    pub enabled: bool,
    /// When it was added, UTC.
    pub created_at: String,
    /// When its last run ended, UTC.
    pub last_run_at: Option<String>,
    /// How often it was run.
    pub run_count: i64,
    /// How often it came to its end.
    pub success_count: i64,
    /// Who wrote it.
    pub origin: Origin,
    /// Seconds from one run to the next; null for every cycle.
    pub interval_s: Option<f64>,
    /// When it is due, UTC; null for the next cycle.
    pub next_run_at: Option<String>,
    /// How often it has failed in a row.
    pub fail_streak: i64,
    /// Why it is switched off.
    pub disabled_reason: Option<String>,
    /// The goal that it serves.
    pub goal_id: Option<i64>,
    /// Its last run that has ended.
    pub last: Option<LastRun>,
}

const ROWS: &str = "SELECT s.id, s.name, s.lang, s.purpose, s.code, s.enabled, s.created_at, \
    s.last_run_at, s.run_count, s.success_count, s.origin, s.interval_s, s.next_run_at, \
    s.fail_streak, s.disabled_reason, s.goal_id, r.run_uuid, r.status, r.backend, r.duration_ms, \
    r.stdout, r.stderr, r.canvas_sha256, r.started_at, m.result \
    FROM improvement_scripts s LEFT JOIN improvement_runs r ON r.id = ( \
        SELECT id FROM improvement_runs WHERE script_id = s.id AND status <> 'running' \
        ORDER BY id DESC LIMIT 1) \
    LEFT JOIN infinite_map m ON m.run_id = r.id";

impl ScriptRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (language, origin): (String, String) = (row.get(2)?, row.get(10)?);
        let last = match row.get(16)? {
            None => None,
            Some(run_uuid) => Some(LastRun {
                run_uuid,
                status: row.get(17)?,
                backend: row.get(18)?,
                duration_ms: row.get(19)?,
                stdout: row.get(20)?,
                stderr: row.get(21)?,
                canvas_sha256: row.get(22)?,
                started_at: row.get(23)?,
                canvas: size(row.get(24)?),
            }),
        };
        Ok(ScriptRow {
            id: row.get(0)?,
            name: row.get(1)?,
            lang: Language::read(&language),
            purpose: row.get(3)?,
            code: row.get(4)?,
            enabled: row.get(5)?,
            created_at: row.get(6)?,
            last_run_at: row.get(7)?,
            run_count: row.get(8)?,
            success_count: row.get(9)?,
            origin: Origin::read(&origin),
            interval_s: row.get(11)?,
            next_run_at: row.get(12)?,
            fail_streak: row.get(13)?,
            disabled_reason: row.get(14)?,
            goal_id: row.get(15)?,
            last,
        })
    }
}

/// A script whose turn it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// Its text.
    pub code: String,
    /// The hash of its text.
    pub code_sha256: String,
}

impl Due {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let language: String = row.get(2)?;
        let code: String = row.get(3)?;
        let code_sha256 = objects::hash(code.as_bytes());
        let language = Language::read(&language);
        Ok(Due { id: row.get(0)?, name: row.get(1)?, language, code, code_sha256 })
    }
}

impl From<&ScriptRow> for Due {
    fn from(row: &ScriptRow) -> Self {
        Due {
            id: row.id,
            name: row.name.clone(),
            language: row.lang,
            code: row.code.clone(),
            code_sha256: objects::hash(row.code.as_bytes()),
        }
    }
}

/// Tells the map of a script's code, unless that is what the map has of it already. A long one is an
/// object by now. The row follows from what was before `run`.
pub(super) fn chart(
    chain: &mut Chain<'_>,
    script: &Due,
    iteration: i64,
    run: i64,
) -> rusqlite::Result<()> {
    let known: Option<Option<String>> = chain
        .tx
        .prepare_cached(
            "SELECT code_sha256 FROM infinite_map WHERE y = ?1 AND kind = 'script'
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row([script.id], |row| row.get(0))
        .optional()?;
    if known.flatten().as_ref() == Some(&script.code_sha256) {
        return Ok(());
    }
    let parent = newest(chain.tx, script.id, run)?;
    chain.append(&Entry {
        task: Some(script.name.clone()),
        code: (script.code.len() <= INLINE).then(|| script.code.clone()),
        parent,
        code_sha256: Some(script.code_sha256.clone()),
        place: [iteration, script.id],
        ..Entry::new(Kind::Script, iteration)
    })?;
    Ok(())
}

/// Adds a script and its row of the map.
pub(super) fn insert(tx: &Connection, script: &Script) -> rusqlite::Result<i64> {
    tx.execute(
        &format!(
            "INSERT INTO improvement_scripts (name, lang, purpose, code, enabled, interval_s, origin,
                goal_id, created_at)
             VALUES (:name, :lang, :purpose, :code, :enabled, :interval, :origin, :goal, {NOW})"
        ),
        named_params! {
            ":name": script.name,
            ":lang": script.language.name(),
            ":purpose": script.purpose,
            ":code": script.code,
            ":enabled": script.enabled,
            ":interval": script.interval,
            ":origin": script.origin.name(),
            ":goal": script.goal,
        },
    )?;
    let id = tx.last_insert_rowid();
    let due = Due {
        id,
        name: script.name.clone(),
        language: script.language,
        code: script.code.clone(),
        code_sha256: objects::hash(script.code.as_bytes()),
    };
    chart(&mut Chain::of(tx)?, &due, last_iteration(tx)?, i64::MAX)?;
    Ok(id)
}

fn wrong<T>(what: &'static str, expected: &str, found: String) -> Result<T> {
    Err(StoreError::Value { what, expected: expected.into(), found })
}

fn check_code(code: &str) -> Result<()> {
    match code.chars().count() {
        1..=262_144 => Ok(()),
        count => wrong("the script's code", "1 to 262144 characters", format!("{count} long")),
    }
}

fn check_interval(interval: Option<f64>) -> Result<()> {
    match interval {
        Some(seconds) if !(seconds > 0.0 && seconds <= 1e9) => {
            wrong("the script's interval", "above 0 seconds, at most 1e9", seconds.to_string())
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Adds a script, and returns its row.
    ///
    /// # Errors
    /// [`StoreError::Taken`]; [`StoreError::Value`] for a name or a code that is too long or empty, an
    /// interval that is none, a python script that no user wrote; [`StoreError::Missing`] for its goal.
    pub fn add_script(&mut self, script: &Script) -> Result<i64> {
        let name = script.name.chars().count();
        if !(1..=128).contains(&name) {
            return wrong("the script's name", "1 to 128 characters", format!("{name} long"));
        }
        check_code(&script.code)?;
        check_interval(script.interval)?;
        if script.language == Language::Python
            && matches!(script.origin, Origin::Evolve | Origin::Llm)
        {
            return wrong("the script's language", "pixel or cartridge", "python".into());
        }
        if let Some(goal) = script.goal
            && self.goal(goal)?.is_none()
        {
            return Err(StoreError::Missing { what: "goal", which: goal.to_string() });
        }
        if self.script(&script.name)?.is_some() {
            return Err(StoreError::Taken { what: "script", name: script.name.clone() });
        }
        self.keep_code(&script.code)?;
        self.write(|tx| insert(tx, script))
    }

    /// Makes a long code an object, which its row of the map names.
    pub(super) fn keep_code(&self, code: &str) -> Result<()> {
        if code.len() > INLINE {
            self.objects.keep(code.as_bytes())?;
        }
        Ok(())
    }

    /// Changes a script; what it is then.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Value`], [`StoreError::Database`],
    /// [`StoreError::File`].
    pub fn change_script(&mut self, id: i64, change: &Change) -> Result<ScriptRow> {
        change.code.as_deref().map_or(Ok(()), check_code)?;
        check_interval(change.interval.flatten())?;
        let missing = || StoreError::Missing { what: "script", which: id.to_string() };
        let before = self.script_row(id)?.ok_or_else(missing)?;
        let code = change.code.as_ref().filter(|code| **code != before.code);
        code.map_or(Ok(()), |code| self.keep_code(code))?;
        self.write(|tx| {
            if let Some(code) = code {
                tx.execute(
                    "UPDATE improvement_scripts SET code = ?2, fail_streak = 0, next_run_at = NULL
                     WHERE id = ?1",
                    params![id, code],
                )?;
                let row = ScriptRow { code: code.clone(), ..before };
                let mut chain = Chain::of(tx)?;
                chart(&mut chain, &Due::from(&row), last_iteration(tx)?, i64::MAX)?;
            }
            if let Some(purpose) = &change.purpose {
                tx.execute(
                    "UPDATE improvement_scripts SET purpose = ?2 WHERE id = ?1",
                    params![id, purpose],
                )?;
            }
            if let Some(interval) = change.interval {
                tx.execute(
                    "UPDATE improvement_scripts SET interval_s = ?2, next_run_at = NULL
                     WHERE id = ?1",
                    params![id, interval],
                )?;
            }
            if let Some(enabled) = change.enabled {
                switch(tx, id, enabled)?;
            }
            Ok(())
        })?;
        self.script_row(id)?.ok_or_else(missing)
    }

    /// A script by its name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn script(&self, name: &str) -> Result<Option<Due>> {
        let sql = "SELECT id, name, lang, code FROM improvement_scripts WHERE name = ?1";
        self.one(sql, &[&name], Due::of)
    }

    /// A script by its row, with its last run.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn script_row(&self, id: i64) -> Result<Option<ScriptRow>> {
        self.one(&format!("{ROWS} WHERE s.id = ?1"), &[&id], ScriptRow::of)
    }

    /// Scripts with their last runs, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn scripts(&self, page: Page) -> Result<Paged<ScriptRow>> {
        let sql = format!("{ROWS} WHERE s.id > ?1 ORDER BY s.id LIMIT ?2");
        self.paged(page, &sql, &[&page.after()], ScriptRow::of, |row| row.id)
    }

    /// Switches a script on, whatever switched it off, or off. Whether there is one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn enable_script(&mut self, name: &str, enabled: bool) -> Result<bool> {
        let Some(script) = self.script(name)? else { return Ok(false) };
        self.write(|tx| switch(tx, script.id, enabled))
    }

    /// Scripts whose turn it is, so many at most: those never run before first, then those that were
    /// run longest ago.
    ///
    /// No clock is trusted: a script that is due later than any rule could have said is due now, and
    /// one that was run in the future counts as never run.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn due(&self, most: u32) -> Result<Vec<Due>> {
        let [_, longest] = BACKOFF;
        let sql = format!(
            "SELECT id, name, lang, code FROM improvement_scripts
             WHERE enabled = 1 AND (next_run_at IS NULL OR next_run_at <= {NOW}
                OR ifnull(86400 * (julianday(next_run_at) - julianday('now'))
                    > 1.2 * max({longest}, ifnull(interval_s, 0)), 1))
             ORDER BY last_run_at IS NOT NULL AND last_run_at <= {NOW}, last_run_at, id LIMIT ?1"
        );
        let found = || -> rusqlite::Result<Vec<Due>> {
            self.connection.prepare_cached(&sql)?.query_map([most], Due::of)?.collect()
        };
        found().map_err(|source| self.told(source))
    }
}

/// Switches a script on or off, and whether there is one.
fn switch(tx: &Connection, id: i64, enabled: bool) -> rusqlite::Result<bool> {
    let reason = (!enabled).then_some("switched off");
    let changed = tx.execute(
        "UPDATE improvement_scripts SET enabled = ?2, disabled_reason = ?3, fail_streak = 0,
            next_run_at = NULL WHERE id = ?1",
        params![id, enabled, reason],
    )?;
    Ok(changed == 1)
}
