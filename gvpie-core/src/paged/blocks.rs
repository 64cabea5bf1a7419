//! Moving bytes between pages and memory, by many threads at once: one copies some 10 GB/s, which is
//! a fraction of what a bus takes.

use super::window::{Piece, Window};
use crate::error::{Error, Result};
use crate::memory::Pool;
use crate::memory::pages::{Below, Opened, PageBytes, PageBytesMut, PageId, Pin, Writable};
use crate::memory::staging::{Share, Target};
use rayon::prelude::*;

/// What one task copies.
const TASK: usize = 1 << 20;

/// The pages of a tensor, without its element type.
#[derive(Debug)]
pub(super) struct Blocks {
    pub pool: Pool,
    pub ids: Vec<PageId>,
    /// Bytes of a page; the last one may have fewer.
    pub page: usize,
    pub bytes: u64,
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.pool.pages().end(&self.ids);
    }
}

/// Where a piece is read.
enum From<'a> {
    Zeros,
    Held(&'a [u8]),
    Below(PageId, usize),
}

/// Where a piece is written.
enum Into<'a> {
    Held(&'a mut [u8]),
    Below(&'a Below, usize),
}

impl Blocks {
    /// Asks for the pages of a window that are mostly within it.
    pub fn prefetch(&self, window: &Window) -> Result<()> {
        let most = |&(page, bytes): &(usize, usize)| bytes >= self.len(page) / 2;
        let pages = window.pages(self.page);
        self.pool
            .pages()
            .prefetch(pages.iter().filter(|p| most(p)).map(|&(page, _)| self.ids[page]))
    }

    fn len(&self, page: usize) -> usize {
        (self.bytes - page as u64 * self.page as u64).min(self.page as u64) as usize
    }

    /// How many pages a call may pin at once, so that others still find room.
    fn at_once(&self) -> usize {
        (self.pool.pages().budget() as usize / 4 / self.page).max(1)
    }

    /// Copies pieces, one behind the other, into memory of exactly their length.
    pub fn gather(&self, pieces: &[Piece], mut target: Target<'_>) -> Result<()> {
        let mut groups: Vec<&[Piece]> = pieces.chunk_by(|a, b| a.page == b.page).collect();
        groups.reverse();
        while !groups.is_empty() {
            let mut opened: Vec<(&[Piece], Opened)> = Vec::new();
            while opened.len() < self.at_once()
                && let Some(&group) = groups.last()
            {
                let (id, needed) = (self.ids[group[0].page], group.iter().map(|p| p.len).sum());
                match self.pool.pages().open(id, needed, opened.is_empty())? {
                    Some(page) => opened.push((group, page)),
                    None => break, // there may be room when these pages are let go
                }
                groups.pop();
            }
            let held: Vec<Option<PageBytes<'_>>> = opened
                .iter()
                .map(|(_, page)| match page {
                    Opened::Held(pin) => Some(pin.read()),
                    Opened::Zeros | Opened::Below(_) => None,
                })
                .collect();
            let mut tasks: Vec<(Share<'_>, Vec<(From<'_>, usize)>)> = Vec::new();
            let mut room = 0;
            for ((group, page), bytes) in opened.iter().zip(&held) {
                for piece in *group {
                    let mut at = piece.at;
                    while at < piece.at + piece.len {
                        let len = (piece.at + piece.len - at).min(TASK);
                        let from = match (page, bytes) {
                            (Opened::Held(_), Some(bytes)) => From::Held(&bytes[at..at + len]),
                            (Opened::Below(id), _) => From::Below(*id, at),
                            _ => From::Zeros,
                        };
                        at += len;
                        if room < len {
                            tasks.push((Share(Target::default()), Vec::new()));
                            room = TASK;
                        }
                        room -= len;
                        if let Some((_, copies)) = tasks.last_mut() {
                            copies.push((from, len));
                        }
                    }
                }
            }
            for (memory, copies) in &mut tasks {
                let (mine, rest) = target.split_at(copies.iter().map(|(_, len)| len).sum());
                (*memory, target) = (Share(mine), rest);
            }
            tasks.into_par_iter().try_for_each(|(memory, copies)| self.copy(memory, copies))?;
        }
        Ok(())
    }

    fn copy(&self, memory: Share<'_>, copies: Vec<(From<'_>, usize)>) -> Result<()> {
        let Share(mut memory) = memory;
        let mut read = Vec::new();
        for (from, len) in copies {
            let (mut mine, rest) = memory.split_at(len);
            memory = rest;
            match from {
                From::Zeros => mine.fill(0),
                From::Held(bytes) => mine.copy_from_slice(bytes),
                From::Below(id, at) => {
                    read.resize(len, 0);
                    self.pool.pages().read_below(id, at, &mut read)?;
                    mine.copy_from_slice(&read);
                }
            }
        }
        Ok(())
    }

    /// Copies memory into pieces, one behind the other, of exactly its length.
    pub fn scatter(&self, pieces: &[Piece], mut memory: &[u8]) -> Result<()> {
        let mut groups: Vec<&[Piece]> = pieces.chunk_by(|a, b| a.page == b.page).collect();
        groups.reverse();
        while !groups.is_empty() {
            let mut opened: Vec<(&[Piece], Writable)> = Vec::new();
            // What was pinned to be overwritten is overwritten, even if the next page fails.
            let mut failed = None;
            while opened.len() < self.at_once()
                && let Some(&group) = groups.last()
            {
                let (id, needed) = (self.ids[group[0].page], group.iter().map(|p| p.len).sum());
                match self.pool.pages().open_mut(id, needed, opened.is_empty()) {
                    Ok(Some(page)) => opened.push((group, page)),
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
                groups.pop();
            }
            let mut locked: Vec<Option<PageBytesMut<'_>>> = opened
                .iter()
                .map(|(_, page)| match page {
                    Writable::Held(pin) => Some(pin.write()),
                    Writable::Below(_) => None,
                })
                .collect();
            let mut tasks: Vec<(Into<'_>, &[u8])> = Vec::new();
            for ((group, page), bytes) in opened.iter().zip(&mut locked) {
                let (mut rest, mut passed) = (bytes.as_deref_mut(), 0);
                for piece in *group {
                    let (from, others) = memory.split_at(piece.len);
                    memory = others;
                    if let Writable::Below(below) = page {
                        tasks.push((Into::Below(below, piece.at), from));
                    }
                    rest = rest.map(|rest| {
                        let (mine, behind) = rest[piece.at - passed..].split_at_mut(piece.len);
                        let parts = mine.chunks_mut(TASK).zip(from.chunks(TASK));
                        tasks.extend(parts.map(|(to, from)| (Into::Held(to), from)));
                        behind
                    });
                    passed = piece.at + piece.len;
                }
            }
            let each = tasks.len().div_ceil(64).max(1);
            let written = tasks.par_chunks_mut(each).try_for_each(|tasks| {
                tasks.iter_mut().try_for_each(|(to, from)| match to {
                    Into::Held(to) => {
                        to.copy_from_slice(from);
                        Ok(())
                    }
                    Into::Below(below, at) => below.write(*at, from),
                })
            });
            drop(locked);
            match failed {
                Some(error) => return Err(error),
                None => written?,
            }
        }
        Ok(())
    }

    /// Keeps the pages of a window in host memory.
    pub fn hold(&self, window: &Window) -> Result<Vec<Pin>> {
        let pages = window.pages(self.page);
        pages.iter().map(|&(page, _)| self.pool.pages().hold(self.ids[page])).collect()
    }

    /// The error of a tensor that no tier can hold.
    pub fn too_large(pool: &Pool, bytes: u64, what: String) -> Error {
        Error::OutOfMemory {
            what,
            asked: bytes,
            in_use: pool.pages().held().0,
            budgets: pool.pages().budgets(),
        }
    }
}
