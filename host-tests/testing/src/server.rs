//! The server under test, wherever it runs.

use std::sync::OnceLock;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::TIMEOUT;
use crate::host_process::HostProcess;
use crate::request::Request;
use crate::response::Response;

/// The address of a server, and the token to publish there.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host and port.
    pub authority: String,
    /// The publish token.
    pub token: String,
}

impl Server {
    /// Returns the server that `RUNNEL_URL` and `RUNNEL_TOKEN` name, if they are set. It must have the
    /// settings of spin.toml.
    pub fn from_env() -> Option<Self> {
        let url = std::env::var("RUNNEL_URL").ok()?;
        let token = std::env::var("RUNNEL_TOKEN").expect("RUNNEL_URL needs RUNNEL_TOKEN");
        Some(Self::at(&url, token))
    }

    pub(crate) fn at(url: &str, token: String) -> Self {
        let authority = url
            .strip_prefix("http://")
            .unwrap_or_else(|| panic!("{url:?} does not begin with http://"));
        Self {
            authority: authority.trim_end_matches('/').to_owned(),
            token,
        }
    }

    /// Returns a request without headers and body.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.clone(), method.parse().unwrap(), path)
    }

    /// Returns a GET request.
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// Sends these bytes and reads until the server closes the connection, which the request should
    /// ask for.
    pub async fn send_raw(&self, bytes: &[u8]) -> Response {
        let exchange = async {
            let mut connection = TcpStream::connect(&self.authority).await.unwrap();
            connection.write_all(bytes).await.unwrap();
            Response::read_from(&mut connection).await
        };
        timeout(TIMEOUT, exchange).await.expect("no response")
    }
}

/// Returns the server of all tests that need no special settings: the one of [`Server::from_env`], or
/// else a host that all tests of this process share.
pub fn shared_server() -> Server {
    static SHARED: OnceLock<(Server, Option<HostProcess>)> = OnceLock::new();
    let (server, _) = SHARED.get_or_init(|| match Server::from_env() {
        Some(server) => (server, None),
        None => {
            let host = HostProcess::start_shared();
            (host.server.clone(), Some(host))
        }
    });
    server.clone()
}
