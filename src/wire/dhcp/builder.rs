//! Messages into the caller's buffer.

use core::net::Ipv4Addr;
use core::ops::Range;

use zerocopy::IntoBytes;

use super::header::{FILE_LEN, SNAME_LEN};
use super::options::{OptionCode, OptionValue};
use super::{DHCP_HEADER_LEN, DHCP_MIN_LEN, DhcpHeader, LeaseTime, MessageType};
use crate::wire::BufferTooSmall;

/// Where the fields are that may have options instead.
const SNAME: usize = 44;
const FILE: usize = SNAME + SNAME_LEN;
/// The longest piece of an option.
const PIECE: usize = 255;
/// What option 52 takes.
const OVERLOAD_LEN: usize = 3;

/// Writes a message: options in the order in which they are given, the end, and zeros up to
/// [`DHCP_MIN_LEN`].
///
/// What finds no room is refused with a typed error, and leaves the message as it was. An option of
/// more than 255 bytes is split (RFC 3396). The message never grows past the buffer, so a shorter
/// buffer is how a receiver's limit is kept.
///
/// ```
/// use whohas::UnicastMac;
/// use whohas::wire::dhcp::{DhcpHeader, Message, MessageBuilder, MessageType, OptionCode};
///
/// let mac = UnicastMac::new([2, 0, 0, 0, 0, 1])?;
/// let mut buffer = [0; 576];
/// let header = DhcpHeader::request(0x1234_5678, mac);
/// let mut message = MessageBuilder::new(&mut buffer, &header, MessageType::Discover)?;
/// message.option(OptionCode::HOST_NAME, b"sensor-7")?;
/// let len = message.finish();
///
/// let message = Message::parse(&buffer[..len])?;
/// assert_eq!(message.kind(), MessageType::Discover);
/// assert!(message.host_name()?.is_some_and(|name| name == b"sensor-7"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MessageBuilder<'b> {
    buffer: &'b mut [u8],
    options: Field,
    file: Field,
    name: Field,
}

impl<'b> MessageBuilder<'b> {
    /// Begins a message of this type. The buffer has room for [`DHCP_MIN_LEN`] bytes at least.
    pub fn new(
        buffer: &'b mut [u8],
        header: &DhcpHeader,
        kind: MessageType,
    ) -> Result<Self, BufferTooSmall> {
        let available = buffer.len();
        if available < DHCP_MIN_LEN {
            return Err(BufferTooSmall {
                needed: DHCP_MIN_LEN,
                available,
            });
        }
        // Cannot fail: there is more room than that.
        let _ = header.raw().write_to_prefix(buffer);
        let mut this = Self {
            buffer,
            options: Field::new(DHCP_HEADER_LEN, available),
            file: Field::NONE,
            name: Field::NONE,
        };
        this.option(OptionCode::MESSAGE_TYPE, &[kind.number()])?;
        Ok(this)
    }

    /// Lets options that find no room go where the boot file and the server's name would be, if they
    /// have not been written. That takes three bytes of room, for the option that says so (52).
    pub fn with_overload(self) -> Self {
        let options = Field {
            end: self.options.end.saturating_sub(OVERLOAD_LEN),
            ..self.options
        };
        let unless_text = |start, len| match self.buffer.get(start) {
            Some(0) => Field::new(start, start + len),
            _text => Field::NONE,
        };
        Self {
            options,
            file: unless_text(FILE, FILE_LEN),
            name: unless_text(SNAME, SNAME_LEN),
            ..self
        }
    }

    /// Keeps this much room for what is to come last.
    #[cfg(feature = "dhcp")]
    pub(crate) fn keep_back(&mut self, len: usize) {
        self.options.end = self.options.end.saturating_sub(len);
    }

    /// Lets that room be used.
    #[cfg(feature = "dhcp")]
    pub(crate) fn give_back(&mut self, len: usize) {
        self.options.end += len;
    }

    /// Writes the server's name into its field.
    pub fn server_name_field(&mut self, name: &[u8]) -> Result<(), BufferTooSmall> {
        self.name = self.text(self.name, SNAME..SNAME + SNAME_LEN, name)?;
        Ok(())
    }

    /// Writes the boot file into its field.
    pub fn boot_file_field(&mut self, file: &[u8]) -> Result<(), BufferTooSmall> {
        self.file = self.text(self.file, FILE..FILE + FILE_LEN, file)?;
        Ok(())
    }

    /// Appends an option of any length.
    pub fn option(&mut self, code: OptionCode, value: &[u8]) -> Result<(), BufferTooSmall> {
        self.append(code, value.len(), value.iter().copied())
    }

