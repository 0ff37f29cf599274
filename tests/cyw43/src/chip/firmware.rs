//! What runs on the chip: what the driver asks of it and orders, and what it answers.
//!
//! What no such chip knows, and what this one does not, is refused; the driver does not survive that.
//! So a test fails loudly that uses more of the chip than there is.

use std::collections::VecDeque;

use whohas::UnicastMac;

/// Command, length, flags and number, status.
const HEADER_LEN: usize = 16;

const SUCCESS: u32 = 0;
const BAD_ARGUMENT: u32 = (-2_i32) as u32;
const UNSUPPORTED: u32 = (-23_i32) as u32;

/// How many groups can be listened to.
const GROUPS: usize = 10;

/// What the driver wants of the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Join(Join),
    Leave,
}

/// A network to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) ssid: Vec<u8>,
    /// `None` if it is open to all.
    pub(crate) passphrase: Option<Vec<u8>>,
    /// With the newer kind of authentication.
    pub(crate) sae: bool,
}

/// How the driver wants the chip to be, as far as it makes a difference here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It may sleep: 0 never, 1 whenever it can, 2 when nothing has happened for a while.
    pub power_save: u32,
    /// How long that while is, in milliseconds.
    pub awake_millis: u32,
    /// At every how many-th announcement of group traffic (DTIM) it wakes up.
    pub listens_every: u32,
    /// Wi-Fi is on.
    pub is_up: bool,
}

#[derive(Default)]
pub(super) struct Firmware {
    pub(super) wish: Wish,
    pub(super) groups: Vec<[u8; 6]>,
    /// Of which events the host wants to know, a bit for each.
    events: Vec<u8>,
    /// The regulatory table has come to its end.
    table_is_loaded: bool,
    security: u32,
    authentication: u32,
    key: Vec<u8>,
    sae_key: Vec<u8>,
}

/// An answer.
pub(super) struct Answer {
    header: [u8; HEADER_LEN],
    status: u32,
    content: Vec<u8>,
}

impl Answer {
    pub(super) const fn is_refusal(&self) -> bool {
        self.status != SUCCESS
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        // The length counts what was not cut off.
        bytes[4..8].copy_from_slice(&(self.content.len() as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.status.to_le_bytes());
        bytes.extend(&self.content);
        bytes
    }
}

mod command {
    pub(super) const UP: u32 = 2;
    pub(super) const DOWN: u32 = 3;
    pub(super) const SET_INFRASTRUCTURE: u32 = 20;
    pub(super) const SET_AUTH: u32 = 22;
    pub(super) const SET_SSID: u32 = 26;
    pub(super) const DISASSOCIATE: u32 = 52;
    pub(super) const SET_ANTENNA: u32 = 64;
    pub(super) const SET_POWER_SAVE: u32 = 86;
    pub(super) const SET_G_MODE: u32 = 110;
    pub(super) const GET_RSSI: u32 = 127;
    pub(super) const SET_SECURITY: u32 = 134;
    pub(super) const SET_BAND: u32 = 142;
    pub(super) const SET_WPA_AUTH: u32 = 165;
    pub(super) const GET_VARIABLE: u32 = 262;
    pub(super) const SET_VARIABLE: u32 = 263;
    pub(super) const SET_KEY: u32 = 268;
}

/// In dBm; the access point is in the same room.
const RSSI: i32 = -40;
/// The newer kind of authentication.
const SAE: u32 = 3;

impl Firmware {
    /// Whether the host wants to know of such an event.
    pub(super) fn wants(&self, kind: super::Kind) -> bool {
        let number = kind as usize;
        let byte = self.events.get(number / 8).copied().unwrap_or(0);
        byte >> (number % 8) & 1 != 0
    }

    /// Answers a question, and does what it says.
    pub(super) fn answer(
        &mut self,
        question: &[u8],
        mac: UnicastMac,
        requests: &mut VecDeque<Request>,
    ) -> Answer {
        let Some((header, content)) = question.split_first_chunk() else {
            return Answer {
                header: [0; HEADER_LEN],
                status: BAD_ARGUMENT,
                content: Vec::new(),
            };
        };
        let command = word(header);
        // What was sent is sent back, changed where it was a question.
        let mut content = content.to_vec();
        let status = match self.obey(command, &mut content, mac, requests) {
            Ok(()) => SUCCESS,
            Err(status) => status,
        };
        Answer {
            header: *header,
            status,
            content,
        }
    }

