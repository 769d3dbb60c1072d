//! Fetching server binaries where the machine has none (feature `fetch`).
//!
//! They come from the releases of theseus-rs/postgresql-binaries, one archive a target triple with its
//! SHA-256 beside it. A fixed version is fetched by its plain address, so that no rate-limited interface is
//! asked, and an archive without a matching checksum is refused.

use std::env;
use std::env::consts::ARCH;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use flate2::bufread::GzDecoder;
use reqwest::{Client, Response};
use tar::Archive;

use crate::Error;
use crate::binaries::{Server, inspect};

/// Names where archives are fetched from, such as a mirror inside the district: the address before
/// `/<version>/postgresql-<version>-<target>.tar.gz`. `off` forbids fetching.
const ARCHIVES_VARIABLE: &str = "CARREL_POSTGRES_ARCHIVES";

const ARCHIVES: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download";

/// PostgreSQL 18.6, first build.
const VERSION: &str = "18.6.0";

/// Archives are 10 to 40 MB; more is no archive of ours.
const ARCHIVE_MAX_BYTES: u64 = 512 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest silence on the way.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Where servers are fetched from, and where they are put.
#[derive(Debug)]
pub(crate) struct Archives {
    base: String,
    installed_in: PathBuf,
}

/// Where a fetched server lies, or would.
pub(crate) fn installed_folder() -> Option<PathBuf> {
    Some(cache_root()?.join(name()).join("bin"))
}

impl Archives {
    /// `None` where fetching is forbidden, or the user has no home to put a server in.
    pub fn from_environment() -> Option<Self> {
        let base = env::var(ARCHIVES_VARIABLE).unwrap_or_else(|_| ARCHIVES.to_owned());
        (base != "off").then_some(Self {
            base,
            installed_in: cache_root()?,
        })
    }

    /// The server of the fixed version, fetched unless it is here already.
    pub async fn fetch(self) -> Result<Server, Error> {
        let url = format!(
            "{}/{VERSION}/{}.tar.gz",
            self.base.trim_end_matches('/'),
            name()
        );
        let lock = self.lock().await?;
        let folder = self.installed_in.join(name());
        if let Ok(server) = inspect(&folder.join("bin")) {
            return Ok(server);
        }
        tracing::info!(url, folder = ?self.installed_in, "no PostgreSQL on this machine: fetching one");
        let fetched = async {
            let archive = download(&url, &self.installed_in).await?;
            let installed_in = self.installed_in;
            let installed = tokio::task::spawn_blocking(move || install(archive, &installed_in));
            installed.await.map_err(|failure| failure.to_string())?
        };
        let server = fetched
            .await
            .map_err(|reason| Error::NotFetched { url, reason });
        drop(lock);
        server
    }

    /// Makes the folder, and holds it until the returned file is dropped: of two programs that start
    /// together, one fetches.
    async fn lock(&self) -> Result<File, Error> {
        let folder = self.installed_in.clone();
        let action = format!("preparing {folder:?} for a fetched server");
        let locked = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            // Whatever the umask: as root, the server's account runs what lies here.
            fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
            let lock = File::create(folder.join("lock"))?;
            lock.lock()?;
            Ok(lock)
        });
        locked
            .await
            .unwrap_or_else(|failure| Err(failure.into()))
            .map_err(Error::io(action))
    }
}

/// For root a place that other accounts can reach.
fn cache_root() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/carrel"));
    }
    let absolute = |variable| {
        env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.map(|folder| folder.join("carrel"))
}

/// Of an archive and of the folder in it.
fn name() -> String {
    let system = if cfg!(target_os = "macos") {
        "apple-darwin"
    } else if cfg!(target_env = "musl") {
        "unknown-linux-musl"
    } else {
        "unknown-linux-gnu"
    };
    format!("postgresql-{VERSION}-{ARCH}-{system}")
}

/// The archive as a file without a name, its checksum verified.
async fn download(url: &str, folder: &Path) -> Result<File, String> {
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(told)?;
    let expected = expected_checksum(
        &get(&client, &format!("{url}.sha256"))
            .await?
            .text()
            .await
            .map_err(told)?,
    )?;
    let mut response = get(&client, url).await?;
    let mut file = tempfile::tempfile_in(folder).map_err(told)?;
    let mut checksum = Context::new(&SHA256);
    let mut length = 0;
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        length += chunk.len() as u64;
        if length > ARCHIVE_MAX_BYTES {
            return Err(format!(
                "the archive is larger than {ARCHIVE_MAX_BYTES} bytes"
            ));
        }
        checksum.update(&chunk);
        file.write_all(&chunk).map_err(told)?;
    }
    let found = hexadecimal(checksum.finish().as_ref());
    if found != expected {
        return Err(format!(
            "the archive's SHA-256 is {found}, and {expected} was expected"
        ));
    }
    file.seek(SeekFrom::Start(0)).map_err(told)?;
    Ok(file)
}

async fn get(client: &Client, url: &str) -> Result<Response, String> {
    let response = client.get(url).send().await.map_err(told)?;
    response.error_for_status().map_err(told)
}

