//! Runs compiled kernels: barriers and what holds them here, all else in machine code.

use super::Compiled;
use super::layout::{Given, Span};
use super::tree::Wide;
use crate::interp::{Dispatch, RunError, Stop};
use crate::ir;
use std::ptr;

/// Who machine code asks.
pub(super) struct Host<'a> {
    pub(super) dispatch: &'a Dispatch,
    /// Lanes of a warp.
    pub(super) lanes: usize,
    index: u64,
    id: [u32; 3],
    all: Vec<u32>,
    stopped: Option<Stop>,
}

impl Host<'_> {
    /// Keeps why the code is to stop, and gives what tells it.
    pub(super) fn stop(&mut self, why: impl Into<Stop>) -> u32 {
        self.stopped = Some(why.into());
        1
    }
}

/// Memory that vectors are read from and written to at once.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(16))]
struct Line([u32; 4]);

/// A workgroup, and what a thread uses again for the next one.
pub(crate) struct Machine<'a> {
    compiled: &'a Compiled,
    given: Box<Given>,
    host: Box<Host<'a>>,
    bindings: Vec<Span>,
    lengths: Vec<u32>,
    workgroup: Vec<Line>,
    private: Vec<Line>,
    state: Vec<Line>,
    places: Vec<Line>,
    masks: Vec<u32>,
    left: Vec<u32>,
    again: Vec<u32>,
}

fn lines(bytes: u64) -> Vec<Line> {
    vec![Line::default(); bytes.div_ceil(16) as usize]
}

