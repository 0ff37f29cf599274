//! Options: codes, pieces, and the values that pieces make together (RFC 3396).

use super::DhcpError;
use crate::wire::BufferTooSmall;

/// The number of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OptionCode(pub u8);

#[allow(missing_docs)]
impl OptionCode {
    pub const PAD: Self = Self(0);
    pub const SUBNET_MASK: Self = Self(1);
    pub const ROUTERS: Self = Self(3);
    pub const DNS_SERVERS: Self = Self(6);
    pub const HOST_NAME: Self = Self(12);
    pub const DOMAIN_NAME: Self = Self(15);
    pub const MTU: Self = Self(26);
    pub const BROADCAST: Self = Self(28);
    pub const NTP_SERVERS: Self = Self(42);
    pub const VENDOR_SPECIFIC: Self = Self(43);
    pub const REQUESTED_IP: Self = Self(50);
    pub const LEASE_TIME: Self = Self(51);
    pub const OVERLOAD: Self = Self(52);
    pub const MESSAGE_TYPE: Self = Self(53);
    pub const SERVER_ID: Self = Self(54);
    pub const PARAMETER_LIST: Self = Self(55);
    pub const MESSAGE: Self = Self(56);
    pub const MAX_MESSAGE_LEN: Self = Self(57);
    pub const RENEWAL_TIME: Self = Self(58);
    pub const REBINDING_TIME: Self = Self(59);
    pub const VENDOR_CLASS: Self = Self(60);
    pub const CLIENT_ID: Self = Self(61);
    pub const TFTP_SERVER_NAME: Self = Self(66);
    pub const BOOT_FILE_NAME: Self = Self(67);
    pub const RAPID_COMMIT: Self = Self(80);
    pub const CLIENT_FQDN: Self = Self(81);
    pub const RELAY_INFO: Self = Self(82);
    pub const ARCHITECTURE: Self = Self(93);
    pub const CLIENT_UUID: Self = Self(97);
    pub const SUBNET_SELECTION: Self = Self(118);
    pub const DOMAIN_SEARCH: Self = Self(119);
    pub const CLASSLESS_ROUTES: Self = Self(121);
    pub const END: Self = Self(255);
}

/// A code and the bytes that stand behind it: an option, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OptionPiece<'a> {
    /// Of which option.
    pub code: OptionCode,
    /// At most 255 bytes.
    pub bytes: &'a [u8],
}

/// The options of a message, in the order in which they are to be read. Every step to the next takes
/// at least one byte, so they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// What is left of the field for them, of the boot file's and of the server name's.
    fields: [&'a [u8]; 3],
}

/// What stands at the beginning of a field.
enum Step<'a> {
    Pad,
    Piece(OptionPiece<'a>),
    End,
}

impl<'a> Options<'a> {
    /// The options in the field for them, if they are whole.
    pub(super) fn check(field: &'a [u8]) -> Result<Self, DhcpError> {
        check(field)?;
        Ok(Self {
            fields: [field, &[], &[]],
        })
    }

    /// More of them, if they are whole.
    pub(super) fn extend(&mut self, file: &'a [u8], name: &'a [u8]) -> Result<(), DhcpError> {
        check(file)?;
        check(name)?;
        let [field, _, _] = self.fields;
        self.fields = [field, file, name];
        Ok(())
    }

    /// All that is said of one option.
    pub(super) fn value(&self, code: OptionCode) -> Option<OptionValue<'a>> {
        let mut rest = *self;
        let first = rest.find(|piece| piece.code == code)?;
        let others = rest.filter(|piece| piece.code == code);
        let more = others.map(|piece| piece.bytes.len()).sum::<usize>();
        Some(OptionValue {
            code,
            first: first.bytes,
            rest,
            len: first.bytes.len() + more,
        })
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = OptionPiece<'a>;

    fn next(&mut self) -> Option<OptionPiece<'a>> {
        for field in &mut self.fields {
            // What is not whole was refused: an error is the end, as is nothing more.
            while let Ok(Some(step)) = step(field) {
                match step {
                    Step::Pad => {}
                    Step::Piece(piece) => return Some(piece),
                    Step::End => *field = &[],
                }
            }
        }
        None
    }
}

/// Whether all options in a field are whole.
fn check(mut field: &[u8]) -> Result<(), DhcpError> {
    while let Some(step) = step(&mut field)? {
        match step {
            Step::Pad | Step::Piece(_) => {}
            Step::End => break,
        }
    }
    Ok(())
}

/// Takes what stands at the beginning of a field.
fn step<'a>(field: &mut &'a [u8]) -> Result<Option<Step<'a>>, DhcpError> {
    #[cfg(test)]
    super::tests::STEPS.set(super::tests::STEPS.get() + 1);
    let Some((&code, rest)) = field.split_first() else {
        return Ok(None);
    };
    let code = OptionCode(code);
    match code {
        OptionCode::PAD => {
            *field = rest;
            return Ok(Some(Step::Pad));
        }
        OptionCode::END => {
            *field = rest;
            return Ok(Some(Step::End));
        }
        _other => {}
    }
    let whole = rest
        .split_first()
        .and_then(|(&len, rest)| rest.split_at_checked(len.into()));
    let (bytes, rest) = whole.ok_or(DhcpError::OptionTruncated(code.0))?;
    *field = rest;
    Ok(Some(Step::Piece(OptionPiece { code, bytes })))
}

/// The value of an option, in one piece or in several.
#[derive(Clone, Copy, Debug)]
pub struct OptionValue<'a> {
    code: OptionCode,
    first: &'a [u8],
    rest: Options<'a>,
    len: usize,
}

impl<'a> OptionValue<'a> {
    /// The option's code.
    pub const fn code(&self) -> OptionCode {
        self.code
    }

    /// How many bytes all pieces have together.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether they have none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let code = self.code;
        let others = self.rest.filter(move |piece| piece.code == code);
        core::iter::once(self.first).chain(others.map(|piece| piece.bytes))
    }

    /// The bytes, in order.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.pieces().flatten().copied()
    }

    /// The value where it stands, if it is in one piece, as all are that have less than 256 bytes and
    /// were not split on purpose.
    pub fn as_slice(&self) -> Option<&'a [u8]> {
        (self.first.len() == self.len).then_some(self.first)
    }

    /// The value, if it has exactly this many bytes.
    pub fn to_array<const N: usize>(&self) -> Option<[u8; N]> {
        let mut array = [0; N];
        (self.len == N).then(|| {
            self.fill(&mut array);
            array
        })
    }

    /// Copies the value into a buffer, and gives the part that it takes.
    pub fn copy_to<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        let available = buffer.len();
        let needed = self.len;
        let room = buffer.get_mut(..needed);
        let room = room.ok_or(BufferTooSmall { needed, available })?;
        self.fill(room);
        Ok(room)
    }

    fn fill(&self, room: &mut [u8]) {
        room.iter_mut()
            .zip(self.bytes())
            .for_each(|(to, from)| *to = from);
    }
}

impl PartialEq<[u8]> for OptionValue<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.len == other.len() && self.bytes().eq(other.iter().copied())
    }
}
