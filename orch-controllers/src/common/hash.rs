//! Hashes in names. Stable across versions of orch, since they are made of JSON, and written in the alphabet of
//! generated names.

/// The hash of some bytes, safe in names.
pub fn of<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    encode(&bytes.into_iter().fold(0x811c_9dc5_u32, step).to_string())
}

/// Replaces each character by one of the alphabet of generated names (`rand.SafeEncodeString`).
fn encode(text: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let letter = |byte: u8| ALPHABET.get(usize::from(byte) % ALPHABET.len()).copied().unwrap_or(b'b');
    text.bytes().map(|byte| char::from(letter(byte))).collect()
}
