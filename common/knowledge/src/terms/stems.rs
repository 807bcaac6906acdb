//! A light English stemmer.

/// Words for one thing that no ending joins: measures and their adjectives, units, and what shops
/// promise.
const SAME: &[(&str, &str)] = &[
    ("deep", "depth"),
    ("guarantee", "warranty"),
    ("heavy", "weight"),
    ("high", "height"),
    ("hot", "temperature"),
    ("kilogram", "kg"),
    ("kilograms", "kg"),
    ("liter", "l"),
    ("liters", "l"),
    ("litre", "l"),
    ("litres", "l"),
    ("loud", "sound"),
    ("max", "most"),
    ("maximum", "most"),
    ("noise", "sound"),
    ("noisy", "sound"),
    ("volt", "v"),
    ("volts", "v"),
    ("watt", "w"),
    ("watts", "w"),
    ("wide", "width"),
];

/// Plurals, -ing, -ed, and the silent e that these cut off. Words with digits are names, and stay
/// as they are.
pub(super) fn stem(word: String) -> String {
    if let Ok(at) = SAME.binary_search_by_key(&word.as_str(), |(from, _)| from) {
        return stem(SAME[at].1.to_owned());
    }
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word;
    }
    let singular = match word.as_str() {
        w if w.ends_with("sses") => &w[..w.len() - 2],
        w if w.ends_with("ies") || w.ends_with("ied") => return format!("{}y", &w[..w.len() - 3]),
        w if w.ends_with("ss") || w.ends_with("us") || w.ends_with("is") => w,
        w => w.strip_suffix('s').unwrap_or(w),
    };
    let root = ["ing", "ed"]
        .iter()
        .find_map(|suffix| singular.strip_suffix(suffix))
        .filter(|root| root.len() >= 3 && root.contains(['a', 'e', 'i', 'o', 'u', 'y']));
    match root {
        Some(root) => undoubled(root).to_owned(),
        None => singular.strip_suffix('e').unwrap_or(singular).to_owned(),
    }
}

/// "stopp" → "stop", but "fill" and "pass" stay.
fn undoubled(root: &str) -> &str {
    let bytes = root.as_bytes();
    match bytes {
        [.., a, b] if a == b && !matches!(b, b'l' | b's' | b'z' | b'e') => &root[..root.len() - 1],
        [.., b'e'] => &root[..root.len() - 1],
        _ => root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_one_thing_are_sorted() {
        assert!(SAME.is_sorted());
        assert_eq!(stem("heavy".to_owned()), stem("weight".to_owned()));
    }

    #[test]
    fn forms_of_a_word_meet() {
        for forms in [
            ["clean", "cleaned", "cleaning"],
            ["store", "stored", "storing"],
            ["stop", "stopped", "stops"],
            ["battery", "batteries", "battery"],
            ["charge", "charging", "charges"],
            ["delivery", "deliveries", "delivery"],
            ["remedy", "remedies", "remedied"],
        ] {
            let stems = forms.map(|form| stem(form.to_owned()));
            assert!(stems.iter().all(|s| *s == stems[0]), "{stems:?}");
        }
    }
}
