//! What the programs for a Pico 2 W have in common: its board, their configuration, and what happens
//! when one of them panics.

#![no_std]
#![forbid(unsafe_code)]

pub mod board;
pub mod config;
#[cfg(feature = "echo")]
pub mod echo;
mod panic;
mod settings;
