//! Embeddings as they are kept: a byte a dimension, which a flat search reads four times as
//! fast as floats.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A direction, quantised: `values[i] / 127 · scale` is dimension i of the unit vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    pub(crate) values: Vec<i8>,
    pub(crate) scale: f32,
}

impl Vector {
    /// `None` where there is no direction: nothing, only zeros, or something infinite.
    pub fn of(floats: &[f32]) -> Option<Self> {
        let length = floats.iter().map(|x| x * x).sum::<f32>().sqrt();
        let largest = floats.iter().fold(0_f32, |max, x| max.max(x.abs()));
        if !length.is_finite() || length <= 0.0 {
            return None;
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "within ±127 by construction"
        )]
        let values = floats
            .iter()
            .map(|x| (x / largest * 127.0).round() as i8)
            .collect();
        Some(Self {
            values,
            scale: largest / length,
        })
    }

    pub fn dimensions(&self) -> usize {
        self.values.len()
    }

    /// The direction, as others have it: a unit vector, but for the rounding.
    pub fn floats(&self) -> Vec<f32> {
        let float = |value: &i8| f32::from(*value) / 127.0 * self.scale;
        self.values.iter().map(float).collect()
    }

    /// The cosine of the angle between the two.
    pub fn cosine(&self, other: &[i8], scale: f32) -> f32 {
        let product: i32 = self
            .values
            .iter()
            .zip(other)
            .map(|(a, b)| i32::from(*a) * i32::from(*b))
            .sum();
        #[allow(clippy::cast_precision_loss, reason = "at most 127² · dimensions")]
        let product = product as f32;
        product * self.scale * scale / (127.0 * 127.0)
    }
}

/// Base64 of the scale (f32, little endian) and the values.
impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = self.scale.to_le_bytes().to_vec();
        bytes.extend(self.values.iter().map(|value| value.cast_unsigned()));
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let Some((scale, values)) = bytes.split_first_chunk::<4>() else {
            return Err(D::Error::custom("a vector without a scale"));
        };
        Ok(Self {
            scale: f32::from_le_bytes(*scale),
            values: values.iter().map(|byte| byte.cast_signed()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_survive_the_quantisation() {
        let mut seed = 7_u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed as f32 / u32::MAX as f32 - 0.5
        };
        for _ in 0..50 {
            let a: Vec<f32> = (0..384).map(|_| random()).collect();
            let b: Vec<f32> = a.iter().map(|x| x + random()).collect();
            let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
            let exact = a.iter().zip(&b).map(|(x, y)| x * y).sum::<f32>() / norm(&a) / norm(&b);
            let (a, b) = (Vector::of(&a).unwrap(), Vector::of(&b).unwrap());
            assert!((a.cosine(&b.values, b.scale) - exact).abs() < 0.01);
        }
    }

    #[test]
    fn vectors_are_read_back() {
        let vector = Vector::of(&[0.5, -1.0, 0.25]).unwrap();
        let json = serde_json::to_string(&vector).unwrap();
        assert_eq!(serde_json::from_str::<Vector>(&json).unwrap(), vector);
        assert_eq!(Vector::of(&[0.0, 0.0]), None);
        assert_eq!(Vector::of(&[f32::NAN]), None);
    }
}
