//! The map as it is read: lists, lineages, regions of its plane, and the whole as JSON lines.

use super::{Page, Paged, Result, Store, StoreError};
use rusqlite::Row;
use serde::Serialize;
use std::io::Write;
use utoipa::ToSchema;

/// A row of the map.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MapRow {
    /// Its place in the chain, from 1.
    pub id: i64,
    /// The daemon's cycle.
    pub iteration: i64,
    /// What was to be done.
    pub task_description: Option<String>,
    /// The program; a long one is the object `code_sha256`.
    pub code: Option<String>,
    /// What came of it, JSON for a run; a long output is the object `result_sha256`.
    pub result: Option<String>,
    /// What was made of that.
    pub analysis: Option<String>,
    /// When, UTC.
    pub timestamp: String,
    /// The row that this one follows from.
    pub parent_iteration: Option<i64>,
    /// The other parent of what two were crossed into.
    pub parent_b: Option<i64>,
    /// What it tells of: genesis, run, abandoned, script, elite, migrate, llm, edit, goal, system.
    pub kind: String,
    /// The run that it is of.
    pub run_id: Option<i64>,
    /// The goal that it serves.
    pub goal_id: Option<i64>,
    /// Its place in the plane, across: the cycle.
    pub x: i64,
    /// Its place in the plane, down: the script; 0 for what no script has done.
    pub y: i64,
    /// SHA-256 of the program.
    pub code_sha256: Option<String>,
    /// SHA-256 of the output, where it is an object.
    pub result_sha256: Option<String>,
    /// How good it is.
    pub score: Option<f64>,
    /// Where its random numbers began.
    pub seed: Option<i64>,
    /// What made it of its parents.
    pub operator: Option<String>,
    /// `row_hash` of the row before.
    pub prev_hash: String,
    /// SHA-256 over `prev_hash` and all that is above.
    pub row_hash: String,
}

const COLUMNS: &str = "id, iteration, task_description, code, result, analysis, timestamp, \
    parent_iteration, parent_b, kind, run_id, goal_id, x, y, code_sha256, result_sha256, score, seed, \
    operator, prev_hash, row_hash";

impl MapRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(MapRow {
            id: row.get(0)?,
            iteration: row.get(1)?,
            task_description: row.get(2)?,
            code: row.get(3)?,
            result: row.get(4)?,
            analysis: row.get(5)?,
            timestamp: row.get(6)?,
            parent_iteration: row.get(7)?,
            parent_b: row.get(8)?,
            kind: row.get(9)?,
            run_id: row.get(10)?,
            goal_id: row.get(11)?,
            x: row.get(12)?,
            y: row.get(13)?,
            code_sha256: row.get(14)?,
            result_sha256: row.get(15)?,
            score: row.get(16)?,
            seed: row.get(17)?,
            operator: row.get(18)?,
            prev_hash: row.get(19)?,
            row_hash: row.get(20)?,
        })
    }
}

/// Where a row came from, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Lineage {
    /// The rows that it follows from, the oldest first, itself last.
    pub items: Vec<MapRow>,
    /// The rows that follow from it directly, the oldest first.
    pub children: Vec<MapRow>,
}

/// A row of the map as a place in its plane.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Place {
    /// Its row.
    pub id: i64,
    /// Across: the cycle.
    pub x: i64,
    /// Down: the script; 0 for what no script has done.
    pub y: i64,
    /// What it tells of.
    pub kind: String,
    /// The row that it follows from.
    pub parent_iteration: Option<i64>,
    /// The other parent of what two were crossed into.
    pub parent_b: Option<i64>,
    /// The daemon's cycle.
    pub iteration: i64,
    /// What was to be done.
    pub task_description: Option<String>,
    /// How the run of it ended; null for what is no run.
    pub status: Option<String>,
}

/// A part of the map's plane, its edges included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// From this cycle.
    pub x0: i64,
    /// From this script.
    pub y0: i64,
    /// To this cycle.
    pub x1: i64,
    /// To this script.
    pub y1: i64,
}

