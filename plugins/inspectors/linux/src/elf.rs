//! The machine that a program was built for.
//!
//! Source: the ELF header of the System V ABI, `e_machine` numbers of the kernel's
//! include/uapi/linux/elf-em.h, names as `uname -m` prints them.

/// Bytes of a program that [`architecture`] needs.
pub const HEADER: u32 = 20;

/// The architecture; none where the bytes are no ELF header or the machine is not known.
pub fn architecture(header: &[u8]) -> Option<&'static str> {
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let wide = header.get(4) == Some(&2);
    let big = header.get(5) == Some(&2);
    let machine: [u8; 2] = header.get(18..20)?.try_into().ok()?;
    let machine = if big {
        u16::from_be_bytes(machine)
    } else {
        u16::from_le_bytes(machine)
    };
    Some(match (machine, wide, big) {
        (3, ..) => "i686",
        (8, true, _) => "mips64",
        (8, false, _) => "mips",
        (20, ..) => "ppc",
        (21, _, true) => "ppc64",
        (21, _, false) => "ppc64le",
        (22, true, _) => "s390x",
        (40, ..) => "arm",
        (62, ..) => "x86_64",
        (183, ..) => "aarch64",
        (243, true, _) => "riscv64",
        (258, true, _) => "loongarch64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, order: u8, machine: [u8; 2]) -> Vec<u8> {
        let mut header = b"\x7fELF".to_vec();
        header.extend([class, order]);
        header.resize(18, 0);
        header.extend(machine);
        header
    }

    #[test]
    fn machines_by_number_width_and_order() {
        for (header, expected) in [
            (header(2, 1, [62, 0]), Some("x86_64")),
            (header(1, 1, [3, 0]), Some("i686")),
            (header(2, 1, [183, 0]), Some("aarch64")),
            (header(2, 2, [0, 21]), Some("ppc64")),
            (header(2, 1, [21, 0]), Some("ppc64le")),
            (header(2, 2, [0, 22]), Some("s390x")),
            (header(2, 1, [255, 255]), None),
            (b"#!/bin/sh\n__________".to_vec(), None),
            (b"\x7fELF".to_vec(), None),
        ] {
            assert_eq!(architecture(&header), expected, "{header:?}");
        }
    }
}
