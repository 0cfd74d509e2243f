//! Writing protobuf: fields in the order in which they are put.

/// A message in the making.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// The encoded message.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// A string; an empty one is left out, as proto3 does.
    pub(super) fn text(mut self, field: u32, text: &str) -> Self {
        if !text.is_empty() {
            self.put(field, text.as_bytes());
        }
        self
    }

    /// Each of some strings.
    pub(super) fn texts<'a>(mut self, field: u32, texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().for_each(|text| self.put(field, text.as_bytes()));
        self
    }

    /// A boolean; false is left out.
    pub(super) fn flag(mut self, field: u32, flag: bool) -> Self {
        if flag {
            self.varint(u64::from(field) << 3);
            self.varint(1);
        }
        self
    }

    /// A 64-bit integer; 0 is left out.
    pub(super) fn integer(mut self, field: u32, number: i64) -> Self {
        if number != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(number.cast_unsigned());
        }
        self
    }

    /// A double; 0 is left out.
    pub(super) fn double(mut self, field: u32, number: f64) -> Self {
        if number != 0.0 {
            self.varint(u64::from(field) << 3 | 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
        self
    }

    /// A message.
    pub(super) fn message(mut self, field: u32, message: Self) -> Self {
        self.put(field, &message.0);
        self
    }

    /// A message, if there is one.
    pub(super) fn maybe(self, field: u32, message: Option<Self>) -> Self {
        match message {
            Some(message) => self.message(field, message),
            None => self,
        }
    }

    /// Each of some messages.
    pub(super) fn messages(self, field: u32, messages: impl IntoIterator<Item = Self>) -> Self {
        messages.into_iter().fold(self, |all, message| all.message(field, message))
    }

    fn put(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}
