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
    let mut lanes = access.mask.lanes().peekable();
    let mut words = Vec::with_capacity(subgroup * 2);
    while let Some(first) = lanes.peek().copied() {
        let end = first / subgroup * subgroup + subgroup;
        words.clear();
        while let Some(lane) = lanes.next_if(|lane| *lane < end) {
            let word = access.addresses[lane] / 4;
            words.extend(word..word.saturating_add(access.bytes.div_ceil(4)));
        }
        words.sort_unstable();
        words.dedup();
        traffic.accesses += 1;
        let moved = words.len() as u64;
        if access.memory == Memory::Workgroup {
            let mut turns = [0_u64; BANKS as usize];
            words.iter().for_each(|word| turns[(word % BANKS) as usize] += 1);
            traffic.taken += turns.into_iter().max().unwrap_or(0);
            traffic.least += moved.div_ceil(BANKS.into());
        } else {
            words.iter_mut().for_each(|word| *word /= SECTOR / 4);
            words.dedup();
            traffic.taken += words.len() as u64;
            traffic.least += moved.div_ceil(u64::from(SECTOR / 4));
        }
    }
}
