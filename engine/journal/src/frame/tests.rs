//! Tests of the layout and its limits.

use kembali_core::Seq;
use proptest::prelude::*;

use super::{
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FRAME_RECORDS_MAX, Frame, FrameBuilder, FrameDamage, FrameHash, FrameTooLarge,
    RECORD_BYTES_MAX, checksum,
};

fn frame(records: &[&[u8]]) -> Frame {
    Frame::build(3, Seq(40), FrameHash([9; 32]), records).unwrap()
}

/// Changes a frame's bytes and mends its checksum, as a writer of nonsense would.
fn mended(frame: &Frame, change: impl FnOnce(&mut Vec<u8>)) -> Result<Frame, FrameDamage> {
    let mut bytes = frame.bytes().to_vec();
    change(&mut bytes);
    let sum = checksum(&bytes);
    bytes[64..68].copy_from_slice(&sum.to_le_bytes());
    Frame::parse(bytes)
}

#[test]
fn genesis_is_the_hash_of_its_name() {
    assert_eq!(FrameHash::GENESIS, FrameHash::of(b"kembali journal genesis 1"));
}

#[test]
fn the_stored_shape_is_pinned() {
    let frame = Frame::build(1, Seq(1), FrameHash::GENESIS, &[&b"kembali"[..], b""]).unwrap();
    let hex: String = frame.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = concat!(
        "4b4d4246",
        "0100",
        "4800",
        "0100000000000000",
        "0100000000000000",
        "02000000",
        "0f000000",
        "d268875264dc81ff21bed51160ea4a070134a35db7ef07f5c385c7f930a4a611",
        "CHECKSUM",
        "00000000",
        "07000000",
        "6b656d62616c69",
        "00000000",
    );
    let stored = format!("{:08x}", u32::from_le_bytes(*frame.bytes()[64..].first_chunk().unwrap()).swap_bytes());
    assert_eq!(hex, expected.replace("CHECKSUM", &stored));
    assert_eq!(frame.hash().to_string(), "874e1fa02236a77fe6b4f3690a41d42d3c0ec5da7d1c145bd0318c6631d5b233");
}

#[test]
fn records_are_found_by_index_and_by_number() {
    let frame = frame(&[b"a", b"", b"ccc"]);
    assert_eq!((frame.epoch(), frame.first_seq(), frame.last_seq(), frame.count()), (3, Seq(40), Seq(42), 3));
    assert_eq!(frame.previous(), FrameHash([9; 32]));
    assert_eq!(frame.records().collect::<Vec<_>>(), [&b"a"[..], b"", b"ccc"]);
    assert_eq!(frame.record(2), b"ccc");
    assert_eq!(frame.record_by_seq(Seq(41)), Some(&b""[..]));
    for outside in [0, 39, 43, u64::MAX] {
        assert_eq!(frame.record_by_seq(Seq(outside)), None);
    }
    assert_eq!(frame.hash(), FrameHash::of(frame.bytes()));
}

#[test]
fn limits_are_refused_by_name() {
    let build = |records: &[Vec<u8>]| Frame::build(1, Seq(1), FrameHash::GENESIS, records).map(drop);
    assert_eq!(build(&[]), Err(FrameTooLarge::NoRecords));
    assert_eq!(build(&vec![vec![]; FRAME_RECORDS_MAX]), Ok(()));
    let count = FRAME_RECORDS_MAX + 1;
    assert_eq!(build(&vec![vec![]; count]), Err(FrameTooLarge::Records { count }));
    let bytes = RECORD_BYTES_MAX + 1;
    assert_eq!(build(&[vec![], vec![0; bytes]]), Err(FrameTooLarge::Record { index: 1, bytes }));
    let full = vec![vec![0; RECORD_BYTES_MAX]; 8];
    let bytes = FRAME_HEADER_BYTES + 8 * (4 + RECORD_BYTES_MAX);
    assert!(FRAME_BYTES_MAX < bytes);
    assert_eq!(build(&full), Err(FrameTooLarge::Bytes { bytes }));
    for first in [0, u64::MAX] {
        let refused = Frame::build(1, Seq(first), FrameHash::GENESIS, &[b"x"]).unwrap_err();
        assert_eq!(refused, FrameTooLarge::SeqOutOfRange { first, count: 1 });
    }
}

#[test]
fn every_changed_byte_and_every_length_is_damage() {
    let frame = frame(&[b"one", b"", b"three"]);
    let bytes = frame.bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << bit;
            Frame::parse(changed).unwrap_err();
        }
        assert!(matches!(Frame::parse(&bytes[..at]), Err(FrameDamage::Short { found, .. }) if found == at));
    }
    let expected = bytes.len();
    let longer = [bytes, b"x"].concat();
    assert_eq!(Frame::parse(longer).unwrap_err(), FrameDamage::Long { expected, found: expected + 1 });
}

