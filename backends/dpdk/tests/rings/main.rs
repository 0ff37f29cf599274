//! Ports made of rings: any frame on any queue, in virtual time.
//!
//! Each scenario ends with a look at the pools: every frame must be back, see `world::on_rings`.

use whohas_lab as support;

mod answers;
mod bursts;
mod errors;
mod flood;
mod frames;
mod full;
mod handed;
mod moves;
mod pieces;
mod pressure;
mod stopped;
mod transparent;
mod world;
