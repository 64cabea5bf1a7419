//! The folder of the store, as an option.

use super::Failure;
use clap::Args;
use std::path::PathBuf;

/// Where the store is.
#[derive(Debug, Clone, Args)]
pub struct Folder {
    /// The folder of scripts, runs and cartridges; the user's own data folder unless said
    #[arg(long = "data", env = "GVPIE_DATA", value_name = "DIR")]
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
}