#[test]
fn nonsense_with_a_right_checksum_is_named() {
    let frame = frame(&[b"one", b"two"]);
    let set = |at: usize, value: u32| {
        mended(&frame, |bytes| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes())).unwrap_err()
    };
    assert_eq!(set(0, 0), FrameDamage::Magic { found: [0; 4] });
    assert_eq!(set(4, 0x0048_0002), FrameDamage::Version { found: 2 });
    assert_eq!(set(4, 0x0049_0001), FrameDamage::HeaderLength { found: 0x49 });
    assert_eq!(set(24, 0), FrameDamage::Count { found: 0 });
    assert_eq!(set(24, 4097), FrameDamage::Count { found: 4097 });
    assert_eq!(set(24, 1), FrameDamage::Trailing { left: 7 });
    assert_eq!(set(24, 3), FrameDamage::Record { index: 2, bytes: 0, left: 0 });
    assert_eq!(set(28, u32::MAX), FrameDamage::BodyLength { found: u32::MAX });
    assert_eq!(set(68, 1), FrameDamage::Reserved { found: 1 });
    assert_eq!(set(72, 100), FrameDamage::Record { index: 0, bytes: 100, left: 10 });
    let zero = mended(&frame, |bytes| bytes[16..24].fill(0)).unwrap_err();
    assert_eq!(zero, FrameDamage::SeqOutOfRange { first: 0, count: 2 });
    let far = mended(&frame, |bytes| bytes[16..24].fill(0xff)).unwrap_err();
    assert_eq!(far, FrameDamage::SeqOutOfRange { first: u64::MAX, count: 2 });
}

#[test]
fn a_clone_shares_the_bytes() {
    let frame = frame(&[b"one"]);
    assert!(std::ptr::eq(frame.bytes(), frame.clone().bytes()));
}

proptest! {
    #[test]
    fn r45_any_bytes_parse_or_are_damage(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _parsed = Frame::parse(bytes);
    }

    #[test]
    fn r45_a_header_with_any_fields_parses_or_is_damage(
        fields in proptest::array::uniform32(any::<u8>()),
        body in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let template = Frame::build(1, Seq(1), FrameHash::GENESIS, &[body]).unwrap();
        let _parsed = mended(&template, |bytes| {
            bytes[8..28].copy_from_slice(&fields[..20]);
            let at = bytes.len().min(72 + usize::from(fields[20] % 8));
            for (byte, with) in bytes[at..].iter_mut().zip(&fields[20..]) {
                *byte = *with;
            }
        });
    }

    #[test]
    fn what_is_built_parses_to_the_same(
        epoch: u64,
        first in 1..u64::MAX - 10,
        previous: [u8; 32],
        records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..10),
    ) {
        let built = Frame::build(epoch, Seq(first), FrameHash(previous), &records).unwrap();
        let parsed = Frame::parse(built.bytes()).unwrap();
        prop_assert_eq!(&parsed, &built);
        prop_assert_eq!(parsed.hash(), built.hash());
        prop_assert_eq!((parsed.epoch(), parsed.first_seq(), parsed.previous()), (epoch, Seq(first), FrameHash(previous)));
        prop_assert_eq!(parsed.records().map(<[u8]>::to_vec).collect::<Vec<_>>(), records);
    }
}

#[test]
fn a_frame_that_is_put_together_is_the_one_that_is_built_of_its_records() {
    let records: [&[u8]; 3] = [b"one", b"", b"three"];
    let mut builder = FrameBuilder::with_capacity(0);
    let add = |builder: &mut FrameBuilder, bytes: &[u8], is_good: bool| {
        builder.push(|out| {
            out.extend_from_slice(bytes);
            if is_good { Ok(()) } else { Err("no record") }
        })
    };
    for record in records {
        add(&mut builder, record, true).unwrap();
        let bytes = builder.byte_count();
        assert_eq!(add(&mut builder, b"half of", false), Err("no record"));
        assert_eq!(builder.byte_count(), bytes, "nothing of it is left");
        add(&mut builder, b"one too many", true).unwrap();
        builder.pop();
        assert_eq!(builder.byte_count(), bytes, "nothing of it is left");
    }
    assert_eq!(builder.count(), records.len());
    assert_eq!(builder.finish(3, Seq(40), FrameHash([9; 32])).unwrap(), frame(&records));
    let mut empty = FrameBuilder::with_capacity(usize::MAX);
    empty.pop();
    assert_eq!(empty.finish(1, Seq(1), FrameHash::GENESIS).map(drop), Err(FrameTooLarge::NoRecords));
}
