//! What accesses cost a GPU: sectors of 32 bytes of a buffer, turns of 32 banks of workgroup memory.

use super::report::Traffic;
use crate::interp::{Access, Shape};
use crate::ir::Memory;

/// Bytes that a GPU moves at least.
const SECTOR: u32 = 32;

/// Banks of workgroup memory, each one word wide.
const BANKS: u32 = 32;

/// Counts an access, subgroup by subgroup.
pub(super) fn count(traffic: &mut Traffic, access: &Access<'_>, subgroup: usize) {
    let range = &access.range;
    let each = access.bytes.div_ceil(4);
    let dense = access.is_dense();
    let mut words = Vec::new();
    let mut first = range.start;
    while first < range.end {
        let end = (first / subgroup * subgroup + subgroup).min(range.end);
        let lanes = first..end;
        let address = access.addresses[first];
        match access.shape {
            Shape::Same => {
                if dense || lanes.clone().any(|lane| access.mask.has(lane)) {
                    side_by_side(traffic, access.memory, address / 4, each);
                }
            }
            Shape::Linear if dense => {
                side_by_side(traffic, access.memory, address / 4, lanes.len() as u32);
            }
            _ if dense && access.memory == Memory::Workgroup && each == 1 => {
                let addresses = &access.addresses[lanes];
                let least = addresses.iter().fold(u32::MAX, |least, a| least.min(*a));
                let most = addresses.iter().fold(0, |most, a| most.max(*a));
                if most / 4 - least / 4 < BANKS {
                    // Words so near one another are each of a bank of its own.
                    side_by_side(traffic, access.memory, 0, 1);
                } else {
                    words.extend(addresses.iter().map(|address| address / 4));
                }
            }
            _ => {
                for lane in lanes.filter(|lane| dense || access.mask.has(*lane)) {
                    let word = access.addresses[lane] / 4;
                    (0..each).for_each(|part| words.push(word.saturating_add(part)));
                }
            }
        }
        finish(traffic, access.memory, &mut words);
        first = end;
    }
}

/// Counts words that one subgroup reaches, one after another.
fn side_by_side(traffic: &mut Traffic, memory: Memory, first: u32, words: u32) {
    traffic.accesses += 1;
    let per = if memory == Memory::Workgroup { BANKS } else { SECTOR / 4 };
    traffic.least += u64::from(words.div_ceil(per));
    traffic.taken += u64::from(match memory {
        Memory::Workgroup => words.div_ceil(BANKS),
        _ => first.saturating_add(words - 1) / per - first / per + 1,
    });
}

/// Counts what one subgroup reaches, and forgets it.
fn finish(traffic: &mut Traffic, memory: Memory, words: &mut Vec<u32>) {
    if words.is_empty() {
        return;
    }
    if memory == Memory::Workgroup && one_turn(traffic, words) {
        words.clear();
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

/// Counts words of which no two are different ones of one bank; whether they are such.
fn one_turn(traffic: &mut Traffic, words: &[u32]) -> bool {
    // No word of workgroup memory has this number.
    const NONE: u32 = u32::MAX;
    let mut banks = [NONE; BANKS as usize];
    let mut clash = false;
    for word in words {
        let bank = &mut banks[(word % BANKS) as usize];
        clash |= *bank != NONE && *bank != *word;
        *bank = *word;
    }
    if !clash {
        // At most one word of each of 32 banks: as few turns as can be.
        traffic.accesses += 1;
        traffic.taken += 1;
        traffic.least += 1;
    }
    !clash
}
