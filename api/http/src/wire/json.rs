//! JSON for what is written most, the results of purchases: the same bytes as `serde_json` writes, for less work.
//!
//! `serde_json` looks at each byte of each member's name for what must be escaped. Names of members are those of our own types, so they are
//! copied; texts are looked at as a whole, and one that needs escapes goes to `serde_json`. What results do not have, such as maps and
//! fractions, is refused, never written in another way.

use serde::ser::{
    Error as _, Impossible, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
};
use serde::{Serialize, Serializer};

/// Writes a value to the end of `out`.
///
/// # Errors
///
/// When a value is of a kind that is not written here, or says itself that it cannot be written.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), serde_json::Error> {
    value.serialize(Writer(out))
}

struct Writer<'a>(&'a mut Vec<u8>);

/// A list or an object that is being written.
struct Open<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
    end: &'static [u8],
}

fn unwritten(what: &str) -> serde_json::Error {
    serde_json::Error::custom(format_args!("{what} is not written here"))
}

impl Writer<'_> {
    fn number(self, number: impl itoa::Integer) -> Result<(), serde_json::Error> {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }
}

impl<'a> Writer<'a> {
    fn open(self, begin: &[u8], end: &'static [u8]) -> Open<'a> {
        self.0.extend_from_slice(begin);
        Open { out: self.0, is_empty: true, end }
    }
}

impl Open<'_> {
    #[inline(always)]
    fn comma(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
    }

    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), serde_json::Error> {
        self.comma();
        value.serialize(Writer(self.out))
    }

    #[inline(always)]
    fn member(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> Result<(), serde_json::Error> {
        self.comma();
        debug_assert!(is_plain(name), "a member's name needs no escapes");
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Writer(self.out))
    }

    fn close(self) -> Result<(), serde_json::Error> {
        self.out.extend_from_slice(self.end);
        Ok(())
    }
}

/// Returns true for text that stands in JSON as it is. It is looked at eight bytes at a time; the last eight may overlap those before.
fn is_plain(text: &str) -> bool {
    let Some(last) = text.as_bytes().last_chunk::<8>() else {
        return text.bytes().all(|byte| 0x20 <= byte && byte != b'"' && byte != b'\\');
    };
    let (words, _) = text.as_bytes().as_chunks::<8>();
    words.iter().chain([last]).all(|word| marks(u64::from_le_bytes(*word)) == 0)
}

/// Marks the lowest of eight bytes that needs an escape, if any does, and perhaps some above it.
const fn marks(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    // A byte that is zero here borrows from its high bit; one above 0x7f never does.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (controls | zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64))) & HIGH
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = Impossible<(), serde_json::Error>;
    type SerializeMap = Impossible<(), serde_json::Error>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Open<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Self::Error> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Self::Error> {
        self.number(value)
    }

    fn serialize_f32(self, _: f32) -> Result<(), Self::Error> {
        Err(unwritten("a fraction"))
    }

    fn serialize_f64(self, _: f64) -> Result<(), Self::Error> {
        Err(unwritten("a fraction"))
    }

    fn serialize_char(self, value: char) -> Result<(), Self::Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Self::Error> {
        if !is_plain(text) {
            return serde_json::to_writer(self.0, text);
        }
        self.0.reserve(text.len() + 2);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Self::Error> {
        Err(unwritten("a row of bytes"))
    }

    fn serialize_none(self) -> Result<(), Self::Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Self::Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Self::Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Self::Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        let mut open = self.open(b"{", b"}");
        open.member(variant, value)?;
        open.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Self::Error> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a>, Self::Error> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Self::Error> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Self::Error> {
        Err(unwritten("a variant of several values"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Self::Error> {
        Err(unwritten("a map"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Self::Error> {
        Ok(self.open(b"{", b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Self::Error> {
        self.0.extend_from_slice(b"{\"");
        self.0.extend_from_slice(variant.as_bytes());
        Ok(self.open(b"\":{", b"}}"))
    }
}

impl SerializeSeq for Open<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Self::Error> {
        self.close()
    }
}

impl SerializeTuple for Open<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Self::Error> {
        self.close()
    }
}

impl SerializeTupleStruct for Open<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Self::Error> {
        self.close()
    }
}

impl SerializeStruct for Open<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Self::Error> {
        self.member(name, value)
    }

    fn end(self) -> Result<(), Self::Error> {
        self.close()
    }
}

impl SerializeStructVariant for Open<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Self::Error> {
        self.member(name, value)
    }

    fn end(self) -> Result<(), Self::Error> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Nothing,
        One(i64),
        Some { text: String, number: Option<u16> },
    }

    #[derive(Clone, Debug, Serialize)]
    #[serde(tag = "type")]
    enum Tagged {
        Text { text: String },
        Pair { pair: (i8, bool), none: Option<u8> },
    }

    #[derive(Clone, Debug, Serialize)]
    struct Pair(u64, char);

    #[derive(Clone, Debug, Serialize)]
    struct All {
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        left_out: Option<i32>,
        kinds: Vec<Kind>,
        tagged: [Tagged; 2],
        pair: Pair,
        unit: (),
        small: (u8, i16, u32),
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Nothing),
            any::<i64>().prop_map(Kind::One),
            any::<(String, Option<u16>)>().prop_map(|(text, number)| Kind::Some { text, number }),
        ]
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_serde_json(
            (text, other, left_out) in any::<(String, String, Option<i32>)>(),
            kinds in prop::collection::vec(kind(), 0..4),
            (pair, none, number, letter) in any::<((i8, bool), Option<u8>, u64, char)>(),
            small in any::<(u8, i16, u32)>(),
        ) {
            let tagged = [Tagged::Text { text: other }, Tagged::Pair { pair, none }];
            let all = All { text, left_out, kinds, tagged, pair: Pair(number, letter), unit: (), small };
            let mut out = b"before".to_vec();
            write(&mut out, &all).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("before{}", serde_json::to_string(&all).unwrap()));
        }
    }

    #[test]
    fn every_character_below_a_thousand_is_written_as_by_serde_json() {
        // Wherever it stands among the eight bytes that are looked at together, and at the end.
        for (before, after) in (0..9).flat_map(|before| [(before, 0), (before, 9)]) {
            for character in (0..1_000).filter_map(char::from_u32) {
                let text = format!("{}{character}{}", "b".repeat(before), "a".repeat(after));
                let mut out = Vec::new();
                write(&mut out, &text).unwrap();
                assert_eq!(out, serde_json::to_vec(&text).unwrap());
            }
        }
    }

    #[test]
    fn what_results_do_not_have_is_refused() {
        let refused = |error: Result<(), serde_json::Error>| error.unwrap_err().to_string();
        let mut out = Vec::new();
        assert_eq!(refused(write(&mut out, &BTreeMap::from([(1, 2)]))), "a map is not written here");
        assert_eq!(refused(write(&mut out, &0.5)), "a fraction is not written here");
    }
}
