//! Which kernel the guest boots when nobody chooses: a failure of that one stops a plan,
//! a failure of another is worth a warning.
//!
//! In this order: the fact `default-kernel` (a version or an image's path) where an
//! inspector recorded it, the first `linux` line of GRUB's configuration (what
//! `GRUB_DEFAULT=0` means), the highest version.

use std::cmp::Ordering;

use cofferdam_sdk::types::Kernel;
use cofferdam_sdk::{Guest, Result, path};

use crate::signing::grub_configuration;

/// Position in `kernels`; none where that is empty.
pub fn find(guest: &dyn Guest, kernels: &[Kernel]) -> Result<Option<usize>> {
    if let Some(fact) = guest.fact("default-kernel") {
        let named = |kernel: &Kernel| kernel.version == fact || kernel.image == fact;
        if let Some(place) = kernels.iter().position(named) {
            return Ok(Some(place));
        }
    }
    if let Some(text) = grub_configuration(guest)?
        && let Some(image) = first_image(&text)
    {
        let named = |kernel: &Kernel| path::file_name(&kernel.image) == path::file_name(image);
        if let Some(place) = kernels.iter().position(named) {
            return Ok(Some(place));
        }
    }
    let places = kernels.iter().enumerate();
    Ok(places
        .max_by(|(_, left), (_, right)| compare(&left.version, &right.version))
        .map(|(place, _)| place))
}

/// The image in the first `linux` line.
fn first_image(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next()?, "linux" | "linux16" | "linuxefi").then(|| words.next())?
    })
}

/// Versions as people read them: numbers by value, the rest by its letters.
fn compare(left: &str, right: &str) -> Ordering {
    parts(left).cmp(&parts(right))
}

fn parts(version: &str) -> Vec<(u64, String)> {
    version
        .split(|character: char| !character.is_ascii_alphanumeric())
        .map(|part| {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = part.split_at(digits);
            (number.parse().unwrap_or(0), rest.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        for (low, high) in [
            ("5.10.0-9-amd64", "5.10.0-10-amd64"),
            ("5.9.0", "5.10.0"),
            ("6.1.0-4-amd64", "6.1.0-44-amd64"),
            ("4.18.0-80.el8", "4.18.0-305.el8"),
        ] {
            assert_eq!(compare(low, high), Ordering::Less, "{low} {high}");
        }
    }

    #[test]
    fn the_first_entry_counts() {
        let text = "set root='hd0'\nmenuentry 'a' {\n\tlinux\t/boot/vmlinuz-2 root=/dev/sda1\n}\n linux /vmlinuz-1\n";
        assert_eq!(first_image(text), Some("/boot/vmlinuz-2"));
        assert_eq!(first_image("# nothing"), None);
    }
}
