//! What somebody may have meant.

/// The candidate that is most like the word, if one is much like it.
pub(super) fn suggest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let far = word.len().max(3) / 3;
    let distances = candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate));
    let nearest = distances.min_by_key(|&(distance, _)| distance)?;
    (nearest.0 <= far).then_some(nearest.1)
}

/// The question.
pub(super) fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// How many letters must be added, left out, changed, or changed places with their neighbours.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, letter) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, &other) in b.iter().enumerate() {
            let changed = row[j] + usize::from(letter != other);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && last == Some(other) && letter == b[j - 1] {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_much_like_a_word_is_suggested_and_nothing_else() {
        let keys = ["pools", "prefix", "options", "lease-time"];
        for (word, expected) in [
            ("pool", Some("pools")),
            ("prefxi", Some("prefix")),
            ("lease_time", Some("lease-time")),
            ("leasetime", Some("lease-time")),
            ("Options", Some("options")),
            ("x", None),
            ("", None),
            ("range", None),
        ] {
            assert_eq!(suggest(word, keys), expected, "{word}");
        }
    }

    #[test]
    fn letters_that_changed_places_are_one_mistake() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
