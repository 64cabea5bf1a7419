//! Parts of lists, and where the next one begins.

use super::{Result, Store};
use rusqlite::{Row, ToSql};
use serde::Serialize;
use utoipa::ToSchema;

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows at most: 1 to [`MOST`](Self::MOST), and what is beyond is as near as may be.
    pub limit: u32,
    /// [`Paged::next`] of the part before; the beginning unless said.
    pub cursor: Option<i64>,
}

impl Page {
    /// Rows of a part at most.
    pub const MOST: u32 = 500;

    /// So many rows from the beginning.
    pub fn first(limit: u32) -> Self {
        Page { limit, cursor: None }
    }

    /// Rows of a list with the oldest first come after this id.
    pub(super) fn after(self) -> i64 {
        self.cursor.unwrap_or(i64::MIN)
    }

    /// Rows of a list with the newest first come before this id.
    pub(super) fn before(self) -> i64 {
        self.cursor.unwrap_or(i64::MAX)
    }

    fn rows(self) -> usize {
        self.limit.clamp(1, Self::MOST) as usize
    }
}

impl Default for Page {
    fn default() -> Self {
        Page::first(50)
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Paged<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// The `cursor` of the part that follows; null in the last one.
    pub next: Option<i64>,
}

impl Store {
    /// The rows of a page. `sql` gets one more parameter: how many rows.
    pub(super) fn paged<T>(
        &self,
        page: Page,
        sql: &str,
        parameters: &[&dyn ToSql],
        of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        id: impl Fn(&T) -> i64,
    ) -> Result<Paged<T>> {
        let rows = page.rows();
        let one_more = rows as i64 + 1; // which tells that a page follows
        let found = || -> rusqlite::Result<Vec<T>> {
            let all = [parameters, &[&one_more]].concat();
            self.connection.prepare_cached(sql)?.query_map(&all[..], of)?.collect()
        };
        let mut items = found().map_err(|source| self.told(source))?;
        let next = if items.len() > rows { items.get(rows - 1).map(id) } else { None };
        items.truncate(rows);
        Ok(Paged { items, next })
    }

    /// The row of a query, if there is one.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        of: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        use rusqlite::OptionalExtension;
        let found = || self.connection.prepare_cached(sql)?.query_row(parameters, of).optional();
        found().map_err(|source| self.told(source))
    }
}
