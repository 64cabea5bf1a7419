//! Cartridges: files in the data folder, and the rows that know them.

use super::map::{Chain, Entry, Kind, last_iteration};
use super::objects::{self, INLINE, place_file};
use super::{Page, Paged, Result, Store, StoreError};
use gvpie_core::pixel::Cartridge;
use gvpie_core::pixel::cartridge::MAX_FILE;
use rusqlite::{Connection, Row, named_params, params};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use utoipa::ToSchema;

/// Characters of a slug at most.
const MOST_SLUG: usize = 64;

/// A cartridge.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CartridgeRow {
    /// Its row.
    pub id: i64,
    /// Its name in addresses and files: a-z 0-9 -, which no other has.
    pub slug: String,
    /// Its name among people.
    pub name: String,
    /// Its file, below the data folder.
    pub path: String,
    /// What is on it: pixel, code, dataset or prompt.
    pub kind: String,
    /// SHA-256 of the file.
    pub checksum: String,
    /// The canvas's width in pixels.
    pub width: Option<i64>,
    /// The canvas's height in pixels.
    pub height: Option<i64>,
    /// When it was added, UTC.
    pub created_at: String,
    /// The cartridge that it was made from.
    pub parent_id: Option<i64>,
    /// How often it was run.
    pub executed_count: i64,
    /// The row of the map that tells of its last change.
    pub map_id: Option<i64>,
    /// What it says of itself: name, author, licence, tags, parents, id.
    pub meta: Option<Value>,
}

const ROWS: &str = "SELECT id, slug, path, kind, checksum, width, height, created_at, parent_id, \
    executed_count, map_id, meta_json FROM cartridge_registry WHERE deleted_at IS NULL";

impl CartridgeRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let meta: Option<String> = row.get(11)?;
        let meta: Option<Value> = meta.and_then(|text| serde_json::from_str(&text).ok());
        let slug: String = row.get(1)?;
        let said = meta.as_ref().and_then(|meta| meta["name"].as_str());
        let name = said.filter(|name| !name.is_empty()).unwrap_or(&slug).to_string();
        Ok(CartridgeRow {
            id: row.get(0)?,
            name,
            slug,
            path: row.get(2)?,
            kind: row.get(3)?,
            checksum: row.get(4)?,
            width: row.get(5)?,
            height: row.get(6)?,
            created_at: row.get(7)?,
            parent_id: row.get(8)?,
            executed_count: row.get(9)?,
            map_id: row.get(10)?,
            meta,
        })
    }
}

/// A file that is to become a cartridge of the store.
struct Checked {
    cartridge: Cartridge,
    checksum: String,
    meta: String,
}

impl Checked {
    fn of(file: &[u8]) -> Result<Self> {
        let cartridge = Cartridge::decode(file).map_err(StoreError::Format)?;
        let meta = json!(cartridge.meta).to_string();
        Ok(Checked { checksum: objects::hash(file), meta, cartridge })
    }

    fn path(&self, slug: &str) -> String {
        format!("cartridges/{slug}-{}.pxl.png", &self.checksum[..16])
    }
}

/// A name of a-z, 0-9 and single hyphens, which is not a number.
fn slug(name: &str) -> String {
    let plain = name.to_lowercase();
    let words: Vec<&str> =
        plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let joined: String = words.join("-").chars().take(MOST_SLUG - 8).collect(); // -2, -3 fit
    let joined = joined.trim_end_matches('-');
    match joined {
        "" => "cartridge".into(),
        number if number.bytes().all(|c| c.is_ascii_digit()) => format!("cartridge-{number}"),
        name => name.into(),
    }
}

fn check_slug(text: &str) -> Result<()> {
    let proper = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let first = text.bytes().next().is_some_and(|c| c != b'-');
    let number = text.bytes().all(|c| c.is_ascii_digit());
    if first && !number && text.len() <= MOST_SLUG && text.bytes().all(proper) {
        return Ok(());
    }
    Err(StoreError::Value {
        what: "the cartridge's slug",
        expected: format!("1 to {MOST_SLUG} of a-z 0-9 -, not a number"),
        found: text.escape_debug().take(80).collect(),
    })
}

