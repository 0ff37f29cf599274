//! One HTTP request through a stack of our own, beside the kernel's:
//! `cargo run --example dial --features tokio -- eth0 192.168.1.77/24 192.168.1.10:80`
//!
//! The address is for us alone: the kernel must not have it.

use std::error::Error;
use std::net::SocketAddrV4;

use embedded_io_async::{Read, Write};
use whohas::cache::Fixed;
use whohas::link::InPlace;
use whohas::net::{Config, Net, Pools};
use whohas::{LocalResolver, Policy, Prefix};
use whohas_linux::{RingOptions, TokioClock};

static NEIGHBOURS: LocalResolver<Fixed<64>> = LocalResolver::new(Policy::STRICT, Fixed::new());

async fn get(interface: &str, us: Prefix, server: SocketAddrV4) -> Result<(), Box<dyn Error>> {
    let (ring, clock) = (RingOptions::new().addresses(&[us.ip()]), TokioClock::new());
    let ring = ring.open(interface)?.with_tokio()?;
    let mut link: InPlace<_, _, _> = InPlace::new(ring, &NEIGHBOURS, clock);
    link.set_addresses(&[us])?;
    let mut sockets = Pools::<_, 4, 16_384, 16_384, 2, 2_048>::new(); // and their buffers
    let net = Net::new(link, &mut sockets, Config::new(std::process::id().into()));
    let exchange = async {
        let mut connection = net.dial(server).await?; // has a hold on its next hop until it is closed
        connection.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut answer = [0; 1_024];
        while let Ok(len @ 1..) = connection.read(&mut answer).await {
            print!("{}", String::from_utf8_lossy(&answer[..len]));
        }
        Ok(connection.close().await?)
    };
    tokio::select! { never = net.run(&clock) => match never {}, done = exchange => done }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, us, server] = arguments.as_slice() else {
        return Err("usage: dial INTERFACE OUR-ADDRESS/BITS SERVER:PORT".into());
    };
    let (ip, bits) = us
        .split_once('/')
        .ok_or("our address wants its prefix length")?;
    get(
        interface,
        Prefix::new(ip.parse()?, bits.parse()?)?,
        server.parse()?,
    )
    .await
}
