//! Scripts: what the daemon runs, again and again.

use super::{NOW, Result, Store, StoreError, objects};
use rusqlite::{OptionalExtension, Row, named_params};

/// What a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    fn of(name: &str) -> Option<Self> {
        [Language::Pixel, Language::Cartridge, Language::Python]
            .into_iter()
            .find(|language| language.name() == name)
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
        // The column's check lets no other name in.
        let language = Language::of(&language).unwrap_or(Language::Python);
        Ok(Due { id: row.get(0)?, name: row.get(1)?, language, code, code_sha256 })
    }
}

impl Store {
    /// Adds a script, and returns its row.
    ///
    /// # Errors
    /// [`StoreError::Value`] for a name that is taken or too long, or a code that is too long.
    pub fn add_script(&mut self, script: &Script) -> Result<i64> {
        let wrong = |what, expected: &str, found: String| {
            Err(StoreError::Value { what, expected: expected.into(), found })
        };
        let (name, code) = (script.name.chars().count(), script.code.chars().count());
        if !(1..=128).contains(&name) {
            return wrong("the script's name", "1 to 128 characters", format!("{name} long"));
        }
        if code > 262_144 {
            return wrong("the script's code", "262144 characters at most", format!("{code} long"));
        }
        if script.interval.is_some_and(|seconds| !(seconds > 0.0 && seconds.is_finite())) {
            return wrong(
                "the script's interval",
                "above 0 seconds",
                format!("{:?}", script.interval),
            );
        }
        let taken = self.script(&script.name)?;
        if taken.is_some() {
            return wrong("the script's name", "one that no other has", script.name.clone());
        }
        self.write(|tx| {
            tx.execute(
                &format!(
                    "INSERT INTO improvement_scripts (name, lang, purpose, code, interval_s, created_at)
                     VALUES (:name, :lang, :purpose, :code, :interval, {NOW})"
                ),
                named_params! {
                    ":name": script.name,
                    ":lang": script.language.name(),
                    ":purpose": script.purpose,
                    ":code": script.code,
                    ":interval": script.interval,
                },
            )?;
            Ok(tx.last_insert_rowid())
        })
    }

    /// A script by its name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn script(&self, name: &str) -> Result<Option<Due>> {
        let sql = "SELECT id, name, lang, code FROM improvement_scripts WHERE name = ?1";
        let found = self.connection.query_row(sql, [name], Due::of).optional();
        found.map_err(|source| self.told(source))
    }

    /// Switches a script on, whatever switched it off, or off. Whether there is one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn enable_script(&mut self, name: &str, enabled: bool) -> Result<bool> {
        let reason = (!enabled).then_some("switched off");
        self.write(|tx| {
            let changed = tx.execute(
                "UPDATE improvement_scripts SET enabled = ?2, disabled_reason = ?3, fail_streak = 0,
                    next_run_at = NULL WHERE name = ?1",
                rusqlite::params![name, enabled, reason],
            )?;
            Ok(changed == 1)
        })
    }

    /// Scripts whose turn it is, so many at most: those never run before first, then those that were
    /// run longest ago.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn due(&self, most: u32) -> Result<Vec<Due>> {
        let sql = format!(
            "SELECT id, name, lang, code FROM improvement_scripts
             WHERE enabled = 1 AND (next_run_at IS NULL OR next_run_at <= {NOW})
             ORDER BY last_run_at IS NOT NULL, last_run_at, id LIMIT ?1"
        );
        let found = || -> rusqlite::Result<Vec<Due>> {
            self.connection.prepare_cached(&sql)?.query_map([most], Due::of)?.collect()
        };
        found().map_err(|source| self.told(source))
    }
}