/// Tells the map of a cartridge; the row.
fn chart(
    tx: &Connection,
    checked: Option<&Checked>,
    row: Value,
    task: &str,
    parent: Option<i64>,
) -> rusqlite::Result<i64> {
    let source = checked.and_then(|checked| checked.cartridge.source.as_ref());
    let iteration = last_iteration(tx)?;
    Chain::of(tx)?.append(&Entry {
        task: Some(task.into()),
        code: source.filter(|text| text.len() <= INLINE).cloned(),
        result: Some(row.to_string()),
        parent,
        code_sha256: source.map(|text| objects::hash(text.as_bytes())),
        place: [iteration, 0],
        ..Entry::new(Kind::Edit, iteration)
    })
}

impl Store {
    /// Adds a cartridge, a file of [`Cartridge::encode`]. Without a slug it gets one of its name.
    ///
    /// # Errors
    /// [`StoreError::Format`] for what is no cartridge; [`StoreError::Value`] for a slug;
    /// [`StoreError::Taken`]; [`StoreError::Missing`] for its parent; [`StoreError::File`].
    pub fn add_cartridge(
        &mut self,
        file: &[u8],
        wanted: Option<&str>,
        parent: Option<i64>,
    ) -> Result<CartridgeRow> {
        wanted.map_or(Ok(()), check_slug)?;
        let checked = Checked::of(file)?;
        let before = match parent {
            None => None,
            Some(id) => {
                let missing = || StoreError::Missing { what: "cartridge", which: id.to_string() };
                self.cartridge(&id.to_string())?.ok_or_else(missing)?.map_id
            }
        };
        let meta = &checked.cartridge.meta;
        let own = if meta.name.is_empty() { meta.id.as_deref() } else { Some(&*meta.name) };
        let stem = wanted.map_or_else(|| slug(own.unwrap_or("")), String::from);
        for number in 1.. {
            let name = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
            let sql = "SELECT 1 FROM cartridge_registry WHERE slug = ?1"; // those removed as well
            if self.one(sql, &[&name], |_| Ok(()))?.is_none() {
                let path = self.put(&checked, &name, file)?;
                let id = self.write(|tx| insert(tx, &checked, &name, &path, parent, before))?;
                if let Some(id) = id {
                    return self.kept(id);
                }
            }
            if wanted.is_some() {
                break;
            }
        }
        Err(StoreError::Taken { what: "cartridge", name: stem })
    }

