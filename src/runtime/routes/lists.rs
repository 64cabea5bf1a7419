//! Parts of lists, as they are asked for.

use crate::runtime::problem::Problem;
use crate::store::Page;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Rows at most; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the part before.
    cursor: Option<i64>,
}

/// A page of a list.
///
/// # Errors
/// [`Problem::value`] for a limit that is out of range.
pub fn page(limit: Option<u32>, cursor: Option<i64>) -> Result<Page, Problem> {
    let limit = limit.unwrap_or(50);
    match (1..=Page::MOST).contains(&limit) {
        true => Ok(Page { limit, cursor }),
        false => Err(Problem::value("limit", format!("1 to {}", Page::MOST), limit)),
    }
}

impl Part {
    /// As the store takes it.
    ///
    /// # Errors
    /// As [`page`].
    pub fn page(&self) -> Result<Page, Problem> {
        page(self.limit, self.cursor)
    }
}

/// A row's number, from a path.
///
/// # Errors
/// [`Problem::not_found`]: what is no number names no row.
pub fn id(what: &str, name: &str) -> Result<i64, Problem> {
    name.parse().map_err(|_| Problem::not_found(format!("there is no {what} {name:?}")))
}
