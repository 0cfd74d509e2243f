//! The wire format: numbered fields, each a varint, a fixed number or a run of bytes.

use super::DecodeError;

/// The groups of proto2 within groups that are skipped before the reader gives up.
const MAX_GROUPS: usize = 32;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// A field's content as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl Wire<'_> {
    /// The number of the way of writing.
    pub(super) fn kind(self) -> u8 {
        match self {
            Self::Varint(_) => VARINT,
            Self::Fixed64(_) => FIXED64,
            Self::Fixed32(_) => FIXED32,
            Self::Bytes(_) => BYTES,
        }
    }
}

/// Reads fields one after the other. Groups, which Kubernetes never writes, are skipped.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and content; `None` at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Wire<'a>)>, DecodeError> {
        let mut groups = 0;
        loop {
            if self.rest.is_empty() {
                return if groups == 0 { Ok(None) } else { Err(DecodeError::Truncated) };
            }
            let tag = self.varint()?;
            let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
            let number = number.ok_or(DecodeError::Illegal("tag"))?;
            let content = match (tag & 7) as u8 {
                VARINT => Wire::Varint(self.varint()?),
                FIXED64 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
                FIXED32 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
                BYTES => {
                    let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
                    Wire::Bytes(self.take(length)?)
                }
                GROUP if groups < MAX_GROUPS => {
                    groups += 1;
                    continue;
                }
                GROUP_END if groups > 0 => {
                    groups -= 1;
                    continue;
                }
                _ => return Err(DecodeError::Illegal("wireType")),
            };
            if groups == 0 {
                return Ok(Some((number, content)));
            }
        }
    }

    /// The next number of a packed run; `None` at the end.
    pub(super) fn packed(&mut self) -> Result<Option<u64>, DecodeError> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Illegal("varint"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

/// Writes fields one after the other.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
}

impl Writer {
    pub(super) fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, VARINT);
        self.raw_varint(value);
    }

    pub(super) fn double(&mut self, number: u32, value: f64) {
        self.tag(number, FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, BYTES);
        self.raw_varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// A field whose content `write` writes: the length is put before it afterwards.
    pub(super) fn nested<E>(&mut self, number: u32, write: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.tag(number, BYTES);
        let start = self.out.len();
        write(self)?;
        let mut length = Self::default();
        length.raw_varint((self.out.len() - start) as u64);
        self.out.splice(start..start, length.out);
        Ok(())
    }

    fn tag(&mut self, number: u32, kind: u8) {
        self.raw_varint(u64::from(number) << 3 | u64::from(kind));
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<Option<(u32, Wire<'_>)>, DecodeError>) {
        assert_eq!(Reader::new(bytes).field(), expected, "{bytes:?}");
    }

    #[test]
    fn fields_are_read_by_their_wire_type() {
        check(&[], Ok(None));
        check(&[0x08, 0x96, 0x01], Ok(Some((1, Wire::Varint(150)))));
        check(&[0x12, 2, b'h', b'i'], Ok(Some((2, Wire::Bytes(b"hi")))));
        check(&[0x0d, 1, 0, 0, 0], Ok(Some((1, Wire::Fixed32(1)))));
    }

    #[test]
    fn groups_are_skipped() {
        check(&[0x0b, 0x10, 1, 0x0c, 0x08, 7], Ok(Some((1, Wire::Varint(7)))));
        check(&[0x0b, 0x10, 1], Err(DecodeError::Truncated));
        check(&[0x0c], Err(DecodeError::Illegal("wireType")));
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_refused() {
        check(&[0x08], Err(DecodeError::Truncated));
        check(&[0x12, 5, b'h'], Err(DecodeError::Truncated));
        check(&[0x00, 1], Err(DecodeError::Illegal("tag")));
        check(&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Err(DecodeError::Illegal("varint")));
    }

    #[test]
    fn a_nested_field_is_preceded_by_its_length() {
        let mut writer = Writer::default();
        let done: Result<(), ()> = writer.nested(1, |w| {
            w.bytes(2, &[b'x'; 200]);
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(writer.out.get(..6), Some(&[0x0a, 0xcb, 0x01, 0x12, 0xc8, 0x01][..]));
    }
}
