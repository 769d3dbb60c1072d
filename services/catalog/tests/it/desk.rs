//! A running catalog, and a technician with a token at it.

use std::net::SocketAddr;
use std::time::Duration;

use carrel_catalog::MIGRATIONS;
use carrel_database::with_foundation;
use carrel_proto::catalog::v1::import_records_request::Content;
use carrel_proto::catalog::v1::item_service_client::ItemServiceClient;
use carrel_proto::catalog::v1::location_unit_service_client::LocationUnitServiceClient;
use carrel_proto::catalog::v1::quarantine_service_client::QuarantineServiceClient;
use carrel_proto::catalog::v1::record_service_client::RecordServiceClient;
use carrel_proto::catalog::v1::{
    CreateLocationUnitRequest, Import, ImportHeader, ImportProblem, ImportRecordsRequest,
    ImportRecordsResponse, LocationUnit, LocationUnitKind, Record, SearchRecordsRequest,
};
use carrel_runtime::{BarcodeKey, Grant, Peer, Running, Settings, TokenIssuer, bind, start};
use carrel_testkit::TestDatabase;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

/// A channel with a token.
pub type Line = InterceptedService<Channel, Token>;

/// Puts a token on each call.
#[derive(Debug, Clone)]
pub struct Token(String);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// The keys of a suite, in a folder that goes with it.
pub struct Keys {
    folder: TempDir,
    issuer: TokenIssuer,
}

impl Keys {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = TokenIssuer::create(&folder.path().join("key.pem")).unwrap();
        BarcodeKey::create(&folder.path().join("barcode.key")).unwrap();
        let jwks = serde_json::to_vec(&issuer.jwks()).unwrap();
        std::fs::write(folder.path().join("trusted.json"), jwks).unwrap();
        Self { folder, issuer }
    }

    pub fn settings(&self, database_url: &str, circulation: &str) -> Settings {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database_url: database_url.into(),
            database_connections: 8,
            trusted_keys: self.folder.path().join("trusted.json"),
            service_key: self.folder.path().join("key.pem"),
            barcode_key: self.folder.path().join("barcode.key"),
            peers: vec![Peer {
                service: "circulation".into(),
                url: circulation.into(),
            }],
            movable_clock: true,
            end_with_input: false,
            clock_offset: 0,
        }
    }

    fn token(&self, permissions: &[&str]) -> Token {
        let grants: Vec<Grant> = permissions
            .iter()
            .map(|name| Grant::everywhere(name))
            .collect();
        let lifetime = SignedDuration::from_hours(1);
        Token(
            self.issuer
                .issue("technician", &grants, Timestamp::now(), lifetime),
        )
    }
}

/// A catalog that runs, with its own database.
pub struct Desk {
    pub service: Running,
    pub database: TestDatabase,
    keys: Keys,
    channel: Channel,
}

impl Desk {
    /// Opens a catalog without a circulation that could be heard.
    pub async fn open() -> Self {
        Self::beside(Keys::new(), "http://127.0.0.1:1").await
    }