/// The first word of a checksum file, `<64 hexadecimal digits>  <name>`.
fn expected_checksum(content: &str) -> Result<String, String> {
    let word = content
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(word);
    }
    Err("the checksum beside the archive is none".to_owned())
}

/// Unpacks beside the final place and renames, so that what is there is whole.
fn install(archive: File, installed_in: &Path) -> Result<Server, String> {
    let unpacked = tempfile::tempdir_in(installed_in).map_err(told)?;
    Archive::new(GzDecoder::new(BufReader::new(archive)))
        .unpack(unpacked.path())
        .map_err(told)?;
    let inside = unpacked.path().join(name());
    inspect(&inside.join("bin"))
        .map_err(|reason| format!("the archive holds no server: {reason}"))?;
    let folder = installed_in.join(name());
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(told(error)),
        _ => fs::rename(&inside, &folder).map_err(told)?,
    }
    inspect(&folder.join("bin"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error with its causes, which `reqwest` keeps to itself.
fn told(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{BufRead, Read};
    use std::net::TcpListener;
    use std::thread;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;
    use crate::binaries::find_server;

    /// An archive server on loopback that answers with these files and ends with the process.
    fn serve(files: HashMap<String, Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap())
                    .lines()
                    .map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                lines.find(String::is_empty);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let (status, body) = files
                    .get(path)
                    .map_or(("404 Not Found", &[][..]), |body| ("200 OK", body));
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                )
                .unwrap();
                stream.write_all(body).unwrap();
            }
        });
        format!("http://{address}/releases")
    }

    /// An archive as the releases have it, around this machine's own server.
    fn archive() -> Vec<u8> {
        let server = find_server(None).unwrap();
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for program in ["postgres", "initdb"] {
            let path = format!("{}/bin/{program}", name());
            archive
                .append_path_with_name(server.bin.join(program).canonicalize().unwrap(), path)
                .unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn path(suffix: &str) -> String {
        format!("/releases/{VERSION}/{}.tar.gz{suffix}", name())
    }

    fn release(archive: Vec<u8>, checksum: &str) -> HashMap<String, Vec<u8>> {
        let checksum = format!("{checksum}  {}.tar.gz\n", name());
        HashMap::from([
            (path(""), archive),
            (path(".sha256"), checksum.into_bytes()),
        ])
    }

    fn place() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let installed_in = folder.path().join("cache/carrel");
        (folder, installed_in)
    }

    async fn refusal(files: HashMap<String, Vec<u8>>) -> String {
        let (_folder, installed_in) = place();
        let archives = Archives {
            base: serve(files),
            installed_in: installed_in.clone(),
        };
        let message = archives.fetch().await.unwrap_err().to_string();
        assert!(message.contains("apt-get install postgresql"), "{message}");
        let left: Vec<_> = fs::read_dir(installed_in)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["lock"], "nothing is left of what was refused");
        message
    }

    #[tokio::test]
    async fn a_server_is_fetched_once_and_runs() {
        let (_folder, installed_in) = place();
        let archive = archive();
        let checksum = hexadecimal(aws_lc_rs::digest::digest(&SHA256, &archive).as_ref());
        let archives = Archives {
            base: serve(release(archive, &checksum)),
            installed_in: installed_in.clone(),
        };
        let server = archives.fetch().await.unwrap();
        assert_eq!(server.bin, installed_in.join(name()).join("bin"));
        assert_eq!(server.version, find_server(None).unwrap().version);
        let mode = fs::metadata(&server.bin).unwrap().permissions().mode();
        assert_eq!(mode & 0o755, 0o755, "the server's account has to reach it");

        let gone = Archives {
            base: "http://127.0.0.1:1/releases".to_owned(),
            installed_in,
        };
        assert_eq!(gone.fetch().await.unwrap().bin, server.bin);
    }

    #[tokio::test]
    async fn an_archive_that_was_tampered_with_is_refused() {
        let message = refusal(release(archive(), &"0".repeat(64))).await;
        assert!(message.contains("SHA-256"), "{message}");
    }

    #[tokio::test]
    async fn an_archive_without_a_checksum_is_refused() {
        let mut files = release(archive(), "");
        let message = refusal(files.clone()).await;
        assert!(message.contains("checksum beside the archive"), "{message}");
        files.remove(&path(".sha256"));
        assert!(refusal(files).await.contains("404"));
    }

    #[tokio::test]
    async fn an_archive_without_a_server_is_refused() {
        let mut empty = GzEncoder::new(Vec::new(), Compression::fast());
        empty.write_all(&[0; 1024]).unwrap();
        let archive = empty.finish().unwrap();
        let checksum = hexadecimal(aws_lc_rs::digest::digest(&SHA256, &archive).as_ref());
        let message = refusal(release(archive, &checksum)).await;
        assert!(message.contains("holds no server"), "{message}");
    }

    #[tokio::test]
    async fn an_archive_that_breaks_off_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort");
            }
        });
        let (_folder, installed_in) = place();
        let error = Archives { base, installed_in }.fetch().await.unwrap_err();
        assert!(matches!(error, Error::NotFetched { .. }), "{error}");
    }
}
