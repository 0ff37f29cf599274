//! What the programs that are compared for their size have in common.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use cyw43::{Control, JoinOptions};
use embassy_time::Timer;
use embedded_io_async::{Read, Write};
use embedded_nal_async::TcpConnect;

use crate::config::{BROKER, PASSPHRASE, SSID};

/// Joins, however long it takes.
pub async fn join(control: &mut Control<'static>) {
    while control
        .join(SSID, JoinOptions::new(PASSPHRASE.as_bytes()))
        .await
        .is_err()
    {
        Timer::after_secs(1).await;
    }
}

/// Has the server echo something every second, for ever.
pub async fn talk(tcp: &impl TcpConnect) -> ! {
    let server = BROKER.host.parse().unwrap_or(Ipv4Addr::LOCALHOST);
    let server = SocketAddr::new(IpAddr::V4(server), BROKER.port);
    loop {
        if let Ok(mut connection) = tcp.connect(server).await {
            let mut echo = [0; 4];
            while connection.write_all(b"ping").await.is_ok()
                && connection.read_exact(&mut echo).await.is_ok()
            {
                Timer::after_secs(1).await;
            }
        }
        Timer::after_secs(1).await;
    }
}
