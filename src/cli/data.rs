//! The folder of the store, as an option.

use super::Failure;
use crate::store::{Page, Paged, Store, StoreError};
use clap::Args;
use std::path::PathBuf;

/// Where the store is.
#[derive(Debug, Clone, Args)]
pub struct Folder {
    /// The folder of scripts, runs and cartridges; the user's own data folder unless said
    #[arg(long = "data", global = true, env = "GVPIE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Folder {
    /// The folder, which need not be there yet.
    ///
    /// # Errors
    /// [`Failure::Stdout`] where the system says of no folder for the user's data.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(folder) = &self.data {
            return Ok(folder.clone());
        }
        let own = directories::ProjectDirs::from("", "", "gvpie");
        let none = || std::io::Error::other("this system names no folder for data; use --data");
        Ok(own.ok_or_else(none)?.data_dir().to_path_buf())
    }

    /// The store in the folder, which is made if it is not there.
    ///
    /// # Errors
    /// As [`path`](Self::path) and [`Store::open`].
    pub fn store(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.path()?)?)
    }

    /// The store in the folder, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; as [`store`](Self::store).
    pub fn existing(&self) -> Result<Store, Failure> {
        let path = self.path()?;
        if !path.join("db/daemon.db").is_file() {
            let which = path.display().to_string();
            return Err(StoreError::Missing { what: "store in", which }.into());
        }
        Ok(Store::open(&path)?)
    }
}

/// The first rows of a list, so many at most; `usize::MAX` for all.
///
/// # Errors
/// Those of its parts.
pub(super) fn first<T>(
    most: usize,
    mut part: impl FnMut(Page) -> Result<Paged<T>, StoreError>,
) -> Result<Vec<T>, Failure> {
    let (mut cursor, mut rows) = (None, Vec::new());
    while rows.len() < most {
        let limit = (most - rows.len()).min(Page::MOST as usize) as u32;
        let found = part(Page { limit, cursor })?;
        rows.extend(found.items);
        cursor = found.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(rows)
}
