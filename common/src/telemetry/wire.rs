//! Protobuf's wire format, as far as spans need it: they are written once, where they are made, with
//! no messages in between.

/// What is behind a tag.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

/// Writes fields of one message.
pub(super) trait Write {
    fn varint(&mut self, number: u64);
    fn number(&mut self, field: u64, number: u64);
    fn fixed64(&mut self, field: u64, number: u64);
    fn fixed32(&mut self, field: u64, number: u32);
    fn bytes(&mut self, field: u64, bytes: &[u8]);
    /// The head of a message that is so long, and comes next.
    fn message(&mut self, field: u64, length: usize);
}

impl Write for Vec<u8> {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.push(number.to_le_bytes()[0]);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(number);
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.varint(field << 3 | FIXED_64);
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn fixed32(&mut self, field: u64, number: u32) {
        self.varint(field << 3 | FIXED_32);
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.message(field, bytes.len());
        self.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, length: usize) {
        self.varint(field << 3 | LENGTH);
        self.varint(length as u64);
    }
}

/// Of a field below 16 of bytes or text, or of a message.
pub(super) const fn length(bytes: usize) -> usize {
    1 + varint_length(bytes as u64) + bytes
}

pub(super) const fn varint_length(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::{encode_varint, encoded_len_varint};

    use super::*;

    proptest! {
        #[test]
        fn varints_are_as_everybody_writes_them(number: u64, shift in 0_u32..64) {
            let number = number >> shift;
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            ours.varint(number);
            encode_varint(number, &mut theirs);
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(varint_length(number), encoded_len_varint(number));
        }
    }
}