    /// Cartridges, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn cartridges(&self, page: Page) -> Result<Paged<CartridgeRow>> {
        let sql = format!("{ROWS} AND id > ?1 ORDER BY id LIMIT ?2");
        self.paged(page, &sql, &[&page.after()], CartridgeRow::of, |row| row.id)
    }

    /// A cartridge by its row, its slug or its path.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn cartridge(&self, which: &str) -> Result<Option<CartridgeRow>> {
        if let Ok(id) = which.parse::<i64>() {
            return self.one(&format!("{ROWS} AND id = ?1"), &[&id], CartridgeRow::of);
        }
        self.one(&format!("{ROWS} AND (slug = ?1 OR path = ?1)"), &[&which], CartridgeRow::of)
    }

    /// A cartridge's file, as its row knows it.
    ///
    /// # Errors
    /// [`StoreError::Cartridge`] where it is not there or is another; [`StoreError::File`].
    pub fn cartridge_file(&self, row: &CartridgeRow) -> Result<Vec<u8>> {
        let path = self.folder.join(&row.path);
        let found = |found: String| StoreError::Cartridge { path: row.path.clone(), found };
        // Rows may come from elsewhere; files outside the folder are nobody's cartridges.
        if !row.path.starts_with("cartridges/") || row.path.contains("..") {
            return Err(found("not in the folder of cartridges".into()));
        }
        let read = || -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(&path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => {
                let checksum = objects::hash(&bytes);
                if checksum == row.checksum {
                    return Ok(bytes);
                }
                Err(found(format!("of the checksum {checksum}; expected {}", row.checksum)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(found("not there".into()))
            }
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Puts another file in a cartridge's place. Its slug stays, and scripts that run it run the other
    /// from now on; the file before stays where it is.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Format`], [`StoreError::File`],
    /// [`StoreError::Database`].
    pub fn change_cartridge(&mut self, id: i64, file: &[u8]) -> Result<CartridgeRow> {
        let before = self.kept(id)?;
        let checked = Checked::of(file)?;
        let path = self.put(&checked, &before.slug, file)?;
        self.write(|tx| {
            let [width, height] = checked.cartridge.program.canvas;
            let told = json!({
                "cartridge": before.slug, "path": path, "checksum": checked.checksum,
                "change": "changed",
            });
            let map_id = chart(tx, Some(&checked), told, &before.slug, before.map_id)?;
            tx.execute(
                "UPDATE cartridge_registry SET path = :path, checksum = :checksum, width = :width,
                    height = :height, meta_json = :meta, map_id = :map WHERE id = :id",
                named_params! {
                    ":path": path,
                    ":checksum": checked.checksum,
                    ":width": width,
                    ":height": height,
                    ":meta": checked.meta,
                    ":map": map_id,
                    ":id": id,
                },
            )?;
            tx.execute(
                "UPDATE improvement_scripts SET code = ?2, next_run_at = NULL, fail_streak = 0
                 WHERE lang = 'cartridge' AND code = ?1 AND ?1 <> ?2",
                params![before.path, path],
            )?;
            Ok(())
        })?;
        self.kept(id)
    }

    /// Takes a cartridge out of all lists. Its file and its row stay for those that name them.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Database`].
    pub fn remove_cartridge(&mut self, id: i64) -> Result<()> {
        let before = self.kept(id)?;
        self.write(|tx| {
            let told = json!({ "cartridge": before.slug, "change": "removed" });
            let map_id = chart(tx, None, told, &before.slug, before.map_id)?;
            let now = Chain::of(tx)?.now;
            tx.execute(
                "UPDATE cartridge_registry SET deleted_at = ?2, map_id = ?3 WHERE id = ?1",
                params![id, now, map_id],
            )?;
            Ok(())
        })
    }

    fn kept(&self, id: i64) -> Result<CartridgeRow> {
        let missing = || StoreError::Missing { what: "cartridge", which: id.to_string() };
        self.cartridge(&id.to_string())?.ok_or_else(missing)
    }

    /// Writes a cartridge's file, and its source where that is long; the path.
    fn put(&self, checked: &Checked, slug: &str, file: &[u8]) -> Result<String> {
        if let Some(source) = checked.cartridge.source.as_ref().filter(|s| s.len() > INLINE) {
            self.objects.keep(source.as_bytes())?;
        }
        let path = checked.path(slug);
        let place = self.folder.join(&path);
        place_file(&place, file).map_err(|source| StoreError::File { path: place, source })?;
        Ok(path)
    }
}

/// The row of a cartridge, unless its slug has been taken meanwhile.
fn insert(
    tx: &Connection,
    checked: &Checked,
    slug: &str,
    path: &str,
    parent: Option<i64>,
    before: Option<i64>,
) -> rusqlite::Result<Option<i64>> {
    let [width, height] = checked.cartridge.program.canvas;
    let inserted = tx.execute(
        "INSERT INTO cartridge_registry (path, kind, checksum, width, height, created_at, parent_id,
            slug, meta_json)
         VALUES (:path, 'pixel', :checksum, :width, :height, :now, :parent, :slug, :meta)
         ON CONFLICT DO NOTHING",
        named_params! {
            ":path": path,
            ":checksum": checked.checksum,
            ":width": width,
            ":height": height,
            ":now": Chain::of(tx)?.now,
            ":parent": parent,
            ":slug": slug,
            ":meta": checked.meta,
        },
    )?;
    if inserted == 0 {
        return Ok(None);
    }
    let id = tx.last_insert_rowid();
    let told = json!({
        "cartridge": slug, "path": path, "checksum": checked.checksum, "change": "added",
    });
    let map_id = chart(tx, Some(checked), told, slug, before)?;
    tx.execute("UPDATE cartridge_registry SET map_id = ?2 WHERE id = ?1", [id, map_id])?;
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_plain() {
        for (name, expected) in [
            ("Hello World", "hello-world"),
            ("../../etc/passwd", "etc-passwd"),
            ("", "cartridge"),
            ("Ünïcode", "n-code"),
            ("12", "cartridge-12"),
            ("a--b__c", "a-b-c"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
            check_slug(expected).unwrap();
        }
        check_slug(&slug(&"long ".repeat(40))).unwrap();
        for bad in ["", "-a", "A", "a/b", "..", "12", "a b", "a\0", &"x".repeat(65)] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }
}