    fn obey(
        &mut self,
        command: u32,
        content: &mut [u8],
        mac: UnicastMac,
        requests: &mut VecDeque<Request>,
    ) -> Result<(), u32> {
        match command {
            command::UP => self.wish.is_up = true,
            command::DOWN => {
                self.wish.is_up = false;
                requests.push_back(Request::Leave);
            }
            command::DISASSOCIATE => requests.push_back(Request::Leave),
            command::SET_SSID => requests.push_back(Request::Join(self.join(content)?)),
            command::SET_POWER_SAVE => self.wish.power_save = word(content),
            command::SET_SECURITY => self.security = word(content),
            command::SET_AUTH => self.authentication = word(content),
            command::SET_KEY => self.key = counted(content, 4)?.to_vec(),
            command::GET_RSSI => put(content, &RSSI.to_le_bytes())?,
            command::GET_VARIABLE => self.tell(content, mac)?,
            command::SET_VARIABLE => self.set(content)?,
            command::SET_ANTENNA
            | command::SET_BAND
            | command::SET_G_MODE
            | command::SET_INFRASTRUCTURE
            | command::SET_WPA_AUTH => {}
            _ => return Err(UNSUPPORTED),
        }
        Ok(())
    }

    fn join(&self, content: &[u8]) -> Result<Join, u32> {
        let len = word(content) as usize;
        let ssid = content.get(4..4 + len).ok_or(BAD_ARGUMENT)?.to_vec();
        let sae = self.authentication == SAE;
        let key = if sae { &self.sae_key } else { &self.key };
        Ok(Join {
            ssid,
            passphrase: (self.security != 0).then(|| key.clone()),
            sae,
        })
    }

    /// Tells a variable, in place of its name.
    fn tell(&self, content: &mut [u8], mac: UnicastMac) -> Result<(), u32> {
        let (name, _) = named(content)?;
        match name {
            b"cur_etheraddr" => put(content, &mac.octets()),
            b"clmload_status" => put(content, &u32::from(!self.table_is_loaded).to_le_bytes()),
            b"mcast_list" => {
                let mut list = (self.groups.len() as u32).to_le_bytes().to_vec();
                list.extend(self.groups.as_flattened());
                list.resize(4 + 6 * GROUPS, 0);
                put(content, &list)
            }
            _ => Err(UNSUPPORTED),
        }
    }

    fn set(&mut self, content: &[u8]) -> Result<(), u32> {
        let (name, value) = named(content)?;
        match name {
            b"clmload" => {
                const END: u16 = 0x0004;
                let flags = value.first_chunk().ok_or(BAD_ARGUMENT)?;
                self.table_is_loaded = u16::from_le_bytes(*flags) & END != 0;
            }
            b"bsscfg:event_msgs" => self.events = value.get(4..).ok_or(BAD_ARGUMENT)?.to_vec(),
            b"mcast_list" => {
                let len = word(value) as usize;
                let groups = value.get(4..4 + 6 * len).ok_or(BAD_ARGUMENT)?;
                self.groups = groups.as_chunks().0.to_vec();
            }
            b"pm2_sleep_ret" => self.wish.awake_millis = word(value),
            b"bcn_li_dtim" => self.wish.listens_every = word(value),
            b"sae_password" => self.sae_key = counted(value, 2)?.to_vec(),
            b"ampdu_ba_wsize"
            | b"ampdu_mpdu"
            | b"apsta"
            | b"assoc_listen"
            | b"bcn_li_bcn"
            | b"bsscfg:sup_wpa"
            | b"bsscfg:sup_wpa2_eapver"
            | b"bsscfg:sup_wpa_tmo"
            | b"bus:txglom"
            | b"country"
            | b"gpioout"
            | b"mfp" => {}
            _ => return Err(UNSUPPORTED),
        }
        Ok(())
    }
}

/// The first four bytes; those that are missing are zero.
fn word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    let len = bytes.len().min(4);
    word[..len].copy_from_slice(&bytes[..len]);
    u32::from_le_bytes(word)
}

/// What follows this many bytes, as many as the first two of them say.
fn counted(bytes: &[u8], offset: usize) -> Result<&[u8], u32> {
    let len = bytes.first_chunk().ok_or(BAD_ARGUMENT)?;
    let len = usize::from(u16::from_le_bytes(*len));
    bytes.get(offset..offset + len).ok_or(BAD_ARGUMENT)
}

/// A name, and what follows it.
fn named(bytes: &[u8]) -> Result<(&[u8], &[u8]), u32> {
    let end = bytes.iter().position(|byte| *byte == 0);
    let end = end.ok_or(BAD_ARGUMENT)?;
    Ok((&bytes[..end], &bytes[end + 1..]))
}

fn put(place: &mut [u8], value: &[u8]) -> Result<(), u32> {
    place
        .get_mut(..value.len())
        .ok_or(BAD_ARGUMENT)?
        .copy_from_slice(value);
    Ok(())
}
