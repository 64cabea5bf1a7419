// What is counted while the tree grows, as in fmm/resident.rs. `tally` holds at these places:
// the complement of 4 times the first point that is not finite plus its coordinate (0: all are), of sources and targets
const BAD_SOURCE: u32 = 0u;
const BAD_TARGET: u32 = 1u;
// cells made, the one that stands for none included
const CELLS: u32 = 2u;
// chunks of targets
const CHUNKS: u32 = 3u;
// cells that are divided
const PARENTS: u32 = 4u;
const LEAVES: u32 = 5u;
// multipole-to-local translations
const TRANSLATIONS: u32 = 6u;
// pairs summed directly, two words
const PAIRS: u32 = 7u;
// leaves that hold too many points, for want of levels
const OVERFULL: u32 = 9u;
// whether cells or chunks ran out of place
const OVERFLOW: u32 = 10u;
// where each level's cells begin
const LEVELS: u32 = 16u;
// the frame: corner, edge, scale
const FRAME: u32 = 48u;
// of a periodic cube, sums of q v (three words), q, |q| and q |v|^2
const MOMENTS: u32 = 53u;
