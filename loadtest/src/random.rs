//! Chance that is the same for ever: splitmix64, one sequence for each purchase, all of one seed.

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
/// Odd, and unlike the step, so that neighbours do not walk the same sequence.
const SPREAD: u64 = 0xd134_2543_de82_ef95;

/// The numbers drawn for one purchase.
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// Starts the sequence that belongs to `number`.
    pub(crate) fn new(seed: u64, number: u64) -> Draws {
        Draws(mix(mix(seed.wrapping_add(GAMMA)).wrapping_add(number.wrapping_mul(SPREAD))))
    }

    /// Draws a number of 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Draws a number from 0 up to `end`, excluded. The bias is below `end` in 2^64.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end);
        (product >> 64) as u64
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // The first outputs of the published generator at state 0.
        let mut draws = Draws(0);
        assert_eq!([draws.next(), draws.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn draws_stay_below_their_end_and_reach_everything() {
        let mut seen = [0_u32; 7];
        for number in 0..7_000 {
            let drawn = Draws::new(1, number).below(7);
            seen[usize::try_from(drawn).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (850..1_150).contains(count)), "{seen:?}");
    }
}