    /// Appends an option that was received, byte for byte.
    pub fn copy(&mut self, value: &OptionValue<'_>) -> Result<(), BufferTooSmall> {
        self.append(value.code(), value.len(), value.bytes())
    }

    /// Appends an option of one address.
    pub fn address(&mut self, code: OptionCode, ip: Ipv4Addr) -> Result<(), BufferTooSmall> {
        self.option(code, &ip.octets())
    }

    /// Appends an option of several addresses.
    pub fn addresses(&mut self, code: OptionCode, ips: &[Ipv4Addr]) -> Result<(), BufferTooSmall> {
        let bytes = ips.iter().flat_map(Ipv4Addr::octets);
        self.append(code, 4 * ips.len(), bytes)
    }

    /// Appends an option of a time.
    pub fn time(&mut self, code: OptionCode, time: LeaseTime) -> Result<(), BufferTooSmall> {
        self.option(code, &time.number().to_be_bytes())
    }

    /// Ends the message. Returns its length.
    pub fn finish(mut self) -> usize {
        self.close_fields();
        let end = self.options.free;
        self.put(end, &[OptionCode::END.0]);
        let len = (end + 1).max(DHCP_MIN_LEN);
        if let Some(padding) = self.buffer.get_mut(end + 1..len) {
            padding.fill(0);
        }
        len
    }

    /// Ends the fields that options went to, and says which they are (52): what is appended from now on
    /// comes behind that.
    pub(crate) fn close_fields(&mut self) {
        let in_file = self.file.has_some();
        let in_name = self.name.has_some();
        if in_file {
            self.put(self.file.free, &[OptionCode::END.0]);
        }
        if in_name {
            self.put(self.name.free, &[OptionCode::END.0]);
        }
        if in_file || in_name {
            let fields = u8::from(in_file) | u8::from(in_name) << 1;
            self.put(self.options.free, &[OptionCode::OVERLOAD.0, 1, fields]);
            self.options.free += OVERLOAD_LEN;
            self.options.end += OVERLOAD_LEN;
        }
        (self.file, self.name) = (Field::NONE, Field::NONE);
    }

    /// Writes an option into the first field that has room for all of it.
    fn append(
        &mut self,
        code: OptionCode,
        len: usize,
        bytes: impl Iterator<Item = u8>,
    ) -> Result<(), BufferTooSmall> {
        let pieces = len.div_ceil(PIECE).max(1);
        let needed = len + 2 * pieces;
        let too_small = BufferTooSmall {
            needed: self.options.free + needed + 1,
            available: self.buffer.len(),
        };
        let mut fields = [&mut self.options, &mut self.file, &mut self.name].into_iter();
        let field = fields.find(|field| field.fits(needed)).ok_or(too_small)?;
        let start = field.free;
        field.free += needed;
        let room = self.buffer.get_mut(start..).unwrap_or_default();
        let (mut room, mut bytes) = (room.iter_mut(), bytes);
        let mut put = |byte| {
            if let Some(place) = room.next() {
                *place = byte;
            }
        };
        let mut left = len;
        for _ in 0..pieces {
            let piece = left.min(PIECE);
            put(code.0);
            put(piece as u8);
            bytes.by_ref().take(piece).for_each(&mut put);
            left -= piece;
        }
        Ok(())
    }

    /// Writes a text into its field, which has no options from now on.
    fn text(
        &mut self,
        field: Field,
        place: Range<usize>,
        text: &[u8],
    ) -> Result<Field, BufferTooSmall> {
        let available = if field.has_some() { 0 } else { place.len() };
        if text.len() > available {
            return Err(BufferTooSmall {
                needed: text.len(),
                available,
            });
        }
        if let Some(room) = self.buffer.get_mut(place.clone()) {
            room.fill(0);
        }
        self.put(place.start, text);
        Ok(if text.is_empty() { field } else { Field::NONE })
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.buffer.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }
}

/// A field with options: where it begins and ends, and from where on it is free.
#[derive(Clone, Copy, Debug)]
struct Field {
    start: usize,
    free: usize,
    end: usize,
}

impl Field {
    /// No room at all.
    const NONE: Self = Self::new(0, 0);

    const fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            free: start,
            end,
        }
    }

    /// Whether options of this length fit, and the end behind them.
    const fn fits(self, len: usize) -> bool {
        self.end.saturating_sub(self.free) > len
    }

    const fn has_some(self) -> bool {
        self.free > self.start
    }
}