impl Store {
    /// Rows of the map, the newest first: of a kind, or all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn map(&self, kind: Option<&str>, page: Page) -> Result<Paged<MapRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM infinite_map
             WHERE id < ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY id DESC LIMIT ?3"
        );
        self.paged(page, &sql, &[&page.before(), &kind], MapRow::of, |row| row.id)
    }

    /// A row of the map.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn map_row(&self, id: i64) -> Result<Option<MapRow>> {
        self.one(&format!("SELECT {COLUMNS} FROM infinite_map WHERE id = ?1"), &[&id], MapRow::of)
    }

    /// The rows that a row follows from, through both parents, and those that follow from it; so many
    /// of each at most: the nearest ancestors, the oldest children.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Database`].
    pub fn lineage(&self, id: i64, most: u32) -> Result<Lineage> {
        let which = || StoreError::Missing { what: "row of the map", which: id.to_string() };
        self.map_row(id)?.ok_or_else(which)?;
        // A queue that gives the newest first: what the limit leaves is the nearest.
        let ancestors = format!(
            "WITH RECURSIVE up(at) AS (
                SELECT ?1
                UNION
                SELECT m.parent_iteration FROM infinite_map m JOIN up ON m.id = up.at
                WHERE m.parent_iteration IS NOT NULL
                UNION
                SELECT m.parent_b FROM infinite_map m JOIN up ON m.id = up.at
                WHERE m.parent_b IS NOT NULL
                ORDER BY 1 DESC LIMIT ?2)
             SELECT {COLUMNS} FROM infinite_map WHERE id IN (SELECT at FROM up) ORDER BY id"
        );
        let children = format!(
            "SELECT {COLUMNS} FROM infinite_map WHERE id IN (
                SELECT id FROM infinite_map WHERE parent_iteration = ?1
                UNION SELECT id FROM infinite_map WHERE parent_b = ?1)
             ORDER BY id LIMIT ?2"
        );
        let rows = |sql: &str| -> rusqlite::Result<Vec<MapRow>> {
            self.connection.prepare_cached(sql)?.query_map([id, most.into()], MapRow::of)?.collect()
        };
        let found = || Ok(Lineage { items: rows(&ancestors)?, children: rows(&children)? });
        found().map_err(|source| self.told(source))
    }

    /// What the map has in a part of its plane, the newest first, so many rows at most.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn region(&self, region: Region, most: u32) -> Result<Vec<Place>> {
        let sql = "SELECT id, x, y, kind, parent_iteration, parent_b, iteration, task_description,
                (SELECT status FROM improvement_runs r WHERE r.id = run_id)
             FROM infinite_map WHERE x BETWEEN ?1 AND ?2 AND y BETWEEN ?3 AND ?4
             ORDER BY id DESC LIMIT ?5";
        let Region { x0, y0, x1, y1 } = region;
        let found = || -> rusqlite::Result<Vec<Place>> {
            let place = |row: &Row<'_>| {
                Ok(Place {
                    id: row.get(0)?,
                    x: row.get(1)?,
                    y: row.get(2)?,
                    kind: row.get(3)?,
                    parent_iteration: row.get(4)?,
                    parent_b: row.get(5)?,
                    iteration: row.get(6)?,
                    task_description: row.get(7)?,
                    status: row.get(8)?,
                })
            };
            let edges = [x0, x1, y0, y1, most.into()];
            self.connection.prepare_cached(sql)?.query_map(edges, place)?.collect()
        };
        found().map_err(|source| self.told(source))
    }

    /// Writes the whole map, a JSON object a line, the oldest row first; how many rows there were.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::File`] where `to` cannot be written.
    pub fn export(&self, to: &mut dyn Write) -> Result<u64> {
        let told = |source| self.told(source);
        let unwritten = |source| StoreError::File { path: "the export".into(), source };
        let sql = format!("SELECT {COLUMNS} FROM infinite_map ORDER BY id");
        let mut statement = self.connection.prepare(&sql).map_err(told)?;
        let mut rows = statement.query([]).map_err(told)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(told)? {
            let row = MapRow::of(row).map_err(told)?;
            serde_json::to_writer(&mut *to, &row).map_err(|error| unwritten(error.into()))?;
            to.write_all(b"\n").map_err(unwritten)?;
            count += 1;
        }
        to.flush().map_err(unwritten)?;
        Ok(count)
    }
}
