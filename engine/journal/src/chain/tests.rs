//! Tests of the walk, by table: which frames stand, and what the head says of them.

use kembali_core::Seq;

use super::{Break, End, Walker};
use crate::damage::Flaw;
use crate::frame::{Frame, FrameDamage, FrameHash};
use crate::head::Head;

/// Five frames of two records each; the last two carry epoch 2.
fn frames() -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for n in 0..5 {
        let previous = frames.last().map_or(FrameHash::GENESIS, Frame::hash);
        let epoch = if n < 3 { 1 } else { 2 };
        frames.push(Frame::build(epoch, Seq(n * 2 + 1), previous, &[[n as u8; 4], [0; 4]]).unwrap());
    }
    frames
}

/// The head that names `frame`, in generation 1.
fn head(frame: &Frame) -> Head {
    Head { seq: frame.last_seq(), hash: frame.hash(), epoch: 2, ..Head::EMPTY }
}

fn walk(head: Head, slot_lost: bool, frames: &[Frame]) -> Result<End, Break> {
    let mut walker = Walker::new(head, slot_lost);
    frames.iter().try_for_each(|frame| walker.frame(1, frame))?;
    walker.finish(1)
}

fn flaw(result: Result<End, Break>) -> (u64, Flaw) {
    let found = result.unwrap_err();
    (found.seq.0, found.flaw)
}

#[test]
fn frames_up_to_the_head_and_one_more_are_accepted() {
    let frames = frames();
    for named in 0..5 {
        assert_eq!(walk(head(&frames[named]), false, &frames[..=named]).unwrap().past_head, 0);
    }
    let end = walk(head(&frames[3]), false, &frames).unwrap();
    assert_eq!((end.seq, end.hash, end.past_head), (Seq(10), frames[4].hash(), 1));
    assert_eq!(walk(Head::EMPTY, false, &[]).unwrap().seq, Seq(0));
}

#[test]
fn fewer_frames_than_the_head_names_are_damage() {
    let frames = frames();
    for (named, kept) in (0..5).flat_map(|named| (0..=named).map(move |kept| (named, kept))) {
        let found = walk(head(&frames[named]), false, &frames[..kept]);
        let expected = Flaw::Shorter { expected: frames[named].last_seq(), found: Seq(kept as u64 * 2) };
        assert_eq!(flaw(found), (kept as u64 * 2 + 1, expected));
    }
}

#[test]
fn more_frames_than_can_be_under_way_are_damage() {
    let frames = frames();
    assert_eq!(flaw(walk(head(&frames[2]), false, &frames)).1, Flaw::HeadStale { found: 2, max: 1 });
    assert_eq!(walk(head(&frames[2]), true, &frames).unwrap().past_head, 2);
    assert_eq!(flaw(walk(head(&frames[1]), true, &frames)).1, Flaw::HeadStale { found: 3, max: 2 });
}

#[test]
fn a_lost_slot_is_proved_by_one_frame_more() {
    let frames = frames();
    assert_eq!(walk(head(&frames[3]), true, &frames).unwrap().past_head, 1);
    assert_eq!(flaw(walk(head(&frames[4]), true, &frames)).1, Flaw::HeadUnproven { survivor: Seq(10) });
    assert_eq!(flaw(walk(Head::EMPTY, true, &[])).1, Flaw::HeadUnproven { survivor: Seq(0) });
}

#[test]
fn gaps_repeats_and_strangers_are_named() {
    let frames = frames();
    let with = |order: &[usize]| order.iter().map(|at| frames[*at].clone()).collect::<Vec<_>>();
    let named = head(&frames[4]);
    let gap = Flaw::NotDense { expected: Seq(3), found: Seq(5) };
    assert_eq!(flaw(walk(named, false, &with(&[0, 2, 3, 4]))), (3, gap));
    let repeat = Flaw::NotDense { expected: Seq(3), found: Seq(1) };
    assert_eq!(flaw(walk(named, false, &with(&[0, 0, 1]))), (3, repeat));

    let stranger = Frame::build(1, Seq(3), frames[0].hash(), &[b"x", b"y"]).unwrap();
    let mut changed = with(&[0, 1, 2, 3, 4]);
    changed[1] = stranger.clone();
    let chain = Flaw::Chain { first: Seq(5), expected: stranger.hash(), found: frames[1].hash() };
    assert_eq!(flaw(walk(named, false, &changed)), (4, chain));

    let other = Frame::build(2, Seq(9), frames[3].hash(), &[b"x", b"y"]).unwrap();
    changed = with(&[0, 1, 2, 3]);
    changed.push(other.clone());
    let hash = Flaw::HeadHash { seq: Seq(10), expected: frames[4].hash(), found: other.hash() };
    assert_eq!(flaw(walk(named, false, &changed)), (9, hash));

    let inside = Head { seq: Seq(9), ..named };
    assert_eq!(flaw(walk(inside, false, &frames)).1, Flaw::HeadInside { seq: Seq(9), first: Seq(9), last: Seq(10) });
    let elsewhere = Head { generation: 2, ..named };
    assert_eq!(flaw(walk(elsewhere, false, &frames)).1, Flaw::HeadGeneration { expected: 2, found: 1 });
    let genesis = Frame::build(1, Seq(1), FrameHash([1; 32]), &[b"x"]).unwrap();
    assert!(matches!(flaw(walk(named, false, &[genesis])).1, Flaw::Chain { .. }));
}

#[test]
fn an_epoch_never_falls_nor_passes_the_head() {
    let frames = frames();
    let early = Head { epoch: 1, ..head(&frames[4]) };
    assert_eq!(flaw(walk(early, false, &frames)), (7, Flaw::Epoch { found: 2, least: 1, most: 1 }));
    let mut fallen = frames[..4].to_vec();
    fallen.push(Frame::build(1, Seq(9), frames[3].hash(), &[b"x"]).unwrap());
    assert_eq!(flaw(walk(head(&frames[3]), false, &fallen)), (9, Flaw::Epoch { found: 1, least: 2, most: 2 }));
}

#[test]
fn a_journal_may_start_after_what_was_trimmed() {
    let frames = frames();
    assert_eq!(walk(head(&frames[4]), false, &frames[2..]).unwrap().seq, Seq(10));
    // All that the head names was trimmed, and the generation after it is empty, or holds one frame.
    let named = Head { oldest: 2, ..head(&frames[3]) };
    assert_eq!(Walker::new(named, false).finish(2).unwrap().seq, Seq(8));
    let mut walker = Walker::new(named, false);
    walker.frame(2, &frames[4]).unwrap();
    assert_eq!(walker.finish(2).unwrap().past_head, 1);
    // Without a trim the same is loss.
    assert!(matches!(flaw(walk(named, false, &frames[4..])).1, Flaw::NotDense { .. }));
}

#[test]
fn a_torn_frame_is_accepted_after_the_head_only_and_ends_the_journal() {
    let frames = frames();
    let torn = Flaw::Frame { chunk: 0, damage: FrameDamage::Count { found: 0 } };
    let mut walker = Walker::new(head(&frames[3]), false);
    for frame in &frames[..3] {
        walker.frame(1, frame).unwrap();
        assert_eq!(walker.torn(torn.clone()).unwrap_err().seq, frame.last_seq().next());
    }
    walker.frame(1, &frames[3]).unwrap();
    walker.torn(torn).unwrap();
    assert!(matches!(walker.frame(1, &frames[4]), Err(Break { flaw: Flaw::NotDense { .. }, .. })));
}
