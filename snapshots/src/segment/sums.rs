//! The sums at the end of a segment, to bytes and back. The bytes are described in [`super::layout`].

use kembali_core::totals::{TenantTotals, Totals};
use kembali_core::{Seq, TenantId};
use kembali_journal::codec::{decode_value, encode_value};

use crate::damage::Flaw;
use crate::layout::Fields;

/// 1 had no sums of cashback rules, campaigns and points, 2 no version of the rules and no watermark, 3 no holds. Sums of
/// these are counted anew from the records.
const VERSION: u16 = 5;

pub(super) fn encode(sums: &Totals) -> Vec<u8> {
    let mut out = VERSION.to_le_bytes().to_vec();
    for tenant in sums.tenants() {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        encode_value(&tenant, &mut out).expect("plain values are written to memory without fail");
        let length = u32::try_from(out.len() - start - 4)
            .expect("a tenant's sums are bounded, by its rules and by the lives of points and holds");
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
    out
}

/// Reads the sums of all records up to `last`.
pub(super) fn decode(bytes: &[u8], last: Seq) -> Result<Totals, Flaw> {
    let mut fields = Fields::new(bytes);
    let found = fields.u16()?;
    if found != VERSION {
        return Err(Flaw::Version { what: "version of the sums", expected: VERSION.into(), found: found.into() });
    }
    let mut sums = Totals::default();
    sums.last = last;
    while 0 < fields.left() {
        let length = fields.u32()? as usize;
        let tenant: Result<(TenantId, TenantTotals), _> = decode_value(fields.take(length)?);
        let (tenant, totals) = tenant.map_err(|said| Flaw::Value { what: "sums", said: said.to_string() })?;
        sums.restore(tenant, totals).map_err(|misfit| Flaw::Misfit(misfit.0))?;
    }
    Ok(sums)
}