impl<'a> Machine<'a> {
    pub(crate) fn new(compiled: &'a Compiled, dispatch: &'a Dispatch) -> Machine<'a> {
        let layout = &compiled.layout;
        let (lanes, warps) = (layout.lanes as usize, layout.warps as usize);
        let [x, y, z] = compiled.workgroup;
        let count = (x * y * z) as usize;
        let mut places = lines(16 * (lanes * warps) as u64);
        for lane in 0..count as u32 {
            let at = [lane % x, lane / x % y, lane / (x * y), lane];
            for (axis, at) in at.into_iter().enumerate() {
                let word = axis * lanes * warps + lane as usize;
                places[word / 4].0[word % 4] = at;
            }
        }
        let all: Vec<u32> = (0..warps)
            .map(|warp| {
                let there = (count - warp * lanes).min(lanes);
                (u64::MAX >> (64 - there)) as u32
            })
            .collect();
        let labels = layout.labels.len() * warps;
        let of = |bound: &crate::interp::Bound| Span { start: bound.start(), bytes: bound.bytes() };
        let mut bindings: Vec<Span> = dispatch.bindings.iter().map(of).collect();
        bindings.push(of(&dispatch.immediate));
        let lengths = layout.lengths.iter().map(|length| dispatch.length(*length)).collect();
        let host = Host { dispatch, lanes, index: 0, id: [0; 3], all, stopped: None };
        let private = u64::from(compiled.private_bytes.next_multiple_of(4)) * lanes as u64;
        let mut machine = Machine {
            compiled,
            given: Box::new(Given {
                bindings: ptr::null(),
                lengths: ptr::null(),
                workgroup: ptr::null_mut(),
                private: ptr::null_mut(),
                state: ptr::null_mut(),
                places: ptr::null(),
                masks: ptr::null_mut(),
                left: ptr::null_mut(),
                again: ptr::null_mut(),
                all: ptr::null(),
                credit: 0,
                answer: 0,
                id: [0; 3],
                workgroups: dispatch.workgroups,
                host: ptr::null_mut(),
            }),
            host: Box::new(host),
            bindings,
            lengths,
            workgroup: lines(compiled.workgroup_bytes.into()),
            private: lines(private * warps as u64),
            state: lines(u64::from(layout.stride) * warps as u64),
            places,
            masks: vec![0; warps],
            left: vec![0; labels],
            again: vec![0; labels],
        };
        let given = &mut *machine.given;
        given.bindings = machine.bindings.as_ptr();
        given.lengths = machine.lengths.as_ptr();
        given.workgroup = machine.workgroup.as_mut_ptr().cast();
        given.private = machine.private.as_mut_ptr().cast();
        given.state = machine.state.as_mut_ptr().cast();
        given.places = machine.places.as_ptr().cast();
        given.all = machine.host.all.as_ptr();
        given.masks = machine.masks.as_mut_ptr();
        given.left = machine.left.as_mut_ptr();
        given.again = machine.again.as_mut_ptr();
        given.host = ptr::from_mut(&mut *machine.host).cast();
        machine
    }

    /// Runs the workgroup of this number, x counting fastest.
    pub(crate) fn run(&mut self, index: u64) -> Result<(), Stop> {
        let [x, y, _] = self.host.dispatch.workgroups.map(u64::from);
        let id = [index % x, index / x % y, index / (x * y)].map(|n| n as u32);
        (self.host.index, self.host.id, self.given.id) = (index, id, id);
        self.workgroup.fill(Line::default());
        self.private.fill(Line::default());
        self.state.fill(Line::default());
        self.masks.copy_from_slice(&self.host.all);
        let compiled = self.compiled;
        self.nodes(&compiled.wide)
    }

    fn nodes(&mut self, nodes: &[Wide]) -> Result<(), Stop> {
        for node in nodes {
            match node {
                Wide::Region(number) => self.region(*number)?,
                Wide::Barrier(span) => self.barrier(*span)?,
                Wide::If { condition, then, otherwise, .. } => {
                    let holds = self.condition(*condition);
                    let ways = [(&holds, then, true), (&holds, otherwise, false)];
                    let before = self.masks.clone();
                    let mut after = vec![0; before.len()];
                    for (holds, nodes, way) in ways {
                        for ((mask, before), holds) in self.masks.iter_mut().zip(&before).zip(holds)
                        {
                            *mask = before & if way { *holds } else { !*holds };
                        }
                        if self.somebody() {
                            self.nodes(nodes)?;
                        }
                        after.iter_mut().zip(&self.masks).for_each(|(after, mask)| *after |= mask);
                    }
                    self.masks.copy_from_slice(&after);
                }
                Wide::Loop { label, body, continuing, break_if } => {
                    let at = self.label(*label);
                    self.left[at.clone()].fill(0);
                    while self.somebody() {
                        self.again[at.clone()].fill(0);
                        // A round may have nothing else that is paid for.
                        self.pay(self.compiled.workgroup.map(i64::from).iter().product())?;
                        self.nodes(body)?;
                        let again = &self.again[at.clone()];
                        self.masks.iter_mut().zip(again).for_each(|(mask, again)| *mask |= again);
                        if !self.somebody() {
                            break;
                        }
                        self.nodes(continuing)?;
                        if let Some(condition) = break_if {
                            let done = self.condition(*condition);
                            let left = &mut self.left[at.clone()];
                            for ((mask, done), left) in self.masks.iter_mut().zip(done).zip(left) {
                                *left |= *mask & done;
                                *mask &= !done;
                            }
                        }
                    }
                    self.masks.copy_from_slice(&self.left[at]);
                }
                Wide::Switch { label, selector, cases, default, .. } => {
                    let at = self.label(*label);
                    self.left[at.clone()].fill(0);
                    let mut rest = self.masks.clone();
                    let mut after = vec![0; rest.len()];
                    let ways = cases.iter().map(|(of, nodes)| (Some(of), nodes));
                    for (of, nodes) in ways.chain([(None, default)]) {
                        for (warp, rest) in rest.iter_mut().enumerate() {
                            let hits = match of {
                                Some(of) => self.hits(*selector, warp, of),
                                None => u32::MAX,
                            };
                            self.masks[warp] = *rest & hits;
                            *rest &= !hits;
                        }
                        if self.somebody() {
                            self.nodes(nodes)?;
                        }
                        after.iter_mut().zip(&self.masks).for_each(|(after, mask)| *after |= mask);
                    }
                    let left = &self.left[at];
                    for ((mask, after), left) in self.masks.iter_mut().zip(after).zip(left) {
                        *mask = after | left;
                    }
                }
                Wide::Scope { label, body } => {
                    let at = self.label(*label);
                    self.left[at.clone()].fill(0);
                    self.nodes(body)?;
                    let left = &self.left[at];
                    self.masks.iter_mut().zip(left).for_each(|(mask, left)| *mask |= left);
                }
            }
            if !self.somebody() {
                break;
            }
        }
        Ok(())
    }

    fn label(&self, label: ir::Label) -> std::ops::Range<usize> {
        let warps = self.masks.len();
        let first = self.compiled.layout.labels[&label] as usize * warps;
        first..first + warps
    }

    fn somebody(&self) -> bool {
        self.masks.iter().fold(0, |any, mask| any | mask) != 0
    }

    /// Takes instructions × lanes from the budget, and asks for more where it is spent.
    fn pay(&mut self, cost: i64) -> Result<(), Stop> {
        self.given.credit -= cost;
        let given = ptr::from_mut(&mut *self.given);
        // SAFETY: it is this thread's, and whole.
        if self.given.credit < 0 && unsafe { grant(given) } != 0 {
            return Err(self.host.stopped.take().unwrap_or(Stop::Superseded));
        }
        Ok(())
    }

    fn region(&mut self, number: usize) -> Result<(), Stop> {
        self.pay(self.compiled.weights[number] as i64)?;
        let given = ptr::from_mut(&mut *self.given);
        // SAFETY: all that it points to was made for this kernel in `new`, and lives as long as this; no
        // other thread has it. Buffers are shared, and reached as machine code does: without undefined
        // behaviour of this program, which holds them as atomics.
        if unsafe { self.compiled.code.run(number, given) } != 0 {
            return Err(self.host.stopped.take().unwrap_or(Stop::Superseded));
        }
        Ok(())
    }

    /// A word of a warp's state.
    fn word(&self, warp: usize, offset: u32) -> u32 {
        let word = (warp * self.compiled.layout.stride as usize + offset as usize) / 4;
        self.state[word / 4].0[word % 4]
    }

    /// For whom a bool holds, a word for each warp.
    fn condition(&self, value: ir::Value) -> Vec<u32> {
        let cell = self.compiled.layout.values[&value];
        (0..self.masks.len()).map(|warp| self.word(warp, cell.offset)).collect()
    }

    /// Those of a warp whose selector is one of these.
    fn hits(&self, selector: ir::Value, warp: usize, of: &[u32]) -> u32 {
        let cell = self.compiled.layout.values[&selector];
        let hit = |lane: u32| {
            let skip = if cell.uniform { 0 } else { 4 * lane };
            u32::from(of.contains(&self.word(warp, cell.offset + skip))) << lane
        };
        (0..self.compiled.layout.lanes).fold(0, |hits, lane| hits | hit(lane))
    }

    fn barrier(&mut self, span: ir::Span) -> Result<(), Stop> {
        let lanes = self.compiled.layout.lanes;
        let missing =
            self.host.all.iter().zip(&self.masks).zip(0..).find_map(|((all, mask), warp)| {
                let missing = all & !mask;
                (missing != 0).then(|| warp * lanes + missing.trailing_zeros())
            });
        match missing {
            Some(lane) => Err(RunError::Divergent { span, workgroup: self.host.id, lane }.into()),
            None => Ok(()),
        }
    }
}

