//! What accesses cost a GPU: sectors of 32 bytes of a buffer, turns of 32 banks of workgroup memory.

use super::report::Traffic;
use crate::interp::Access;
use crate::ir::Memory;

/// Bytes that a GPU moves at least.
const SECTOR: u32 = 32;

/// Banks of workgroup memory, each one word wide.
const BANKS: u32 = 32;

/// Counts an access, subgroup by subgroup.
pub(super) fn count(traffic: &mut Traffic, access: &Access<'_>, subgroup: usize) {
    let mut words = Vec::with_capacity(subgroup * 2);
    let mut end = 0;
    let each = access.bytes.div_ceil(4);
    access.mask.each(|lane| {
        if lane >= end {
            finish(traffic, access.memory, &mut words);
            end = lane / subgroup * subgroup + subgroup;
        }
        let word = access.addresses[lane] / 4;
        (0..each).for_each(|part| words.push(word.saturating_add(part)));
    });
    finish(traffic, access.memory, &mut words);
}

/// Counts what one subgroup reaches, and forgets it.
fn finish(traffic: &mut Traffic, memory: Memory, words: &mut Vec<u32>) {
    if words.is_empty() {
        return;
    }
    // Mostly lanes are side by side.
    if !words.is_sorted() {
        words.sort_unstable();
    }
    words.dedup();
    traffic.accesses += 1;
    let moved = words.len() as u64;
    if memory == Memory::Workgroup {
        let mut turns = [0_u32; BANKS as usize];
        words.iter().for_each(|word| turns[(word % BANKS) as usize] += 1);
        traffic.taken += u64::from(turns.into_iter().max().unwrap_or(0));
        traffic.least += moved.div_ceil(BANKS.into());
    } else {
        let sector = |word: u32| word / (SECTOR / 4);
        let changes = words.windows(2).filter(|pair| sector(pair[0]) != sector(pair[1]));
        traffic.taken += 1 + changes.count() as u64;
        traffic.least += moved.div_ceil(u64::from(SECTOR / 4));
    }
    words.clear();
}