    /// Opens a catalog that follows this circulation.
    pub async fn beside(keys: Keys, circulation: &str) -> Self {
        let database = TestDatabase::create(&with_foundation(&MIGRATIONS)).await;
        let runtime = keys.settings(&database.url, circulation);
        let settings = carrel_catalog::Settings {
            runtime: runtime.clone(),
            currency: "USD".parse().unwrap(),
        };
        let listener = bind(runtime.listen).await.unwrap();
        let definition = carrel_catalog::definition(settings);
        let mut service = start(&runtime, listener, definition).await.unwrap();
        service.ready(Duration::from_secs(20)).await.unwrap();
        let channel = Channel::from_shared(format!("http://{}", service.address()))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            service,
            database,
            keys,
            channel,
        }
    }

    fn line(&self, permissions: &[&str]) -> Line {
        InterceptedService::new(self.channel.clone(), self.keys.token(permissions))
    }

    pub fn locations(&self) -> LocationUnitServiceClient<Line> {
        LocationUnitServiceClient::new(self.line(&["catalog.*"]))
    }

    pub fn items(&self) -> ItemServiceClient<Line> {
        ItemServiceClient::new(self.line(&["catalog.*"]))
    }

    pub fn items_with(&self, permissions: &[&str]) -> ItemServiceClient<Line> {
        ItemServiceClient::new(self.line(permissions))
    }

    pub fn records(&self) -> RecordServiceClient<Line> {
        RecordServiceClient::new(self.line(&["catalog.*"])).max_decoding_message_size(16 << 20)
    }

    pub fn quarantine(&self) -> QuarantineServiceClient<Line> {
        QuarantineServiceClient::new(self.line(&["catalog.*"])).max_decoding_message_size(16 << 20)
    }

    /// Adds a unit; returns its id.
    pub async fn unit(&self, kind: LocationUnitKind, parent_id: &str, code: &str) -> String {
        let location_unit = Some(LocationUnit {
            kind: kind.into(),
            parent_id: parent_id.into(),
            code: code.into(),
            name: format!("The {code}"),
            ..LocationUnit::default()
        });
        let request = CreateLocationUnitRequest {
            location_unit,
            request_id: new_id(),
        };
        let answer = self
            .locations()
            .create_location_unit(request)
            .await
            .unwrap();
        answer.into_inner().location_unit.unwrap().id
    }

    /// Adds a college with two libraries of two locations each; returns the
    /// ids of the locations by code.
    pub async fn district(&self) -> std::collections::HashMap<&'static str, String> {
        use LocationUnitKind::{Campus, Institution, Library, Location};
        let college = self.unit(Institution, "", "ALD").await;
        let campus = self.unit(Campus, &college, "MILLRACE").await;
        let mut locations = std::collections::HashMap::new();
        for (library, codes) in [
            ("ALDM", ["ALDM-RES", "ALDM-STK"]),
            ("ALDS", ["ALDS-RES", "ALDS-STK"]),
        ] {
            let library = self.unit(Library, &campus, library).await;
            for code in codes {
                locations.insert(code, self.unit(Location, &library, code).await);
            }
        }
        locations
    }

    /// Opens the stream of a load.
    pub async fn begin_load(&self, header: ImportHeader) -> Result<Load, Status> {
        let (sender, receiver) = mpsc::channel(4);
        sender.send(message(Content::Header(header))).await.unwrap();
        let answers = self
            .records()
            .import_records(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        Ok(Load {
            sender: Some(sender),
            answers,
            problems: Vec::new(),
        })
    }

    /// Loads a whole file as a client should.
    pub async fn load(
        &self,
        header: ImportHeader,
        file: &[u8],
    ) -> Result<(Import, Vec<ImportProblem>), Status> {
        let byte_count = file.len() as i64;
        let offset = usize::try_from(header.offset).unwrap();
        let mut load = self
            .begin_load(ImportHeader {
                byte_count,
                ..header
            })
            .await?;
        let sender = load.sender.take().unwrap();
        let chunks: Vec<Vec<u8>> = file[offset..].chunks(100_000).map(<[u8]>::to_vec).collect();
        tokio::spawn(async move {
            for chunk in chunks {
                if sender.send(message(Content::Chunk(chunk))).await.is_err() {
                    return;
                }
            }
        });
        let mut last = None;
        while let Some(answer) = load.answer().await? {
            last = answer.import;
        }
        Ok((last.expect("at least one answer comes"), load.problems))
    }

    /// Finds records by words.
    pub async fn find(&self, query: &str) -> Vec<Record> {
        self.search(SearchRecordsRequest {
            query: query.into(),
            ..Default::default()
        })
        .await
    }

    pub async fn search(&self, request: SearchRecordsRequest) -> Vec<Record> {
        self.records()
            .search_records(request)
            .await
            .unwrap()
            .into_inner()
            .records
    }

    /// How many rows there are.
    pub async fn count(&self, from: &'static str) -> i64 {
        let query = format!("select count(*) from {from}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }
}

/// The stream of a load.
pub struct Load {
    sender: Option<mpsc::Sender<ImportRecordsRequest>>,
    answers: Streaming<ImportRecordsResponse>,
    pub problems: Vec<ImportProblem>,
}

impl Load {
    pub async fn send(&self, chunk: &[u8]) {
        let sender = self.sender.as_ref().unwrap();
        sender
            .send(message(Content::Chunk(chunk.to_vec())))
            .await
            .unwrap();
    }

    pub async fn send_header(&self, header: ImportHeader) {
        self.sender
            .as_ref()
            .unwrap()
            .send(message(Content::Header(header)))
            .await
            .unwrap();
    }

    /// Says that the file is complete.
    pub fn finish(&mut self) {
        self.sender = None;
    }

    /// Goes away without a word.
    pub fn break_off(self) {
        // The answers first: that the request ends would otherwise be seen as
        // the end of the file.
        drop(self.answers);
        drop(self.sender);
    }

    pub async fn answer(&mut self) -> Result<Option<ImportRecordsResponse>, Status> {
        let answer = tokio::time::timeout(Duration::from_secs(60), self.answers.message());
        let answer = answer.await.expect("an answer comes within a minute")?;
        if let Some(answer) = &answer {
            self.problems.extend(answer.problems.iter().cloned());
        }
        Ok(answer)
    }

    /// The status with which the catalog ends the stream.
    pub async fn refusal(&mut self) -> Status {
        loop {
            match self.answer().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the load went through"),
                Err(status) => return status,
            }
        }
    }
}

pub fn message(content: Content) -> ImportRecordsRequest {
    ImportRecordsRequest {
        content: Some(content),
    }
}

/// A header of a load with a new id.
pub fn header(source: &str) -> ImportHeader {
    ImportHeader {
        import_id: new_id(),
        source: source.into(),
        ..ImportHeader::default()
    }
}

pub fn new_id() -> String {
    carrel_ids::new_id().to_string()
}

/// Code and reason of a refusal.
pub fn refused(status: &Status) -> (Code, String) {
    let reason = carrel_runtime::read::reason(status);
    (
        status.code(),
        reason.unwrap_or_else(|| format!("no reason: {status:?}")),
    )
}

/// The refusal of a call that should not have gone through.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    refused(&answer.expect_err("the call should have been refused"))
}

impl Desk {
    /// The id of a unit that was added before.
    pub async fn unit_id(&self, code: &str) -> String {
        sqlx::query_scalar("select id::text from location_unit where code = $1")
            .bind(code)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }
}
