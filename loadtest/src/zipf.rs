//! Who buys: customers by Zipf's law. The customer of rank k is drawn in proportion to 1 / k^skew.
//!
//! Weights are computed in whole numbers only, so that no processor and no library of mathematics draws otherwise.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::random::Draws;

/// Customers that a table may have: the largest weight of all of them still sums up within 64 bits.
pub(crate) const CUSTOMERS_MAX: u32 = 16_000_000;
const WEIGHT_BITS: u32 = 40;
const _: () = assert!((CUSTOMERS_MAX as u128) << WEIGHT_BITS < 1 << 64);
/// Binary digits of logarithms behind the point.
pub(crate) const LOG_BITS: u32 = 32;
const SKEW_MILLE_MAX: u32 = 3_000;

/// An exponent, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skew(u32);

/// The text is no exponent.
#[derive(Debug, thiserror::Error)]
#[error("the skew must be 0 to 3 with at most three decimals, such as 0.99")]
pub(crate) struct NoSkew;

impl FromStr for Skew {
    type Err = NoSkew;

    fn from_str(text: &str) -> Result<Skew, NoSkew> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) {
            return Err(NoSkew);
        }
        let whole: u32 = whole.parse().map_err(|_| NoSkew)?;
        let mille: u32 = format!("{decimals:0<3}").parse().map_err(|_| NoSkew)?;
        let skew = 1_000 * whole + mille;
        if skew <= SKEW_MILLE_MAX { Ok(Skew(skew)) } else { Err(NoSkew) }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

/// Draws customers, numbered from 0, the busiest first.
pub(crate) struct Sampler {
    /// The weights of all customers up to each, itself included.
    ends: Vec<u64>,
    total: u64,
}

impl Sampler {
    /// Makes the table for `customers`, at most [`CUSTOMERS_MAX`].
    pub(crate) fn new(customers: NonZeroU32, skew: Skew) -> Sampler {
        let roots = roots();
        let mut total = 0;
        let ends = (1..=u64::from(customers.get())).map(|rank| {
            total += weight(rank, skew, &roots);
            total
        });
        Sampler { ends: ends.collect(), total }
    }

    /// Draws a customer.
    pub(crate) fn draw(&self, draws: &mut Draws) -> u32 {
        let at = draws.below(self.total);
        // There are fewer customers than 2^32.
        self.ends.partition_point(|end| *end <= at) as u32
    }
}

/// Computes 2^40 / rank^skew, and at least 1.
fn weight(rank: u64, skew: Skew, roots: &[u64; LOG_BITS as usize]) -> u64 {
    let exponent = log2(rank) * u64::from(skew.0) / 1_000;
    let mut value = 1 << 63;
    for (place, root) in roots.iter().enumerate() {
        if exponent >> (LOG_BITS as usize - 1 - place) & 1 == 1 {
            value = times(value, *root);
        }
    }
    let halvings = u32::try_from(exponent >> LOG_BITS).unwrap_or(u32::MAX);
    (value >> (63 - WEIGHT_BITS)).checked_shr(halvings).unwrap_or(0).max(1)
}

/// Computes the binary logarithm, with 32 binary digits, by squaring.
pub(crate) fn log2(number: u64) -> u64 {
    let whole = number.ilog2();
    let mut mantissa = number << (63 - whole);
    let mut log = u64::from(whole);
    for _ in 0..LOG_BITS {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let carry = square >> 127;
        log = log << 1 | carry as u64;
        mantissa = (square >> (63 + carry)) as u64;
    }
    log
}

/// Computes 2^(-1/2), 2^(-1/4), 2^(-1/8) and so on, in units of 2^-63.
fn roots() -> [u64; LOG_BITS as usize] {
    let mut last = 1_u64 << 62;
    std::array::from_fn(|_| {
        last = (u128::from(last) << 63).isqrt() as u64;
        last
    })
}

fn times(one: u64, two: u64) -> u64 {
    ((u128::from(one) * u128::from(two)) >> 63) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skew(text: &str) -> Skew {
        text.parse().unwrap()
    }

    #[test]
    fn skews_are_read_in_thousandths() {
        assert_eq!(skew("1"), Skew(1_000));
        assert_eq!(skew("0.99"), Skew(990));
        assert_eq!(skew("3.000").to_string(), "3.000");
        for bad in ["", "-1", "3.001", "1.0000", ".5", "1.", "a"] {
            assert!(bad.parse::<Skew>().is_err(), "{bad}");
        }
    }

    #[test]
    fn weights_follow_the_law() {
        let roots = roots();
        let near = |rank: u64, text: &str, expected: u64| {
            let got = weight(rank, skew(text), &roots);
            let off = got.abs_diff(expected);
            assert!(off <= expected / 1_000_000 + 2, "rank {rank} skew {text}: {got}, not {expected}");
        };
        let one = 1_u64 << WEIGHT_BITS;
        for rank in [1, 2, 3, 7, 10, 1_000, 99_999] {
            near(rank, "0", one);
            near(rank, "1.0", one / rank);
            near(rank, "2.0", one / rank / rank);
            near(rank, "0.5", ((u128::from(one) * u128::from(one) / u128::from(rank)).isqrt()) as u64);
        }
        assert_eq!(weight(10_000_000, skew("3"), &roots), 1);
    }

    #[test]
    fn draws_follow_the_weights() {
        let sampler = Sampler::new(NonZeroU32::new(4).unwrap(), skew("1"));
        let mut seen = [0_u64; 4];
        for number in 0..25_000 {
            seen[sampler.draw(&mut Draws::new(7, number)) as usize] += 1;
        }
        // 1 + 1/2 + 1/3 + 1/4 = 25/12.
        for (count, expected) in seen.iter().zip([12_000, 6_000, 4_000, 3_000]) {
            assert!(count.abs_diff(expected) <= 300, "{seen:?}");
        }
    }
}
