//! OTLP over gRPC: one method, called with what is encoded already.

use bytes::{Buf, BufMut, Bytes};
use reqwest::header::HeaderMap;
use tonic::client::Grpc as Client;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::super::variables::Connection;
use super::{Failure, SetupError, files};

#[derive(Debug)]
pub(super) struct Grpc {
    channel: Channel,
    method: PathAndQuery,
    headers: HeaderMap,
}

impl Grpc {
    pub(super) fn new(connection: &Connection) -> Result<Self, SetupError> {
        let endpoint = &connection.endpoint;
        let mut channel = Endpoint::from_shared(endpoint.to_string())?
            .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))?
            .connect_timeout(connection.timeout);
        if endpoint.scheme() == "https" {
            channel = channel.tls_config(files::grpc_tls(connection)?)?;
        }
        Ok(Self {
            channel: channel.connect_lazy(),
            method: PathAndQuery::from_static(connection.signal.method()),
            headers: files::headers(connection)?,
        })
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<Bytes, Failure> {
        let mut client = Client::new(self.channel.clone());
        let ready = client.ready().await;
        ready.map_err(|error| Failure::passing(format!("it cannot be reached: {error}")))?;
        let mut request = Request::new(request);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        let called = client.unary(request, self.method.clone(), Encoded).await;
        match called {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(failure(&status)),
        }
    }
}

/// Which codes may pass is said by OTLP's specification.
fn failure(status: &Status) -> Failure {
    let why = format!("it answers {:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unimplemented => Failure::Unknown(why),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Failure::passing(why),
        _ => Failure::Refused(why),
    }
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