/// The host of what machine code was given.
///
/// # Safety
/// `given` is what a [`Machine`] of this thread gave.
unsafe fn host<'h>(given: *mut Given) -> &'h mut Host<'h> {
    // SAFETY: the caller's promise.
    unsafe { &mut *(*given).host.cast::<Host<'h>>() }
}

fn span(place: u64) -> ir::Span {
    ir::Span { start: place as u32, end: (place >> 32) as u32 }
}

/// Asks for instructions, as many as are owed at least; not 0 if there are none.
///
/// # Safety
/// `given` is what a [`Machine`] of this thread gave.
pub(super) unsafe extern "C" fn grant(given: *mut Given) -> u32 {
    // SAFETY: the caller's promise.
    let (given, host) = unsafe { (&mut *given, host(given)) };
    match host.dispatch.grant(given.credit.unsigned_abs(), host.index) {
        Ok(more) => {
            given.credit += more as i64;
            0
        }
        Err(stop) => host.stop(stop),
    }
}

/// Tells of a subgroup's barrier that not all have come to.
///
/// # Safety
/// `given` is what a [`Machine`] of this thread gave.
pub(super) unsafe extern "C" fn divergent(
    given: *mut Given,
    warp: u64,
    there: u64,
    at: u64,
) -> u32 {
    // SAFETY: the caller's promise.
    let host = unsafe { host(given) };
    let missing = u64::from(host.all[warp as usize]) & !there;
    let lane = warp as u32 * host.lanes as u32 + missing.trailing_zeros();
    let workgroup = host.id;
    host.stop(RunError::Divergent { span: span(at), workgroup, lane })
}

/// Tells of an address past its memory.
///
/// # Safety
/// `given` is what a [`Machine`] of this thread gave, `addresses` has a word for each lane of a warp.
pub(super) unsafe extern "C" fn past(
    given: *mut Given,
    warp: u64,
    lanes: u64,
    addresses: *const u32,
    bytes: u64,
    at: u64,
) -> u32 {
    // SAFETY: the caller's promise.
    let host = unsafe { host(given) };
    let lane = lanes.trailing_zeros();
    // SAFETY: the caller's promise.
    let address = u64::from(unsafe { addresses.add(lane as usize).read() });
    let workgroup = host.id;
    let lane = warp as u32 * host.lanes as u32 + lane;
    host.stop(RunError::Address { span: span(at), workgroup, lane, address, bytes })
}
